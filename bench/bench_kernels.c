/* SPDX-License-Identifier: MIT */
/*
 * bench_kernels.c - the time of every convolution kernel on the layers of real networks, one
 * thread, hot caches; the ceiling is measured in the same run, and every result is compared with
 * the reference kernel's.
 *
 *   bench_kernels [--isa NAME] [--kernel TEXT] [--seconds S] bench/shapes/MODEL.txt...
 *   bench_kernels --write MODEL
 *
 * --isa and --kernel keep the kernels of that bundle, or whose name contains TEXT; S is spent on
 * each kernel and layer (0.1). A star marks the kernel that a model would take; the sums are over
 * those, each layer as often as the network has it. Below linear layers of one row, and 1 MB of
 * weights, it prints how fast weights were read and how fast plain loads read as many bytes. A rate
 * by Winograd's algorithm counts the multiplications of the direct one.
 */
#include "bench_kernels.h"
#include "layers/qzoo_cpu.h"
#include "layers/qzoo_graph.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TIMES = 501 };

typedef struct bench_options {
    qz_isa isa;
    const char *kernel;
    double seconds;
} bench_options;

typedef struct timed {
    void *packed; /* as models have it: huge pages where weights are large */
    size_t packed_bytes;
    check_buffer out, scratch;
    double median;
} timed;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Until `seconds` are over, but 3 times at least; with 0 seconds once. */
static timed run_timed(const conv_operands *o, const qzk_conv_kernel *kernel, double seconds)
{
    static double each[MAX_TIMES];
    qzk_conv_args args = o->args;
    timed t = {0};
    double total = 0;
    size_t count = 0;
    args.shape = &o->problem.shape;
    t.packed_bytes = kernel->packed_size(args.shape);
    t.packed = qzi_alloc(NULL, t.packed_bytes);
    if (!t.packed)
        abort(); /* as the buffers of check_memory.c */
    kernel->pack(args.shape, &o->weights, t.packed);
    args.packed = t.packed;
    t.out = check_buffer_new(conv_view_bytes(&args.out, o->int8), 4, true);
    args.out.data = t.out.data;
    t.scratch = check_buffer_new(kernel->scratch_size(&args), QZI_ALIGN, true);
    do {
        double start = qzi_now();
        kernel->run(&args, 0, kernel->units(&args), t.scratch.data);
        each[count] = qzi_now() - start;
        total += each[count++];
    } while (seconds > 0 && count < MAX_TIMES && (count < 3 || total < seconds));
    qsort(each, count, sizeof(*each), ascending);
    t.median = each[count / 2];
    return t;
}

static void timed_free(timed *t)
{
    qzi_free(NULL, t->packed);
    check_buffer_free(&t->out);
    check_buffer_free(&t->scratch);
}

/* Measured once for each bundle. */
static double peak_of(qz_isa isa, bool int8)
{
    static double peaks[2][QZ_ISA_COUNT];
    double *peak = &peaks[int8][isa];
    if (*peak <= 0 && qz_cpu_peak(NULL, isa, int8, peak) != QZ_OK)
        *peak = 0;
    return *peak;
}

/* Layers of one pixel wait for their weights: the rate of these beside plain reads of as many bytes
 * over and over, which is what this benchmark does with them too. Small ones stay in caches. */
static void print_reads(const timed *t)
{
    static size_t bytes;
    static double rate;
    if (t->packed_bytes < (size_t)1 << 20)
        return;
    if (t->packed_bytes != bytes && qz_cpu_read_rate(NULL, t->packed_bytes, 1, &rate) == QZ_OK)
        bytes = t->packed_bytes;
    if (t->packed_bytes == bytes)
        printf("    weights: %.1f MB at %.1f GB/s, plain reads %.1f GB/s\n", (double)bytes * 1e-6,
               (double)bytes / t->median * 1e-9, rate);
}

/* Fast kernels and what a network of them would take. */
typedef struct bench_sum {
    double seconds, macs, peak;
} bench_sum;

/* The kernels of one list on one layer; those that differ from the reference. */
static int bench_list(const bench_options *options, const bench_case *c, qzk_conv_list list,
                      bench_sum *sum)
{
    const qzk_conv_shape *shape = &c->problem.shape;
    const bool int8 = list == QZK_LIST_U8S8_CONV;
    const double macs = (double)conv_macs(&c->problem);
    const qzk_conv_kernel *const *kernels;
    const size_t count = qzk_conv_all(&kernels, list);
    int failures = 0;
    bool first = true;
    if (list == QZK_LIST_F32_WINOGRAD && !qzk_winograd_wins(shape, c->problem.oh, c->problem.ow))
        return 0;
    check_rng rng = {1};
    conv_operands o = conv_operands_new(&rng, &c->problem, int8, true, true);
    timed ref = run_timed(&o, kernels[count - 1], 0);
    for (size_t i = 0; i < count; i++) {
        const qzk_conv_kernel *k = kernels[i];
        if (!k->supports(shape) || !qz_isa_available(k->isa))
            continue;
        const bool chosen =
            first && (options->isa == QZ_ISA_AUTO || qzk_isa_allows(options->isa, k->isa));
        first = first && !chosen;
        if ((options->isa != QZ_ISA_AUTO && options->isa != k->isa && !chosen) ||
            (options->kernel && !strstr(k->name, options->kernel)))
            continue;
        const double peak = peak_of(k->isa, int8) * 1e9;
        timed t = run_timed(&o, k, options->seconds);
        bool same = memcmp(t.out.data, ref.out.data, ref.out.size) == 0;
        printf("  %c %-36s %9.4f ms %8.1f GMAC/s %6.1f %% of peak%s\n", chosen ? '*' : ' ', k->name,
               t.median * 1e3, macs / t.median * 1e-9, 100.0 * macs / t.median / peak,
               same ? "" : "  FAILED: differs from the reference");
        if (c->problem.n * c->problem.oh * c->problem.ow == 1)
            print_reads(&t);
        failures += !same;
        if (chosen) {
            sum->seconds += c->count * t.median;
            sum->macs += c->count * macs;
            sum->peak = peak;
        }
        timed_free(&t);
    }
    timed_free(&ref);
    conv_operands_free(&o);
    return failures;
}

static void print_sum(const char *what, const bench_sum *s)
{
    if (s->seconds > 0)
        printf("%s: %.3f ms, %.1f GMAC/s, %.1f %% of peak\n", what, s->seconds * 1e3,
               s->macs / s->seconds * 1e-9, 100.0 * s->macs / s->seconds / s->peak);
}

static int bench_file(const bench_options *options, const char *path)
{
    bench_cases cases;
    bench_sum sums[4] = {{0}}; /* of each list, and of float with Winograd's algorithm */
    int failures = 0;
    if (!bench_read(path, &cases)) {
        free(cases.items);
        return 1;
    }
    printf("%s\n", path);
    for (size_t i = 0; i < cases.count; i++) {
        const bench_case *c = &cases.items[i];
        bench_sum by[QZK_CONV_LISTS] = {{0}};
        printf("%dx %s, %.1f MMACs\n", (int)c->count, conv_describe(&c->problem).text,
               (double)conv_macs(&c->problem) * 1e-6);
        for (qzk_conv_list list = 0; list < QZK_CONV_LISTS; list++) {
            failures += bench_list(options, c, list, &by[list]);
            sums[list].seconds += by[list].seconds;
            sums[list].macs += by[list].macs;
            sums[list].peak = QZI_MAX(sums[list].peak, by[list].peak);
        }
        const bench_sum *best =
            &by[by[QZK_LIST_F32_WINOGRAD].seconds > 0 ? QZK_LIST_F32_WINOGRAD : QZK_LIST_F32_CONV];
        sums[3].seconds += best->seconds;
        sums[3].macs += best->macs;
        sums[3].peak = QZI_MAX(sums[3].peak, best->peak);
    }
    print_sum("sum int8", &sums[QZK_LIST_U8S8_CONV]);
    print_sum("sum fp32 --no-winograd", &sums[QZK_LIST_F32_CONV]);
    print_sum("sum fp32", &sums[3]);
    free(cases.items);
    return failures;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench_kernels [--isa NAME] [--kernel TEXT] [--seconds S] SHAPES...\n"
                    "       bench_kernels --write MODEL\n");
    return 2;
}

int main(int argc, char **argv)
{
    bench_options options = {QZ_ISA_AUTO, NULL, 0.1};
    int failures = 0, i = 1;
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return bench_write(argv[2], stdout) ? 0 : 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--kernel") == 0)
            options.kernel = argv[i + 1];
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--isa") != 0 || !qz_isa_parse(argv[i + 1], &options.isa))
            return usage();
    }
    if (i >= argc || !qz_isa_available(options.isa))
        return usage();
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    qzi_fpenv env = qzi_fpenv_enter();
    for (; i < argc; i++)
        failures += bench_file(&options, argv[i]);
    qzi_fpenv_leave(env);
    return failures ? 1 : 0;
}
