/* SPDX-License-Identifier: MIT */
/* labels.h - labelled images: from a table, or from one folder a class. */
#ifndef QZOO_TOOLS_LABELS_H
#define QZOO_TOOLS_LABELS_H

#include "classes.h"
#include "options.h"
#include "subfolders.h"

typedef struct label_list {
    char **paths;
    char **texts; /* what the table calls the class; NULL: of folders */
    size_t *lines;
    int32_t *classes; /* of folders: the folder's number, until labels_resolve */
    size_t count;
    folder_list folders;
} label_list;

/*
 * Reads --labels, or the folders of --data. Each file must exist. What a text or a folder means
 * depends on the model: labels_resolve.
 */
int labels_read(const tool_options *o, label_list *labels);
/*
 * Finds the class of each image, by the model's names and the wnids of `names`. A file that is
 * listed twice with one label counts once. EXIT_INPUT names the line or the folder that fits no
 * class.
 */
int labels_resolve(const tool_options *o, const qz_model *model, const class_list *names,
                   label_list *labels);
void labels_free(label_list *labels);

/* ---- for labels_*.c ---- */

/* Adds an image; takes the path and the text over. */
int labels_add(label_list *labels, char *path, char *text, size_t line, int32_t index);
int labels_read_folders(const char *data, bool quiet, label_list *labels);
int labels_resolve_folders(const tool_options *o, const qz_model *model, const class_finder *finder,
                           label_list *labels);

#endif
