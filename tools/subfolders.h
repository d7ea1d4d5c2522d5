/* SPDX-License-Identifier: MIT */
/* subfolders.h - the folders in a folder. */
#ifndef QZOO_TOOLS_SUBFOLDERS_H
#define QZOO_TOOLS_SUBFOLDERS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct folder_list {
    char **paths; /* in bytewise order, as torchvision numbers classes */
    size_t count;
    bool macosx; /* there is a __MACOSX, which unpacked archives have; not in the list */
} folder_list;

/* Folders whose names begin with a dot are left out too. */
int subfolders_find(const char *path, folder_list *list);
void subfolders_free(folder_list *list);
/* The last part of the path. */
const char *subfolder_name(const char *path);

#endif
