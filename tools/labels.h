/* SPDX-License-Identifier: MIT */
/* labels.h - labelled images: from a csv, or from one folder a class. */
#ifndef QZOO_TOOLS_LABELS_H
#define QZOO_TOOLS_LABELS_H

#include "qzoo.h"

typedef struct label_list {
    char **paths;
    int32_t *classes;
    size_t count;
} label_list;

/* Columns `file` (relative to `data`) and `class_index`, in any order, among others. */
int labels_from_csv(const char *data, const char *csv, label_list *labels);
/* As torchvision's ImageFolder: classes are numbered by the bytewise order of folder names. */
int labels_from_folders(const char *data, label_list *labels);
void labels_free(label_list *labels);

#endif
