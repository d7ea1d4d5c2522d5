/* SPDX-License-Identifier: MIT */
/*
 * prepare.c - calibration: runs the float graph image by image while observers watch the values
 * that need parameters of their own.
 */
#include "quant/prepare.h"
#include "quant/decide.h"

#include <math.h>

struct qzi_calibration {
    const qz_graph *graph;
    qzi_arena arena; /* strings and lists of the qconfig */
    qzi_qconfig qconfig;
    uint32_t threads;
    size_t node_count;
    qzi_observer **observers;   /* by node; NULL: none */
    qzi_reach *reaches;         /* by node: what is observed, of observers that do not merge */
    qzi_statistics *statistics; /* in place of observers; NULL: there are observers */
    qzi_packed *packed;
    qzi_exec *exec[QZI_STAGES_MAX]; /* made when a stage first runs */
    qzi_kept kept;
    struct {
        size_t images;
        int64_t mean, square; /* sums over images, in steps of 2^-INPUT_BITS: exact in any order */
        float min, max;
    } input;
    size_t images;
    bool broken; /* an image failed when some observers had seen it */
};

#define INPUT_BITS 20

/* ---- prepare ---- */

static qz_status copy_list(qzi_arena *arena, const char *const *list, size_t count,
                           const char *const **copy)
{
    size_t bytes;
    char **to;
    if (!qzi_mul_size(count, sizeof(*to), &bytes))
        return qzi_fail_memory(arena->ctx, SIZE_MAX);
    to = qzi_arena_alloc(arena, bytes);
    if (!to)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!(to[i] = qzi_arena_strdup(arena, list[i])))
            return QZ_ERR_MEMORY;
    *copy = (const char *const *)to;
    return QZ_OK;
}

/* A mergeable observer counts all values, so that statistics serve every backend: what lies beyond
 * the reach ends there when the range is searched. Others are shown the ends. */
static qz_status create_observer(qzi_calibration *cal, qz_value node, qzi_channel_kind channels)
{
    const qz_graph *graph = cal->graph;
    const qzi_qconfig *q = &cal->qconfig;
    const qzi_reach reach = qzi_decide_reach(graph, q, node);
    qzi_observer **o = &cal->observers[node];
    QZI_TRY(qzi_observer_create(graph->ctx, q->observer, q->reduce_range, 0, 0.0f, o));
    if (q->own_ranges)
        qzi_observer_count_whole_range(*o);
    if (!qzi_observer_mergeable(q->observer)) {
        cal->reaches[node] = reach;
        return QZ_OK;
    }
    qzi_observer_set_bounds(*o, reach.low, reach.high);
    if (channels == QZI_CHANNELS_FREE || channels == QZI_CHANNELS_DENSE)
        QZI_TRY(qzi_observer_set_channels(*o, graph->nodes[node].c));
    return qzi_observer_set_percentile(*o, q->percentile);
}

static qz_status create_observers(qzi_calibration *cal)
{
    const qz_graph *graph = cal->graph;
    qzi_decision *decisions;
    qz_status st = QZ_OK;
    QZI_TRY(qzi_decide(graph, &cal->qconfig, &decisions));
    for (size_t i = 0; i < graph->node_count && st == QZ_OK; i++) {
        if (!decisions[i].own_qparams)
            continue;
        st = create_observer(cal, (qz_value)i, decisions[i].channels);
    }
    qzi_decisions_free(graph, decisions);
    return st;
}

/* Shows the observer the values within reach, and its ends in place of the others. */
static qz_status observe_reach(qzi_calibration *cal, qz_value node, const qzk_view *view)
{
    const qz_context *ctx = cal->graph->ctx;
    const size_t c = (size_t)view->c, pixels = (size_t)view->n * (size_t)view->h * (size_t)view->w;
    qzk_view dense = *view;
    float *values = qzi_alloc(ctx, pixels * c * sizeof(*values));
    if (!values)
        return QZ_ERR_MEMORY;
    for (size_t p = 0; p < pixels; p++)
        for (size_t k = 0; k < c; k++) {
            const float x =
                ((const float *)view->data)[(int64_t)p * view->pixel_stride + (int64_t)k];
            values[p * c + k] = qzi_reach_clamp(cal->reaches[node], x);
        }
    dense.data = values;
    dense.pixel_stride = view->c;
    const qz_status st = qzi_observer_observe(cal->observers[node], &dense, cal->threads);
    qzi_free(ctx, values);
    return st;
}

/* Sums over an image in the order of its values, then over images without rounding. */
static void observe_input(qzi_calibration *cal, const qzk_view *view)
{
    const int64_t pixels = (int64_t)view->n * view->h * view->w;
    const float limit = 1e3f; /* beyond, it does not matter how far */
    const double count = (double)pixels * view->c, unit = (double)(1 << INPUT_BITS);
    double sum = 0.0, square = 0.0;
    const qzi_fpenv env = qzi_fpenv_enter();
    for (int64_t p = 0; p < pixels; p++)
        for (int32_t c = 0; c < view->c; c++) {
            const float x = ((const float *)view->data)[p * view->pixel_stride + c];
            const double v = (double)QZI_MIN(QZI_MAX(x, -limit), limit);
            cal->input.min = QZI_MIN(cal->input.min, x);
            cal->input.max = QZI_MAX(cal->input.max, x);
            sum += v;
            square += v * v;
        }
    cal->input.mean += (int64_t)(sum / count * unit);
    cal->input.square += (int64_t)(square / count * unit);
    cal->input.images++;
    qzi_fpenv_leave(env);
}

static qz_status observe_node(void *user, const qz_graph *graph, qz_value node,
                              const qzk_view *view)
{
    qzi_calibration *cal = user;
    qz_status st;
    if (graph->nodes[node].op == QZI_OP_INPUT && graph->nodes[node].u.input.index == 0) {
        observe_input(cal, view);
        if (qzi_qconfig_needs_images(&cal->qconfig))
            QZI_TRY(qzi_kept_add(&cal->kept, view));
    }
    if (!cal->observers[node] && !cal->statistics)
        return QZ_OK;
    cal->broken = true; /* until the image is through */
    st = cal->statistics ? qzi_statistics_observe(cal->statistics, node, view, cal->threads)
         : qzi_reach_ends(cal->reaches[node])
             ? observe_reach(cal, node, view)
             : qzi_observer_observe(cal->observers[node], view, cal->threads);
    return st == QZ_OK ? st : qzi_fail_prefix(graph->ctx, st, "%s", graph->nodes[node].name);
}

/* What both sorts have. */
static qz_status create(qz_graph *graph, uint32_t threads, qzi_calibration **calibration)
{
    qzi_calibration *cal = qzi_calloc(graph->ctx, 1, sizeof(*cal));
    *calibration = cal;
    if (!cal)
        return QZ_ERR_MEMORY;
    cal->graph = graph;
    cal->threads = threads;
    cal->node_count = graph->node_count;
    qzi_arena_init(&cal->arena, graph->ctx);
    qzi_kept_init(&cal->kept, graph->ctx);
    cal->input.min = INFINITY;
    cal->input.max = -INFINITY;
    cal->observers = qzi_calloc(graph->ctx, graph->node_count, sizeof(qzi_observer *));
    cal->reaches = qzi_calloc(graph->ctx, graph->node_count, sizeof(*cal->reaches));
    if (!cal->observers || !cal->reaches)
        return QZ_ERR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        cal->reaches[i] = (qzi_reach){-INFINITY, INFINITY};
    return qzi_packed_create(graph, QZ_ISA_AUTO, &cal->packed);
}

qz_status qzi_prepare(qz_graph *graph, const qzi_qconfig *qconfig, uint32_t threads,
                      qzi_calibration **calibration)
{
    qzi_calibration *cal;
    qz_status st;
    QZI_GOTO(st, create(graph, threads, &cal));
    cal->qconfig = *qconfig;
    QZI_GOTO(st, copy_list(&cal->arena, qconfig->exclude, qconfig->exclude_count,
                           &cal->qconfig.exclude));
    QZI_GOTO(st, copy_list(&cal->arena, qconfig->fallback, qconfig->fallback_count,
                           &cal->qconfig.fallback));
    QZI_GOTO(st, create_observers(cal));
    *calibration = cal;
    return QZ_OK;
fail:
    qzi_calibration_destroy(cal);
    return st;
}

qz_status qzi_prepare_statistics(qz_graph *graph, uint32_t threads, qzi_calibration **calibration)
{
    qzi_calibration *cal;
    qz_status st;
    QZI_GOTO(st, create(graph, threads, &cal));
    QZI_GOTO(st, qzi_statistics_create(graph, &cal->statistics));
    *calibration = cal;
    return QZ_OK;
fail:
    qzi_calibration_destroy(cal);
    return st;
}

const qzi_statistics *qzi_calibration_statistics(const qzi_calibration *calibration)
{
    return calibration->statistics;
}

/* What the statistics have of a node, for its observer. */
static qz_status merge_node(const qzi_calibration *cal, const qzi_statistics *s, size_t node)
{
    qzi_observer *o = cal->observers[node];
    if (!o)
        return QZ_OK;
    const qz_status st = qzi_observer_merge_tally(
        o, qzi_observer_channels(o) > 1 ? &s->channels[node] : &s->whole[node]);
    return st == QZ_OK ? st
                       : qzi_fail_prefix(cal->graph->ctx, st, "%s", cal->graph->nodes[node].name);
}

qz_status qzi_calibration_merge(qzi_calibration *calibration, const qzi_statistics *statistics,
                                size_t images)
{
    qz_status st = QZ_OK;
    if (!calibration->statistics && !qzi_observer_mergeable(calibration->qconfig.observer))
        return qzi_fail(calibration->graph->ctx, QZ_ERR_UNSUPPORTED,
                        "statistics do not serve the observer %s, which depends on the order of "
                        "images; choose minmax, percentile, entropy or mse",
                        qz_observer_name(calibration->qconfig.observer));
    if (calibration->broken)
        return qzi_calibration_check(calibration);
    calibration->broken = true;
    if (calibration->statistics)
        st = qzi_statistics_merge(calibration->statistics, statistics);
    for (size_t i = 0; i < calibration->node_count && st == QZ_OK; i++)
        st = merge_node(calibration, statistics, i);
    QZI_TRY(st);
    calibration->broken = false;
    calibration->images += images;
    return QZ_OK;
}

void qzi_calibration_destroy(qzi_calibration *calibration)
{
    if (!calibration)
        return;
    const qz_context *ctx = calibration->graph->ctx;
    for (size_t i = 0; calibration->observers && i < calibration->node_count; i++)
        qzi_observer_destroy(calibration->observers[i]);
    qzi_free(ctx, calibration->observers);
    qzi_free(ctx, calibration->reaches);
    qzi_statistics_destroy(calibration->statistics);
    for (size_t i = 0; i < QZI_STAGES_MAX; i++)
        qzi_exec_destroy(calibration->exec[i]);
    qzi_packed_destroy(calibration->packed);
    qzi_kept_free(&calibration->kept);
    qzi_arena_free(&calibration->arena);
    qzi_free(ctx, calibration);
}

/* ---- calibrate ---- */

/* Everything that is wrong with the images is found before any observer sees one of them. */
static qz_status check_images(const qz_graph *graph, const qz_tensor *images, int64_t *numel)
{
    *numel = images->ndim == 4 ? qz_tensor_numel(images) : -1;
    if (images->dtype != QZ_F32 || *numel <= 0 || !images->data)
        return qzi_fail(graph->ctx, QZ_ERR_ARGUMENT,
                        "calibration images must be a float32 tensor N x C x H x W of at least "
                        "one image");
    const int64_t per_image = *numel / images->dims[0];
    for (int64_t i = 0; i < images->dims[0]; i++)
        if (!qzi_all_finite((const float *)images->data + i * per_image, (size_t)per_image))
            return qzi_fail(graph->ctx, QZ_ERR_NUMERIC,
                            "calibration image %lld holds NaN or infinity; remove it",
                            (long long)i);
    return QZ_OK;
}

qz_status qzi_calibration_run(qzi_calibration *calibration, size_t stage,
                              const qzi_exec_input *inputs, size_t input_count, qzi_exec **exec)
{
    qzi_exec **at = &calibration->exec[stage];
    if (stage == 0 && calibration->broken)
        return qzi_calibration_check(calibration);
    if (!*at) {
        QZI_TRY(qzi_exec_create(calibration->packed, calibration->graph, calibration->threads, at));
        qzi_exec_set_hook(*at, observe_node, calibration);
    }
    if (exec)
        *exec = *at;
    return qzi_exec_run_inputs(*at, inputs, input_count);
}

void qzi_calibration_count_image(qzi_calibration *calibration)
{
    calibration->broken = false;
    calibration->images++;
}

qz_status qzi_calibrate(qzi_calibration *calibration, const qz_tensor *images)
{
    int64_t numel;
    if (calibration->broken)
        return qzi_calibration_check(calibration);
    QZI_TRY(check_images(calibration->graph, images, &numel));
    const int64_t per_image = numel / images->dims[0];
    qz_tensor image = *images;
    image.dims[0] = 1;
    for (int64_t i = 0; i < images->dims[0]; i++) {
        image.data = (float *)images->data + i * per_image;
        const qzi_exec_input input = {.tensor = &image, .finite = true};
        QZI_TRY(qzi_calibration_run(calibration, 0, &input, 1, NULL));
        qzi_calibration_count_image(calibration);
    }
    return QZ_OK;
}

size_t qzi_calibration_images(const qzi_calibration *calibration)
{
    return calibration->images;
}

const qzi_observer *qzi_calibration_observer(const qzi_calibration *calibration, qz_value node)
{
    return node >= 0 && (size_t)node < calibration->node_count ? calibration->observers[node]
                                                               : NULL;
}

const qz_graph *qzi_calibration_graph(const qzi_calibration *calibration)
{
    return calibration->graph;
}

const qzi_extremes *qzi_calibration_extremes(const qzi_calibration *calibration, qz_value node)
{
    const qzi_observer *o = qzi_calibration_observer(calibration, node);
    return o                         ? qzi_observer_extremes(o)
           : calibration->statistics ? &calibration->statistics->whole[node].ends
                                     : NULL;
}

const qzi_tally *qzi_calibration_tally(const qzi_calibration *calibration, qz_value node)
{
    const qzi_observer *o = qzi_calibration_observer(calibration, node);
    const qzi_tally *tally = o                         ? &o->tally
                             : calibration->statistics ? &calibration->statistics->channels[node]
                                                       : NULL;
    return tally && tally->channels > 1 ? tally : NULL;
}

void qzi_calibration_input(const qzi_calibration *calibration, qzi_input_facts *facts)
{
    const double unit = (double)(1 << INPUT_BITS), images = (double)calibration->input.images;
    *facts = (qzi_input_facts){.images = calibration->input.images,
                               .min = calibration->input.min,
                               .max = calibration->input.max};
    if (facts->images == 0)
        return;
    facts->mean = (double)calibration->input.mean / unit / images;
    const double square = (double)calibration->input.square / unit / images;
    facts->deviation = sqrt(QZI_MAX(square - facts->mean * facts->mean, 0.0));
}

const qzi_kept *qzi_calibration_kept(const qzi_calibration *calibration)
{
    return &calibration->kept;
}

uint32_t qzi_calibration_threads(const qzi_calibration *calibration)
{
    return calibration->threads;
}

const qzi_qconfig *qzi_calibration_qconfig(const qzi_calibration *calibration)
{
    return &calibration->qconfig;
}

qz_status qzi_calibration_check(const qzi_calibration *calibration)
{
    const qz_context *ctx = calibration->graph->ctx;
    if (calibration->broken)
        return qzi_fail(ctx, QZ_ERR_STATE,
                        "a calibration image failed halfway, so the observers disagree; prepare "
                        "and calibrate again");
    if (calibration->images == 0)
        return qzi_fail(ctx, QZ_ERR_STATE,
                        "nothing was observed; calibrate with at least one image before convert");
    return QZ_OK;
}
