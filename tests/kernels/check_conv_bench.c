/* SPDX-License-Identifier: MIT */
/*
 * check_conv_bench.c - the time of convolution kernels on layers of real networks, one thread.
 * Results are compared with the reference kernel's, so that a fast wrong kernel shows.
 */
#include "check_conv.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TIMES = 51 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

typedef struct timed {
    check_buffer packed, out, scratch;
    double median;
} timed;

/* Runs at least 5 and at most MAX_TIMES times, about a third of a second. times 1: once only. */
static timed run_timed(const conv_operands *o, const qzk_conv_kernel *kernel, int times)
{
    qzk_conv_args args = o->args;
    timed t = {{0}, {0}, {0}, 0};
    double seconds[MAX_TIMES], total = 0;
    int count = 0;
    args.shape = &o->problem.shape;
    t.packed = check_buffer_new(kernel->packed_size(args.shape), QZI_ALIGN, true);
    kernel->pack(args.shape, &o->weights, t.packed.data);
    args.packed = t.packed.data;
    t.out = check_buffer_new(conv_view_bytes(&args.out, o->int8), 4, true);
    args.out.data = t.out.data;
    t.scratch = check_buffer_new(kernel->scratch_size(&args), QZI_ALIGN, true);
    while (count < times && (count < 5 || total < 0.3)) {
        double start = qzi_now();
        kernel->run(&args, 0, kernel->units(&args), t.scratch.data);
        seconds[count] = qzi_now() - start;
        total += seconds[count++];
    }
    qsort(seconds, (size_t)count, sizeof *seconds, ascending);
    t.median = seconds[count / 2];
    return t;
}

static void timed_free(timed *t)
{
    check_buffer_free(&t->packed);
    check_buffer_free(&t->out);
    check_buffer_free(&t->scratch);
}

int check_bench_conv(const check_options *options, int64_t *compared)
{
    int failures = 0;
    const conv_problem *problem;
    for (size_t i = 0; (problem = conv_real(i)) != NULL; i++) {
        check_rng rng = {options->seed + i};
        printf("%s, %.1f MMACs\n", conv_describe(problem).text, (double)conv_macs(problem) * 1e-6);
        for (qzk_conv_list list = 0; list < QZK_CONV_LISTS; list++) {
            const qzk_conv_kernel *const *kernels;
            size_t count = qzk_conv_all(&kernels, list);
            if (!kernels[count - 1]->supports(&problem->shape))
                continue;
            conv_operands o = conv_operands_new(&rng, problem, list == QZK_U8S8_CONV, true, true);
            timed ref = run_timed(&o, kernels[count - 1], 1);
            for (size_t k = 0; k < count; k++) {
                if (!check_wanted(options, kernels[k]->name, kernels[k]->isa) ||
                    !kernels[k]->supports(&problem->shape))
                    continue;
                timed t =
                    run_timed(&o, kernels[k],
                              options->runs ? (int)QZI_MIN(options->runs, MAX_TIMES) : MAX_TIMES);
                bool same = memcmp(t.out.data, ref.out.data, ref.out.size) == 0;
                printf("  %-36s %9.3f ms %8.2f GMAC/s%s\n", kernels[k]->name, t.median * 1e3,
                       (double)conv_macs(problem) / t.median * 1e-9,
                       same ? "" : "  FAILED: differs from the reference");
                failures += !same;
                ++*compared;
                timed_free(&t);
            }
            timed_free(&ref);
            conv_operands_free(&o);
        }
    }
    return failures;
}
