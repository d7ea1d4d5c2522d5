/* SPDX-License-Identifier: MIT */
/*
 * keys.h - brings the keys of a file to those of the network, and finds out how the network must be
 * built for the file: its classes, its auxiliary heads. Private.
 *
 * The tensors stay as they are; only their keys change, in the dict. What was done is reported by
 * origin.note.
 */
#ifndef QZOO_ZOO_MODEL_KEYS_H
#define QZOO_ZOO_MODEL_KEYS_H

#include "weights/state_dict.h"
#include "zoo/model/model.h"

typedef struct qzi_fit {
    qz_model *model;     /* with a float graph of the architecture */
    qz_state_dict *dict; /* whose keys change */
    const char *path;    /* for messages */
    const qz_model_options *options;
    bool int8;         /* a dict of quantized layers, which lacks other parameters */
    char note[600];    /* what was done; cut where it is longer */
    const char **keys; /* of the graph's parameters, sorted */
    int32_t head_rows; /* of a class in the head's weight: a one-stage detector's anchors, else 1 */
    int32_t head_extra; /* rows of an anchor that are no class: YOLO has 5 */
    char head[256];     /* the name of the layer that makes the classes; "" where there is none */
} qzi_fit;

/*
 * Does all of it. `build` is how the graph was built; where the file wants another, it is changed,
 * and the caller builds the graph anew. QZ_ERR_MISMATCH, with what to do.
 */
qz_status qzi_keys_fit(qz_model *model, qz_state_dict *dict, const char *path, bool int8,
                       const qz_model_options *options, qzi_build_options *build);

/* ---- the steps ---- */

/* Of the YOLO networks: refuses the file of another one by its name, and leaves out what only old
 * versions keep (keys_yolo.c). */
qz_status qzi_keys_yolo(qzi_fit *fit);
/* And, once the keys are the network's, does what a saved module says of it: its activation. */
qz_status qzi_keys_yolo_module(qzi_fit *fit, qzi_build_options *build);
/* options.prefix, options.map, or the one prefix under which the file has all of the network's keys
 * (keys_prefix.c). */
qz_status qzi_keys_strip(qzi_fit *fit);
/* A head that was replaced by Sequential(Dropout, Linear), or named by options.head_key; then the
 * number of classes (keys_head.c). */
qz_status qzi_keys_head(qzi_fit *fit, qzi_build_options *build);

/* ---- what the steps share (keys_common.c) ---- */

/* Order of pointers to keys, for qsort and bsearch. */
int qzi_keys_compare(const void *a, const void *b);
/* Adds to the note: "; " and the text. */
void qzi_keys_note(qzi_fit *fit, const char *fmt, ...) QZ_PRINTF(2, 3);
/* A text with keys of a file, as a terminal may show it, into the model's arena. */
qz_status qzi_keys_printable(qz_model *model, const char *text, const char **out);
/* Whether the network has a parameter of that key. */
bool qzi_keys_expected(const qzi_fit *fit, const char *key);
/* Whether a parameter is one of an auxiliary head, which is not run. */
bool qzi_keys_is_aux(const qz_model *model, const char *key);
/* Whether `key` is `module` and a dot and more. */
bool qzi_keys_below(const char *key, const char *module);

#endif
