/* SPDX-License-Identifier: MIT */
/*
 * ort_values.h - onnxruntime's values of a file, beside those of our executors: what
 * run_onnxruntime.js has written into a folder. For check_onnx.c and check_detections.c.
 */
#ifndef QZOO_TESTS_ONNX_ORT_VALUES_H
#define QZOO_TESTS_ONNX_ORT_VALUES_H

#include "layers/graph/exec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOAT_TOLERANCE 1e-4

/* A file with a zero byte behind it. The caller frees it. */
static void *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    if (data)
        data[fread(data, 1, *size, file)] = '\0';
    fclose(file);
    return data;
}

/* ---- values ---- */

typedef struct op_count {
    long nodes;
    long long values, differ;
    int worst;       /* bytes: steps */
    double distance; /* floats: the largest relative L2 */
} op_count;

/* Which values are replaced by onnxruntime's after a node ran, so that the next nodes read them. */
typedef enum pin {
    PIN_NONE,
    PIN_INPUTS, /* of the graph */
    PIN_ALL
} pin;

typedef struct comparison {
    const char *dir;
    char *index; /* lines "NUMBER NAME" */
    pin pin;
    double tolerance; /* relative L2 of floats */
    op_count ops[QZI_OP_COUNT + QZ_ACT_COUNT];
    long bad;
} comparison;

static bool pins(const comparison *c, const qzi_node *node)
{
    return c->pin == PIN_ALL || (c->pin == PIN_INPUTS && node->op == QZI_OP_INPUT);
}

static bool open_values(comparison *c, const char *dir)
{
    char path[1024];
    size_t size = 0;
    *c = (comparison){.dir = dir, .tolerance = FLOAT_TOLERANCE};
    snprintf(path, sizeof(path), "%s/values.txt", dir);
    c->index = read_whole(path, &size);
    return c->index != NULL;
}

/* The number of the file that holds a value; -1: onnxruntime gave none of that name. */
static long find_value(const comparison *c, const char *name)
{
    const size_t length = strlen(name);
    for (const char *line = c->index; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *space = strchr(line, ' ');
        if (space && strncmp(space + 1, name, length) == 0 &&
            (space[1 + length] == '\n' || space[1 + length] == '\0'))
            return strtol(line, NULL, 10);
    }
    return -1;
}

static const char *count_name(size_t i)
{
    return i < QZI_OP_COUNT ? qzi_op_name((qzi_op)i)
                            : qzi_act_name((qz_activation)(i - QZI_OP_COUNT));
}

/* Where a value of pixel p and channel ch is in theirs, N x C x H x W. */
static int64_t place(const qzk_view *v, int64_t p, int32_t ch)
{
    const int64_t pixels = (int64_t)v->h * v->w;
    return (p / pixels * v->c + ch) * pixels + p % pixels;
}

/* Bytes: counted. They may differ by one step where they follow from the same bytes. */
static void compare_bytes(comparison *c, const qzi_node *node, const qzk_view *v,
                          const uint8_t *theirs, op_count *count)
{
    const bool replace = pins(c, node);
    int worst = 0;
    for (int32_t ch = 0; ch < v->c; ch++)
        for (int64_t p = 0; p < (int64_t)v->n * v->h * v->w; p++) {
            uint8_t *ours = (uint8_t *)v->data + p * v->pixel_stride + ch;
            const uint8_t other = theirs[place(v, p, ch)];
            const int step = abs(*ours - other);
            count->differ += step > 0;
            worst = step > worst ? step : worst;
            if (replace)
                *ours = other;
        }
    count->worst = worst > count->worst ? worst : count->worst;
    if (worst > 1 && replace) {
        c->bad++;
        printf("  %s (%s): differs by %d steps\n", node->name, qzi_op_name(node->op), worst);
    }
}

static void compare_floats(comparison *c, const qzi_node *node, const qzk_view *v,
                           const float *theirs, op_count *count)
{
    const bool replace = pins(c, node);
    double difference = 0.0, size = 0.0;
    for (int32_t ch = 0; ch < v->c; ch++)
        for (int64_t p = 0; p < (int64_t)v->n * v->h * v->w; p++) {
            float *ours = (float *)v->data + p * v->pixel_stride + ch;
            const double other = theirs[place(v, p, ch)];
            difference += (*ours - other) * (*ours - other);
            size += other * other;
            if (replace)
                *ours = (float)other;
        }
    const double distance = difference > 0.0 ? sqrt(difference / size) : 0.0;
    count->distance = distance > count->distance ? distance : count->distance;
    if (!(distance <= c->tolerance)) {
        c->bad++;
        printf("  %s (%s): relative L2 %.3g\n", node->name, qzi_op_name(node->op), distance);
    }
}

static void *read_number(const comparison *c, long number, size_t *size)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%ld", c->dir, number);
    return number < 0 ? NULL : read_whole(path, size);
}

/* A qzi_node_hook whose user is the comparison. */
static qz_status compare_value(void *user, const qz_graph *graph, qz_value value,
                               const qzk_view *view)
{
    comparison *c = user;
    const qzi_node *node = &graph->nodes[value];
    const bool byte = node->dtype == QZ_U8;
    const char *suffixes[] = {byte ? "_quantized" : "", "_value"};
    char name[512];
    long number = -1;
    for (size_t i = 0; i < 2 && number < 0; i++) {
        snprintf(name, sizeof(name), "%s%s", node->name, suffixes[i]);
        number = find_value(c, name);
    }
    for (size_t i = 0; i < graph->output_count && number < 0; i++)
        if (graph->outputs[i].value == value && !byte)
            number = find_value(c, graph->outputs[i].name);
    if (number < 0) {
        /* nothing is written for these */
        if (node->op != QZI_OP_DROPOUT && node->op != QZI_OP_STOCHASTIC_DEPTH &&
            node->op != QZI_OP_DEQUANTIZE && !(node->op == QZI_OP_INPUT && !byte)) {
            printf("  %s (%s): onnxruntime gave no such value\n", node->name,
                   qzi_op_name(node->op));
            c->bad++;
        }
        return QZ_OK;
    }
    size_t size = 0;
    const size_t count = (size_t)view->n * (size_t)view->c * (size_t)view->h * (size_t)view->w;
    void *theirs = read_number(c, number, &size);
    if (!theirs || size != count * (byte ? 1 : sizeof(float))) {
        free(theirs);
        return qzi_fail(graph->ctx, QZ_ERR_IO, "%s/%ld: %s is not %zu values", c->dir, number, name,
                        count);
    }
    const bool table = node->op == QZI_OP_ACTIVATION;
    op_count *o = &c->ops[table ? (size_t)QZI_OP_COUNT + (size_t)node->act : (size_t)node->op];
    o->nodes++;
    o->values += (long long)count;
    if (byte)
        compare_bytes(c, node, view, theirs, o);
    else
        compare_floats(c, node, view, theirs, o);
    free(theirs);
    return QZ_OK;
}

/* Prints what was compared; false: nothing was, or something is wrong. */
static bool print_values(const comparison *c)
{
    long nodes = 0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(c->ops); i++) {
        const op_count *o = &c->ops[i];
        nodes += o->nodes;
        if (o->differ > 0 || o->distance > c->tolerance / 100)
            printf("  %-20s %4ld nodes: %lld of %lld bytes differ, by %d at most; float %.2g\n",
                   count_name(i), o->nodes, o->differ, o->values, o->worst, o->distance);
    }
    printf("  %ld values compared, %ld bad\n", nodes, c->bad);
    return c->bad == 0 && nodes > 0;
}

#endif
