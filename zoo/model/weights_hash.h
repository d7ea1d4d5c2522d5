/* SPDX-License-Identifier: MIT */
/* weights_hash.h - one number for all parameters of a float graph. Private. */
#ifndef QZOO_ZOO_MODEL_WEIGHTS_HASH_H
#define QZOO_ZOO_MODEL_WEIGHTS_HASH_H

#include "zoo/model/model.h"

/* Sets origin.hash from the loaded parameters; saved_model.h defines the hash. */
qz_status qzi_weights_hash(qz_model *model);

#endif
