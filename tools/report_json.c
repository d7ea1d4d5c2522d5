/* SPDX-License-Identifier: MIT */
/* report_json.c - results for programs. */
#include "report.h"

#include "messages.h"

#include <errno.h>
#include <math.h>
#include <string.h>

bool report_prints(const tool_options *options)
{
    return !options->quiet && !(options->out.json && strcmp(options->out.json, "-") == 0);
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static int write_to(FILE *out, const char *name, json_t *root)
{
    int bad = json_dumpf(root, out, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    bad |= fputc('\n', out) == EOF;
    bad |= fflush(out) != 0;
    return bad ? tool_fail(EXIT_FAILED, "%s: cannot be written: %s", name, strerror(errno))
               : EXIT_DONE;
}

int json_write_file(const char *path, json_t *root)
{
    FILE *out = fopen(path, "w");
    if (!out) {
        json_decref(root);
        return tool_fail(EXIT_INPUT, "%s: cannot be opened for writing: %s", path, strerror(errno));
    }
    int status = write_to(out, path, root);
    json_decref(root);
    if (fclose(out) != 0 && status == EXIT_DONE)
        status = tool_fail(EXIT_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    return status;
}

int json_write(const tool_options *options, json_t *root)
{
    if (!root)
        return tool_fail_memory();
    if (!options->out.json) {
        json_decref(root);
        return EXIT_DONE;
    }
    if (strcmp(options->out.json, "-") != 0)
        return json_write_file(options->out.json, root);
    int status = write_to(stdout, "standard output", root);
    json_decref(root);
    return status;
}

json_t *json_cpu(qz_context *ctx)
{
    qz_cpu_info cpu;
    qz_cpu_query(&cpu);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name", cpu.name, "isa",
                     qz_isa_name(qz_context_isa(ctx)), "isa_best", qz_isa_name(qz_isa_best()),
                     "cores", (json_int_t)cpu.physical_cores, "logical_cores",
                     (json_int_t)cpu.logical_cores, "l1d_bytes", (json_int_t)cpu.l1d_bytes,
                     "l2_bytes", (json_int_t)cpu.l2_bytes, "l3_bytes", (json_int_t)cpu.l3_bytes);
}
