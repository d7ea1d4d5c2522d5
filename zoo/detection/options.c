/* SPDX-License-Identifier: MIT */
/* options.c - a detector's settings by the names of torchvision's constructors. */
#include "zoo/detection/options.h"
#include "zoo/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ONE_STAGE \
    ((1u << QZI_DETECTOR_RETINANET) | (1u << QZI_DETECTOR_FCOS) | (1u << QZI_DETECTOR_SSD) | YOLO)
#define YOLO (1u << QZI_DETECTOR_YOLO)
#define TWO_STAGE (1u << QZI_DETECTOR_RCNN)
#define RESIZED (TWO_STAGE | (1u << QZI_DETECTOR_RETINANET) | (1u << QZI_DETECTOR_FCOS))

typedef struct named_value {
    const char *name;
    size_t offset;
    unsigned kinds; /* bits of qzi_detector_kind */
    int32_t least;  /* of a whole number */
    int32_t most;   /* 0: a threshold, a double from 0 to 1 */
} named_value;

#define THRESH(name, kinds)                                      \
    {                                                            \
#name, offsetof(qz_detection_options, name), kinds, 0, 0 \
    }
#define COUNT(name, kinds, most)                                    \
    {                                                               \
#name, offsetof(qz_detection_options, name), kinds, 1, most \
    }
#define CHOICE(name, kinds)                                      \
    {                                                            \
#name, offsetof(qz_detection_options, name), kinds, 0, 1 \
    }

static const named_value settings[] = {
    THRESH(score_thresh, ONE_STAGE),
    THRESH(nms_thresh, ONE_STAGE),
    COUNT(detections_per_img, ONE_STAGE, QZI_DETECTION_COUNT_MAX),
    COUNT(topk_candidates, ONE_STAGE, QZI_DETECTION_COUNT_MAX),
    COUNT(rpn_pre_nms_top_n_test, TWO_STAGE, QZI_DETECTION_COUNT_MAX),
    COUNT(rpn_post_nms_top_n_test, TWO_STAGE, QZI_DETECTION_COUNT_MAX),
    THRESH(rpn_nms_thresh, TWO_STAGE),
    THRESH(rpn_score_thresh, TWO_STAGE),
    THRESH(box_score_thresh, TWO_STAGE),
    THRESH(box_nms_thresh, TWO_STAGE),
    COUNT(box_detections_per_img, TWO_STAGE, QZI_DETECTION_COUNT_MAX),
    COUNT(min_size, RESIZED, QZI_DETECTION_SIDE_MAX),
    COUNT(max_size, RESIZED, QZI_DETECTION_SIDE_MAX),
    CHOICE(agnostic, YOLO),
    CHOICE(multi_label, YOLO),
    CHOICE(rect, YOLO),
    CHOICE(decode, YOLO),
};

static bool applies(const named_value *s, const qzi_detector *detector)
{
    return (s->kinds >> detector->kind & 1u) != 0;
}

static const named_value *find(const qzi_detector *detector, const char *name)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(settings); i++)
        if (applies(&settings[i], detector) && strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

const char *qzi_detection_options_name(const qzi_detector *detector, size_t index)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(settings); i++)
        if (applies(&settings[i], detector) && index-- == 0)
            return settings[i].name;
    return NULL;
}

static double value_of(const named_value *s, const qz_detection_options *options)
{
    const char *field = (const char *)options + s->offset;
    if (s->most == 0) {
        double threshold;
        memcpy(&threshold, field, sizeof(threshold));
        return threshold;
    }
    int32_t count;
    memcpy(&count, field, sizeof(count));
    return count;
}

bool qzi_detection_options_get(const qzi_detector *detector, const qz_detection_options *options,
                               const char *name, double *value)
{
    const named_value *s = find(detector, name);
    if (s)
        *value = value_of(s, options);
    return s != NULL;
}

static qz_status check_value(const qz_context *ctx, const char *model, const named_value *s,
                             double value)
{
    if (s->most == 0 && !(value >= 0.0 && value <= 1.0))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: %s is %g; it must be from 0 to 1", model,
                        s->name, value);
    if (s->most > 0 && !(value >= s->least && value <= s->most && value == (double)(int32_t)value))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "%s: %s is %g; it must be a whole number from %d to %d", model, s->name,
                        value, s->least, s->most);
    return QZ_OK;
}

/* All names, as there are few. */
static qz_status fail_unknown(const qz_context *ctx, const qzi_detector *detector,
                              const char *model, const char *name)
{
    char names[512];
    size_t used = 0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(settings) && used < sizeof(names); i++)
        if (applies(&settings[i], detector))
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
                                     used > 0 ? ", " : "", settings[i].name);
    return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: it has no setting '%.48s'; it has %s", model, name,
                    names);
}

qz_status qzi_detection_options_set(const qz_context *ctx, const qzi_detector *detector,
                                    const char *model, qz_detection_options *options,
                                    const char *name, double value)
{
    const named_value *s = find(detector, name);
    if (!s)
        return fail_unknown(ctx, detector, model, name);
    QZI_TRY(check_value(ctx, model, s, value));
    char *field = (char *)options + s->offset;
    const int32_t count = s->most > 0 ? (int32_t)value : 0;
    if (s->most == 0)
        memcpy(field, &value, sizeof(value));
    else
        memcpy(field, &count, sizeof(count));
    return QZ_OK;
}

qz_status qzi_detection_options_check(const qz_context *ctx, const qzi_detector *detector,
                                      const char *model, const qz_detection_options *options)
{
    for (size_t i = 0; i < QZI_ARRAY_LEN(settings); i++)
        if (applies(&settings[i], detector))
            QZI_TRY(check_value(ctx, model, &settings[i], value_of(&settings[i], options)));
    if ((detector->kind == QZI_DETECTOR_SSD || detector->kind == QZI_DETECTOR_YOLO) &&
        (options->fixed_h < 1 || options->fixed_w < 1 ||
         options->fixed_h > QZI_DETECTION_SIDE_MAX || options->fixed_w > QZI_DETECTION_SIDE_MAX))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "%s: an input of %d x %d is no size", model,
                        options->fixed_h, options->fixed_w);
    if (detector->kind == QZI_DETECTOR_YOLO &&
        (options->fixed_h % detector->size_divisor || options->fixed_w % detector->size_divisor))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                        "%s: an input of %d x %d; both sides must be multiples of %d", model,
                        options->fixed_h, options->fixed_w, detector->size_divisor);
    return QZ_OK;
}

/* ---- the public calls ---- */

static qz_status find_detector(const qz_context *ctx, const char *name,
                               const qzi_detector **detector)
{
    const qzi_arch *arch = qzi_arch_get(name);
    if (!arch)
        return qzi_arch_fail_unknown(ctx, name);
    if (!arch->detector)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                        "%s: it is no detector, and has no detection settings", name);
    *detector = arch->detector;
    return QZ_OK;
}

qz_status qz_detection_options_default(qz_context *context, const char *name,
                                       qz_detection_options *options)
{
    const qzi_detector *detector = NULL;
    if (!name || !options)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_detection_options_default: name and options must not be NULL");
    QZI_TRY(find_detector(context, name, &detector));
    *options = detector->defaults;
    options->size = sizeof(*options);
    return QZ_OK;
}

qz_status qz_detection_options_set(qz_context *context, const char *name,
                                   qz_detection_options *options, const char *setting, double value)
{
    const qzi_detector *detector = NULL;
    if (!name || !options || !setting)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_detection_options_set: name, options and setting must not be NULL");
    QZI_TRY(find_detector(context, name, &detector));
    return qzi_detection_options_set(context, detector, name, options, setting, value);
}
