/* SPDX-License-Identifier: MIT */
/* bench_parts.c - where a detector's time goes: the network's stages and what is between them. */
#include "bench.h"

#include "messages.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const names[BENCH_PARTS] = {"transform", "image", "box", "mask", "post"};

int bench_parts_add(const subject *s, bench_row *row)
{
    qz_detection_times t;
    const qz_status st = qz_session_detection_times(row->session, &t);
    if (st != QZ_OK)
        return tool_fail_status(s->ctx, st);
    bench_parts *parts = &row->parts;
    if (parts->count == parts->capacity) {
        const size_t capacity = parts->capacity ? 2 * parts->capacity : 64;
        double *grown = realloc(parts->samples, capacity * BENCH_PARTS * sizeof(*grown));
        if (!grown)
            return tool_fail_memory();
        parts->samples = grown;
        parts->capacity = capacity;
    }
    const double seconds[BENCH_PARTS] = {t.transform, t.image, t.box, t.mask, t.post};
    for (size_t i = 0; i < BENCH_PARTS; i++)
        parts->samples[parts->count * BENCH_PARTS + i] = 1e3 * seconds[i];
    parts->count++;
    return EXIT_DONE;
}

int bench_parts_finish(bench_row *row)
{
    bench_parts *parts = &row->parts;
    if (parts->count == 0)
        return EXIT_DONE;
    double *one = malloc(parts->count * sizeof(*one));
    if (!one)
        return tool_fail_memory();
    for (size_t i = 0; i < BENCH_PARTS; i++) {
        for (size_t k = 0; k < parts->count; k++)
            one[k] = parts->samples[k * BENCH_PARTS + i];
        bench_sort(one, parts->count);
        parts->median[i] = bench_percentile(one, parts->count, 0.50);
    }
    free(one);
    return EXIT_DONE;
}

json_t *bench_parts_json(const bench_row *row)
{
    json_t *json = json_object();
    for (size_t i = 0; i < BENCH_PARTS; i++)
        json_set(json, names[i], json_number(row->parts.median[i]));
    return json;
}

/* Stages that the network lacks took no time, and are left out. */
void bench_parts_print(const tool_options *o, const subject *s, const bench_row *row)
{
    char text[200];
    size_t at = 0;
    for (size_t i = 0; i < BENCH_PARTS; i++)
        if (row->parts.median[i] > 0.0)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %.3f", at ? ", " : "",
                                   names[i], row->parts.median[i]);
    if (report_prints(o))
        printf("%s %s, medians of the parts in ms: %s\n", s->info.name, row->int8 ? "int8" : "fp32",
               text);
}
