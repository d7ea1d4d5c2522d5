/* SPDX-License-Identifier: MIT */
/* weights_load.h - a state dict into the parameters of a model. Private. */
#ifndef QZOO_ZOO_MODEL_WEIGHTS_LOAD_H
#define QZOO_ZOO_MODEL_WEIGHTS_LOAD_H

#include "zoo/model/model.h"

/*
 * Copies and checks the tensors of `dict` into the parameters of the model's graph, by key. Missing
 * parameters are QZ_ERR_MISMATCH, or with allow_missing filled at random. Keys below a module of
 * the network that it does not have are QZ_ERR_MISMATCH, or with allow_unexpected left out. Sets
 * the model's warning.
 * `path` names the file in messages.
 */
qz_status qzi_weights_load(qz_model *model, const qz_state_dict *dict, const char *path,
                           const qz_model_options *options);
/* One tensor of a file into parameter `index` of a graph of the model, checked. */
qz_status qzi_weights_load_param(const qz_model *model, qz_graph *graph, size_t index,
                                 const qz_tensor *found, const char *path);

#endif
