/* SPDX-License-Identifier: MIT */
/*
 * check_kernels.c - options, random numbers and guarded memory of the kernel checks.
 */
#include "check_kernels.h"

#include <fenv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef QZ_ARCH_X86
#include <immintrin.h>
#endif

bool check_wanted(const check_options *options, const char *name, qz_isa isa)
{
    return qz_isa_available(isa) && (options->isa == QZ_ISA_AUTO || options->isa == isa) &&
           (!options->kernel || strstr(name, options->kernel));
}

static char now[1024];

void check_now(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(now, sizeof now, fmt, args);
    va_end(args);
}

static void on_fault(int number)
{
    static const char text[] = "FAILED: reads or writes outside its tensors (or is not for this "
                               "CPU): ";
    (void)number;
    if (write(STDOUT_FILENO, text, sizeof text - 1) > 0 &&
        write(STDOUT_FILENO, now, strlen(now)) > 0 && write(STDOUT_FILENO, "\n", 1) > 0)
        _exit(1);
    _exit(2);
}

uint64_t check_u64(check_rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

int64_t check_range(check_rng *rng, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(check_u64(rng) % (uint64_t)(hi - lo + 1));
}

bool check_one_in(check_rng *rng, int64_t n)
{
    return check_range(rng, 1, n) == 1;
}

float check_uniform(check_rng *rng, float lo, float hi)
{
    return lo + (hi - lo) * ((float)(check_u64(rng) >> 40) * 0x1p-24f);
}

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

float check_any_float(check_rng *rng)
{
    static const uint32_t special[] = {
        0x00000000, 0x80000000,                         /* zeros */
        0x00000001, 0x80000001, 0x007fffff, 0x807fffff, /* subnormal */
        0x00800000, 0x80800000,                         /* smallest normal */
        0x7f7fffff, 0xff7fffff,                         /* largest */
        0x7f800000, 0xff800000,                         /* infinity */
        0x7fc00000, 0xffc00000, 0x7fc12345,             /* quiet NaN */
        0x3f800000, 0xbf800000, 0x3f000000, 0x3f7fffff, 0x3f800001,
    };
    if (check_one_in(rng, 2))
        return float_of(special[check_range(rng, 0, (int64_t)QZI_ARRAY_LEN(special) - 1)]);
    uint32_t bits = (uint32_t)check_u64(rng);
    if ((bits & 0x7f800000) == 0x7f800000)
        bits |= 0x00400000; /* a signalling NaN is not what any of our inputs holds */
    return float_of(bits);
}

void check_random_bytes(check_rng *rng, void *data, size_t size)
{
    unsigned char *bytes = data;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = check_u64(rng);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

/* The pattern outside the data: never constant, so that a copied byte is seen too. */
static unsigned char canary(size_t i)
{
    return (unsigned char)(0xA5 ^ (i * 0x3D));
}

check_buffer check_buffer_new(size_t size, size_t align, bool at_front)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    check_buffer b = {.size = size};
    b.pages_size = QZI_ROUND_UP(QZI_MAX(size, 1), page);
    unsigned char *all =
        mmap(NULL, b.pages_size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, b.pages_size, PROT_READ | PROT_WRITE) != 0) {
        fprintf(stderr, "check_kernels: no memory for a buffer of %zu bytes\n", size);
        exit(2);
    }
    b.pages = all + page;
    b.data = at_front ? b.pages : b.pages + ((b.pages_size - size) & ~(align - 1));
    for (size_t i = 0; i < b.pages_size; i++)
        b.pages[i] = canary(i);
    return b;
}

void check_buffer_free(check_buffer *buffer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (buffer->pages)
        munmap(buffer->pages - page, buffer->pages_size + 2 * page);
    *buffer = (check_buffer){0};
}

void check_buffer_protect(check_buffer *buffer, bool readable_only)
{
    mprotect(buffer->pages, buffer->pages_size, readable_only ? PROT_READ : PROT_READ | PROT_WRITE);
}

bool check_buffer_intact(const check_buffer *buffer)
{
    size_t begin = (size_t)(buffer->data - buffer->pages), end = begin + buffer->size;
    for (size_t i = 0; i < begin; i++)
        if (buffer->pages[i] != canary(i))
            return false;
    for (size_t i = end; i < buffer->pages_size; i++)
        if (buffer->pages[i] != canary(i))
            return false;
    return true;
}

uint64_t check_fp_state(void)
{
#ifdef QZ_ARCH_X86
    return _mm_getcsr() & 0xffc0; /* all but the sticky exception flags */
#else
    return (uint64_t)fegetround();
#endif
}

static const struct {
    const char *name;
    check_suite run, bench;
} suites[] = {
    {"fmaf", check_suite_fmaf, NULL},
    {"simple", check_suite_simple, NULL},
    {"conv", check_suite_conv, check_bench_conv},
    {"winograd", check_suite_winograd, NULL},
};

static int usage(void)
{
    fprintf(stderr, "usage: check_kernels SUITE [--seed N] [--runs N] [--isa NAME] [--kernel TEXT] "
                    "[--bench]\nsuites:");
    for (size_t i = 0; i < QZI_ARRAY_LEN(suites); i++)
        fprintf(stderr, " %s", suites[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    check_options options = {.isa = QZ_ISA_AUTO};
    const char *seed = getenv("QZOO_CHECK_SEED");
    if (argc < 2)
        return usage();
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0) {
            options.bench = true;
            continue;
        }
        if (i + 1 == argc)
            return usage();
        if (strcmp(argv[i], "--seed") == 0)
            seed = argv[++i];
        else if (strcmp(argv[i], "--runs") == 0)
            options.runs = strtoll(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--kernel") == 0)
            options.kernel = argv[++i];
        else if (strcmp(argv[i], "--isa") != 0 || !qz_isa_parse(argv[++i], &options.isa))
            return usage();
    }
    options.seed = seed ? strtoull(seed, NULL, 0)
                        : (uint64_t)time(NULL) * UINT64_C(2654435761) + (uint64_t)getpid();
    if (!qz_isa_available(options.isa)) {
        fprintf(stderr, "check_kernels: this CPU has no %s\n", qz_isa_name(options.isa));
        return 2;
    }
    for (size_t i = 0; i < QZI_ARRAY_LEN(suites); i++) {
        if (strcmp(argv[1], suites[i].name) != 0)
            continue;
        check_suite run = options.bench ? suites[i].bench : suites[i].run;
        if (!run)
            return usage();
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* lines before a fault are not lost */
        printf("check_kernels %s --seed %" PRIu64 "\n", argv[1], options.seed);
        signal(SIGSEGV, on_fault);
        signal(SIGBUS, on_fault);
        signal(SIGILL, on_fault);
        qzi_fpenv env = qzi_fpenv_enter();
        int64_t compared = 0;
        int failures = run(&options, &compared);
        qzi_fpenv_leave(env);
        printf("%s: %" PRId64 " comparisons, %d failed\n", argv[1], compared, failures);
        if (compared == 0)
            printf("%s: FAILED: nothing was compared\n", argv[1]);
        return failures || compared == 0 ? 1 : 0;
    }
    return usage();
}
