/* SPDX-License-Identifier: MIT */
/* fuzz_catalogue.c - libFuzzer target: no user catalogue may crash its reader, nor get an entry in
 * that breaks what the table promises. */
#define _GNU_SOURCE /* memfd_create */
#include "weights/qzoo_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_entry(const qz_weights_info *info)
{
    check(strlen(info->sha256) >= 8 && strlen(info->model) > 0 && strlen(info->tag) > 0);
    check(strncmp(info->url, "http", 4) == 0 && !strchr(info->url, '\n'));
    check(info->file[0] != '.' && !strchr(info->file, '/') && strlen(info->file) < 200);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static qz_context *ctx;
    qz_catalogue *catalogue = NULL;
    char path[64];
    if (!ctx)
        check(qz_context_create(NULL, &ctx) == QZ_OK);
    int fd = memfd_create("catalogue", MFD_CLOEXEC);
    check(fd >= 0 && (size == 0 || write(fd, data, size) == (ssize_t)size));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    qz_status st = qz_catalogue_open(ctx, path, &catalogue);
    close(fd);
    check(st == QZ_OK || st == QZ_ERR_FORMAT || st == QZ_ERR_IO || st == QZ_ERR_UNSUPPORTED);
    for (size_t i = 0; st == QZ_OK && i < qz_catalogue_count(catalogue); i++)
        check_entry(qz_catalogue_at(catalogue, i));
    qz_catalogue_close(catalogue);
    return 0;
}
