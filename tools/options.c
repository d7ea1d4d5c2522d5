/* SPDX-License-Identifier: MIT */
/* options.c - reads the words after a command into tool_options. */
#include "tool.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const tool_option *find_option(const char *word, size_t length)
{
    for (const tool_option *o = tool_option_table; o->name; o++) {
        if (strlen(o->name) == length && strncmp(o->name, word, length) == 0)
            return o;
    }
    return NULL;
}

/* ---- values ---- */

static int parse_number(const tool_option *option, const char *text, long *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    const bool begins = (text[0] >= '0' && text[0] <= '9') || text[0] == '-';
    if (!begins || end == text || *end || errno || value < option->min || value > option->max)
        return tool_fail(EXIT_USAGE, "%s %s: a whole number from %ld to %ld is needed",
                         option->name, text, option->min, option->max);
    *out = value;
    return EXIT_DONE;
}

static int parse_seconds(const tool_option *option, const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value <= 0.0 || value > (double)option->max)
        return tool_fail(EXIT_USAGE, "%s %s: a number of seconds above 0, at most %ld, is needed",
                         option->name, text, option->max);
    *out = value;
    return EXIT_DONE;
}

/* "224" or "320x480"; `out` is the height, the width follows it. */
static int parse_size(const tool_option *option, const char *text, long out[2])
{
    char *end;
    errno = 0;
    long height = strtol(text, &end, 10), width = height;
    if (end != text && *end == 'x') {
        const char *w = end + 1;
        width = strtol(w, &end, 10);
        if (end == w)
            width = 0;
    }
    if (end == text || *end || errno || height < 1 || width < 1 || height > option->max ||
        width > option->max)
        return tool_fail(EXIT_USAGE, "%s %s: H or HxW is needed, such as 224 or 320x480",
                         option->name, text);
    out[0] = height;
    out[1] = width;
    return EXIT_DONE;
}

static int push(word_list *list, const char *text)
{
    const char **grown = realloc(list->words, (list->count + 1) * sizeof(*grown));
    if (!grown)
        return tool_fail(EXIT_FAILED, "out of memory");
    grown[list->count++] = text;
    list->words = grown;
    return EXIT_DONE;
}

/* A copy that options_free frees. */
static char *own(tool_options *o, const char *text, size_t length)
{
    char **owned = realloc(o->owned, (o->owned_count + 1) * sizeof(*owned));
    if (!owned)
        return NULL;
    o->owned = owned;
    char *copy = strndup(text, length);
    if (copy)
        o->owned[o->owned_count++] = copy;
    return copy;
}

/* A list of words separated by commas. */
static int push_names(tool_options *o, const tool_option *option, const char *text, word_list *list)
{
    for (const char *word = text; word;) {
        const char *comma = strchr(word, ',');
        const size_t length = comma ? (size_t)(comma - word) : strlen(word);
        if (length == 0)
            return tool_fail(EXIT_USAGE, "%s %s: an empty name", option->name, text);
        const char *copy = own(o, word, length);
        if (!copy)
            return tool_fail(EXIT_FAILED, "out of memory");
        int status = push(list, copy);
        if (status)
            return status;
        word = comma ? comma + 1 : NULL;
    }
    return EXIT_DONE;
}

/* "a|b|c" was not given: "a, b or c is needed". */
static int fail_word(const char *option, const char *given, const char *words)
{
    char list[256] = "";
    size_t used = 0;
    for (const char *p = words; *p && used + 5 < sizeof(list); p++) {
        const char *bar = *p == '|' ? strchr(p + 1, '|') ? ", " : " or " : NULL;
        used +=
            (size_t)snprintf(list + used, sizeof(list) - used, bar ? "%s" : "%.1s", bar ? bar : p);
    }
    return tool_fail(EXIT_USAGE, "%s %s: %s is needed", option, given, list);
}

/* The word among the row's alternatives, "all|none". */
static int parse_word(tool_options *o, const tool_option *option, const char *text,
                      const char **out)
{
    const size_t length = strlen(text);
    for (const char *p = option->value; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (strcspn(p, "|") == length && strncmp(p, text, length) == 0) {
            *out = own(o, text, length);
            return *out ? EXIT_DONE : tool_fail(EXIT_FAILED, "out of memory");
        }
    }
    return fail_word(option->name, text, option->value);
}

/* A word of the library's, by its number. */
static int parse_choice(const tool_option *option, const char *text, int *out)
{
    char words[256] = "";
    const char *word;
    for (size_t i = 0; (word = option->word(i)); i++) {
        if (strcmp(word, text) == 0) {
            *out = (int)i;
            return EXIT_DONE;
        }
        const size_t used = strlen(words);
        snprintf(words + used, sizeof(words) - used, "%s%s", i > 0 ? "|" : "", word);
    }
    for (const char *p = option->later; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strncmp(p, text, strcspn(p, "|")) == 0) /* "percentile:99" too */
            return tool_fail(EXIT_UNSUPPORTED, "%s %s: not built yet", option->name, text);
    return fail_word(option->name, text, words);
}

static int set_option(tool_options *o, const tool_option *option, const char *value)
{
    void *target = (char *)o + option->target;
    switch (option->kind) {
    case KIND_FLAG:
        *(bool *)target = true;
        return EXIT_DONE;
    case KIND_TEXT:
        *(const char **)target = value;
        return EXIT_DONE;
    case KIND_WORD:
        return parse_word(o, option, value, target);
    case KIND_CHOICE:
        return parse_choice(option, value, target);
    case KIND_LIST:
        return push(target, value);
    case KIND_NAMES:
        return push_names(o, option, value, target);
    case KIND_NUMBER:
        return parse_number(option, value, target);
    case KIND_SECONDS:
        return parse_seconds(option, value, target);
    case KIND_SIZE:
        return parse_size(option, value, target);
    case KIND_LATER:
        break;
    }
    return tool_fail(EXIT_UNSUPPORTED, "%s: not built yet", option->name);
}

bool is_word(const char *given, const char *word)
{
    return given && strcmp(given, word) == 0;
}

/* What a row cannot say: which bundles this CPU has. */
static int check_choices(const tool_options *o)
{
    if (!qz_isa_available((qz_isa)o->isa))
        return tool_fail(EXIT_UNSUPPORTED,
                         "--isa %s: this CPU or this build does not have it; the best is %s",
                         qz_isa_name((qz_isa)o->isa), qz_isa_name(qz_isa_best()));
    return EXIT_DONE;
}

/*
 * --calib takes several files, as a shell's pattern gives them: image files that follow it belong
 * to it, but not for `run`, whose own arguments are image files.
 */
static bool belongs_to_calib(const tool_command *command, const tool_option *option,
                             const char *word)
{
    static const char *const suffixes[] = {".jpg", ".jpeg", ".png", ".bmp", ".npy"};
    const char *dot = strrchr(word, '.');
    if (strcmp(option->name, "--calib") != 0 || strcmp(command->name, "run") == 0 || !dot)
        return false;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        if (strcasecmp(dot, suffixes[i]) == 0)
            return true;
    }
    return false;
}

static const char *const usage_hint = "qzoo COMMAND --help lists the options";

int options_parse(const tool_command *command, int argc, char **argv, tool_options *o)
{
    memset(o, 0, sizeof(*o));
    o->command = command->name;
    o->fetch = (command->options & OPT_FETCH) && !(command->options & OPT_ASK);
    o->batch = 1;
    o->warmup = 3;
    o->seconds = 2.0;
    o->retries = -1;
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        int status;
        if (only_args || word[0] != '-' || word[1] == '\0') {
            if ((status = push(&o->positional, word)))
                return status;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_args = true;
            continue;
        }
        const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
        const tool_option *option =
            find_option(word, equals ? (size_t)(equals - word) : strlen(word));
        if (!option)
            return tool_fail(EXIT_USAGE, "%s: unknown option; %s", word, usage_hint);
        if (option->kind != KIND_LATER && !(option->group & command->options))
            return tool_fail(EXIT_USAGE, "%s: not an option of %s; %s", option->name, command->name,
                             usage_hint);
        const char *value = NULL;
        if (option->value && option->kind != KIND_LATER) {
            value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (!value || !*value)
                return tool_fail(EXIT_USAGE, "%s: needs %s", option->name, option->value);
        } else if (equals && option->kind != KIND_LATER) {
            return tool_fail(EXIT_USAGE, "%s: takes no value", option->name);
        }
        if ((status = set_option(o, option, value)))
            return status;
        while (i + 1 < argc && belongs_to_calib(command, option, argv[i + 1])) {
            if ((status = push(&o->calib, argv[++i])))
                return status;
        }
    }
    return check_choices(o);
}

void options_free(tool_options *o)
{
    for (size_t i = 0; i < o->owned_count; i++)
        free(o->owned[i]);
    free(o->owned);
    free(o->calib.words);
    free(o->exclude.words);
    free(o->fallback.words);
    free(o->dump_nodes.words);
    free(o->positional.words);
}
