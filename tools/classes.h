/* SPDX-License-Identifier: MIT */
/* classes.h - the names of classes: from --classes, and which class a text means. */
#ifndef QZOO_TOOLS_CLASSES_H
#define QZOO_TOOLS_CLASSES_H

#include "qzoo.h"

/* Names in the order of the classes. */
typedef struct class_list {
    char **names;
    char **wnids; /* WordNet ids such as n01440764, where a file had pairs; NULL: none */
    size_t count;
} class_list;

/*
 * Reads names from a folder (its folders' names in bytewise order, as torchvision numbers them), or
 * from a file: .json, .csv and .tsv by their names, otherwise a name a line.
 */
int classes_read(const char *path, class_list *list);
void classes_free(class_list *list);
/* Appends a name, and its wnid or NULL; both are copied. */
int classes_add(class_list *list, const char *name, const char *wnid);

/* ---- classes_json.c ---- */

/* A list of names, {"0": name}, {name: 0}, or [wnid, name] in place of a name. */
int classes_read_json(const char *path, class_list *list);

/* ---- what a text means (class_finder.c) ---- */

typedef struct class_finder class_finder;

/* Knows the model's names, and the wnids of `list`, which may be NULL, or ImageNet's. NULL: out of
 * memory. */
class_finder *class_finder_create(const qz_model *model, const class_list *list);
void class_finder_destroy(class_finder *finder);
/* The class that `text` names: a name, then a wnid, then a plain number; -1: none. */
int32_t class_finder_find(const class_finder *finder, const char *text);
/* The same without numbers. */
int32_t class_finder_find_name(const class_finder *finder, const char *text);

#endif
