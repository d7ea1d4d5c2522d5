/* SPDX-License-Identifier: MIT */
/* class_finder.c - which class a text means: names are sorted, so that long lists are quick. */
#include "classes.h"

#include "text_file.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    const char *text;
    int32_t index;
} entry;

struct class_finder {
    int32_t classes;
    entry *names, *wnids;
    size_t name_count, wnid_count;
};

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->text, ((const entry *)b)->text);
}

/* As --classes has it; ImageNet's where the model's 1000 classes were given no names. */
static const char *wnid_of(const qz_model_info *info, const class_list *list, int32_t i)
{
    if (list && list->wnids && (size_t)i < list->count)
        return list->wnids[i];
    return !info->named_classes && info->num_classes == 1000 ? qz_imagenet_wnid(i) : NULL;
}

class_finder *class_finder_create(const qz_model *model, const class_list *list)
{
    qz_model_info info;
    class_finder *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    qz_model_get_info(model, &info);
    const size_t count = (size_t)info.num_classes;
    f->classes = info.num_classes;
    f->names = malloc(count * sizeof(*f->names));
    f->wnids = malloc(count * sizeof(*f->wnids));
    if (!f->names || !f->wnids) {
        class_finder_destroy(f);
        return NULL;
    }
    for (int32_t i = 0; i < info.num_classes; i++) {
        const char *name = qz_model_class(model, i);
        if (name)
            f->names[f->name_count++] = (entry){name, i};
        const char *wnid = wnid_of(&info, list, i);
        if (wnid)
            f->wnids[f->wnid_count++] = (entry){wnid, i};
    }
    qsort(f->names, f->name_count, sizeof(*f->names), compare_entries);
    qsort(f->wnids, f->wnid_count, sizeof(*f->wnids), compare_entries);
    return f;
}

void class_finder_destroy(class_finder *finder)
{
    if (!finder)
        return;
    free(finder->names);
    free(finder->wnids);
    free(finder);
}

int32_t class_finder_find_name(const class_finder *f, const char *text)
{
    const entry wanted = {text, 0};
    const entry *found =
        bsearch(&wanted, f->names, f->name_count, sizeof(*f->names), compare_entries);
    if (!found)
        found = bsearch(&wanted, f->wnids, f->wnid_count, sizeof(*f->wnids), compare_entries);
    return found ? found->index : -1;
}

int32_t class_finder_find(const class_finder *f, const char *text)
{
    const int32_t named = class_finder_find_name(f, text);
    return named >= 0 ? named : (int32_t)table_number(text);
}
