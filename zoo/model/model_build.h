/* SPDX-License-Identifier: MIT */
/* model_build.h - an empty model, its float graph, and fusing it. Private. */
#ifndef QZOO_ZOO_MODEL_MODEL_BUILD_H
#define QZOO_ZOO_MODEL_MODEL_BUILD_H

#include "zoo/model/model.h"

/* An empty model: qz_model_destroy takes it in any state from here on. */
qz_status qzi_model_alloc(qz_context *ctx, const qzi_arch *arch, qz_model **model);
/*
 * Builds the float graph, in place of an earlier one, and counts its parameters and MACs.
 * Parameters have no data yet. NULL, and num_classes 0: the architecture's own.
 */
qz_status qzi_model_build(qz_model *model, const qzi_build_options *options);
/* The second half of that, of a graph that is already in the model: checked, pruned, counted. */
qz_status qzi_model_finish_graph(qz_model *model);
/* Channels of the network's input. */
int32_t qzi_model_channels(const qz_model *model);
/* The size of the network's input for an image of the model's own size: of a detector, what its
 * transform makes of it. */
qz_status qzi_model_network_size(const qz_model *model, int32_t *h, int32_t *w);
/* Sets model->macs from the graph, for one image of the model's own size. */
qz_status qzi_model_count_macs(qz_model *model, const qz_graph *graph);
/* eps of every batch norm, before fusing; also of a graph that is built anew. Of a model that is
 * not fused yet. */
void qzi_model_set_norm_eps(qz_model *model, float eps);
/* YOLO: the anchors that the loaded weights brought become the model's. QZ_ERR_NUMERIC. */
qz_status qzi_model_take_anchors(qz_model *model);
/* YOLO: widths and heights in pixels by level, the finest first, and anchor. */
void qzi_model_anchors(const qz_model *model, float pixels[3][3][2]);
/* Replaces ReLU6 where the model says so, and fuses. */
qz_status qzi_model_fuse(qz_model *model);

/* For int8 without fusing: YOLO's heads, which fusing divides, must never share one scale. */
qz_status qzi_model_divide(qz_model *model);

/* QZ_ERR_UNSUPPORTED: images are not prepared by a recipe. */
qz_status qzi_model_takes_recipe(const qz_model *model);
/* QZ_ERR_STATE: "resnet18: text". */
qz_status qzi_model_fail_state(const qz_model *model, const char *text);

#endif
