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
        "| backend | weights | activations | averaging pools | histogram |\n"
        "|---|---|---|---|---|");
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        const qzi_backend *b = qzi_backend_get(backends[i]);
        printf("| %s | int8 symmetric, %s | uint8 affine, %s, %s observer | %s | "
               "%s |\n",
               b->name,
               b->per_channel ? "one scale a channel (`--per-tensor`: a tensor)"
                              : "one scale a tensor (`--per-channel`: a channel)",
               b->by_channel ? "one scale a channel where all readers can take that"
                             : "one scale a tensor",
               qz_observer_name(b->activations),
               b->own_average ? "parameters of their own" : "keep those of their input",
               b->own_ranges ? "counts all values"
                             : "PyTorch 1.13's: ranges are truncated to integers for counting; "
                               "detectors and segmenters: counts all values");
    }
    puts("\n| op | fbgemm | qnnpack | native | what is known | where from |\n"
         "|---|---|---|---|---|---|");
    /* every backend has a row for each op, so any backend has the list */
    const qzi_support *row = NULL;
    while ((row = qzi_support_next(qzi_backend_get(QZ_BACKEND_FBGEMM), row))) {
        printf("| `%s` |", row->op);
        for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
            const qzi_support *other = qzi_support_find(qzi_backend_get(backends[i]), row->op);
            printf(" %s |", other && other->int8 ? "int8" : "fp32");
        }
        put_texts(row->op, false);
        put_texts(row->op, true);
        putchar('\n');
    }
    return 0;
}
