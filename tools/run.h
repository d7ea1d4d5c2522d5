/* SPDX-License-Identifier: MIT */
/* run.h - what the files of `qzoo run` share. */
#ifndef QZOO_TOOLS_RUN_H
#define QZOO_TOOLS_RUN_H

#include "images.h"
#include "report.h"
#include "subject.h"

typedef struct run_state {
    const tool_options *o;
    qz_context *ctx;
    subject s;
    qz_session *session;
    qz_session *float_session; /* beside it, of a detector with --ptq; NULL: none */
    const char **node_names;   /* resolved --dump-node; NULL: every node */
    size_t input;              /* number of the current input */
    size_t inputs;
    json_t *results;
    json_t *coco_list; /* of --coco-results */
    qz_coco *coco;     /* the --annotations beside it; NULL: none */
    int64_t
        *coco_ids;  /* YOLO: the category of each class, -1: none; NULL: their number is the id */
    bool nonfinite; /* an output was no number */
    int status;     /* of node_hook */
} run_state;

/* ---- outputs (run_outputs.c) ---- */

/* Writes DIR/NAME.npy of --dump-outputs; with several inputs DIR/NUMBER-NAME.npy. */
int run_dump(const run_state *run, const char *name, const qz_tensor *tensor);
/* Writes the session's outputs, where --dump-outputs is given. */
int run_dump_outputs(const run_state *run);
/* A class's name; "" where none is known. */
const char *run_class_name(const run_state *run, int32_t index);

/* ---- detectors (run_detect.c) ---- */

/* One input through a detector: prints its objects, dumps and draws them. */
int run_detect(run_state *run, const image_list *list, size_t index);

/* ---- result files in COCO's format (run_coco.c): nothing without --coco-results ---- */

/* Finds each input's id, before the first runs. */
int run_coco_begin(run_state *run, const image_list *list);
/* One object on an input, with its mask where the model has masks. */
int run_coco_add(run_state *run, const char *path, const qz_detection *object, const uint8_t *mask,
                 int32_t width, int32_t height);
/* Writes the file, unless `status` is a failure; returns the status. */
int run_coco_end(run_state *run, int status);

/* ---- segmenters (run_segment.c) ---- */

/* One input through a segmenter: prints each class's share of pixels, dumps and draws. */
int run_segment(run_state *run, const image_list *list, size_t index);

#endif
