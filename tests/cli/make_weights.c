/* SPDX-License-Identifier: MIT */
/* make_weights.c ARCH CLASSES SEED OUT.safetensors - a network's random weights as a file. */
#include "zoo/model/model.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_safetensors_entry *entries = NULL;
    char weights[40];
    if (argc != 5)
        return 2;
    snprintf(weights, sizeof(weights), "random:%s", argv[3]);
    options.weights = weights;
    options.num_classes = atoi(argv[2]);
    options.skip_fuse = true;
    qz_status st = qz_context_create(NULL, &ctx);
    if (st == QZ_OK)
        st = qz_model_create(ctx, argv[1], &options, &model);
    if (st == QZ_OK) {
        const qz_graph *graph = model->graph;
        entries = calloc(graph->param_count, sizeof(*entries));
        for (size_t i = 0; entries && i < graph->param_count; i++)
            entries[i] = (qz_safetensors_entry){graph->params[i].key, graph->params[i].tensor};
        st = entries ? qz_safetensors_save(ctx, argv[4], entries, graph->param_count, NULL, NULL, 0)
                     : QZ_ERR_MEMORY;
    }
    if (st != QZ_OK)
        fprintf(stderr, "%s\n", qz_context_message(ctx));
    free(entries);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    return st != QZ_OK;
}
