/* SPDX-License-Identifier: MIT */
/* outcome.c - compares the outputs of both graphs on the kept images. */
#include "quant/refine/outcome.h"

#include <math.h>
#include <string.h>

qz_status qzi_outcome_create(const qz_graph *graph, qzi_outcome *outcome)
{
    *outcome = (qzi_outcome){.graph = graph, .outputs = graph->output_count};
    const size_t room = QZI_KEPT_MAX * outcome->outputs;
    outcome->values = qzi_calloc(graph->ctx, room, sizeof(*outcome->values));
    outcome->counts = qzi_calloc(graph->ctx, room, sizeof(*outcome->counts));
    return outcome->values && outcome->counts ? QZ_OK : QZ_ERR_MEMORY;
}

void qzi_outcome_free(qzi_outcome *outcome)
{
    if (!outcome->graph)
        return;
    const qz_context *ctx = outcome->graph->ctx;
    for (size_t i = 0; outcome->values && i < QZI_KEPT_MAX * outcome->outputs; i++)
        qzi_free(ctx, outcome->values[i]);
    qzi_free(ctx, outcome->values);
    qzi_free(ctx, outcome->counts);
}

/* Output i of the last run; *values NULL where the run did not compute it. */
static qz_status fetch(const qzi_exec *exec, const qz_graph *graph, size_t i, float **values,
                       int64_t *count)
{
    qz_tensor t;
    *values = NULL;
    *count = 0;
    if (!qzi_exec_needs(exec, graph->outputs[i].value))
        return QZ_OK;
    QZI_TRY(qzi_exec_output_shape(exec, i, &t));
    *count = qz_tensor_numel(&t);
    *values = qzi_alloc(graph->ctx, (size_t)*count * sizeof(**values));
    if (!*values)
        return QZ_ERR_MEMORY;
    qzi_exec_output(exec, i, *values);
    return QZ_OK;
}

/* What other stages read, which is no result. */
static bool is_inner(const qz_graph *graph, size_t i)
{
    return strncmp(graph->outputs[i].name, "features.", 9) == 0;
}

qz_status qzi_outcome_take(qzi_outcome *outcome, const qzi_exec *exec)
{
    if (outcome->images == QZI_KEPT_MAX || outcome->bytes > QZI_OUTCOME_BYTES)
        return QZ_OK;
    const size_t at = outcome->images * outcome->outputs;
    for (size_t i = 0; i < outcome->outputs; i++) {
        if (is_inner(outcome->graph, i))
            continue;
        QZI_TRY(fetch(exec, outcome->graph, i, &outcome->values[at + i], &outcome->counts[at + i]));
        outcome->bytes += (size_t)outcome->counts[at + i] * sizeof(float);
    }
    outcome->images++;
    return QZ_OK;
}

static int64_t top_class(const float *x, int64_t n)
{
    int64_t top = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[top])
            top = i;
    return top;
}

typedef struct energy {
    double signal, noise;
} energy;

static void add_energy(energy *e, const float *real, const float *made, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double difference = (double)real[i] - (double)made[i];
        e->signal += (double)real[i] * (double)real[i];
        e->noise += difference * difference;
    }
}

static double decibels(energy e)
{
    if (!isfinite(e.signal) || !isfinite(e.noise))
        return NAN;
    if (e.noise == 0.0)
        return INFINITY;
    return e.signal == 0.0
               ? -INFINITY
               : (qzi_math_log(e.signal) - qzi_math_log(e.noise)) * (10.0 / 2.302585092994045684);
}

/* Adds one image; energies by output. */
static qz_status add_image(const qzi_outcome *o, size_t image, const qzi_exec *exec,
                           const qz_graph *int8_graph, energy *energies, size_t *agreements)
{
    for (size_t i = 0; i < o->outputs; i++) {
        const float *real = o->values[image * o->outputs + i];
        const int64_t count = o->counts[image * o->outputs + i];
        float *made;
        int64_t made_count;
        if (!real)
            continue;
        QZI_TRY(fetch(exec, int8_graph, i, &made, &made_count));
        if (made && made_count == count) {
            add_energy(&energies[i], real, made, count);
            *agreements += i == 0 && top_class(real, count) == top_class(made, count);
        }
        qzi_free(o->graph->ctx, made);
    }
    return QZ_OK;
}

static qz_status run_images(const qzi_outcome *o, const qz_graph *int8_graph, const qzi_kept *kept,
                            uint32_t threads, energy *energies, size_t *agreements)
{
    qzi_packed *packed = NULL;
    qzi_exec *exec = NULL;
    qz_status st;
    QZI_GOTO(st, qzi_packed_create(int8_graph, QZ_ISA_AUTO, &packed));
    QZI_GOTO(st, qzi_exec_create(packed, int8_graph, threads, &exec));
    for (size_t i = 0; i < o->images; i++) {
        QZI_GOTO(st, qzi_walk_run(exec, int8_graph, &kept->image[i]));
        QZI_GOTO(st, add_image(o, i, exec, int8_graph, energies, agreements));
    }
fail:
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    return st;
}

qz_status qzi_outcome_measure(const qzi_outcome *outcome, const qz_graph *int8_graph,
                              const qzi_kept *kept, uint32_t threads, qz_recipe_step *step)
{
    const qz_graph *graph = outcome->graph;
    size_t agreements = 0;
    energy *energies = qzi_calloc(graph->ctx, outcome->outputs, sizeof(*energies));
    if (!energies)
        return QZ_ERR_MEMORY;
    qzi_fpenv env = qzi_fpenv_enter();
    const qz_status st = run_images(outcome, int8_graph, kept, threads, energies, &agreements);
    step->images = outcome->images;
    step->output_db = INFINITY;
    for (size_t i = 0; i < outcome->outputs; i++)
        if (outcome->values[i]) {
            const double db = decibels(energies[i]);
            step->output_db = db < step->output_db || isnan(db) ? db : step->output_db;
        }
    qzi_fpenv_leave(env);
    step->top1_agreement = graph->nodes[graph->outputs[0].value].flat && outcome->images > 0
                               ? (double)agreements / (double)outcome->images
                               : NAN;
    qzi_free(graph->ctx, energies);
    return st;
}
