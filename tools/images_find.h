/* SPDX-License-Identifier: MIT */
/* images_find.h - the files that --calib and INPUT name: folders, patterns, lists, files. */
#ifndef QZOO_TOOLS_IMAGES_FIND_H
#define QZOO_TOOLS_IMAGES_FIND_H

#include "options.h"

typedef struct image_list {
    char **paths; /* of each folder in bytewise order of the names below the folder */
    size_t count;
    long synthetic; /* that many synthetic images instead; 0 */
} image_list;

/*
 * The files of `what`: folders and what is below them, patterns such as 'a/?*.png', .txt files
 * with a path a line (relative to the list's own folder), files, or synthetic[:N]. What folders
 * hold beside images is counted for images_say_skipped. Free the list after a failure too.
 */
int images_find(const char *const *what, size_t count, image_list *list);
/* All images below a folder, which may be none. */
int images_find_below(const char *folder, image_list *list);
void images_free(image_list *list);
/* All files in the bytewise order of their paths, as those of one folder. */
void images_sort(image_list *list);
/* Keeps `limit` files, spread over the list: one of each of `limit` equal parts, drawn by a fixed
 * generator, so that the choice is the same everywhere. */
void images_limit(image_list *list, size_t limit);
/* Remembers a file as bad; takes bad files off a list. */
int images_mark_bad(const char *path);
void images_drop_bad(image_list *list);
/* Says on stderr, once, what images_find left out since. */
void images_say_skipped(bool quiet);

#endif
