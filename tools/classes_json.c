/* SPDX-License-Identifier: MIT */
/* classes_json.c - the names of classes from JSON, in the forms that are about. */
#include "classes.h"

#include "messages.h"
#include "text_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A name, or [wnid, name]. False: neither. */
static bool take_name(const json_t *value, const char **name, const char **wnid)
{
    *wnid = NULL;
    if (json_is_array(value) && json_array_size(value) == 2) {
        *wnid = json_string_value(json_array_get(value, 0));
        value = json_array_get(value, 1);
        if (!*wnid)
            return false;
    }
    *name = json_string_value(value);
    return *name;
}

static int add(const char *path, class_list *list, size_t index, const json_t *value)
{
    const char *name, *wnid;
    if (!take_name(value, &name, &wnid))
        return tool_fail(EXIT_INPUT, "%s: class %zu: a name or [\"wnid\", \"name\"] is needed",
                         path, index);
    return classes_add(list, name, wnid);
}

static int read_array(const char *path, const json_t *array, class_list *list)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < json_array_size(array) && status == EXIT_DONE; i++)
        status = add(path, list, i, json_array_get(array, i));
    return status;
}

/* {"0": name} */
static int read_numbered(const char *path, const json_t *object, class_list *list)
{
    const size_t count = json_object_size(object);
    int status = EXIT_DONE;
    for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%zu", i);
        const json_t *value = json_object_get(object, key);
        status = value ? add(path, list, i, value)
                       : tool_fail(EXIT_INPUT, "%s: lacks class %zu of %zu", path, i, count);
    }
    return status;
}

/* {name: 0} */
static int read_named(const char *path, json_t *object, class_list *list)
{
    const size_t count = json_object_size(object);
    const char **names = calloc(count + 1, sizeof(*names)), *name;
    json_t *value;
    int status = names ? EXIT_DONE : tool_fail_memory();
    json_object_foreach(object, name, value)
    {
        const json_int_t index = json_is_integer(value) ? json_integer_value(value) : -1;
        if (status)
            break;
        if (index < 0 || (size_t)index >= count)
            status = tool_fail(EXIT_INPUT, "%s: %s: a number from 0 to %zu is needed", path, name,
                               count - 1);
        else if (names[index])
            status = tool_fail(EXIT_INPUT, "%s: %s and %s are both class %lld", path, names[index],
                               name, (long long)index);
        else
            names[index] = name;
    }
    for (size_t i = 0; i < count && status == EXIT_DONE; i++)
        status = classes_add(list, names[i], NULL);
    free(names);
    return status;
}

int classes_read_json(const char *path, class_list *list)
{
    char *text;
    json_error_t error;
    int status = text_read(path, &text);
    if (status)
        return status;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!root)
        return tool_fail(EXIT_INPUT, "%s: line %d: %s", path, error.line, error.text);
    if (json_is_array(root))
        status = read_array(path, root, list);
    else if (json_is_integer(json_object_iter_value(json_object_iter(root))))
        status = read_named(path, root, list);
    else
        status = read_numbered(path, root, list);
    json_decref(root);
    return status;
}
