/* SPDX-License-Identifier: MIT */
/* weight_ranges.h - scales of weights by the least error. Private. */
#ifndef QZOO_QUANT_REFINE_WEIGHT_RANGES_H
#define QZOO_QUANT_REFINE_WEIGHT_RANGES_H

#include "quant/qparams.h"
#include "quant/refine/walk.h"

/* What the float network's layers read on the kept images: sums of squares by input channel. */
typedef struct qzi_energies qzi_energies;
qz_status qzi_energies_create(const qz_graph *graph, const qz_graph *int8_graph, uint32_t threads,
                              qzi_energies **energies);
void qzi_energies_destroy(qzi_energies *energies);
/* A node hook (exec.h) for runs of the float graph; user: the energies. */
qz_status qzi_energies_hook(void *user, const qz_graph *graph, qz_value node, const qzk_view *view);

/*
 * Replaces each scale of the int8 graph's weights, by output channel or by layer, by the one that
 * leaves the least squared error of rounding and clipping: that of an input channel counts as much
 * as the channel's mean square. Weights and biases are quantized anew. *changed: layers;
 * *skipped: layers that the images do not reach.
 */
qz_status qzi_weight_ranges(const qz_graph *graph, qz_graph *int8_graph,
                            const qzi_energies *energies, qzi_weight_form form, size_t *changed,
                            size_t *skipped);

#endif
