/* SPDX-License-Identifier: MIT */
/* cmd_export.c - qzoo export: a model as ONNX. */
#include "commands.h"
#include "images.h"
#include "messages.h"
#include "output_file.h"
#include "report.h"
#include "settings_yolo.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Images that are searched for values too large or too small for half precision. */
#define RANGE_IMAGES 8

static void note_kept(void *user, const char *node, const char *reason)
{
    tool_note(((const tool_options *)user)->quiet, "qzoo: %s stays fp32: %s", node, reason);
}

/* Size of the file and of the file of tensors beside it. */
static double megabytes(const char *path)
{
    struct stat info;
    double bytes = stat(path, &info) == 0 ? (double)info.st_size : 0.0;
    char *data = malloc(strlen(path) + 6);
    if (data) {
        sprintf(data, "%s.data", path);
        bytes += stat(data, &info) == 0 ? (double)info.st_size : 0.0;
        free(data);
    }
    return bytes * 1e-6;
}

static int write_file(const tool_options *o, const subject *s, qz_onnx_format format,
                      const int32_t *only, size_t only_count)
{
    qz_onnx_options e = QZ_ONNX_OPTIONS_INIT;
    qz_tensor images = {0};
    e.only = only;
    e.only_count = only_count;
    e.format = format;
    e.opset = (int32_t)o->onnx.opset;
    e.height = (int32_t)o->run.size.height;
    e.width = (int32_t)o->run.size.width;
    e.io_fp16 = o->onnx.io == PRECISION_FP16;
    e.all_outputs = o->onnx.outputs == OUTPUTS_ALL;
    e.external_data = o->onnx.external_data;
    e.postprocess = o->onnx.postprocess;
    e.aux = o->out.aux;
    e.stage = (qz_onnx_stage)(o->onnx.stage + QZ_ONNX_STAGE_IMAGE); /* -1: all */
    e.note = note_kept;
    e.note_user = (void *)(uintptr_t)o;
    if (format == QZ_ONNX_FP16 && !s->info.unit_images) {
        int status = images_gather_batch(o, s->ctx, &s->info, RANGE_IMAGES, &images);
        if (status)
            return status;
        e.images = &images;
    }
    qz_status st = qz_onnx_export(s->model, output_path(o->out.output), &e);
    free(images.data);
    if (st != QZ_OK)
        return tool_fail_status(s->ctx, st);
    images_note_preprocessing(&s->info);
    if (report_prints(o))
        tool_print("%s: %s, %s, opset %ld, %.2f MB, weights %s%s%s", o->out.output, s->info.name,
                   qz_onnx_format_name(format), o->onnx.opset, megabytes(o->out.output),
                   s->info.weights, *s->info.calib ? ", calibrated on " : "", s->info.calib);
    return EXIT_DONE;
}

/* The file, whose objects are of the classes that --classes has as numbers. */
static int write_classes(const tool_options *o, const subject *s, qz_onnx_format format)
{
    int32_t *only = NULL;
    size_t count = 0;
    if (!settings_has_class_numbers(o))
        return write_file(o, s, format, NULL, 0);
    if (!settings_is_yolo(s->ctx, s->info.name))
        return tool_fail(EXIT_USAGE,
                         "--classes %s: numbers of classes go with YOLO only; others take a file "
                         "or folder of names",
                         o->model.classes);
    if (!o->onnx.postprocess)
        return tool_fail(EXIT_USAGE, "--classes %s: numbers of classes go with --postprocess",
                         o->model.classes);
    int status = settings_class_numbers(o, &only, &count);
    if (status == EXIT_DONE)
        status = write_file(o, s, format, only, count);
    free(only);
    return status;
}

/* The format that the options select. A saved model is int8, and other formats are refused. */
static int choose_format(const tool_options *o, bool file, qz_onnx_format *format)
{
    static const qz_onnx_format by_precision[] = {QZ_ONNX_FP32, QZ_ONNX_FP16, QZ_ONNX_QDQ};
    const int given = o->onnx.precision;
    const int precision = given >= 0 ? given : file ? PRECISION_INT8 : PRECISION_FP32;
    if (o->onnx.style >= 0 && precision != PRECISION_INT8)
        return tool_fail(EXIT_USAGE, "--style: goes with --precision int8 only");
    if (file && precision != PRECISION_INT8)
        return tool_fail(EXIT_USAGE, "%s: a saved int8 model is exported with --precision int8",
                         o->args.items[0]);
    if (o->onnx.io == PRECISION_FP16 && precision != PRECISION_FP16)
        return tool_fail(EXIT_USAGE, "--io fp16: goes with --precision fp16 only");
    if (o->onnx.stage >= 0 && o->onnx.postprocess)
        return tool_fail(EXIT_USAGE, "--stage: does not go with --postprocess");
    *format = o->onnx.style == STYLE_QOPERATOR ? QZ_ONNX_QOPERATOR : by_precision[precision];
    return EXIT_DONE;
}

int cmd_export(const tool_options *o)
{
    qz_onnx_format format = QZ_ONNX_FP32;
    qz_context *ctx;
    subject s;
    if (o->args.count != 1)
        return tool_fail(EXIT_USAGE, "export: needs one model");
    if (!o->out.output)
        return tool_fail(EXIT_USAGE, "export: needs -o FILE.onnx");
    if (has_suffix(o->out.output, ".safetensors"))
        return tool_fail(EXIT_USAGE, "-o %s: export writes ONNX; qzoo quantize writes .safetensors",
                         o->out.output);
    const char *slash = strrchr(o->out.output, '/');
    if (o->onnx.external_data && !qz_text_is_utf8(slash ? slash : o->out.output))
        return tool_fail(EXIT_USAGE,
                         "-o %s: --external-data needs a name in UTF-8, which the file refers to",
                         o->out.output);
    int status = choose_format(o, is_model_file(o->args.items[0]), &format);
    if (status == EXIT_DONE)
        status = subject_context(o, &ctx);
    if (status)
        return status;
    bool int8 = format == QZ_ONNX_QDQ || format == QZ_ONNX_QOPERATOR;
    status = subject_open(o, ctx, o->args.items[0], int8, &s);
    if (status == EXIT_DONE) {
        status = write_classes(o, &s, format);
        subject_close(&s);
    }
    subject_context_end(ctx);
    return status;
}
