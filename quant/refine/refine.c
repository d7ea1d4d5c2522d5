/* SPDX-License-Identifier: MIT */
/*
 * refine.c - the steps of a recipe in their order, and what each of them gains.
 *
 * Gains are measured on the kept images, those that the steps themselves look at.
 */
#include "quant/refine/refine.h"
#include "quant/convert.h"
#include "quant/refine/bias_correct.h"
#include "quant/refine/equalize.h"
#include "quant/refine/outcome.h"
#include "quant/refine/weight_ranges.h"

typedef struct refinement {
    qz_graph *graph, *int8_graph;
    const qzi_calibration *calibration;
    const qzi_qconfig *qconfig;
    const qzi_kept *kept;
    uint32_t threads;
    size_t images; /* of the kept ones, that fit into memory at once */
    qzi_float_means *means;
    qzi_energies *energies;
    qzi_outcome outcome;
    qzi_recipe_report *report;
    double start; /* of the step */
} refinement;

static qz_status float_hook(void *user, const qz_graph *graph, qz_value node, const qzk_view *view)
{
    const refinement *r = user;
    if (r->energies)
        QZI_TRY(qzi_energies_hook(r->energies, graph, node, view));
    return r->means ? qzi_float_means_hook(r->means, graph, node, view) : QZ_OK;
}

/* One float run of each image: what layers see, and the outputs. */
static qz_status run_float(refinement *r)
{
    qzi_packed *packed = NULL;
    qzi_exec *exec = NULL;
    qz_status st;
    QZI_GOTO(st, qzi_packed_create(r->graph, QZ_ISA_AUTO, &packed));
    QZI_GOTO(st, qzi_exec_create(packed, r->graph, r->threads, &exec));
    qzi_exec_set_hook(exec, float_hook, r);
    for (size_t i = 0; i < r->images; i++) {
        QZI_GOTO(st, qzi_walk_run(exec, r->graph, &r->kept->image[i]));
        QZI_GOTO(st, qzi_outcome_take(&r->outcome, exec));
    }
fail:
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    return st;
}

/* Ends a step: its time, and what the outputs are like now. */
static qz_status end_step(refinement *r, const char *name, size_t layers, size_t skipped)
{
    qz_recipe_step *step = &r->report->steps[r->report->count];
    *step = (qz_recipe_step){
        .name = name, .layers = layers, .skipped = skipped, .seconds = qzi_now() - r->start};
    QZI_TRY(qzi_outcome_measure(&r->outcome, r->int8_graph, r->kept, r->threads, step));
    r->report->count++;
    r->start = qzi_now();
    return QZ_OK;
}

/* Replaces the int8 graph by one of equalized values. */
static qz_status equalize(refinement *r, qzi_values *values, size_t *layers)
{
    qz_graph *equalized;
    if (r->qconfig->equalize <= QZ_EQUALIZATION_NONE)
        return QZ_OK;
    QZI_TRY(qzi_equalize(r->graph, r->calibration, values, layers));
    if (*layers == 0)
        return QZ_OK;
    QZI_TRY(qzi_convert_values(r->graph, r->qconfig, values->list, &equalized));
    qz_graph_destroy(r->int8_graph);
    r->int8_graph = equalized;
    return QZ_OK;
}

/* What goes layer by layer: roundings, biases. */
static qz_status settle_layers(refinement *r)
{
    const bool rounds = r->qconfig->rounding == QZ_ROUNDING_ADAROUND;
    qzi_adaround rounding = {.graph = r->graph,
                             .int8_graph = r->int8_graph,
                             .form = qzi_qconfig_weight_form(r->qconfig),
                             .centered = r->means != NULL,
                             .iterations = r->qconfig->iterations ? r->qconfig->iterations
                                                                  : QZI_ADAROUND_ITERATIONS,
                             .threads = r->threads};
    size_t layers, skipped;
    if (r->means) {
        QZI_TRY(qzi_bias_correct(r->graph, r->int8_graph, r->kept, r->images, r->means,
                                 rounds ? &rounding : NULL, r->threads, &layers, &skipped));
        return end_step(r, rounds ? "adaround, bias correction" : "bias correction", layers,
                        skipped);
    }
    if (!rounds)
        return QZ_OK;
    QZI_TRY(qzi_walk_layers(r->graph, r->int8_graph, r->kept, r->images, QZI_ADAROUND_SAMPLES,
                            r->threads, qzi_adaround_visit, &rounding));
    return end_step(r, "adaround", rounding.rounded, 0);
}

/*
 * With 8 bits and nearest rounding the largest weight sets the scale well enough: the search gained
 * at most .2 dB on mobilenet_v2 and mobilenet_v3_small, lost as often, and cost
 * deeplabv3_mobilenet_v2 in qnnpack .003 of its pixels. Before AdaRound it is worth much where a
 * layer has one scale: 18.6 to 23.3 dB on mobilenet_v3_small's kept images.
 */
static bool searches_weight_ranges(const qzi_qconfig *qconfig)
{
    const qzi_weight_form form = qzi_qconfig_weight_form(qconfig);
    return (qconfig->recipe >= QZ_RECIPE_FAST && form.bits < 8) ||
           (qconfig->recipe >= QZ_RECIPE_BEST && !form.per_channel);
}

static qz_status refine(refinement *r, qzi_values *values)
{
    size_t layers = 0, skipped = 0;
    if (!qzi_qconfig_needs_images(r->qconfig)) /* nothing to measure on */
        return equalize(r, values, &layers);
    QZI_TRY(qzi_outcome_create(r->graph, &r->outcome));
    if (r->qconfig->bias_correction == QZ_BIAS_CORRECTION_IMAGES)
        QZI_TRY(qzi_float_means_create(r->graph, r->int8_graph, r->threads, &r->means));
    if (searches_weight_ranges(r->qconfig))
        QZI_TRY(qzi_energies_create(r->graph, r->int8_graph, r->threads, &r->energies));
    QZI_TRY(qzi_walk_count(r->graph, r->int8_graph, r->kept, &r->images));
    QZI_TRY(run_float(r));
    QZI_TRY(end_step(r, "nearest", 0, 0));
    if (r->qconfig->equalize > QZ_EQUALIZATION_NONE) {
        QZI_TRY(equalize(r, values, &layers));
        QZI_TRY(end_step(r, "equalization", layers, 0));
    }
    if (r->energies) {
        QZI_TRY(qzi_weight_ranges(r->graph, r->int8_graph, r->energies,
                                  qzi_qconfig_weight_form(r->qconfig), &layers, &skipped));
        QZI_TRY(end_step(r, "weight ranges", layers, skipped));
    }
    return settle_layers(r);
}

static qz_status convert(refinement *r)
{
    qzi_values values;
    qz_status st;
    QZI_GOTO(st, qzi_values_find(r->graph, r->calibration, &values));
    QZI_GOTO(st, qzi_convert_values(r->graph, r->qconfig, values.list, &r->int8_graph));
    QZI_GOTO(st, refine(r, &values));
fail:
    qzi_values_free(&values);
    return st;
}

qz_status qzi_refine_convert(qz_graph *graph, const qzi_calibration *calibration,
                             qz_graph **int8_graph, qzi_recipe_report *report)
{
    refinement r = {.graph = graph,
                    .calibration = calibration,
                    .qconfig = qzi_calibration_qconfig(calibration),
                    .kept = qzi_calibration_kept(calibration),
                    .threads = qzi_calibration_threads(calibration),
                    .report = report,
                    .start = qzi_now()};
    report->count = 0;
    QZI_TRY(qzi_calibration_check(calibration));
    if (qzi_qconfig_needs_images(r.qconfig) && r.kept->count == 0)
        return qzi_fail(graph->ctx, QZ_ERR_STATE,
                        "the recipe needs images, and only statistics were given; calibrate "
                        "with images too, or choose recipe none");
    const qz_status st = convert(&r);
    qzi_float_means_destroy(r.means);
    qzi_energies_destroy(r.energies);
    qzi_outcome_free(&r.outcome);
    if (st == QZ_OK)
        *int8_graph = r.int8_graph;
    else
        qz_graph_destroy(r.int8_graph);
    return st;
}
