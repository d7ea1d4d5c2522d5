/* SPDX-License-Identifier: MIT */
/* model_size.h - whether a model fits into memory, before it is made. */
#ifndef QZOO_ZOO_MODEL_MODEL_SIZE_H
#define QZOO_ZOO_MODEL_MODEL_SIZE_H

#include "zoo/model/model.h"

/* QZ_ERR_MEMORY, with the bytes, where the float weights and their packed copy do not fit. */
qz_status qzi_model_check_weights(const qz_model *model);

#endif
