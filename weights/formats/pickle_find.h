/* SPDX-License-Identifier: MIT */
/* pickle_find.h - which of a checkpoint's objects holds the tensors. Private. */
#ifndef QZOO_WEIGHTS_FORMATS_PICKLE_FIND_H
#define QZOO_WEIGHTS_FORMATS_PICKLE_FIND_H

#include "weights/formats/pickle.h"
#include "weights/state_dict.h"

/*
 * Finds the state dict (a dict, or an object that is one) or module in `root`, whatever it is
 * nested in. dict->want chooses where there are several; otherwise one is taken that is not an
 * average of others (ema) and belongs to no optimizer; but of ultralytics' modules the average is
 * the one, as ultralytics' own loader has it. dict->note reports the choice. The names of
 * classes that a checkpoint has become metadata "classes".
 *
 * *found is NULL where nothing in `root` holds tensors. QZ_ERR_FORMAT: there are several;
 * QZ_ERR_MISMATCH: there is none of the wanted name.
 */
qz_status qzi_pickle_find(qz_state_dict *dict, qzi_pickle_object *root, qzi_pickle_object **found);

/* pickle_classes.c: takes names of classes from the items of a dict, if there are any, or from the
 * state of a `module`. */
qz_status qzi_pickle_take_classes(qz_state_dict *dict, const qzi_pickle_object *items, bool module);

#endif
