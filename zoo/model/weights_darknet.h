/* SPDX-License-Identifier: MIT */
/* weights_darknet.h - darknet's .weights file as a state dict of a network. Private. */
#ifndef QZOO_ZOO_MODEL_WEIGHTS_DARKNET_H
#define QZOO_ZOO_MODEL_WEIGHTS_DARKNET_H

#include "zoo/model/model.h"

/*
 * Where `dict` is of a .weights file (weights/formats/darknet.c), divides its numbers among the
 * layers of the model's float graph: *layers has them by their keys, and may be used as long as
 * `dict`; the caller destroys it. The norms' eps and the setting "decode" become darknet's. For
 * all other files *layers is NULL.
 *
 * QZ_ERR_MISMATCH: the network has no .weights files, or the file has too few or too many numbers.
 * A file that ends behind a layer, as those of backbones do, needs options->allow_missing. Where
 * options->num_classes is 0, the number of classes follows from that of the numbers.
 */
qz_status qzi_weights_darknet(qz_model *model, const qz_state_dict *dict,
                              const qz_model_options *options, qz_state_dict **layers);

#endif
