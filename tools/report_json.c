/* SPDX-License-Identifier: MIT */
/* report_json.c - results as JSON, for programs. */
#include "report.h"

#include "messages.h"
#include "output_file.h"

#include <math.h>
#include <stdlib.h>

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int json_write_file(const char *path, json_t *root)
{
    output_file file;
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    int status = text ? output_open(path, &file) : tool_fail_memory();
    if (status == EXIT_DONE) {
        fprintf(file.stream, "%s\n", text);
        status = output_close(&file, EXIT_DONE);
    }
    free(text);
    json_decref(root);
    return status;
}

int json_write(const tool_options *options, json_t *root)
{
    if (!root)
        return tool_fail_memory();
    if (options->out.json)
        return json_write_file(options->out.json, root);
    json_decref(root);
    return EXIT_DONE;
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
