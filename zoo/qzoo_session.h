/* SPDX-License-Identifier: MIT */
/*
 * qzoo_session.h - sessions: run a model, read its outputs, profile it.
 */
#ifndef QZOO_SESSION_H
#define QZOO_SESSION_H

#include "qzoo_base.h"
#include "qzoo_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which of a model's graphs a session runs. */
typedef enum qz_precision {
    QZ_PRECISION_AUTO = 0,
    QZ_PRECISION_FP32,
    QZ_PRECISION_INT8
} qz_precision;

/* How a session runs. Begin with QZ_SESSION_OPTIONS_INIT: zero is the default everywhere. */
typedef struct qz_session_options {
    size_t size;
    qz_precision precision; /* AUTO: int8 when converted, else fp32 */
    uint32_t threads;       /* 0: the context's */
    qz_isa isa;             /* AUTO: the context's ceiling */
    /* fp32: leave Winograd's algorithm for 3x3 convolutions, which is used where it is faster at
     * the model's own size and rounds a little more (layers/kernels/CONTRACT.md has the bound) */
    bool no_winograd;
    /*
     * The session's outputs in place of the model's: names of nodes or modules ("layer4",
     * "features.3"), also of what was fused into them, and of the model's own outputs ("output").
     * Copied. Nodes that none of them needs do not run. An unknown name is QZ_ERR_UNKNOWN_NAME,
     * with the nearest names. NULL: the model's own outputs, without the auxiliary head's ("aux" of
     * a segmenter).
     */
    const char *const *outputs;
    size_t output_count;
} qz_session_options;
#define QZ_SESSION_OPTIONS_INIT QZ_OPTIONS_INIT(qz_session_options)

/* The state of runs of a model: one thread at a time uses a session. */
typedef struct qz_session qz_session;

/* One run's state. Many sessions may share a model and run at once, each on its own thread. */
QZ_API qz_status qz_session_create(qz_model *model, const qz_session_options *options,
                                   qz_session **session);
/* Before its model. NULL is fine. */
QZ_API void qz_session_destroy(qz_session *session);

/* Runs NCHW float32 images of any size and batch. QZ_ERR_NUMERIC: NaN or infinity in the input; or
 * in an output, where numbers grew too large on the way. qz_session_output has the outputs then,
 * so that the other images of the batch are not lost. */
QZ_API qz_status qz_session_run(qz_session *session, const qz_tensor *input);
/* 8-bit RGB rows, `stride` bytes apart: resize, crop and normalise by the model's recipe, or
 * by the session's own (qz_session_set_preprocess). */
QZ_API qz_status qz_session_run_u8(qz_session *session, const uint8_t *rgb, int32_t width,
                                   int32_t height, size_t stride);
/*
 * Images of any formats and sizes, each by the model's own recipe: the outputs are those of the
 * single runs, to the byte, one after another (count x C). QZ_ERR_ARGUMENT names the image that is
 * none.
 */
QZ_API qz_status qz_session_run_pixels(qz_session *session, const qz_pixels *images, size_t count);
/*
 * Replaces the recipe of this session's run_u8, which is the model's at first; the model and its
 * other sessions keep theirs. At any time between runs. QZ_ERR_ARGUMENT: a recipe that makes no
 * sense. A crop that is too small for the network fails when it runs.
 */
QZ_API qz_status qz_session_set_preprocess(qz_session *session, const qz_preprocess *recipe);
/* Number of outputs: 1 for classifiers, or output_count of the options. */
QZ_API size_t qz_session_output_count(const qz_session *session);
/* Output i of the last run: float32 (dequantized where it is uint8), N x C or NCHW; data belongs to
 * the session until its next run. */
QZ_API qz_status qz_session_output(const qz_session *session, size_t index, const char **name,
                                   const qz_tensor **tensor);

/* Called after each node of a run with its value as NCHW float32 (dequantized) and, for uint8
 * values, their bytes (NCHW, else NULL); both valid during the call only. Slow: for debugging. */
typedef qz_status (*qz_node_fn)(void *user, const char *name, const qz_tensor *value,
                                const qz_tensor *bytes);
/* fn NULL: none. A failure that the hook returns ends the run with that status. */
QZ_API void qz_session_set_node_hook(qz_session *session, qz_node_fn fn, void *user);
/* The node that NAME means: itself, the one that it was fused into, or the last of a
 * module ("layer1.0"). NULL: unknown. */
QZ_API const char *qz_session_node_name(const qz_session *session, const char *name);

/* Time of each node since profiling was switched on. */
QZ_API void qz_session_set_profile(qz_session *session, bool on);
/*
 * What one node took, and the bytes that it must move in one run of the last input's size. Bytes
 * are counted by a rule, not measured: every input once, as far as kernels may read its view (c
 * floats a pixel, or c bytes rounded up to a multiple of 4; whole images, even where strides skip
 * pixels), packed weights once, the output once. What a concat finds in its place, and nodes that
 * are only another view of their input, move nothing; neither does what is done within another
 * node, but for its other inputs. Scratch is left out, and so is what is read
 * again because caches are small: more traffic than this is the kernel's, less is impossible unless
 * the data is still in a cache.
 */
typedef struct qz_profile_row {
    const char *name, *op, *kernel; /* kernel "" where the op has only one */
    const char *within; /* the convolution in whose time the node is done, on its output; or NULL */
    double seconds;     /* sum over the runs */
    uint64_t macs;      /* of one run, by the op's definition */
    /* multiply-adds that the kernel does for these: fewer by Winograd's way, and where it skips
     * what a dilated convolution reads of the padding (then as few as there can be) */
    uint64_t products;
    /* the kernel's inner tile: output pixels and channels; 0 where kernel is "" */
    int32_t tile_m, tile_n;
    uint64_t read_bytes;    /* activations and packed weights */
    uint64_t packed_bytes;  /* the packed weights (with biases, multipliers, …) of these */
    uint64_t written_bytes; /* activations */
} qz_profile_row;
/* Rows belong to the session, in order of execution, until the next call. */
QZ_API qz_status qz_session_profile(qz_session *session, const qz_profile_row **rows,
                                    size_t *count);
QZ_API size_t qz_session_arena_bytes(const qz_session *session);  /* activations and scratch */
QZ_API size_t qz_session_packed_bytes(const qz_session *session); /* weights as kernels read them */

/* Where a session's memory is, in bytes, for an input of the last run's size. */
typedef struct qz_session_memory {
    size_t planned_bytes;  /* activations, as planned; the session holds the largest plan so far */
    size_t liveness_bytes; /* most bytes of activations alive at once: no plan can take less */
    size_t scratch_bytes;  /* of kernels, all threads; held for the largest plan so far */
    size_t packed_bytes;   /* weights as kernels read them: the model's, shared by its sessions */
} qz_session_memory;
/* Zeros for activations before the first run. */
QZ_API void qz_session_get_memory(const qz_session *session, qz_session_memory *memory);

/* A class and how sure the network is of it. */
typedef struct qz_top {
    int32_t index;
    float score;       /* the network's output (logit) */
    float probability; /* softmax */
} qz_top;
/* The k largest of row `row` of an N x C tensor; ties: the lower index first. Returns how many: 0
 * where the row has NaN or infinity, which rank nothing. */
QZ_API size_t qz_topk(const qz_tensor *logits, int64_t row, size_t k, qz_top *top);

#ifdef __cplusplus
}
#endif
#endif
