/* SPDX-License-Identifier: MIT */
/* classes.h - the names of a model's classes as one text, for files. Private. */
#ifndef QZOO_ZOO_MODEL_CLASSES_H
#define QZOO_ZOO_MODEL_CLASSES_H

#include "zoo/model/model.h"

/* The given names, a newline between two; "" where none were given. In the arena. */
qz_status qzi_classes_join(const qz_model *model, qzi_arena *arena, const char **text);
/* The inverse: "" names none. Errors as qz_model_set_classes. */
qz_status qzi_classes_split(qz_model *model, const char *text);

#endif
