/* SPDX-License-Identifier: MIT */
/* provenance.h - what a model was made of, in words. Private. */
#ifndef QZOO_ZOO_MODEL_PROVENANCE_H
#define QZOO_ZOO_MODEL_PROVENANCE_H

#include "zoo/model/model.h"

/* Sets origin.weights from `source` (a path or tag that lives as long as the model) and the number
 * of parameters that the file lacked. The float graph is there. */
qz_status qzi_provenance_weights(qz_model *model, const char *source, size_t missing);
/* Sets calib from the numbers of images. */
void qzi_provenance_calib(qz_model *model);

#endif
