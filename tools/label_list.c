/* SPDX-License-Identifier: MIT */
/* label_list.c - a list of labelled images that grows. */
#include "labels.h"

#include "messages.h"

#include <stdlib.h>
#include <string.h>

void labels_free(label_list *labels)
{
    for (size_t i = 0; i < labels->count; i++) {
        free(labels->paths[i]);
        free(labels->texts[i]);
    }
    free(labels->paths);
    free(labels->texts);
    free(labels->lines);
    free(labels->classes);
    subfolders_free(&labels->folders);
    memset(labels, 0, sizeof(*labels));
}

int labels_add(label_list *labels, char *path, char *text, size_t line, int32_t index)
{
    const size_t n = labels->count + 1;
    char **paths = path ? realloc(labels->paths, n * sizeof(*paths)) : NULL;
    labels->paths = paths ? paths : labels->paths;
    char **texts = paths ? realloc(labels->texts, n * sizeof(*texts)) : NULL;
    labels->texts = texts ? texts : labels->texts;
    size_t *lines = texts ? realloc(labels->lines, n * sizeof(*lines)) : NULL;
    labels->lines = lines ? lines : labels->lines;
    int32_t *classes = lines ? realloc(labels->classes, n * sizeof(*classes)) : NULL;
    labels->classes = classes ? classes : labels->classes;
    if (!classes) {
        free(path);
        free(text);
        return tool_fail_memory();
    }
    paths[labels->count] = path;
    texts[labels->count] = text;
    lines[labels->count] = line;
    classes[labels->count++] = index;
    return EXIT_DONE;
}
