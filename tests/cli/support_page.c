/* SPDX-License-Identifier: MIT */
/*
 * support_page.c - writes SUPPORT.md, which says how each backend treats each op, from the table in
 * qconfig.c that the passes read. A test compares the page in the tree with this program's output.
 */
#include "quant/quant.h"

#include <stdio.h>
#include <string.h>

static const qz_backend backends[] = {QZ_BACKEND_FBGEMM, QZ_BACKEND_QNNPACK, QZ_BACKEND_NATIVE};

/* "a; b" where the backends differ, each once. */
static void put_texts(const char *op, bool origin)
{
    const char *seen = NULL;
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        const qzi_support *row = qzi_support_find(qzi_backend_get(backends[i]), op);
        const char *text = row ? (origin ? row->origin : row->reason) : "";
        if (!*text || (seen && strcmp(seen, text) == 0))
            continue;
        printf("%s%s", seen ? "; " : " ", text);
        if (row->backends == 1u << QZ_BACKEND_NATIVE)
            printf(" (native)");
        seen = text;
    }
    printf("%s|", seen ? " " : "");
}

/* Of a row's word: an op's own, an activation's, or that of some convolutions. */
static const qzi_op_class *find_op(const char *word)
{
    for (int op = 0; op < QZI_OP_COUNT; op++)
        if (strcmp(qzi_op_name((qzi_op)op), word) == 0)
            return qzi_op_get((qzi_op)op);
    return qzi_op_get(strcmp(word, "strided_pointwise") == 0 ? QZI_OP_CONV2D : QZI_OP_ACTIVATION);
}

/* Whether native gives a value of this op, and takes one, with a scale for each channel. */
static bool has_channels(const qzi_support *row)
{
    const qzi_op_class *op = find_op(row->op);
    return qzi_support_find(qzi_backend_get(QZ_BACKEND_NATIVE), row->op)->int8 &&
           op->reads_channel_q && op->writes_channel_q;
}

static void put_observers(void)
{
    puts("\n| observer | ranges depend on | scales by channel, saved statistics |\n|---|---|---|");
    for (int kind = QZ_OBSERVER_MINMAX; qz_observer_name((qz_observer_kind)kind); kind++) {
        const bool merges = qzi_observer_mergeable((qz_observer_kind)kind);
        printf("| `%s` | %s | %s |\n", qz_observer_name((qz_observer_kind)kind),
               merges ? "the set of images" : "the images and their order", merges ? "yes" : "no");
    }
}

int main(void)
{
    puts(
        "# What each backend does with each op\n\n"
        "Written by `tests/cli/support_page.c` from the table in `quant/qconfig.c` that the passes "
        "read; not by hand (`build/tests/cli/support_page > quant/SUPPORT.md`).\n"
        "An op that a backend has no int8 form for runs as an fp32 island between a dequantize "
        "and a quantize; neighbouring islands merge.\n"
        "`--fallback OP` makes an island of any op here, `--exclude NODE` of a node; "
        "`qzoo list MODEL --ops` and the JSON of `qzoo bench` name each node of a model, its "
        "precision and, in fp32, the reason.\n\n"
        "| backend | weights | activations | averaging pools | histogram | "
        "recipe |\n"
        "|---|---|---|---|---|---|");
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        const qzi_backend *b = qzi_backend_get(backends[i]);
        printf("| %s | int8 symmetric, %s | uint8 affine, %s, %s observer | %s | "
               "%s | %s |\n",
               b->name,
               b->per_channel ? "one scale a channel (`--per-tensor`: a tensor)"
                              : "one scale a tensor (`--per-channel`: a channel)",
               b->by_channel ? "one scale a channel where all readers can take that"
                             : "one scale a tensor",
               qz_observer_name(b->activations),
               b->own_average ? "parameters of their own" : "keep those of their input",
               b->own_ranges ? "counts all values"
                             : "PyTorch 1.13's: ranges are truncated to integers for counting; "
                               "detectors and segmenters: counts all values",
               qz_recipe_name(b->recipe));
    }
    put_observers();
    puts("\nBy channel: in native the op reads and makes values with a scale for each channel.\n\n"
         "| op | fbgemm | qnnpack | native | by channel | what is known | where from |\n"
         "|---|---|---|---|---|---|---|");
    /* every backend has a row for each op, so any backend has the list */
    const qzi_support *row = NULL;
    while ((row = qzi_support_next(qzi_backend_get(QZ_BACKEND_FBGEMM), row))) {
        printf("| `%s` |", row->op);
        for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
            const qzi_support *other = qzi_support_find(qzi_backend_get(backends[i]), row->op);
            printf(" %s |", other && other->int8 ? "int8" : "fp32");
        }
        printf(" %s |", has_channels(row) ? "yes" : "no");
        put_texts(row->op, false);
        put_texts(row->op, true);
        putchar('\n');
    }
    return 0;
}
