/* SPDX-License-Identifier: MIT */
/* options_parse.c - reads the words after a command into tool_options, by the table of options. */
#include "options_parse.h"

#include "image_names.h"
#include "messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const usage_hint = "qzoo COMMAND --help lists the options";

bool parse_whole(const char *text, long min, long max, long *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    /* strtol also takes spaces and a plus sign */
    if (!*text || strspn(text, "-0123456789") != strlen(text) || *end || errno || value < min ||
        value > max)
        return false;
    *out = value;
    return true;
}

static int set_whole(const tool_option *option, const char *text, long *out)
{
    const long min = (long)option->target.min, max = (long)option->target.max;
    if (parse_whole(text, min, max, out))
        return EXIT_DONE;
    return tool_fail(EXIT_USAGE, "%s %s: a whole number from %ld to %ld is needed", option->name,
                     text, min, max);
}

static int set_real(const tool_option *option, const char *text, double *out)
{
    const double min = option->target.min, max = option->target.max;
    char *end;
    double value = strtod(text, &end);
    /* strtod also takes spaces, nan, inf and hexadecimal digits */
    if (strspn(text, "-+.eE0123456789") != strlen(text) || *end || !(value >= min && value <= max))
        return tool_fail(EXIT_USAGE, "%s %s: a number from %.10g to %.10g is needed", option->name,
                         text, min, max);
    *out = value;
    return EXIT_DONE;
}

static int set_size(const tool_option *option, const char *text, option_size *out)
{
    const long min = (long)option->target.min, max = (long)option->target.max;
    char height[16];
    const size_t length = strcspn(text, "x");
    const char *width = text[length] ? text + length + 1 : text;
    option_size size;
    snprintf(height, sizeof(height), "%.*s", (int)length, text);
    if (length >= sizeof(height) || !parse_whole(height, min, max, &size.height) ||
        !parse_whole(width, min, max, &size.width))
        return tool_fail(EXIT_USAGE,
                         "%s %s: H or HxW is needed, such as 224 or 320x480, each from %ld to %ld",
                         option->name, text, min, max);
    *out = size;
    return EXIT_DONE;
}

/* Whether `text` is one of the words that are not built yet, with or without ":VALUE". */
static bool is_later(const option_words *words, const char *text)
{
    const size_t length = strcspn(text, ":");
    for (const char *at = words->later; at && *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        if (word == length && strncmp(at, text, length) == 0)
            return true;
        at += word;
    }
    return false;
}

/* "percentile:99.9": the word's number is the library's to read, as files have it, too. */
static bool set_numbered(tool_options *o, const option_words *words, const char *text, int *out)
{
    qz_observer_kind kind;
    double *number = (double *)(void *)((char *)o + words->number);
    const size_t length = strlen(words->numbered);
    *number = 0.0;
    if (strncmp(text, words->numbered, length) != 0 || text[length] != ':' ||
        !qz_observer_parse_word(text, &kind, number))
        return false;
    *out = (int)kind;
    return true;
}

static int set_word(tool_options *o, const tool_option *option, const char *text, int *out)
{
    const char *word;
    char all[160];
    if (option->target.words->numbered && set_numbered(o, option->target.words, text, out))
        return EXIT_DONE;
    for (int i = 0; (word = option->target.words->word(i)); i++) {
        if (strcmp(word, text) == 0) {
            *out = i;
            return EXIT_DONE;
        }
    }
    if (is_later(option->target.words, text))
        return tool_fail(EXIT_UNSUPPORTED, "%s %s: not built yet", option->name, text);
    option_list_words(option, ", ", all, sizeof(all));
    return tool_fail(EXIT_USAGE, "%s %s: one of these is needed: %s", option->name, text, all);
}

static int add_text(option_list *list, const char *text)
{
    const char **grown = realloc(list->items, (list->count + 1) * sizeof(*grown));
    if (!grown)
        return tool_fail_memory();
    grown[list->count++] = text;
    list->items = grown;
    return EXIT_DONE;
}

static int add_names(tool_options *o, const tool_option *option, const char *text,
                     option_list *list)
{
    char *copy = strdup(text), **owned = realloc(o->owned, (o->owned_count + 1) * sizeof(*owned));
    o->owned = owned ? owned : o->owned;
    if (!copy || !owned) {
        free(copy);
        return tool_fail_memory();
    }
    o->owned[o->owned_count++] = copy;
    for (char *name = copy; name;) {
        char *comma = strchr(name, ',');
        if (comma)
            *comma = '\0';
        if (!*name)
            return tool_fail(EXIT_USAGE, "%s %s: an empty name", option->name, text);
        int status = add_text(list, name);
        if (status)
            return status;
        name = comma ? comma + 1 : NULL;
    }
    return EXIT_DONE;
}

/* A word of --calib: images, or statistics. */
static int add_calib(tool_options *o, const char *text)
{
    return add_text(images_is_statistics(text) ? &o->quant.statistics : &o->quant.calib, text);
}

static int set_option(tool_options *o, const tool_option *option, const char *text)
{
    void *value = option_value(o, option);
    switch (option->target.kind) {
    case OPTION_FLAG:
        *(bool *)value = true;
        return EXIT_DONE;
    case OPTION_WHOLE:
        return set_whole(option, text, value);
    case OPTION_REAL:
        return set_real(option, text, value);
    case OPTION_SIZE:
        return set_size(option, text, value);
    case OPTION_WORD:
        return set_word(o, option, text, value);
    case OPTION_TEXT:
        *(const char **)value = text;
        return EXIT_DONE;
    case OPTION_TEXTS:
        return value == &o->quant.calib ? add_calib(o, text) : add_text(value, text);
    case OPTION_NAMES:
        return add_names(o, option, text, value);
    case OPTION_EARLY:
    case OPTION_LATER:
        break;
    }
    return EXIT_DONE;
}

static void set_presets(tool_options *o)
{
    for (const tool_option *option = tool_option_table; option->name; option++) {
        void *value = option_value(o, option);
        if (option->target.kind == OPTION_WHOLE)
            *(long *)value = (long)option->target.preset;
        else if (option->target.kind == OPTION_REAL)
            *(double *)value = option->target.preset;
        else if (option->target.kind == OPTION_WORD)
            *(int *)value = (int)option->target.preset;
    }
}

/*
 * A shell's pattern after --calib expands to several files: image files that follow --calib belong
 * to --calib. Not for `run`, whose own arguments are image files.
 */
static bool belongs_to_calib(const char *command, const tool_option *option, const char *word)
{
    return strcmp(option->name, "--calib") == 0 &&
           (images_is_statistics(word) || (strcmp(command, "run") != 0 && images_is_image(word)));
}

/* Reads the option at argv[*at] and its value; moves *at to the last word that belongs to it. */
static int parse_option(const char *command, unsigned groups, int argc, char **argv, int *at,
                        tool_options *o)
{
    const char *word = argv[*at], *text = NULL;
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    const tool_option *option = option_find(word, equals ? (size_t)(equals - word) : strlen(word));
    if (!option)
        return tool_fail(EXIT_USAGE, "%s: unknown option; %s", word, usage_hint);
    if (option->target.kind == OPTION_LATER)
        return tool_fail(EXIT_UNSUPPORTED, "%s: not built yet", option->name);
    if (!(option->group & groups))
        return tool_fail(EXIT_USAGE, "%s: not an option of %s; %s", option->name, command,
                         usage_hint);
    if (option->value) {
        text = equals ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
        if (!text || !*text)
            return tool_fail(EXIT_USAGE, "%s: needs %s", option->name, option->value);
    } else if (equals) {
        return tool_fail(EXIT_USAGE, "%s: takes no value", option->name);
    }
    if (option->target.kind == OPTION_TEXT && o->given[option - tool_option_table] &&
        strcmp(*(const char *const *)option_value(o, option), text) != 0)
        return tool_fail(EXIT_USAGE, "%s: given twice, as %s and as %s", option->name,
                         *(const char *const *)option_value(o, option), text);
    int status = set_option(o, option, text);
    o->given[option - tool_option_table] = true;
    while (status == EXIT_DONE && *at + 1 < argc &&
           belongs_to_calib(command, option, argv[*at + 1]))
        status = add_calib(o, argv[++*at]);
    return status;
}

int options_parse(const char *command, unsigned groups, int argc, char **argv, tool_options *o)
{
    bool only_args = false;
    int status = EXIT_DONE;
    memset(o, 0, sizeof(*o));
    o->command = command;
    set_presets(o);
    o->fetch.allow = (groups & OPT_FETCH) && !(groups & OPT_ASK);
    for (int i = 0; i < argc && status == EXIT_DONE; i++) {
        if (only_args || argv[i][0] != '-' || argv[i][1] == '\0')
            status = add_text(&o->args, argv[i]);
        else if (strcmp(argv[i], "--") == 0)
            only_args = true;
        else
            status = parse_option(command, groups, argc, argv, &i, o);
    }
    return status;
}
