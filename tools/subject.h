/* SPDX-License-Identifier: MIT */
/* subject.h - the model that a command works on. */
#ifndef QZOO_TOOLS_SUBJECT_H
#define QZOO_TOOLS_SUBJECT_H

#include "classes.h"
#include "options.h"

/* Creates a context with the options' threads and instruction set. */
int subject_context(const tool_options *options, qz_context **ctx);
/* Destroys it; a signal no longer cancels its work. */
void subject_context_end(qz_context *ctx);

typedef struct subject {
    qz_context *ctx;
    qz_model *model;
    qz_model_info info;
    char sha256[65];    /* of the file that weights or model came from; "": none was read */
    class_list classes; /* of --classes; empty where it was not given */
    bool int8_only;     /* a saved int8 model, or int8 weights: there is no float model */
} subject;

bool is_model_file(const char *name);
/* Creates or opens the model, and names its classes. Nothing is calibrated yet. */
int subject_create(const tool_options *options, qz_context *ctx, const char *name, bool ptq,
                   subject *s);
/* Calibrates and converts the model with `ptq`, where that is left to do. */
int subject_calibrate(const tool_options *options, bool ptq, subject *s);
/* Both. */
int subject_open(const tool_options *options, qz_context *ctx, const char *name, bool ptq,
                 subject *s);
/*
 * Reports that a run on `what`, a file or a model, failed: EXIT_FAILED where the session has an
 * output with NaN or infinity, EXIT_INPUT where `what` is at fault.
 */
int subject_fail_run(const subject *s, const qz_session *session, qz_status st, const char *what);
void subject_close(subject *s);

#endif
