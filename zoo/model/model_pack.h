/* SPDX-License-Identifier: MIT */
/* model_pack.h - packed weights, made once for each bundle. Private. */
#ifndef QZOO_ZOO_MODEL_MODEL_PACK_H
#define QZOO_ZOO_MODEL_MODEL_PACK_H

#include "zoo/model/model.h"

/*
 * Packed weights for a bundle, made once and shared (thread-safe). isa: AUTO takes the context's.
 * winograd: of float weights, for Winograd's algorithm where it gains at the model's own size.
 */
qz_status qzi_model_packed(qz_model *model, bool int8, bool winograd, qz_isa isa,
                           const qzi_packed **packed);

#endif
