/* SPDX-License-Identifier: MIT */
/*
 * check_kernels.c - the program of the kernel checks: options and suites.
 */
#include "check_kernels.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    vsnprintf(now, sizeof(now), fmt, args);
    va_end(args);
}

static void on_fault(int number)
{
    static const char text[] = "FAILED: reads or writes outside its tensors (or is not for this "
                               "CPU): ";
    (void)number;
    if (write(STDOUT_FILENO, text, sizeof(text) - 1) > 0 &&
        write(STDOUT_FILENO, now, strlen(now)) > 0 && write(STDOUT_FILENO, "\n", 1) > 0)
        _exit(1);
    _exit(2);
}

static const struct {
    const char *name;
    check_suite run;
} suites[] = {
    {"fmaf", check_suite_fmaf},
    {"simple", check_suite_simple},
    {"conv", check_suite_conv},
    {"winograd", check_suite_winograd},
};

static int usage(void)
{
    fprintf(stderr,
            "usage: check_kernels SUITE [--seed N] [--runs N] [--isa NAME] [--kernel TEXT]\n"
            "suites:");
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
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* lines before a fault are not lost */
        printf("check_kernels %s --seed %" PRIu64 "\n", argv[1], options.seed);
        signal(SIGSEGV, on_fault);
        signal(SIGBUS, on_fault);
        signal(SIGILL, on_fault);
        qzi_fpenv env = qzi_fpenv_enter();
        int64_t compared = 0;
        int failures = suites[i].run(&options, &compared);
        qzi_fpenv_leave(env);
        printf("%s: %" PRId64 " comparisons, %d failed\n", argv[1], compared, failures);
        if (compared == 0)
            printf("%s: FAILED: nothing was compared\n", argv[1]);
        return failures || compared == 0 ? 1 : 0;
    }
    return usage();
}
