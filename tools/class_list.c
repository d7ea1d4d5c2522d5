/* SPDX-License-Identifier: MIT */
/* class_list.c - a list of class names that grows. */
#include "classes.h"

#include "messages.h"

#include <stdlib.h>
#include <string.h>

void classes_free(class_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
        if (list->wnids)
            free(list->wnids[i]);
    }
    free(list->names);
    free(list->wnids);
    *list = (class_list){0};
}

int classes_add(class_list *list, const char *name, const char *wnid)
{
    const size_t size = (list->count + 1) * sizeof(*list->names);
    char **names = realloc(list->names, size);
    list->names = names ? names : list->names;
    char **wnids = wnid || list->wnids ? realloc(list->wnids, size) : NULL;
    if (wnids && !list->wnids)
        memset(wnids, 0, size);
    list->wnids = wnids ? wnids : list->wnids;
    char *copy = strdup(name), *copied = wnid ? strdup(wnid) : NULL;
    if (!names || !copy || ((wnid || list->wnids) && !wnids) || (wnid && !copied)) {
        free(copy);
        free(copied);
        return tool_fail_memory();
    }
    if (list->wnids)
        list->wnids[list->count] = copied;
    list->names[list->count++] = copy;
    return EXIT_DONE;
}
