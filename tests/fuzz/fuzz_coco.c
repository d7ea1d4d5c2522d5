/* SPDX-License-Identifier: MIT */
/*
 * fuzz_coco.c - libFuzzer target: no annotation file and no result file may crash their readers or
 * the scorer. The first byte says which of the two the input is; the other is a small good one.
 */
#define _GNU_SOURCE /* memfd_create */
#include "zoo/qzoo_coco.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char truth[] =
    "{\"images\":[{\"id\":7,\"width\":20,\"height\":10}],\"categories\":[{\"id\":1}],"
    "\"annotations\":[{\"id\":1,\"image_id\":7,\"category_id\":1,\"bbox\":[1,1,5,5],\"area\":25,"
    "\"segmentation\":[[1,1,6,1,6,6,1,6]]}]}";
static const char found[] = "[{\"image_id\":7,\"category_id\":1,\"score\":0.5,\"bbox\":[1,1,5,5],"
                            "\"segmentation\":[[1,1,6,1,6,6]]}]";

static void check(bool good)
{
    if (!good)
        abort();
}

static int open_bytes(const void *bytes, size_t size, char path[64])
{
    const int fd = memfd_create("coco", MFD_CLOEXEC);
    check(fd >= 0 && (size == 0 || write(fd, bytes, size) == (ssize_t)size));
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static void check_status(qz_status st)
{
    check(st == QZ_OK || st == QZ_ERR_FORMAT || st == QZ_ERR_UNSUPPORTED);
}

/* Fractions, or no number. */
static void check_metrics(const double metrics[QZ_COCO_METRICS])
{
    for (int i = 0; i < QZ_COCO_METRICS; i++)
        check(!(metrics[i] < 0) && !(metrics[i] > 1 + 1e-9));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static qz_context *ctx;
    char names[2][64];
    qz_coco *coco = NULL;
    qz_coco_results *results = NULL;
    qz_coco_scores scores;
    if (!ctx)
        check(qz_context_create(NULL, &ctx) == QZ_OK);
    if (size == 0)
        return 0;
    const bool is_truth = data[0] & 1;
    const int truth_fd = is_truth ? open_bytes(data + 1, size - 1, names[0])
                                  : open_bytes(truth, sizeof(truth) - 1, names[0]);
    const int found_fd = is_truth ? open_bytes(found, sizeof(found) - 1, names[1])
                                  : open_bytes(data + 1, size - 1, names[1]);
    qz_status st = qz_coco_open(ctx, names[0], &coco);
    check_status(st);
    if (st == QZ_OK && qz_coco_results_create(coco, &results) == QZ_OK) {
        st = qz_coco_results_read(results, names[1]);
        check_status(st);
        if (st == QZ_OK)
            st = qz_coco_score(results, &scores, NULL);
        check_status(st);
        if (st == QZ_OK) {
            check_metrics(scores.bbox);
            check_metrics(scores.segm);
        }
    }
    qz_coco_results_destroy(results);
    qz_coco_close(coco);
    close(truth_fd);
    close(found_fd);
    return 0;
}
