/* SPDX-License-Identifier: MIT */
/*
 * keys_yolo.c - which YOLO a file is of, by its keys and shapes and by what a saved module says.
 *
 * Dozens of networks are called YOLO, and files of all are called best.pt. A file of another one is
 * refused by that one's name. Facts about keys and layers of each are its publisher's.
 */
#include "zoo/model/keys.h"

#include "zoo/detection/detector.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE 512

/* A file that is looked at: keys are below `prefix` ("module."). */
typedef struct file {
    const qz_state_dict *dict;
    char prefix[KEY_SIZE];
    int32_t detect; /* the number of the last module: model.24 */
} file;

/* ---- questions ---- */

static const qz_tensor *find(const file *f, const char *fmt, ...) QZ_PRINTF(2, 3);
static const qz_tensor *find(const file *f, const char *fmt, ...)
{
    char name[128], key[KEY_SIZE + 128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);
    snprintf(key, sizeof(key), "%s%s", f->prefix, name);
    return qz_state_dict_find(f->dict, key);
}

/* Whether any key has the part. */
static bool holds(const file *f, const char *part)
{
    for (size_t i = 0; i < f->dict->count; i++)
        if (strstr(f->dict->entries[i].key, part))
            return true;
    return false;
}

/* Finds a key that ends with `root`, at its beginning or behind a dot; what is before it is the
 * prefix. */
static bool find_prefix(file *f, const char *root)
{
    const size_t size = strlen(root);
    for (size_t i = 0; i < f->dict->count; i++) {
        const char *key = f->dict->entries[i].key;
        const size_t all = strlen(key);
        if (!qzi_ends_with(key, root) || all - size >= sizeof(f->prefix) ||
            (all > size && key[all - size - 1] != '.'))
            continue;
        snprintf(f->prefix, sizeof(f->prefix), "%.*s", (int)(all - size), key);
        return true;
    }
    return false;
}

static int32_t last_module(const file *f)
{
    char begin[KEY_SIZE + 8];
    long last = -1;
    snprintf(begin, sizeof(begin), "%smodel.", f->prefix);
    const size_t size = strlen(begin);
    for (size_t i = 0; i < f->dict->count; i++) {
        const char *key = f->dict->entries[i].key;
        char *end = NULL;
        if (strncmp(key, begin, size) != 0)
            continue;
        const long number = strtol(key + size, &end, 10);
        if (end > key + size && *end == '.' && number > last && number < 10000)
            last = number;
    }
    return (int32_t)last;
}

/* Of "nsmlx", the letter of a width; '?' for another. */
static char size_letter(int64_t channels, const int64_t widths[5])
{
    for (int i = 0; i < 5; i++)
        if (channels == widths[i])
            return "nsmlx"[i];
    return '?';
}

/* ---- names ---- */

static void say(char *name, size_t size, const char *fmt, ...) QZ_PRINTF(3, 4);
static void say(char *name, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, size, fmt, args);
    va_end(args);
}

/* What has no anchors: its boxes are distributions ("dfl"). */
static void name_anchor_free(const file *f, const qz_tensor *stem, char *name, size_t size)
{
    static const int64_t v5[5] = {16, 32, 48, 64, 80}, v8[5] = {16, 32, 48, 64, 80};
    const int32_t n = f->detect;
    if (n == 24 && stem->ndim == 4 && stem->dims[2] == 6)
        say(name, size, "yolov5%cu, whose heads have no anchors", size_letter(stem->dims[0], v5));
    else if (n == 28)
        say(name, size, "yolov3u, whose heads have no anchors");
    else if (find(f, "model.%d.one2one_cv2.0.0.conv.weight", (int)n))
        say(name, size, "YOLOv10 or later");
    else if (holds(f, ".cv2.0.cv1.conv.weight") || holds(f, ".dfl2."))
        say(name, size, "YOLOv9");
    else if (n == 23)
        say(name, size, "YOLO11");
    else if (n == 22)
        say(name, size, "YOLOv8%c", size_letter(stem->dims[0], v8));
    else
        say(name, size, "a later YOLO, whose heads have no anchors");
}

/* Modules of ultralytics' layer tables, "model.0" on. */
static void name_ultralytics(const file *f, char *name, size_t size)
{
    static const int64_t v5[5] = {16, 32, 48, 64, 80};
    const qz_tensor *stem = find(f, "model.0.conv.weight");
    const qz_tensor *focus = find(f, "model.0.conv.conv.weight");
    const int32_t n = f->detect;
    if (focus) {
        say(name, size, "yolov5%c of release %s, which begins with Focus",
            size_letter(focus->dims[0], v5),
            holds(f, ".cv4.conv.weight") || holds(f, ".cv4.weight") ? "3.1 or before"
                                                                    : "4.0 or 5.0");
        return;
    }
    if (!stem || stem->ndim != 4)
        return;
    if (find(f, "model.%d.linear.weight", (int)n))
        say(name, size, "a classifier of ultralytics");
    else if (holds(f, ".ia.0.implicit") || holds(f, ".im.0.implicit") || n >= 77)
        say(name, size, "YOLOv7");
    else if (holds(f, ".dfl.conv.weight") || find(f, "model.%d.cv2.0.0.conv.weight", (int)n))
        name_anchor_free(f, stem, name, size);
    else if (!find(f, "model.%d.m.0.weight", (int)n))
        return;
    else if (stem->dims[2] == 6 && find(f, "model.%d.proto.cv1.conv.weight", (int)n))
        say(name, size, "yolov5%c-seg", size_letter(stem->dims[0], v5));
    else if (stem->dims[2] == 6 && n == 33)
        say(name, size, "yolov5%c6, which has four levels", size_letter(stem->dims[0], v5));
    else if (stem->dims[2] == 6 && n == 24 && size_letter(stem->dims[0], v5) != '?')
        say(name, size, "yolov5%c", size_letter(stem->dims[0], v5));
    else if (n == 28 && find(f, "model.12.cv1.conv.weight"))
        say(name, size, "yolov3-spp");
    else if (n == 28 && find(f, "model.12.conv.weight"))
        say(name, size, "yolov3");
    else if (n == 20 && stem->dims[0] == 16)
        say(name, size, "yolov3-tiny");
}

/* Layers of a .cfg file, as ports of darknet number them. */
static void name_module_list(const file *f, char *name, size_t size)
{
    if (find(f, "module_list.138.Conv2d.bias") && find(f, "module_list.160.Conv2d.bias"))
        say(name, size, "yolov4");
    else if (find(f, "module_list.81.Conv2d.bias") && find(f, "module_list.105.Conv2d.bias"))
        say(name, size, "yolov3 with the names of darknet's layers");
    else if (holds(f, ".Conv2d.bias")) /* else it has no heads */
        say(name, size, "another network of darknet's");
}

/* "": the file is of nothing that is known here. */
static void name_file(const qz_state_dict *dict, char *name, size_t size)
{
    static const struct {
        const char *key, *name;
    } known[] = {
        {"backbone.backbone.stem.conv.conv.weight", "YOLOX"},
        {"head.cls_preds.0.weight", "YOLOX"},
        {"backbone.stem.rbr_dense.conv.weight", "YOLOv6"},
        {"backbone.stem.block.conv.weight", "YOLOv6"},
        {"detect.stems.0.block.conv.weight", "YOLOv6"},
        {"bbox_head.convs_pred.0.weight", "mmdetection's YOLOv3"},
        {"down1.conv1.conv.0.weight", "yolov4 with the names of another port"},
        {"models.0.conv1.weight", "a port of darknet with names of its own"},
    };
    file f = {.dict = dict};
    name[0] = '\0';
    for (size_t i = 0; i < QZI_ARRAY_LEN(known) && name[0] == '\0'; i++)
        if (find_prefix(&f, known[i].key))
            say(name, size, "%s", known[i].name);
    if (name[0] != '\0')
        return;
    if (find_prefix(&f, "module_list.0.Conv2d.weight")) {
        name_module_list(&f, name, size);
    } else if (find_prefix(&f, "model.0.conv.weight") ||
               find_prefix(&f, "model.0.conv.conv.weight")) {
        f.detect = last_module(&f);
        name_ultralytics(&f, name, size);
    }
}

/* ---- what the network makes of it ---- */

static qz_status check_name(const qzi_fit *fit)
{
    const char *own = fit->model->arch->info.name;
    char name[128];
    name_file(fit->dict, name, sizeof(name));
    if (name[0] == '\0' || strcmp(name, own) == 0)
        return QZ_OK;
    const qzi_arch *arch = qzi_arch_get(name);
    if (arch)
        return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                        "%s: the file is of %s, not of %s; name %s as the model", fit->path, name,
                        own, name);
    return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                    "%s: the file is of %s, not of %s; that network is not built here", fit->path,
                    name, own);
}

/* The strides of the saved module must be the network's. */
static qz_status check_strides(const qzi_fit *fit)
{
    const char *text = qz_state_dict_metadata(fit->dict, QZ_METADATA_MODULE_STRIDES);
    const int32_t *strides = fit->model->arch->detector->strides;
    char own[64];
    snprintf(own, sizeof(own), "%d %d %d", (int)strides[0], (int)strides[1], (int)strides[2]);
    if (!text || strcmp(text, own) == 0)
        return QZ_OK;
    return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                    "%s: the module's strides are %s, and %s has %s; is it another network?",
                    fit->path, text, fit->model->arch->info.name, own);
}

/* So must its number of classes be that of its heads. */
static qz_status check_classes(const qzi_fit *fit)
{
    const char *text = qz_state_dict_metadata(fit->dict, QZ_METADATA_MODULE_CLASSES);
    char key[KEY_SIZE];
    snprintf(key, sizeof(key), "%s.weight", fit->head);
    const qz_tensor *head = qz_state_dict_find(fit->dict, key);
    if (!text || !head || head->ndim < 1)
        return QZ_OK;
    const long long classes = strtoll(text, NULL, 10);
    if (classes > 0 && classes < 1000000 &&
        head->dims[0] == fit->head_rows * (fit->head_extra + classes))
        return QZ_OK;
    return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                    "%s: the module says that it has %s classes, but %s has %lld rows; the file is "
                    "damaged",
                    fit->path, text, key, (long long)head->dims[0]);
}

/* A saved module says which activation it has: YOLOv3's may be either, the others' is fixed. */
static qz_status take_activation(const qzi_fit *fit, qzi_build_options *build)
{
    const char *text = qz_state_dict_metadata(fit->dict, QZ_METADATA_MODULE_ACTIVATIONS);
    const bool has_both = fit->model->arch->has_activation;
    if (!text || (has_both && fit->options->activation != QZ_ACT_NONE) ||
        qz_state_dict_find(fit->dict, "module_list.0.Conv2d.weight"))
        return QZ_OK;
    const bool silu = strcmp(text, "SiLU") == 0, leaky = strcmp(text, "LeakyReLU(0.1)") == 0;
    if (has_both && silu)
        build->activation = QZ_ACT_SILU;
    else if (has_both && leaky)
        build->activation = QZ_ACT_NONE;
    else if (!silu)
        return qzi_fail(fit->model->ctx, QZ_ERR_MISMATCH,
                        "%s: the module's activation is %s, and %s has %s", fit->path, text,
                        fit->model->arch->info.name, has_both ? "SiLU or LeakyReLU(0.1)" : "SiLU");
    return QZ_OK;
}

/* Anchors in pixels that old versions keep beside those that count. */
static qz_status drop_grids(const qzi_fit *fit)
{
    for (size_t i = 0; i < fit->dict->count;) {
        if (qzi_ends_with(fit->dict->entries[i].key, ".anchor_grid"))
            QZI_TRY(qz_state_dict_remove(fit->dict, fit->dict->entries[i].key));
        else
            i++;
    }
    return QZ_OK;
}

static bool is_yolo(const qzi_fit *fit)
{
    const qzi_detector *detector = fit->model->arch->detector;
    return detector && detector->kind == QZI_DETECTOR_YOLO && !fit->int8;
}

qz_status qzi_keys_yolo(qzi_fit *fit)
{
    if (!is_yolo(fit))
        return QZ_OK;
    if (fit->options->map_count == 0)
        QZI_TRY(check_name(fit));
    QZI_TRY(check_strides(fit));
    return drop_grids(fit);
}

qz_status qzi_keys_yolo_module(qzi_fit *fit, qzi_build_options *build)
{
    if (!is_yolo(fit))
        return QZ_OK;
    QZI_TRY(check_classes(fit));
    return take_activation(fit, build);
}
