/* SPDX-License-Identifier: MIT */
/*
 * backbone.c - the feature layers of a classifier as a part of a larger graph (arch.h).
 */
#include "zoo/arch.h"

#include "layers/graph/build.h"

#include <string.h>

static qz_status check(const qz_context *ctx, const qzi_arch *arch,
                       const qzi_backbone_options *options)
{
    if (!arch->features)
        return qzi_fail(ctx, QZ_ERR_UNSUPPORTED, "%s is not built as a backbone", arch->info.name);
    for (size_t i = 0; i < QZI_ARRAY_LEN(options->dilate); i++)
        if (options->dilate[i] && !arch->can_dilate[i])
            return qzi_fail(ctx, QZ_ERR_UNSUPPORTED,
                            "%s: its halving number %zu of the last three has no dilated form",
                            arch->info.name, i + 1);
    return QZ_OK;
}

/* The output of a module of the current scope. */
static qz_status find_module(const qz_graph *graph, const char *arch, const char *module,
                             qz_value *value)
{
    const char *scope = graph->scope_count > 0 ? graph->scope[graph->scope_count - 1] : "";
    char *name = qzi_format(graph->ctx, "%s%s%s", scope, scope[0] != '\0' ? "." : "", module);
    if (!name)
        return QZ_ERR_MEMORY;
    *value = qzi_graph_find(graph, name);
    qzi_free(graph->ctx, name);
    if (*value < 0)
        return qzi_fail(graph->ctx, QZ_ERR_UNKNOWN_NAME, "the features of %s have no module '%s'",
                        arch, module);
    return QZ_OK;
}

static qz_status build(qz_graph *graph, const qzi_arch *arch, qz_value x,
                       const qzi_backbone_options *options, const char *const *layers, size_t count,
                       qz_value *maps)
{
    QZI_TRY(check(graph->ctx, arch, options));
    arch->features(graph, arch->config, x, options);
    if (graph->status != QZ_OK)
        return qzi_fail(graph->ctx, graph->status, "%s",
                        graph->message ? graph->message : "out of memory");
    for (size_t i = 0; i < count; i++)
        QZI_TRY(find_module(graph, arch->info.name, layers[i], &maps[i]));
    return QZ_OK;
}

qz_status qzi_backbone_build(qz_graph *graph, const qzi_arch *arch, qz_value x,
                             const qzi_backbone_options *options, const char *const *layers,
                             size_t count, qz_value *maps)
{
    const qz_status st = build(graph, arch, x, options, layers, count, maps);
    if (st != QZ_OK)
        qzi_build_fail(graph, st);
    return st;
}
