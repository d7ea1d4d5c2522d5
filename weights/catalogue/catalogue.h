/* SPDX-License-Identifier: MIT */
/* catalogue.h - how entries get into a catalogue. Private. */
#ifndef QZOO_WEIGHTS_CATALOGUE_CATALOGUE_H
#define QZOO_WEIGHTS_CATALOGUE_CATALOGUE_H

#include "layers/base/base.h"
#include "weights/qzoo_weights.h"

struct qz_catalogue {
    const qz_context *ctx;
    qzi_arena arena; /* texts of the user's, names of files */
    qz_weights_info *entries;
    size_t count, capacity;
};

/* Adds a user's entry, or replaces the one of its model and tag. Its texts live in the arena. */
qz_status qzi_catalogue_add(qz_catalogue *catalogue, const qz_weights_info *info);

/* Sets info->file, the name in the cache, from the URL and the hash. */
qz_status qzi_catalogue_name_file(qz_catalogue *catalogue, qz_weights_info *info);

/* catalogue_user.c: the entries of a JSON file. */
qz_status qzi_catalogue_read(qz_catalogue *catalogue, const char *path);

#endif
