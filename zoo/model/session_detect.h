/* SPDX-License-Identifier: MIT */
/* session_detect.h - sessions of detectors: stages, results, raw values. Private. */
#ifndef QZOO_ZOO_MODEL_SESSION_DETECT_H
#define QZOO_ZOO_MODEL_SESSION_DETECT_H

#include "zoo/detection/detect.h"
#include "zoo/model/session.h"

/* Makes session->detect of a detector's session; nothing for others. */
qz_status qzi_session_detect_create(qz_session *session);
void qzi_session_detect_destroy(qz_session *session);
/* Run `at` of `count` images. */
qz_status qzi_session_detect_run(qz_session *session, const qzi_detect_image *image, size_t at,
                                 size_t count);
/* A batch of float images, N x 3 x H x W, each by itself. */
qz_status qzi_session_detect_tensor(qz_session *session, const qz_tensor *images);
size_t qzi_session_detect_output_count(const qz_session *session);
/* The raw values of the last image; made when first asked for. */
qz_status qzi_session_detect_output(const qz_session *session, size_t index, const char **name,
                                    const qz_tensor **tensor);

#endif
