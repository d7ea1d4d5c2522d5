/* SPDX-License-Identifier: MIT */
/* session.h - what a session is made of, for the files that share it. Private. */
#ifndef QZOO_ZOO_MODEL_SESSION_H
#define QZOO_ZOO_MODEL_SESSION_H

#include "layers/graph/exec.h"
#include "zoo/detection/detector.h"
#include "zoo/image/preprocess.h"
#include "zoo/model/model.h"

/* A float or byte buffer that grows to what the largest call asked for. */
typedef struct qzi_buffer {
    void *data;
    size_t bytes;
} qzi_buffer;

struct qz_session {
    qz_model *model;
    qz_context *ctx;
    const qz_graph *graph; /* the model's, or: */
    qz_graph view;         /* the model's with the outputs that were asked for */
    const qzi_packed *packed;
    qzi_exec *exec[QZI_STAGE_COUNT]; /* one a stage: a detector's; others have the first only */
    uint32_t threads;
    bool int8;
    qz_preprocess recipe; /* of run_u8: the model's, or the session's own */

    bool ran;                          /* outputs are those of a run that succeeded */
    qzi_shape inputs[QZI_STAGE_COUNT]; /* of the last run, by stage; zeros: it did not run */
    bool mixed; /* images of several sizes: out_tensor is that of the last one alone */
    int32_t source_w, source_h;    /* of the caller's image; 0: a tensor was run */
    struct qzi_segments *segments; /* class maps that were asked for; NULL: none yet */
    qzi_buffer *out;
    qz_tensor *out_tensor; /* as many as the graph has outputs */
    qzi_buffer image;      /* run_u8's preprocessed input, where it must be float */
    bool has_table;        /* else the input of the graph is float */
    uint8_t table[3][256]; /* run_u8: the byte that each byte becomes */

    struct qzi_session_detect *detect; /* NULL: no detector (session_detect.c) */

    qz_node_fn hook;
    void *hook_user;
    qzi_buffer hook_value, hook_bytes;

    qz_status profile; /* of switching profiling on */
    qz_profile_row *rows;
    qzi_shape *shapes;
};

/* At least count * size bytes; the content is not kept. */
qz_status qzi_buffer_reserve(const qz_context *ctx, qzi_buffer *buffer, size_t count, size_t size);

#endif
