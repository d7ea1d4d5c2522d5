/* SPDX-License-Identifier: MIT */
/* model_notes.c - what looks wrong about a model's calibration: its images, and their recipe. */
#include "zoo/model/model_notes.h"

#include "zoo/model/model_build.h"

/*
 * Photos that are normalised for a network have a mean near 0 and a deviation near 1; by mean 0.5
 * and deviation 0.5, which some networks want, near 0.5. Beyond these limits are photos of 0 to 1
 * that were not normalised (0.45, 0.27), of 0 to 255, and those normalised twice (-2, 4).
 */
#define MEAN_MOST 1.0
#define DEVIATION_LEAST 0.35
#define DEVIATION_MOST 2.5
#define UNIT_SLACK 0.05

/* Within 0 to 1, after the recipe was undone. */
static bool is_unit(const qzi_input_facts *in, float mean, float std)
{
    return in->min * std + mean >= -UNIT_SLACK && in->max * std + mean <= 1.0 + UNIT_SLACK;
}

static bool fits(const qz_model *model, const qzi_input_facts *in)
{
    const qz_preprocess *p = &model->preprocess;
    if (model->arch->detector && model->arch->detector->kind == QZI_DETECTOR_YOLO)
        return is_unit(in, 0.0f, 1.0f);
    if (model->graph_hash) /* an application's network may want any numbers, by its recipe */
        return is_unit(in, (p->mean[0] + p->mean[1] + p->mean[2]) / 3.0f,
                       (p->std[0] + p->std[1] + p->std[2]) / 3.0f);
    return in->mean >= -MEAN_MOST && in->mean <= MEAN_MOST && in->deviation >= DEVIATION_LEAST &&
           in->deviation <= DEVIATION_MOST;
}

static qz_status note_input(qz_model *model, qzi_notes *notes)
{
    const qz_preprocess *p = &model->preprocess;
    qzi_input_facts in;
    char *text;
    qzi_calibration_input(model->calibration, &in);
    if (in.images == 0 || qzi_model_channels(model) != 3 || notes->count == QZI_NOTES_MAX ||
        fits(model, &in))
        return QZ_OK;
    if (model->arch->detector)
        text = qzi_format(model->ctx,
                          "calibration images reach the network with mean %.3g, deviation %.3g, "
                          "from %.3g to %.3g; it takes photos of 0 to 1",
                          in.mean, in.deviation, (double)in.min, (double)in.max);
    else
        text = qzi_format(
            model->ctx,
            "calibration images reach the network with mean %.3g and deviation %.3g, from %.3g to "
            "%.3g, where photos have about 0 and 1; check their preprocessing: mean %g,%g,%g, std "
            "%g,%g,%g of pixels of 0 to 1",
            in.mean, in.deviation, (double)in.min, (double)in.max, (double)p->mean[0],
            (double)p->mean[1], (double)p->mean[2], (double)p->std[0], (double)p->std[1],
            (double)p->std[2]);
    notes->list[notes->count] = text ? qzi_arena_strdup(&model->arena, text) : NULL;
    qzi_free(model->ctx, text);
    return notes->list[notes->count++] ? QZ_OK : QZ_ERR_MEMORY;
}

qz_status qzi_model_take_notes(qz_model *model)
{
    model->notes.count = 0;
    if (model->calibration_images == 0 || model->synthetic_images > 0)
        return QZ_OK;
    QZI_TRY(qzi_notes_take(model->calibration, &model->arena, &model->notes));
    return note_input(model, &model->notes);
}

qz_status qz_model_notes(qz_model *model, const char *const **notes, size_t *count)
{
    if (!model || !notes || !count)
        return qzi_fail(model ? model->ctx : NULL, QZ_ERR_ARGUMENT,
                        "qz_model_notes: model, notes or count is NULL");
    if (model->calibration)
        QZI_TRY(qzi_model_take_notes(model));
    *notes = model->notes.list;
    *count = model->notes.count;
    return QZ_OK;
}
