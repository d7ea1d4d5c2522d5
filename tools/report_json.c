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

/* Whether an item was lost since the last json_write_file. */
static bool lost;

json_t *json_text(const char *text)
{
    const size_t size = qz_text_escape(text, NULL, 0) + 1;
    char *utf8 = malloc(size);
    json_t *json = NULL;
    if (utf8) {
        qz_text_escape(text, utf8, size);
        json = json_string(utf8);
    }
    free(utf8);
    return json;
}

void json_add(json_t *list, json_t *item)
{
    lost |= json_array_append_new(list, item) != 0;
}

void json_set(json_t *object, const char *key, json_t *item)
{
    lost |= json_object_set_new(object, key, item) != 0;
}

int json_check(void)
{
    const bool was_lost = lost;
    lost = false;
    return was_lost ? tool_fail_memory() : EXIT_DONE;
}

void json_merge(json_t *object, json_t *more)
{
    lost |= json_object_update(object, more) != 0;
    json_decref(more);
}

int json_write_file(const char *path, json_t *root)
{
    output_file file;
    const bool whole = root && !lost;
    char *text = NULL;
    lost = false;
    if (whole)
        text = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
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
    if (options->out.json)
        return json_write_file(options->out.json, root);
    const bool whole = root && !lost;
    lost = false;
    json_decref(root);
    return whole ? EXIT_DONE : tool_fail_memory();
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
