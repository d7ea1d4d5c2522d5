/* SPDX-License-Identifier: MIT */
/* weights_source.h - what the word in qz_model_options.weights means. Private. */
#ifndef QZOO_ZOO_MODEL_WEIGHTS_SOURCE_H
#define QZOO_ZOO_MODEL_WEIGHTS_SOURCE_H

#include "zoo/model/model.h"

/*
 * Finds where the weights come from, before the graph is built. A tag of the catalogue is looked up
 * in the cache, or fetched into it where options->allow_fetch is set; its preprocessing and
 * what *build says of the tag come with it. Fills origin.tag, origin.path and origin.backend.
 */
qz_status qzi_weights_resolve(qz_model *model, const qz_model_options *options,
                              qzi_build_options *build);
/* Opens the resolved file. The caller destroys *dict. A saved int8 model is QZ_ERR_MISMATCH. */
qz_status qzi_weights_open(const qz_model *model, const qz_model_options *options,
                           qz_state_dict **dict);

#endif
