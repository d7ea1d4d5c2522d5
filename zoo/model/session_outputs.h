/* SPDX-License-Identifier: MIT */
/* session_outputs.h - the outputs that a session was asked for. Private. */
#ifndef QZOO_ZOO_MODEL_SESSION_OUTPUTS_H
#define QZOO_ZOO_MODEL_SESSION_OUTPUTS_H

#include "layers/graph/graph.h"

/*
 * The graph with other outputs, into *view: everything else is the graph's own, which must outlive
 * the view. QZ_ERR_UNKNOWN_NAME has the nearest names.
 */
qz_status qzi_session_view(const qz_graph *graph, const char *const *names, size_t count,
                           qz_graph *view);
/* Frees what qzi_session_view made; fine on a zeroed view. */
void qzi_session_view_free(qz_graph *view);

#endif
