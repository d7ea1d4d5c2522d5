/* SPDX-License-Identifier: MIT */
/* cmd_cpu.c - qzoo cpu: the CPU, measured ceilings of bundles and memory, the kernel of each op. */
#include "commands.h"
#include "messages.h"
#include "report.h"
#include "subject.h"

#include <stdlib.h>

#define MAX_ROWS 64

static int print_bundles(const tool_options *o, qz_context *ctx, json_t *bundles)
{
    static const char *const headers[] = {"<bundle", "<available", "fp32 GMAC/s", "int8 GMAC/s"};
    report_table *t = table_new(headers, 4);
    int status = EXIT_DONE;
    for (int i = QZ_ISA_REF; i < QZ_ISA_COUNT && status == EXIT_DONE; i++) {
        qz_isa isa = (qz_isa)i;
        bool has = qz_isa_available(isa);
        double peak[2] = {0, 0};
        for (int int8 = 0; has && int8 < 2 && status == EXIT_DONE; int8++) {
            qz_status st = qz_cpu_peak(ctx, isa, int8, &peak[int8]);
            if (st != QZ_OK)
                status = tool_fail_status(ctx, st);
        }
        json_add(bundles,
                 json_pack("{s:s, s:b, s:o, s:o}", "isa", qz_isa_name(isa), "available", has,
                           "fp32_gmacs_per_s", has ? json_number(peak[0]) : json_null(),
                           "int8_gmacs_per_s", has ? json_number(peak[1]) : json_null()));
        table_cell(t, "%s", qz_isa_name(isa));
        table_cell(t, "%s", has ? "yes" : "no");
        for (int int8 = 0; int8 < 2; int8++) {
            if (has)
                table_cell(t, "%.1f", peak[int8]);
            else
                table_cell(t, "-");
        }
    }
    if (report_prints(o) && status == EXIT_DONE) {
        printf("\nceilings of one thread, measured (multiply-adds with operands in registers):\n");
        status = table_print(t, stdout);
    }
    table_free(t);
    return status;
}

/* Sizes that fit into a core's own cache, into a large shared cache, and into few caches. */
static int print_reads(const tool_options *o, qz_context *ctx, json_t *reads)
{
    static const size_t sizes[] = {(size_t)512 << 10, (size_t)32 << 20, (size_t)256 << 20};
    static const char *const headers[] = {"buffer MB", "1 thread GB/s", "all threads GB/s"};
    const uint32_t all = qz_context_threads(ctx);
    report_table *t = table_new(headers, 3);
    int status = EXIT_DONE;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes) && status == EXIT_DONE; i++) {
        double one = 0.0, many = 0.0;
        qz_status st = qz_cpu_read_rate(ctx, sizes[i], 1, &one);
        if (st == QZ_OK)
            st = all > 1 ? qz_cpu_read_rate(ctx, sizes[i], all, &many) : QZ_OK;
        if (st != QZ_OK)
            status = tool_fail_status(ctx, st);
        many = all > 1 ? many : one;
        json_add(reads, json_pack("{s:I, s:i, s:o, s:o}", "bytes", (json_int_t)sizes[i], "threads",
                                  (int)all, "one_thread_gb_per_s", json_number(one),
                                  "all_threads_gb_per_s", json_number(many)));
        table_cell(t, "%.1f", (double)sizes[i] * 1e-6);
        table_cell(t, "%.1f", one);
        table_cell(t, "%.1f", many);
    }
    if (report_prints(o) && status == EXIT_DONE) {
        printf("\nreading memory, measured (one buffer, repeated; layers that wait for weights "
               "get no more):\n");
        status = table_print(t, stdout);
    }
    table_free(t);
    return status;
}

static int print_kernels(const tool_options *o, qz_context *ctx, json_t *kernels)
{
    static const char *const headers[] = {"<op", "<precision", "<kernel", "<bundle"};
    qz_kernel_row rows[MAX_ROWS];
    size_t count = qz_kernel_rows(ctx, QZ_ISA_AUTO, rows, MAX_ROWS);
    report_table *t = table_new(headers, 4);
    int status = EXIT_DONE;
    for (size_t i = 0; i < count && i < MAX_ROWS; i++) {
        json_add(kernels,
                 json_pack("{s:s, s:s, s:s, s:s}", "op", rows[i].op, "precision", rows[i].precision,
                           "kernel", rows[i].kernel, "isa", rows[i].isa));
        table_cell(t, "%s", rows[i].op);
        table_cell(t, "%s", rows[i].precision);
        table_cell(t, "%s", rows[i].kernel);
        table_cell(t, "%s", rows[i].isa);
    }
    if (report_prints(o)) {
        printf("\nkernels under %s:\n", qz_isa_name(qz_context_isa(ctx)));
        status = table_print(t, stdout);
    }
    table_free(t);
    return status;
}

int cmd_cpu(const tool_options *o)
{
    qz_context *ctx;
    qz_cpu_info cpu;
    if (o->args.count)
        return tool_fail(EXIT_USAGE, "cpu: takes no arguments");
    int status = subject_context(o, &ctx);
    if (status)
        return status;
    qz_cpu_query(&cpu);
    if (report_prints(o))
        printf("%s\n%u cores (%u logical), L1d %zu KiB, L2 %zu KiB a core, L3 %zu KiB\n", cpu.name,
               cpu.physical_cores, cpu.logical_cores, cpu.l1d_bytes / 1024, cpu.l2_bytes / 1024,
               cpu.l3_bytes / 1024);
    json_t *bundles = json_array(), *reads = json_array(), *kernels = json_array();
    status = print_bundles(o, ctx, bundles);
    if (status == EXIT_DONE)
        status = print_reads(o, ctx, reads);
    if (status == EXIT_DONE)
        status = print_kernels(o, ctx, kernels);
    if (status == EXIT_DONE) {
        status = json_write(o, json_pack("{s:s, s:o, s:o, s:o, s:o}", "schema", "qzoo.cpu/1", "cpu",
                                         json_cpu(ctx), "bundles", bundles, "reads", reads,
                                         "kernels", kernels));
    } else {
        json_decref(bundles);
        json_decref(reads);
        json_decref(kernels);
    }
    subject_context_end(ctx);
    return status;
}
