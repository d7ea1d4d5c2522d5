/* SPDX-License-Identifier: MIT */
/* weights_hash.c - one number for all parameters of a float graph (saved_model.h defines it). */
#include "zoo/model/weights_hash.h"

#include <string.h>

struct hash_task {
    const qz_graph *graph;
    uint64_t *hashes;
};

/* See saved_model.h. Over bytes, one after another, it took longer than reading the file. */
static void hash_params(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    const struct hash_task *task = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const qzi_param *param = &task->graph->params[i];
        const float *values = param->tensor.data;
        size_t count = param->optional ? 0 : (size_t)qz_tensor_numel(&param->tensor);
        uint64_t lanes[4] = {QZI_FNV_OFFSET, QZI_FNV_OFFSET, QZI_FNV_OFFSET, QZI_FNV_OFFSET};
        uint32_t bits;
        size_t k = 0;
        for (; k + 4 <= count; k += 4) {
            for (size_t lane = 0; lane < 4; lane++) {
                memcpy(&bits, &values[k + lane], sizeof(bits));
                lanes[lane] = (lanes[lane] ^ bits) * QZI_FNV_PRIME;
            }
        }
        for (; k < count; k++) {
            memcpy(&bits, &values[k], sizeof(bits));
            lanes[k % 4] = (lanes[k % 4] ^ bits) * QZI_FNV_PRIME;
        }
        task->hashes[i] = qzi_fnv1a_numbers(lanes, 4, sizeof(lanes[0]), QZI_FNV_OFFSET);
    }
}

qz_status qzi_weights_hash(qz_model *model)
{
    const qz_graph *graph = model->graph;
    struct hash_task task = {.graph = graph};
    task.hashes = qzi_calloc(model->ctx, graph->param_count, sizeof(*task.hashes));
    if (!task.hashes)
        return QZ_ERR_MEMORY;
    qzi_parallel(model->ctx, qz_context_threads(model->ctx), (int64_t)graph->param_count, 1,
                 hash_params, &task);
    model->origin.hash =
        qzi_fnv1a_numbers(task.hashes, graph->param_count, sizeof(*task.hashes), QZI_FNV_OFFSET);
    qzi_free(model->ctx, task.hashes);
    return QZ_OK;
}
