/* SPDX-License-Identifier: MIT */
/*
 * model_pack.c - packed weights, made once for each bundle and shared by sessions, and what
 * qz_model_finalize frees.
 */
#include "zoo/model/model_pack.h"
#include "layers/graph/exec.h"
#include "zoo/model/model_build.h"

static qz_isa resolve_isa(const qz_model *model, qz_isa isa)
{
    if (isa == QZ_ISA_AUTO)
        isa = qz_context_isa(model->ctx);
    return isa == QZ_ISA_AUTO ? qz_isa_best() : isa;
}

/* Under the lock. */
static qz_status find_or_pack(qz_model *model, bool int8, bool winograd, qz_isa isa,
                              const qzi_packed **packed)
{
    const qz_graph *graph = int8 ? model->int8_graph : model->graph;
    for (size_t i = 0; i < model->packings.count; i++) {
        const struct qzi_packing *p = &model->packings.list[i];
        if (p->int8 == int8 && p->winograd == winograd && p->isa == isa) {
            *packed = p->packed;
            return QZ_OK;
        }
    }
    if (!graph || model->dropped)
        return qzi_fail(model->ctx, QZ_ERR_STATE,
                        "%s: the weights were dropped; only the instruction set of the context "
                        "at qz_model_finalize can run, and float with Winograd's algorithm",
                        model->arch->info.name);
    qzi_packed *made = NULL;
    int32_t h, w;
    QZI_TRY(qzi_model_network_size(model, &h, &w));
    if (winograd)
        QZI_TRY(qzi_packed_create_winograd(graph, isa, h, w, &made));
    else
        QZI_TRY(qzi_packed_create(graph, isa, &made));
    model->packings.list[model->packings.count++] =
        (struct qzi_packing){.packed = made, .isa = isa, .int8 = int8, .winograd = winograd};
    *packed = made;
    return QZ_OK;
}

qz_status qzi_model_packed(qz_model *model, bool int8, bool winograd, qz_isa isa,
                           const qzi_packed **packed)
{
    isa = resolve_isa(model, isa);
    if (!qz_isa_name(isa))
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT, "there is no instruction set number %d",
                        (int)isa);
    if (!qz_isa_available(isa))
        return qzi_fail(model->ctx, QZ_ERR_UNSUPPORTED, "this CPU or this build does not have %s",
                        qz_isa_name(isa));
    qzi_mutex_lock(model->packings.lock);
    qz_status st = find_or_pack(model, int8, winograd && !int8, isa, packed);
    qzi_mutex_unlock(model->packings.lock);
    return st;
}

/* The data of float parameters; the graph keeps their names and shapes. */
static void drop_params(qz_graph *graph)
{
    for (size_t i = 0; i < graph->param_count; i++) {
        qzi_free(graph->ctx, graph->params[i].tensor.data);
        graph->params[i].tensor.data = NULL;
    }
}

static void drop_qweights(qz_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        qzi_qweights *qw = graph->nodes[i].qw;
        if (!qw)
            continue;
        qzi_free(graph->ctx, qw->w);
        qzi_free(graph->ctx, qw->scales);
        qzi_free(graph->ctx, qw->bias);
        qzi_free(graph->ctx, qw->bias_f32);
        *qw = (qzi_qweights){.per_channel = qw->per_channel};
    }
}

/* The float graph of a converted model, and what was packed of it. */
static qz_status drop_float(qz_model *model)
{
    size_t kept = 0;
    qzi_mutex_lock(model->packings.lock);
    bool busy = model->packings.sessions[0] > 0;
    qzi_mutex_unlock(model->packings.lock);
    if (busy)
        return qzi_model_fail_state(
            model, "float sessions are alive; destroy them before the float model");
    qzi_sqnr_destroy(model->sqnr); /* it looks at both graphs */
    model->sqnr = NULL;
    for (size_t i = 0; i < model->packings.count; i++) {
        if (model->packings.list[i].int8)
            model->packings.list[kept++] = model->packings.list[i];
        else
            qzi_packed_destroy(model->packings.list[i].packed);
    }
    model->packings.count = kept;
    qz_graph_destroy(model->graph);
    model->graph = NULL;
    return QZ_OK;
}

qz_status qz_model_drop_float(qz_model *model)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_drop_float: model is NULL");
    if (!model->int8_graph)
        return qzi_model_fail_state(model, "the float model is all there is; convert first");
    return drop_float(model);
}

qz_status qz_model_finalize(qz_model *model, bool drop_source)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_finalize: model is NULL");
    bool int8 = model->int8_graph != NULL;
    if (!int8 && model->calibration && drop_source)
        return qzi_model_fail_state(model,
                                    "calibration is under way; convert first, or keep the source");
    const qzi_packed *packed = NULL;
    QZI_TRY(qzi_model_packed(model, int8, true, QZ_ISA_AUTO, &packed));
    if (!drop_source || model->dropped)
        return QZ_OK;
    if (int8) {
        QZI_TRY(drop_float(model));
        drop_qweights(model->int8_graph);
        drop_params(model->int8_graph);
    } else {
        drop_params(model->graph);
    }
    model->dropped = true;
    return QZ_OK;
}
