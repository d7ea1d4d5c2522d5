/* SPDX-License-Identifier: MIT */
/* subject.c - creates or opens the model of a command; calibrates and converts it. */
#include "subject.h"

#include "fetch_bar.h"
#include "images.h"
#include "interrupt.h"
#include "messages.h"
#include "options_apply.h"
#include "preprocessing.h"
#include "settings.h"
#include "settings_yolo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The log of the library: warnings unless --quiet, all with --verbose. */
static void log_warning(void *user, qz_log_level level, const char *message)
{
    const tool_options *options = user;
    char text[1200];
    if (level >= QZ_LOG_WARNING)
        tool_warning(options->quiet, tool_words(message, text, sizeof(text)));
    else if (options->verbose)
        tool_note(false, "qzoo: %s", tool_words(message, text, sizeof(text)));
}

int subject_context(const tool_options *options, qz_context **ctx)
{
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    if (!qz_isa_available((qz_isa)options->run.isa))
        return tool_fail(EXIT_UNSUPPORTED,
                         "--isa %s: not available on this CPU or in this build; the best is %s",
                         qz_isa_name((qz_isa)options->run.isa), qz_isa_name(qz_isa_best()));
    o.isa = (qz_isa)options->run.isa;
    o.threads = (uint32_t)options->run.threads;
    o.log = log_warning;
    o.log_user = (void *)(uintptr_t)options;
    qz_status st = qz_context_create(&o, ctx);
    if (st != QZ_OK)
        return tool_fail_status(NULL, st);
    interrupt_watch(*ctx);
    return EXIT_DONE;
}

bool is_model_file(const char *name)
{
    return qz_model_is_file(name);
}

/* qzoo calibrate: the statistics are saved, and nothing is converted. */
static bool keeps_statistics(const tool_options *options)
{
    return strcmp(options->command, "calibrate") == 0;
}

static int load_statistics(const tool_options *options, const subject *s)
{
    for (size_t i = 0; i < options->quant.statistics.count; i++) {
        const qz_status st = qz_model_statistics_load(s->model, options->quant.statistics.items[i]);
        if (st != QZ_OK)
            return tool_fail_status(s->ctx, st);
    }
    return EXIT_DONE;
}

static int calibrate_images(const tool_options *options, const subject *s)
{
    image_list list;
    int status = images_of_calib(options, &list);
    if (status == EXIT_DONE && list.synthetic) {
        qz_status st = qz_model_calibrate_synthetic(s->model, list.count);
        if (st != QZ_OK)
            status = tool_fail_status(s->ctx, st);
    }
    for (size_t i = 0; !list.synthetic && i < list.count && status == EXIT_DONE; i++) {
        qz_tensor image;
        tool_progress(options->quiet, "calibrating: image", i + 1, list.count);
        if ((status = images_load(s->ctx, &list, i, &s->info, &image)))
            break;
        qz_status st = qz_model_calibrate(s->model, &image);
        if (st != QZ_OK) {
            char message[4096]; /* the library's message; the file is named before it */
            snprintf(message, sizeof(message), "%s", qz_context_message(s->ctx));
            status = tool_fail(st == QZ_ERR_ARGUMENT ? EXIT_INPUT : tool_exit_of(st), "%s: %s",
                               list.paths[i], message);
        }
        images_release(&image);
    }
    images_free(&list);
    return status;
}

/* Warns of what looks wrong about the calibration. */
static int warn_of_calibration(const tool_options *options, const subject *s)
{
    const char *const *notes;
    size_t count;
    const qz_status st = qz_model_notes(s->model, &notes, &count);
    if (st != QZ_OK)
        return tool_fail_status(s->ctx, st);
    for (size_t i = 0; i < count; i++) {
        char text[1200];
        snprintf(text, sizeof(text), "%s: %s", s->info.name, notes[i]);
        tool_warning(options->quiet, text);
    }
    return EXIT_DONE;
}

static int calibrate(const tool_options *options, subject *s)
{
    int status = load_statistics(options, s);
    if (status == EXIT_DONE && !options_statistics_alone(options))
        status = calibrate_images(options, s);
    if (status == EXIT_DONE && !keeps_statistics(options)) {
        qz_status st = qz_model_convert(s->model);
        if (st != QZ_OK)
            status = tool_fail_status(s->ctx, st);
    }
    return status ? status : warn_of_calibration(options, s);
}

/* What bench would run must fit into memory: known before anything is calibrated. */
static int check_run(const tool_options *options, const subject *s)
{
    if (strcmp(options->command, "bench") != 0)
        return EXIT_DONE;
    const long height = options->run.size.height, width = options->run.size.width;
    qz_status st =
        qz_model_check_run(s->model, options->bench.batch, height ? height : s->info.input_h,
                           width ? width : s->info.input_w);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(s->ctx, st);
}

static int open_file(const tool_options *options, const char *name, subject *s)
{
    qz_status st = qz_model_open(s->ctx, name, &s->model);
    if (st != QZ_OK)
        return tool_fail_status(s->ctx, st);
    qz_model_get_info(s->model, &s->info);
    const char *backend = qz_backend_name((qz_backend)options->quant.backend);
    if (options->quant.backend != QZ_BACKEND_AUTO && strcmp(backend, s->info.backend) != 0)
        return tool_fail(EXIT_USAGE, "--backend %s: %s was quantized for %s", backend, name,
                         s->info.backend);
    s->int8_only = true;
    int status = preprocessing_apply(options, s->ctx, s->model,
                                     strcmp(options->command, "bench") == 0 ? NULL : name);
    qz_model_get_info(s->model, &s->info);
    return status ? status : check_run(options, s);
}

/* The weights were those of an int8 model: refuses a calibration that the user asked for. */
static int settle_int8(const tool_options *options, subject *s)
{
    s->int8_only = true;
    if ((options->quant.calib.count == 0 && options->quant.statistics.count == 0) ||
        options->quant.calib_chosen)
        return EXIT_DONE;
    return tool_fail(EXIT_USAGE, "%s: an int8 model is already calibrated; leave out --calib",
                     options->model.weights);
}

/* The pairs of --map, in one block with their texts; the caller frees it. NULL with count 0. */
static int read_maps(const option_list *list, qz_key_map **maps)
{
    size_t bytes = list->count * sizeof(**maps);
    *maps = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        if (!equals || equals == list->items[i])
            return tool_fail(EXIT_USAGE, "--map %s: FROM=TO is needed", list->items[i]);
        bytes += strlen(list->items[i]) + 1;
    }
    if (!bytes)
        return EXIT_DONE;
    *maps = malloc(bytes);
    if (!*maps)
        return tool_fail_memory();
    char *text = (char *)(*maps + list->count);
    for (size_t i = 0; i < list->count; i++) {
        size_t size = strlen(list->items[i]) + 1;
        memcpy(text, list->items[i], size);
        char *equals = strchr(text, '=');
        *equals = '\0';
        (*maps)[i] = (qz_key_map){text, equals + 1};
        text += size;
    }
    return EXIT_DONE;
}

/* The note of the model's weights: what was done to bring their keys to the network's. */
static void print_note(const tool_options *options, const subject *s)
{
    char text[1200];
    if (s->info.note[0])
        tool_note(options->quiet, "qzoo: %s: %s", s->info.weights_file,
                  tool_words(s->info.note, text, sizeof(text)));
}

static int create(const tool_options *options, qz_context *ctx, const char *name, bool ptq,
                  subject *s)
{
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    o.weights = options->model.weights;
    o.key = options->model.key;
    o.prefix = options->model.prefix;
    o.head_key = options->model.head_key;
    o.allow_unexpected = options->model.allow_unexpected;
    qz_key_map *maps = NULL;
    int status = read_maps(&options->model.map, &maps);
    if (status)
        return status;
    o.map = maps;
    o.map_count = options->model.map.count;
    o.quantize = ptq;
    o.statistics = keeps_statistics(options);
    o.skip_fuse = options->model.fuse == FUSE_NONE;
    o.relu = options->quant.relu;
    o.backend = (qz_backend)options->quant.backend;
    o.observer = (qz_observer_kind)options->quant.observer;
    o.percentile = options->quant.percentile;
    o.recipe = (qz_recipe)(options->quant.recipe + 1);
    o.bias_correction = (qz_bias_correction)(options->quant.bias_correction + 1);
    if (options->quant.equalize) /* checked by options_apply */
        qz_equalization_parse_word(options->quant.equalize, &o.equalize, &o.equalize_alpha);
    o.rounding = (qz_rounding)(options->quant.rounding + 1);
    o.iterations = (int32_t)options->quant.iterations;
    o.weight_bits = (int32_t)options->quant.weight_bits;
    o.reduce_range = options->quant.reduce_range;
    o.per_channel = options->quant.per_channel;
    o.per_tensor = options->quant.per_tensor;
    o.allow_missing = options->model.allow_missing;
    o.num_classes = (int32_t)options->model.num_classes;
    o.transform_input = options->model.transform_input;
    o.no_aux_logits = options->model.no_aux_logits;
    o.activation = options->model.activation < 0    ? QZ_ACT_NONE
                   : options->model.activation == 0 ? QZ_ACT_LEAKY_RELU
                                                    : QZ_ACT_SILU;
    o.exclude = options->quant.exclude.items;
    o.exclude_count = options->quant.exclude.count;
    o.float_heads = options->quant.head == HEAD_FLOAT;
    o.fallback = options->quant.fallback.items;
    o.fallback_count = options->quant.fallback.count;
    fetch_bar bar = {.options = options, .announce = true};
    qz_fetch_options fetch;
    fetch_bar_options(&bar, &fetch);
    o.allow_fetch = options->fetch.allow;
    o.fetch = &fetch;
    o.catalogue = options->fetch.catalogue;
    qz_status st = qz_model_create(ctx, name, &o, &s->model);
    fetch_bar_end(&bar);
    free(maps);
    if (st != QZ_OK)
        return tool_fail_status(ctx, st);
    qz_model_get_info(s->model, &s->info);
    print_note(options, s);
    status = preprocessing_apply(options, ctx, s->model, NULL);
    qz_model_get_info(s->model, &s->info);
    return status ? status : check_run(options, s);
}

/* Refuses the model's own names in another order: one of the two numbers every class wrongly. Other
 * names are only other words. */
static int check_order(const tool_options *options, const subject *s)
{
    size_t moved = s->classes.count, known = 0;
    if (!s->info.named_classes || s->classes.count != (size_t)s->info.num_classes)
        return EXIT_DONE;
    for (size_t i = 0; i < s->classes.count; i++) {
        for (int32_t k = 0; k < s->info.num_classes; k++) {
            if (strcmp(s->classes.names[i], qz_model_class(s->model, k)) != 0)
                continue;
            known++;
            if (k != (int32_t)i && moved == s->classes.count)
                moved = i;
        }
    }
    if (known == 0 || moved == s->classes.count)
        return EXIT_DONE;
    return tool_fail(EXIT_INPUT,
                     "--classes %s: class %zu is %s, but %s in the model itself; leave --classes "
                     "out, or put its names into the model's order",
                     options->model.classes, moved, s->classes.names[moved],
                     qz_model_class(s->model, (int32_t)moved));
}

/* The model gets the names that --classes has. */
static int name_classes(const tool_options *options, subject *s)
{
    if (!options->model.classes || settings_has_class_numbers(options))
        return EXIT_DONE;
    int status = check_order(options, s);
    if (status)
        return status;
    const qz_status st =
        qz_model_set_classes(s->model, (const char *const *)s->classes.names, s->classes.count);
    qz_model_get_info(s->model, &s->info);
    if (st == QZ_ERR_MISMATCH)
        return tool_fail(EXIT_INPUT, "%s: has %zu names, but %s has %d classes",
                         options->model.classes, s->classes.count, s->info.name,
                         (int)s->info.num_classes);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(s->ctx, st);
}

int subject_create(const tool_options *options, qz_context *ctx, const char *name, bool ptq,
                   subject *s)
{
    int status = EXIT_DONE;
    memset(s, 0, sizeof(*s));
    s->ctx = ctx;
    tool_warnings_clear();
    images_begin(options);
    if (options->model.classes && !settings_has_class_numbers(options))
        status = classes_read(options->model.classes, &s->classes);
    if (status == EXIT_DONE)
        status =
            is_model_file(name) ? open_file(options, name, s) : create(options, ctx, name, ptq, s);
    if (status == EXIT_DONE)
        status = options_apply_task(options, s->info.task);
    if (status == EXIT_DONE)
        status = settings_apply(options, ctx, s->model);
    if (status == EXIT_DONE)
        status = name_classes(options, s);
    if (status)
        subject_close(s);
    return status;
}

int subject_calibrate(const tool_options *options, bool ptq, subject *s)
{
    int status = EXIT_DONE;
    if (s->int8_only) /* a saved model */
        return EXIT_DONE;
    if (s->info.converted)
        status = settle_int8(options, s);
    else if (ptq)
        status = calibrate(options, s);
    else
        status = options_apply_float(options);
    qz_model_get_info(s->model, &s->info);
    return status;
}

int subject_open(const tool_options *options, qz_context *ctx, const char *name, bool ptq,
                 subject *s)
{
    int status = subject_create(options, ctx, name, ptq, s);
    if (status)
        return status;
    status = subject_calibrate(options, ptq, s);
    if (status)
        subject_close(s);
    return status;
}

void subject_context_end(qz_context *ctx)
{
    interrupt_watch(NULL);
    qz_context_destroy(ctx);
}

int subject_fail_run(const subject *s, const qz_session *session, qz_status st, const char *what)
{
    const qz_tensor *output;
    char message[4096]; /* the library's, which the next call replaces */
    snprintf(message, sizeof(message), "%s", qz_context_message(s->ctx));
    const bool nonfinite =
        st == QZ_ERR_NUMERIC && qz_session_output(session, 0, NULL, &output) == QZ_OK;
    return tool_fail(nonfinite               ? EXIT_FAILED
                     : st == QZ_ERR_ARGUMENT ? EXIT_INPUT
                                             : tool_exit_of(st),
                     "%s: %s", what, message);
}

void subject_close(subject *s)
{
    qz_model_destroy(s->model);
    classes_free(&s->classes);
    s->model = NULL;
}
