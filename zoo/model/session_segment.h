/* SPDX-License-Identifier: MIT */
/* session_segment.h - class maps of a session's images. Private. */
#ifndef QZOO_ZOO_MODEL_SESSION_SEGMENT_H
#define QZOO_ZOO_MODEL_SESSION_SEGMENT_H

#include "zoo/model/session.h"

/* Forgets the maps of the run before. */
void qzi_segments_clear(qz_session *session);
/* Makes the map of the image that ran just now, number `at` of several that may differ in size. */
qz_status qzi_segments_add(qz_session *session, size_t at, const float *scores,
                           const qz_tensor *shape);
bool qzi_is_segmenter(const qz_model *model);

#endif
