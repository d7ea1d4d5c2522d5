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

static int parse_long(const char *option, const char *text, long min, long max, long *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < min || value > max)
        return tool_fail(EXIT_USAGE, "%s %s: a whole number from %ld to %ld is needed", option,
                         text, min, max);
    *out = value;
    return EXIT_DONE;
}

static int parse_seconds(const char *option, const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value <= 0.0 || value > 86400.0)
        return tool_fail(EXIT_USAGE, "%s %s: a number of seconds above 0 is needed", option, text);
    *out = value;
    return EXIT_DONE;
}

static int parse_size(const char *option, const char *text, tool_options *o)
{
    char *end;
    errno = 0;
    o->height = o->width = strtol(text, &end, 10);
    if (end != text && *end == 'x') {
        const char *w = end + 1;
        o->width = strtol(w, &end, 10);
        if (end == w)
            o->width = 0;
    }
    if (end == text || *end || errno || o->height < 1 || o->width < 1 || o->height > 65535 ||
        o->width > 65535)
        return tool_fail(EXIT_USAGE, "%s %s: H or HxW is needed, such as 224 or 320x480", option,
                         text);
    return EXIT_DONE;
}

static int push(const char ***list, size_t *count, const char *text)
{
    const char **grown = realloc(*list, (*count + 1) * sizeof(*grown));
    if (!grown)
        return tool_fail(EXIT_FAILED, "out of memory");
    grown[(*count)++] = text;
    *list = grown;
    return EXIT_DONE;
}

/* A list of words separated by commas. */
static int push_words(tool_options *o, const char *option, const char *text, const char ***list,
                      size_t *count)
{
    char **owned = realloc(o->owned, (o->owned_count + 1) * sizeof(*owned));
    if (!owned)
        return tool_fail(EXIT_FAILED, "out of memory");
    o->owned = owned;
    char *copy = strdup(text);
    if (!copy)
        return tool_fail(EXIT_FAILED, "out of memory");
    o->owned[o->owned_count++] = copy;
    for (char *word = copy; word;) {
        char *comma = strchr(word, ',');
        if (comma)
            *comma = '\0';
        if (!*word)
            return tool_fail(EXIT_USAGE, "%s %s: an empty name", option, text);
        int status = push(list, count, word);
        if (status)
            return status;
        word = comma ? comma + 1 : NULL;
    }
    return EXIT_DONE;
}

static int set_quant(tool_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--backend") == 0) {
        if (strcmp(value, "auto") == 0)
            o->backend = QZ_BACKEND_AUTO;
        else if (!qz_backend_parse(value, &o->backend))
            return tool_fail(EXIT_USAGE, "--backend %s: fbgemm, qnnpack, native or auto is needed",
                             value);
    } else if (strcmp(name, "--observer") == 0) {
        if (!strncmp(value, "percentile", 10) || !strcmp(value, "entropy") || !strcmp(value, "mse"))
            return tool_fail(EXIT_UNSUPPORTED, "--observer %s: not built yet", value);
        if (!qz_observer_parse(value, &o->observer))
            return tool_fail(EXIT_USAGE, "--observer %s: minmax, moving or histogram is needed",
                             value);
    } else if (strcmp(name, "--calib") == 0) {
        return push(&o->calib, &o->calib_count, value);
    } else if (strcmp(name, "--exclude") == 0) {
        return push_words(o, name, value, &o->exclude, &o->exclude_count);
    } else if (strcmp(name, "--fallback") == 0) {
        return push_words(o, name, value, &o->fallback, &o->fallback_count);
    } else if (strcmp(name, "--reduce-range") == 0) {
        o->reduce_range = true;
    } else if (strcmp(name, "--per-channel") == 0) {
        o->per_channel = true;
    } else {
        o->relu = true;
    }
    return EXIT_DONE;
}

static int set_isa(tool_options *o, const char *value)
{
    if (!qz_isa_parse(value, &o->isa))
        return tool_fail(EXIT_USAGE,
                         "--isa %s: ref, avx2, avxvnni, avx512, avx512vnni, amx, neon, dotprod, "
                         "i8mm or auto is needed",
                         value);
    if (!qz_isa_available(o->isa))
        return tool_fail(EXIT_UNSUPPORTED,
                         "--isa %s: this CPU or this build does not have it; the best is %s", value,
                         qz_isa_name(qz_isa_best()));
    return EXIT_DONE;
}

static int set_model(tool_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--weights") == 0)
        o->weights = value;
    else if (strcmp(name, "--allow-missing") == 0)
        o->allow_missing = true;
    else if (strcmp(name, "--transform-input") == 0)
        o->transform_input = true;
    else if (strcmp(name, "--no-aux-logits") == 0)
        o->no_aux_logits = true;
    else if (strcmp(name, "--num-classes") == 0)
        return parse_long(name, value, 1, 1000000, &o->num_classes);
    else if (strcmp(value, "none") == 0)
        o->fuse_none = true;
    else if (strcmp(value, "all") == 0)
        o->fuse_none = false;
    else
        return tool_fail(EXIT_USAGE, "--fuse %s: all or none is needed", value);
    return EXIT_DONE;
}

static int set_bench(tool_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--batch") == 0)
        return parse_long(name, value, 1, 4096, &o->batch);
    if (strcmp(name, "--warmup") == 0)
        return parse_long(name, value, 0, 1000000, &o->warmup);
    if (strcmp(name, "--runs") == 0)
        return parse_long(name, value, 1, 10000000, &o->runs);
    if (strcmp(name, "--seconds") == 0)
        return parse_seconds(name, value, &o->seconds);
    if (strcmp(name, "--table") == 0)
        o->table = value;
    else
        o->profile = true;
    return EXIT_DONE;
}

static int set_fetch(tool_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--timeout") == 0)
        return parse_long(name, value, 1, 3600, &o->timeout);
    if (strcmp(name, "--retries") == 0) {
        o->retries_set = true;
        return parse_long(name, value, 0, 100, &o->retries);
    }
    if (strcmp(name, "--mirror") == 0)
        o->mirror = value;
    else if (strcmp(name, "--ca-file") == 0)
        o->ca_file = value;
    else if (strcmp(name, "--offline") == 0)
        o->offline = true;
    else
        o->allow_http = true;
    return EXIT_DONE;
}

static int set_weights(tool_options *o, const char *name)
{
    if (strcmp(name, "--all") == 0)
        o->all = true;
    else if (strcmp(name, "--f32") == 0)
        o->f32 = true;
    else
        o->update_keys = true;
    return EXIT_DONE;
}

static int set_export(tool_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--opset") == 0)
        return parse_long(name, value, QZ_ONNX_OPSET_DEFAULT, QZ_ONNX_OPSET_MAX, &o->opset);
    if (strcmp(name, "--external-data") == 0) {
        o->external_data = true;
    } else if (strcmp(name, "--precision") == 0) {
        if (strcmp(value, "fp32") != 0 && strcmp(value, "fp16") != 0 && strcmp(value, "int8") != 0)
            return tool_fail(EXIT_USAGE, "--precision %s: fp32, fp16 or int8 is needed", value);
        o->precision = value;
    } else if (strcmp(name, "--style") == 0) {
        if (strcmp(value, "qdq") != 0 && strcmp(value, "qoperator") != 0)
            return tool_fail(EXIT_USAGE, "--style %s: qdq or qoperator is needed", value);
        o->style = value;
    } else if (strcmp(name, "--io") == 0) {
        o->io_fp16 = strcmp(value, "fp16") == 0;
        if (!o->io_fp16 && strcmp(value, "fp32") != 0)
            return tool_fail(EXIT_USAGE, "--io %s: fp32 or fp16 is needed", value);
    } else {
        o->all_outputs = strcmp(value, "all") == 0;
        if (!o->all_outputs && strcmp(value, "own") != 0)
            return tool_fail(EXIT_USAGE, "--outputs %s: own or all is needed", value);
    }
    return EXIT_DONE;
}

static int set_option(tool_options *o, const tool_option *option, const char *value)
{
    const char *name = option->name;
    switch (option->group) {
    case OPT_MODEL:
        return set_model(o, name, value);
    case OPT_QUANT:
        return set_quant(o, name, value);
    case OPT_BENCH:
        return set_bench(o, name, value);
    case OPT_RUN:
        return strcmp(name, "--isa") == 0 ? set_isa(o, value)
                                          : parse_long(name, value, 1, 1024, &o->threads);
    case OPT_FETCH:
        return set_fetch(o, name, value);
    case OPT_CATALOGUE:
        o->catalogue = value;
        break;
    case OPT_WEIGHTS:
        return set_weights(o, name);
    case OPT_ASK:
        o->fetch = true;
        break;
    case OPT_SIZE:
        return parse_size(name, value, o);
    case OPT_EXPORT:
        return set_export(o, name, value);
    case OPT_PTQ:
        o->ptq = true;
        break;
    case OPT_JSON:
        o->json = value;
        break;
    case OPT_FLOAT:
        o->no_winograd = true;
        break;
    case OPT_LIST:
        o->ops = true;
        break;
    case OPT_DUMP:
        if (strcmp(name, "--dump-node") == 0)
            return push(&o->dump_nodes, &o->dump_node_count, value);
        o->dump_outputs = value;
        break;
    case OPT_EVAL:
        *(strcmp(name, "--data") == 0 ? &o->data : &o->labels) = value;
        break;
    case OPT_QUANTIZE | OPT_EXPORT: /* -o */
        o->output = value;
        break;
    case OPT_QUANTIZE:
        o->report = value;
        break;
    default: /* OPT_COMMON; --help and --version were seen before */
        if (strcmp(name, "--quiet") == 0)
            o->quiet = true;
        else
            o->verbose = true;
        break;
    }
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
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        int status;
        if (only_args || word[0] != '-' || word[1] == '\0') {
            if ((status = push(&o->args, &o->arg_count, word)))
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
        if (option->group == 0)
            return tool_fail(EXIT_UNSUPPORTED, "%s: not built yet", option->name);
        if (!(option->group & command->options))
            return tool_fail(EXIT_USAGE, "%s: not an option of %s; %s", option->name, command->name,
                             usage_hint);
        const char *value = NULL;
        if (option->value) {
            value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (!value || !*value)
                return tool_fail(EXIT_USAGE, "%s: needs %s", option->name, option->value);
        } else if (equals) {
            return tool_fail(EXIT_USAGE, "%s: takes no value", option->name);
        }
        if ((status = set_option(o, option, value)))
            return status;
        while (i + 1 < argc && belongs_to_calib(command, option, argv[i + 1])) {
            if ((status = push(&o->calib, &o->calib_count, argv[++i])))
                return status;
        }
    }
    return EXIT_DONE;
}

void options_free(tool_options *o)
{
    for (size_t i = 0; i < o->owned_count; i++)
        free(o->owned[i]);
    free(o->owned);
    free(o->calib);
    free(o->exclude);
    free(o->fallback);
    free(o->dump_nodes);
    free(o->args);
}
