/* SPDX-License-Identifier: MIT */
/* outputs.c - a detector's outputs by name. */
#include "zoo/detection/outputs.h"

#include <stdio.h>
#include <string.h>

qz_status qzi_detector_output(const qz_graph *graph, const char *name, int32_t level, size_t *index)
{
    char full[64];
    if (level >= 0)
        snprintf(full, sizeof(full), "%s.%d", name, level);
    else
        snprintf(full, sizeof(full), "%s", name);
    for (size_t i = 0; i < graph->output_count; i++) {
        if (strcmp(graph->outputs[i].name, full) == 0) {
            *index = i;
            return QZ_OK;
        }
    }
    return qzi_fail(graph->ctx, QZ_ERR_INTERNAL, "detector: its graph has no output %s", full);
}

qz_status qzi_detector_map(const qz_graph *graph, const qzi_exec *exec, const char *name,
                           int32_t level, qzi_map *map)
{
    size_t index = 0;
    QZI_TRY(qzi_detector_output(graph, name, level, &index));
    return qzi_exec_output_view(exec, index, &map->node, &map->view);
}
