/* SPDX-License-Identifier: MIT */
/*
 * bench_table.c - the latency table of a CPU: a file that many runs add rows to.
 *
 * A row is replaced by a row of the same key. The key is everything that changes the result; the
 * options in it come from the table of options, so that a new option is part of it. Processes that
 * write at the same time wait for each other (a lock of the folder), and readers see a whole file.
 */
#include "bench.h"

#include "messages.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- options ---- */

static json_t *value_of(const tool_options *o, const tool_option *option)
{
    const void *value = option_value((tool_options *)(uintptr_t)o, option);
    const option_list *list = value;
    json_t *names;
    switch (option->target.kind) {
    case OPTION_FLAG:
        return json_true();
    case OPTION_WHOLE:
        return json_integer(*(const long *)value);
    case OPTION_REAL:
        return json_real(*(const double *)value);
    case OPTION_SIZE:
        return json_sprintf("%ldx%ld", ((const option_size *)value)->height,
                            ((const option_size *)value)->width);
    case OPTION_WORD:
        return json_string(option->target.words->word(*(const int *)value));
    case OPTION_TEXT:
        return json_text(*(const char *const *)value);
    case OPTION_TEXTS:
    case OPTION_NAMES:
        names = json_array();
        for (size_t i = 0; i < list->count; i++)
            json_add(names, json_text(list->items[i]));
        return names;
    case OPTION_EARLY:
    case OPTION_LATER:
        break;
    }
    return json_null();
}

/* Options whose effect a field of its own shows: the weights by their hash, images by theirs. */
static bool has_its_field(const char *name)
{
    static const char *const names[] = {"--weights", "--calib", "--backend", "--threads",
                                        "--isa",     "--size",  "--batch",   "--observer"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

json_t *bench_options_json(const tool_options *o, bool int8)
{
    const unsigned all = OPT_COMMON | OPT_JSON | OPT_BENCH | OPT_MARKDOWN | OPT_FETCH | OPT_ASK |
                         OPT_CATALOGUE | OPT_PTQ;
    json_t *options = json_object();
    for (const tool_option *option = tool_option_table; option->name; option++) {
        const bool quant = option->group == OPT_QUANT && strcmp(option->name, "--relu") != 0;
        if (o->given[option - tool_option_table] && !(option->group & all) &&
            !has_its_field(option->name) && (int8 || !quant) &&
            !(int8 && option->group == OPT_FLOAT))
            json_set(options, option->name + 2, value_of(o, option));
    }
    return options;
}

/* ---- rows ---- */

/* Whether two rows measure the same thing. */
static bool same_key(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {
        "model", "precision",        "backend", "observer", "weights", "weights_sha256",
        "calib", "calibration_hash", "options", "isa",      "threads", "batch",
        "input", "version"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
        if (x || y ? !x || !y || !json_equal(x, y) : false)
            return false;
    }
    return true;
}

/* The old rows that no new row replaces, then the new ones. */
static json_t *merge(json_t *old, json_t *fresh)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < json_array_size(old); i++) {
        json_t *row = json_array_get(old, i);
        bool replaced = false;
        for (size_t k = 0; k < json_array_size(fresh); k++)
            replaced |= same_key(row, json_array_get(fresh, k));
        if (!replaced)
            json_add(rows, json_incref(row));
    }
    for (size_t k = 0; k < json_array_size(fresh); k++)
        json_add(rows, json_incref(json_array_get(fresh, k)));
    return rows;
}

/* ---- the file ---- */

/* Makes a file name of a CPU's name: letters and digits stay, anything else becomes one '-'. */
static void slug(const char *name, char *out, size_t size)
{
    size_t n = 0;
    for (; *name && n + 1 < size; name++) {
        if (isalnum((unsigned char)*name))
            out[n++] = (char)tolower((unsigned char)*name);
        else if (n && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    if (n == 0)
        snprintf(out, size, "cpu");
}

/* *old: the table of the file; NULL: there is none yet. */
static int read_table(const char *path, json_t **old)
{
    json_error_t error = {0};
    struct stat info;
    *old = NULL;
    /* O_NONBLOCK: a pipe is refused, not waited for */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0 && errno == ENOENT)
        return EXIT_DONE;
    if (file < 0)
        return tool_fail(EXIT_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
    const bool regular = fstat(file, &info) == 0 && S_ISREG(info.st_mode);
    if (regular)
        *old = json_loadfd(file, 0, &error);
    close(file);
    const char *schema = json_string_value(json_object_get(*old, "schema"));
    if (*old && schema && strcmp(schema, "qzoo.bench/1") == 0 &&
        json_is_array(json_object_get(*old, "results")))
        return EXIT_DONE;
    int status = tool_fail(EXIT_INPUT, "%s: is not a latency table (%s); move it away", path,
                           !regular ? "no regular file"
                           : *old   ? "no schema qzoo.bench/1"
                                    : error.text);
    json_decref(*old);
    *old = NULL;
    return status;
}

/* DIR/<cpu>.json */
static int table_path(const char *dir, const json_t *cpu, char *path, size_t size)
{
    char name[128];
    slug(json_string_value(json_object_get(cpu, "name")), name, sizeof(name));
    int length = snprintf(path, size, "%s/%s.json", dir, name);
    return length >= 0 && (size_t)length < size
               ? EXIT_DONE
               : tool_fail(EXIT_USAGE, "--table %s: the path is too long", dir);
}

int bench_check_table(const char *dir, const json_t *cpu)
{
    char path[4096];
    json_t *old = NULL;
    int status = table_path(dir, cpu, path, sizeof(path));
    if (status == EXIT_DONE)
        status = read_table(path, &old);
    json_decref(old);
    return status;
}

static int add_rows(const char *path, json_t *cpu, json_t *rows)
{
    json_t *old;
    int status = read_table(path, &old);
    if (status)
        return status;
    json_t *head = json_copy(cpu); /* the instruction set is each row's own */
    json_object_del(head, "isa");
    json_t *root = json_pack("{s:s, s:o, s:o}", "schema", "qzoo.bench/1", "cpu", head, "results",
                             merge(json_object_get(old, "results"), rows));
    json_decref(old);
    return json_write_file(path, root);
}

int bench_save_table(const char *dir, json_t *cpu, json_t *rows, char *path, size_t size)
{
    int status = table_path(dir, cpu, path, size);
    if (status)
        return status;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return tool_fail(EXIT_INPUT, "%s: cannot be created: %s", dir, strerror(errno));
    /* the lock of the folder itself: no other file is left, and it dies with its process */
    int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0)
        return tool_fail(EXIT_INPUT, "%s: cannot be opened: %s", dir, strerror(errno));
    while (flock(lock, LOCK_EX) != 0 && errno == EINTR)
        ;
    status = add_rows(path, cpu, rows);
    close(lock);
    return status;
}
