/* SPDX-License-Identifier: MIT */
/* outputs.h - a detector's outputs by name. Private. */
#ifndef QZOO_ZOO_DETECTION_OUTPUTS_H
#define QZOO_ZOO_DETECTION_OUTPUTS_H

#include "layers/graph/exec.h"
#include "zoo/detection/maps.h"

/* Index of output `name`, or of "name.level" where level is not below 0, in graph and executors.
 * QZ_ERR_INTERNAL: the graph has none. */
qz_status qzi_detector_output(const qz_graph *graph, const char *name, int32_t level,
                              size_t *index);
/* The output's value after its stage has run. */
qz_status qzi_detector_map(const qz_graph *graph, const qzi_exec *exec, const char *name,
                           int32_t level, qzi_map *map);

#endif
