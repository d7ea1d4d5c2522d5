/* SPDX-License-Identifier: MIT */
/*
 * torch_script.h - reads the text of a TorchScript class as a list of calls. Private.
 *
 * What torch.jit.freeze and optimize_for_mobile leave of a network is one forward() of plain
 * statements, which is all that is understood here:
 *
 *   def forward(self: TYPE, X: Tensor) -> Tensor:
 *     _0 = self.classifier
 *     _1 = getattr(self, "name")
 *     y = ops.quantized.conv2d_relu(x, _1, 0.0150183, 0)
 *     return torch.dequantize(y)
 *
 * No loops, branches or calls of other methods: those are QZ_ERR_UNSUPPORTED, and what is no such
 * text is QZ_ERR_FORMAT, both with the line. Nothing is executed; the reader receives each call in
 * the order of the text, and decides its value.
 */
#ifndef QZOO_WEIGHTS_FORMATS_TORCH_SCRIPT_H
#define QZOO_WEIGHTS_FORMATS_TORCH_SCRIPT_H

#include "layers/base/base.h"

typedef enum qzi_script_kind {
    QZI_SCRIPT_NONE, /* None, True, False, a string: nothing that a call of ours needs */
    QZI_SCRIPT_NUMBER,
    QZI_SCRIPT_LIST,
    QZI_SCRIPT_PATH,  /* an attribute: "classifier.1._packed_params", "" for self */
    QZI_SCRIPT_IMAGE, /* the argument of forward() */
    QZI_SCRIPT_TENSOR /* what a call gave */
} qzi_script_kind;

typedef struct qzi_script_value {
    qzi_script_kind kind;
    bool whole; /* NUMBER: written without point and exponent */
    double number;
    int32_t tensor;                 /* TENSOR: the caller's number */
    const char *path;               /* PATH: in the arena */
    struct qzi_script_value *items; /* LIST: in the arena */
    size_t count;
} qzi_script_value;

typedef struct qzi_script_call {
    const char *function; /* "ops.quantized.conv2d" */
    const qzi_script_value *args;
    size_t count;
    size_t line; /* from 1 */
} qzi_script_call;

typedef struct qzi_script_reader {
    const qz_context *ctx;
    const char *path; /* begins the messages */
    qzi_arena *arena; /* of paths and lists */
    void *user;
    /* Sets *tensor, the number of the call's value. */
    qz_status (*call)(void *user, const qzi_script_call *call, int32_t *tensor);
} qzi_script_reader;

/* *result: what forward() returns. */
qz_status qzi_script_read(const qzi_script_reader *reader, const char *text,
                          qzi_script_value *result);

#endif
