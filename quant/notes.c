/* SPDX-License-Identifier: MIT */
/*
 * notes.c - what looks wrong about a calibration, by what its observers have seen.
 *
 * The limits come from networks with real weights and images (bench/NOTES.md, "Notes of
 * calibration").
 */
#include "quant/notes.h"

#include <math.h>

/* Fewer images than this. */
#define FEW_IMAGES 8
/* The last image widens ranges by more than this part, on average. */
#define GROWTH 0.01
/* This part of all channels had one value. */
#define CONSTANT 0.1

static qz_status add(const qzi_calibration *cal, qzi_arena *arena, qzi_notes *notes, char *text)
{
    const char *kept = text ? qzi_arena_strdup(arena, text) : NULL;
    qzi_free(qzi_calibration_graph(cal)->ctx, text);
    if (!kept)
        return QZ_ERR_MEMORY;
    if (notes->count < QZI_NOTES_MAX)
        notes->list[notes->count++] = kept;
    return QZ_OK;
}

/* ---- ranges ---- */

/* The mean over values, and the value that grows most. */
static double mean_growth(const qzi_calibration *cal, const char **worst, double *most)
{
    const qz_graph *graph = qzi_calibration_graph(cal);
    double sum = 0.0;
    size_t count = 0;
    *most = -1.0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_extremes *e = qzi_calibration_extremes(cal, (qz_value)i);
        const double growth = e ? qzi_extremes_growth(e) : (double)NAN;
        if (e && e->batches != qzi_calibration_images(cal))
            continue; /* statistics that do not say it, or a value that not every image has */
        if (isnan(growth))
            continue;
        sum += growth;
        count++;
        if (growth > *most) {
            *most = growth;
            *worst = graph->nodes[i].name;
        }
    }
    return count ? sum / (double)count : 0.0;
}

static qz_status note_images(const qzi_calibration *cal, qzi_arena *arena, qzi_notes *notes)
{
    const qz_context *ctx = qzi_calibration_graph(cal)->ctx;
    const size_t images = qzi_calibration_images(cal);
    const char *worst = NULL;
    double most;
    if (images < FEW_IMAGES)
        return add(cal, arena, notes,
                   qzi_format(ctx,
                              "calibrated on %zu image%s: ranges of int8 follow from too little; "
                              "take 32 or more of the kind that the model will see",
                              images, images == 1 ? "" : "s"));
    const double growth = mean_growth(cal, &worst, &most);
    if (growth <= GROWTH)
        return QZ_OK;
    return add(cal, arena, notes,
               qzi_format(ctx,
                          "ranges still grow at the last image, by %.1f %% on average over all "
                          "orders of the %zu images, of %s by %.1f %%; calibrate on more images, "
                          "or look for one that differs from all others",
                          100.0 * growth, images, worst, 100.0 * most));
}

/* ---- channels ---- */

static int32_t count_constant(const qzi_tally *tally)
{
    int32_t constant = 0;
    for (int32_t c = 0; c < tally->channels; c++)
        constant += tally->min[c] == tally->max[c];
    return constant;
}

static qz_status note_channels(const qzi_calibration *cal, qzi_arena *arena, qzi_notes *notes)
{
    const qz_graph *graph = qzi_calibration_graph(cal);
    int64_t channels = 0, constant = 0;
    int32_t most = 0;
    size_t worst = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_tally *tally = qzi_calibration_tally(cal, (qz_value)i);
        if (!tally || tally->values == 0)
            continue;
        const int32_t here = count_constant(tally);
        channels += tally->channels;
        constant += here;
        /* the largest share; of equal shares the first */
        if ((int64_t)here * (most ? qzi_calibration_tally(cal, (qz_value)worst)->channels : 1) >
            (int64_t)most * tally->channels) {
            most = here;
            worst = i;
        }
    }
    /* in few images many channels of trained networks happen to be 0 everywhere */
    if (qzi_calibration_images(cal) < FEW_IMAGES || (double)constant <= CONSTANT * (double)channels)
        return QZ_OK;
    return add(cal, arena, notes,
               qzi_format(graph->ctx,
                          "%lld of %lld channels had one value in all images, of %s %d of %d; the "
                          "images are too much alike, or the weights are not this network's",
                          (long long)constant, (long long)channels, graph->nodes[worst].name,
                          (int)most, (int)qzi_calibration_tally(cal, (qz_value)worst)->channels));
}

qz_status qzi_notes_take(const qzi_calibration *calibration, qzi_arena *arena, qzi_notes *notes)
{
    notes->count = 0;
    QZI_TRY(note_images(calibration, arena, notes));
    return note_channels(calibration, arena, notes);
}
