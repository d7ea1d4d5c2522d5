/* SPDX-License-Identifier: MIT */
/* model_notes.h - what looks wrong about a model's calibration. Private. */
#ifndef QZOO_ZOO_MODEL_MODEL_NOTES_H
#define QZOO_ZOO_MODEL_MODEL_NOTES_H

#include "zoo/model/model.h"

/* Keeps the notes of the calibration in the model, before convert ends the calibration. None where
 * images are synthetic. */
qz_status qzi_model_take_notes(qz_model *model);

#endif
