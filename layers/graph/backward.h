/* SPDX-License-Identifier: MIT */
/*
 * backward.h - a training step on a graph as it is: forward with the values kept that the backward
 * reads, then backward in the reverse order, to the gradients of the parameters.
 *
 *   qzi_backward_forward     runs the graph; batch norms by the mode
 *   qzi_backward_output      outputs, and where their gradients go: the caller's loss
 *   qzi_backward_run         adds to the parameters' gradients
 *
 * The graph is float32 and its parameters are the caller's to change between steps. Losses,
 * optimizers and data are above (zoo/train). Same bytes for every number of threads and every
 * instruction set.
 */
#ifndef QZOO_LAYERS_GRAPH_BACKWARD_H
#define QZOO_LAYERS_GRAPH_BACKWARD_H

#include "layers/grad/grad.h"
#include "layers/graph/graph.h"

typedef struct qzi_backward qzi_backward;

/*
 * What training does to some nodes beside what the graph says: fake quantization. All functions are
 * called on the thread of the run, which may share their work among r->threads.
 *
 * A hook of the value changes r->y in place, behind the node's fused clamp or function, before
 * anything reads the value; in the backward it changes r->dy in place before the node's own. The
 * clamp of such a node (ReLU, ReLU6) is the hook's to undo, since the value that it left is gone.
 */
enum {
    QZI_HOOK_VALUE = 1,   /* forward and backward are called */
    QZI_HOOK_READS_Y = 2, /* backward reads the value as the hook left it */
    QZI_HOOK_WEIGHTS = 4, /* of a convolution or linear: other weights than the parameter's */
};
typedef struct qzi_step_hooks {
    void *user;
    unsigned (*kinds)(void *user, qz_value node);
    /* bytes that it keeps from forward to backward, of a value of this shape */
    size_t (*kept)(void *user, qz_value node, const qzi_shape *shape);
    void (*forward)(void *user, const qzi_grad_run *r);
    void (*backward)(void *user, const qzi_grad_run *r);
    /* The weights of the step, in torch's layout, valid until its backward: called once, before the
     * node's forward. */
    const float *(*weights)(void *user, const qzi_grad_run *r);
    /* Room of zeros for their gradient; then what the parameter's gradient follows from it. */
    float *(*gradient)(void *user, qz_value node);
    void (*gradient_done)(void *user, const qzi_grad_run *r);
} qzi_step_hooks;

typedef struct qzi_backward_options {
    qz_isa isa;                  /* AUTO: the context's ceiling */
    uint32_t threads;            /* 0: the context's */
    const bool *frozen;          /* parameters without gradients; by index, copied; NULL: none */
    bool input_gradients;        /* the gradients of the images too */
    const qzi_step_hooks *hooks; /* copied; NULL: none */
} qzi_backward_options;

qz_status qzi_backward_create(qz_graph *graph, const qzi_backward_options *options,
                              qzi_backward **backward);
void qzi_backward_destroy(qzi_backward *backward);

/* One forward, NCHW float32 inputs as qzi_exec_run takes them. Weights are read anew. */
qz_status qzi_backward_forward(qzi_backward *backward, const qzi_train_mode *mode,
                               const qz_tensor *inputs, size_t input_count);

/*
 * Output i after a forward, NHWC, and its gradient: dense pixels of zeros, for the caller to fill.
 * gradient->data is NULL where nothing before the output is trained.
 */
qz_status qzi_backward_output(const qzi_backward *backward, size_t index, qzk_view *value,
                              qzk_view *gradient);

/* One backward of the last forward. It adds to the gradients. */
qz_status qzi_backward_run(qzi_backward *backward);

/* The gradient of a parameter in torch's layout; NULL where it has none. */
float *qzi_backward_gradient(const qzi_backward *backward, size_t param);
/* Sets all gradients to 0. */
void qzi_backward_zero(qzi_backward *backward);

/* The gradient of input i after a backward, where the options request it: NHWC. */
qz_status qzi_backward_input_gradient(const qzi_backward *backward, size_t index, qzk_view *view);

/* Bytes of the last forward's plan. */
typedef struct qzi_backward_memory {
    size_t arena;    /* values and gradients */
    size_t liveness; /* most bytes alive at once: no plan can take less */
    size_t kept;     /* alive between forward and backward */
    size_t scratch, packed;
    size_t gradients; /* of the parameters */
} qzi_backward_memory;
qzi_backward_memory qzi_backward_memory_of(const qzi_backward *backward);

/* Seconds in nodes' forward and backward since the last call with `on`; arrays by node. */
qz_status qzi_backward_set_profile(qzi_backward *backward, bool on);
const double *qzi_backward_seconds(const qzi_backward *backward, bool backward_pass);

#endif
