/* SPDX-License-Identifier: MIT */
/* maps.h - a graph's outputs as the stages between graphs read them. Private. */
#ifndef QZOO_ZOO_DETECTION_MAPS_H
#define QZOO_ZOO_DETECTION_MAPS_H

#include "layers/graph/graph.h"

/* An output of one image or of R RoIs, NHWC: float32, or uint8 with its node's parameters. */
typedef struct qzi_map {
    const qzi_node *node;
    qzk_view view;
} qzi_map;

static inline bool qzi_map_is_u8(const qzi_map *map)
{
    return map->node->dtype == QZ_U8;
}

static inline int64_t qzi_map_pixels(const qzi_map *map)
{
    return (int64_t)map->view.n * map->view.h * map->view.w;
}

static inline float qzi_map_dequantize(const qzi_map *map, uint8_t q)
{
    return (float)(q - map->node->q.zero_point) * map->node->q.scale;
}

/* Channel `ch` of a pixel, in order of rows. */
static inline float qzi_map_at(const qzi_map *map, int64_t pixel, int32_t ch)
{
    const int64_t i = pixel * map->view.pixel_stride + ch;
    if (qzi_map_is_u8(map))
        return qzi_map_dequantize(map, ((const uint8_t *)map->view.data)[i]);
    return ((const float *)map->view.data)[i];
}

static inline void qzi_map_box(const qzi_map *map, int64_t pixel, int32_t first, float delta[4])
{
    for (int32_t i = 0; i < 4; i++)
        delta[i] = qzi_map_at(map, pixel, first + i);
}

#endif
