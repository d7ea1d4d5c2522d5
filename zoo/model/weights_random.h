/* SPDX-License-Identifier: MIT */
/* weights_random.h - seeded random parameters. Private. */
#ifndef QZOO_ZOO_MODEL_WEIGHTS_RANDOM_H
#define QZOO_ZOO_MODEL_WEIGHTS_RANDOM_H

#include "zoo/model/model.h"

/* Fills the model's graph from "random", "random:SEED" or NULL (seed 0), and names its origin. */
qz_status qzi_weights_random(qz_model *model, const char *source);
/*
 * Fills every parameter of the graph that has no data from its key and shape (qz_random_fill).
 * suffix: the seed in decimal; rules end with substring NULL.
 */
qz_status qzi_weights_fill(qz_graph *graph, const qz_fill_rule *rules, const char *suffix);
/* The same by the rules and ranges of an architecture. */
qz_status qzi_weights_fill_arch(qz_graph *graph, const qzi_arch *arch, const char *suffix);
/* Memory for the data of one parameter. */
qz_status qzi_param_allocate(const qz_graph *graph, qzi_param *param);

#endif
