/* SPDX-License-Identifier: MIT */
/*
 * labels_folders.c - labelled images from one folder a class. A folder is the class whose name it
 * has; only where the classes have no names does the order of the folders count, as torchvision's
 * ImageFolder numbers them.
 */
#include "labels.h"

#include "images.h"
#include "messages.h"
#include "text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int labels_read_folders(const char *data, bool quiet, label_list *labels)
{
    int status = subfolders_find(data, &labels->folders);
    const folder_list *folders = &labels->folders;
    if (status == EXIT_DONE && folders->count == 0)
        status = tool_fail(EXIT_INPUT,
                           "%s: has no folder for each class; give --labels FILE with the "
                           "columns file and class_index or label",
                           data);
    if (status == EXIT_DONE && folders->macosx)
        tool_note(quiet, "qzoo: %s/__MACOSX: not a class; left out", data);
    for (size_t i = 0; i < folders->count && status == EXIT_DONE; i++) {
        image_list found;
        status = images_find_below(folders->paths[i], &found);
        if (found.count == 0 && status == EXIT_DONE)
            tool_note(quiet, "qzoo: %s: contains no images; left out", folders->paths[i]);
        for (size_t k = 0; k < found.count && status == EXIT_DONE; k++) {
            status = labels_add(labels, found.paths[k], NULL, 0, (int32_t)i);
            found.paths[k] = NULL; /* taken */
        }
        images_free(&found);
    }
    if (status == EXIT_DONE)
        images_say_skipped(quiet);
    if (status == EXIT_DONE && labels->count == 0)
        status = tool_fail(EXIT_INPUT, "%s: its folders contain no images", data);
    return status;
}

/* ---- what the folders mean ---- */

/* The folders that have images: used[folder]. Returns how many. */
static size_t find_used(const label_list *labels, bool *used)
{
    size_t count = 0;
    for (size_t i = 0; i < labels->count; i++) {
        count += !used[labels->classes[i]];
        used[labels->classes[i]] = true;
    }
    return count;
}

/* By name, wnid or number; returns the first folder with images that is no class, or the count. */
static size_t match(const label_list *labels, const class_finder *finder, int32_t classes,
                    const bool *used, int32_t *of_folder)
{
    const folder_list *folders = &labels->folders;
    size_t stranger = folders->count;
    for (size_t i = folders->count; i-- > 0;) {
        of_folder[i] = class_finder_find(finder, subfolder_name(folders->paths[i]));
        if (used[i] && (of_folder[i] < 0 || of_folder[i] >= classes))
            stranger = i;
    }
    return stranger;
}

static bool are_numbers(const folder_list *folders, const bool *used)
{
    for (size_t i = 0; i < folders->count; i++) {
        if (used[i] && table_number(subfolder_name(folders->paths[i])) < 0)
            return false;
    }
    return true;
}

/* The order of the folders is that of the classes: of those with images, or of all. */
static bool take_order(size_t count, size_t used_count, const bool *used, int32_t classes,
                       int32_t *of_folder)
{
    const bool all = used_count != (size_t)classes;
    int32_t next = 0;
    if (all && count != (size_t)classes)
        return false;
    for (size_t i = 0; i < count; i++)
        of_folder[i] = all || used[i] ? next++ : -1;
    return true;
}

static void note_order(const tool_options *o, const label_list *labels, const int32_t *of_folder)
{
    size_t first = 0;
    while (of_folder[first] != 0)
        first++;
    tool_note(o->quiet,
              "qzoo: %s: no class is known to have a folder's name, so the order of the folders "
              "counts: %s is class 0",
              o->eval.data, subfolder_name(labels->folders.paths[first]));
}

static int refuse(const tool_options *o, const qz_model *model, const qz_model_info *info,
                  const label_list *labels, size_t used_count, size_t stranger)
{
    const char *path = labels->folders.paths[stranger], *name = subfolder_name(path);
    if (table_number(name) >= info->num_classes)
        return tool_fail(EXIT_INPUT, "%s: class %s; the model has %d classes", path, name,
                         (int)info->num_classes);
    if (qz_model_class(model, 0))
        return tool_fail(EXIT_INPUT,
                         "%s: no class of the model is called %s; its %d classes are %s, …: give "
                         "--classes FILE or rename the folder",
                         path, name, (int)info->num_classes, qz_model_class(model, 0));
    return tool_fail(EXIT_INPUT,
                     "%s: %zu folders with images (the first is %s), but %d classes, whose names "
                     "are not known; give --classes FILE, or number the folders from 0",
                     o->eval.data, used_count, name, (int)info->num_classes);
}

int labels_resolve_folders(const tool_options *o, const qz_model *model, const class_finder *finder,
                           label_list *labels)
{
    qz_model_info info;
    const size_t count = labels->folders.count;
    int32_t *of_folder = malloc(count * sizeof(*of_folder));
    bool *used = calloc(count, sizeof(*used));
    int status = of_folder && used ? EXIT_DONE : tool_fail_memory();
    qz_model_get_info(model, &info);
    if (status == EXIT_DONE) {
        const size_t used_count = find_used(labels, used);
        const size_t stranger = match(labels, finder, info.num_classes, used, of_folder);
        if (stranger < count) {
            if (info.named_classes || are_numbers(&labels->folders, used) ||
                !take_order(count, used_count, used, info.num_classes, of_folder))
                status = refuse(o, model, &info, labels, used_count, stranger);
            else
                note_order(o, labels, of_folder);
        }
    }
    for (size_t i = 0; i < labels->count && status == EXIT_DONE; i++)
        labels->classes[i] = of_folder[labels->classes[i]];
    free(of_folder);
    free(used);
    return status;
}
