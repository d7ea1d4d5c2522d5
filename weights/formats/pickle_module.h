/* SPDX-License-Identifier: MIT */
/*
 * pickle_module.h - what a saved module says of its network beside the tensors: a state dict does
 * not say it. Private.
 */
#ifndef QZOO_WEIGHTS_FORMATS_PICKLE_MODULE_H
#define QZOO_WEIGHTS_FORMATS_PICKLE_MODULE_H

#include "weights/formats/pickle.h"
#include "weights/state_dict.h"

#define QZI_MODULE_ACTIVATIONS 4 /* that are listed; there are seldom two */
#define QZI_MODULE_STRIDES 8

typedef struct qzi_module_facts {
    const qzi_pickle_name *type; /* class of the outermost module; NULL: none yet */
    char activations[QZI_MODULE_ACTIVATIONS][32]; /* "SiLU", "LeakyReLU(0.1)" */
    size_t activation_count;
    int64_t classes;                    /* nc of ultralytics' Detect; 0: it has none */
    double strides[QZI_MODULE_STRIDES]; /* of the same */
    int64_t stride_count;
} qzi_module_facts;

/* Takes note of a module (qzi_pickle_is_module, or any object in the place of one). */
void qzi_module_facts_add(qzi_module_facts *facts, const qzi_pickle_object *module);
/* The tensor of the strides where the module is the one that detects; else NULL. */
const qzi_pickle_tensor *qzi_module_strides(const qzi_pickle_object *module);
/* As metadata of the dict (qzoo_weights.h, QZ_METADATA_MODULE_…). */
qz_status qzi_module_facts_keep(const qzi_module_facts *facts, qz_state_dict *dict);

#endif
