/* SPDX-License-Identifier: MIT */
/*
 * bench_shapes.c - reads the layers' shapes that bench_kernels times, and writes them from a graph.
 *
 * A line: count, then n ic ih iw, oc oh ow, groups, kernel, stride, padding (top, left) and
 * dilation (two numbers each), then the name of the first node that is so. '#' begins a comment.
 */
#include "bench_kernels.h"
#include "zoo/model/model.h"
#include "zoo/model/model_build.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS 17

static bool add(bench_cases *cases, const bench_case *item)
{
    bench_case *grown = realloc(cases->items, (cases->count + 1) * sizeof(*grown));
    if (!grown) {
        fprintf(stderr, "bench_kernels: no memory\n");
        return false;
    }
    cases->items = grown;
    grown[cases->count++] = *item;
    return true;
}

static bool parse(const char *line, bench_case *item)
{
    int32_t v[NUMBERS];
    char *end;
    for (int i = 0; i < NUMBERS; i++, line = end) {
        long number = strtol(line, &end, 10);
        if (end == line || number < 0 || number > INT32_MAX)
            return false;
        v[i] = (int32_t)number;
    }
    item->count = v[0];
    item->problem = (conv_problem){
        "",   {v[2], v[5], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], false},
        v[1], v[3],
        v[4], v[6],
        v[7]};
    return v[8] > 0 && sscanf(line, "%99s", item->name) == 1;
}

bool bench_read(const char *path, bench_cases *cases)
{
    char line[400];
    int number = 0;
    bool good = true;
    FILE *file = fopen(path, "r");
    *cases = (bench_cases){0};
    if (!file) {
        fprintf(stderr, "bench_kernels: %s cannot be opened\n", path);
        return false;
    }
    while (good && fgets(line, sizeof(line), file)) {
        bench_case item;
        number++;
        if (line[0] == '#')
            continue;
        good = parse(line, &item);
        if (!good)
            fprintf(stderr, "bench_kernels: %s:%d is no layer\n", path, number);
        good = good && add(cases, &item);
    }
    fclose(file);
    for (size_t i = 0; i < cases->count; i++)
        cases->items[i].problem.what = cases->items[i].name;
    return good;
}

static bool same(const conv_problem *a, const conv_problem *b)
{
    return memcmp(&a->shape, &b->shape, sizeof(a->shape)) == 0 && a->n == b->n && a->ih == b->ih &&
           a->iw == b->iw && a->oh == b->oh && a->ow == b->ow;
}

static bool collect(const qz_graph *graph, const qzi_shape *shapes, bench_cases *cases)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        if (node->op != QZI_OP_CONV2D && node->op != QZI_OP_LINEAR)
            continue;
        const qzi_shape *in = &shapes[node->in[0]], *out = &shapes[i];
        bench_case item = {
            {"", qzi_conv_shape(&node->u.conv), in->n, in->h, in->w, out->h, out->w}, 1, ""};
        size_t k = 0;
        while (k < cases->count && !same(&cases->items[k].problem, &item.problem))
            k++;
        snprintf(item.name, sizeof(item.name), "%s", node->name);
        if (k < cases->count)
            cases->items[k].count++;
        else if (!add(cases, &item))
            return false;
    }
    return true;
}

static void print(const bench_case *c, FILE *out)
{
    const conv_problem *p = &c->problem;
    const qzk_conv_shape *s = &p->shape;
    const int32_t v[NUMBERS] = {c->count, p->n,        s->ic,       p->ih,      p->iw,
                                s->oc,    p->oh,       p->ow,       s->groups,  s->kh,
                                s->kw,    s->stride_h, s->stride_w, s->pad_top, s->pad_left,
                                s->dil_h, s->dil_w};
    for (int i = 0; i < NUMBERS; i++)
        fprintf(out, "%d ", (int)v[i]);
    fprintf(out, "%s\n", c->name);
}

bool bench_write(const char *name, FILE *out)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qzi_shape *shapes = NULL;
    bench_cases cases = {0};
    const qzi_arch *arch = qzi_arch_get(name);
    bool good =
        arch && qz_context_create(NULL, &ctx) == QZ_OK &&
        qzi_model_alloc(ctx, arch, &model) == QZ_OK && qzi_model_build(model, NULL) == QZ_OK &&
        qzi_graph_image_shapes(model->graph, arch->info.input_h, arch->info.input_w, &shapes) ==
            QZ_OK;
    if (good)
        good = collect(model->graph, shapes, &cases);
    else
        fprintf(stderr, "bench_kernels: %s: %s\n", name,
                arch ? qz_context_message(ctx) : "no model of the zoo has this name");
    if (good)
        fprintf(out,
                "# %s at %dx%d, by bench/shapes.sh: count, n ic ih iw, oc oh ow, groups, kernel, "
                "stride, padding, dilation, node\n",
                name, (int)arch->info.input_h, (int)arch->info.input_w);
    for (size_t i = 0; good && i < cases.count; i++)
        print(&cases.items[i], out);
    qzi_free(ctx, shapes);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    free(cases.items);
    return good && fflush(out) == 0;
}
