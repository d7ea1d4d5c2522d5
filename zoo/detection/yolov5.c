/* SPDX-License-Identifier: MIT */
/*
 * yolov5.c - YOLOv5, release 6.0, in five sizes: modules model.0 to model.24 of its layer table.
 * The sizes differ in the number of channels (width) and of repeated blocks (depth).
 */
#include "zoo/detection/yolo_blocks.h"

struct yolov5 {
    int32_t width; /* in quarters of the channels of l */
    int32_t depth; /* in thirds of the blocks of l */
};

#define ACT QZ_ACT_SILU

/* Module `index`: a convolution of `base` channels in size l. */
static qz_value conv(qz_graph *g, const struct yolov5 *net, int32_t index, qz_value x,
                     qzi_yolo_conv conv)
{
    conv.channels = conv.channels * net->width / 4;
    return qzi_yolo_conv_of(g, qzi_index(index).text, x, conv, ACT);
}

/* Module `index`: C3, a CSP bottleneck with three convolutions. blocks: of size l. */
static qz_value c3(qz_graph *g, const struct yolov5 *net, int32_t index, qz_value x, int32_t base,
                   int32_t blocks, bool add)
{
    const int32_t channels = base * net->width / 4, half = channels / 2;
    const qzi_yolo_conv to_half = {half, 1, 1, 0};
    qz_graph_enter(g, "%d", (int)index);
    qz_value chain = qzi_yolo_conv_of(g, "cv1", x, to_half, ACT);
    const qz_value side = qzi_yolo_conv_of(g, "cv2", x, to_half, ACT);
    const size_t first = g->param_count;
    qz_graph_enter(g, "m");
    for (int32_t i = 0; i < blocks * net->depth / 3; i++) {
        qz_graph_enter(g, "%d", (int)i);
        chain = qz_graph_leave(g, qzi_yolo_bottleneck(g, chain, half, half, add, ACT));
    }
    qz_graph_leave(g, chain);
    const size_t middle = g->param_count;
    const qz_value both[] = {chain, side};
    x = qzi_yolo_conv_of(g, "cv3", qz_concat(g, "cat", both, 2), (qzi_yolo_conv){channels, 1, 1, 0},
                         ACT);
    qzi_graph_rotate_params(g, first, middle); /* torch declares cv3 before m */
    return qz_graph_leave(g, x);
}

/* Module `index`: SPPF, pools of 5, 9 and 13 as one of 5 behind another. */
static qz_value sppf(qz_graph *g, const struct yolov5 *net, int32_t index, qz_value x, int32_t base)
{
    const int32_t channels = base * net->width / 4;
    qz_value maps[4];
    qz_graph_enter(g, "%d", (int)index);
    maps[0] = qzi_yolo_conv_of(g, "cv1", x, (qzi_yolo_conv){channels / 2, 1, 1, 0}, ACT);
    maps[1] = qzi_yolo_pool(g, "m", maps[0], 5);
    maps[2] = qzi_yolo_pool(g, "m_1", maps[1], 5);
    maps[3] = qzi_yolo_pool(g, "m_2", maps[2], 5);
    x = qz_concat(g, "cat", maps, 4);
    return qz_graph_leave(g,
                          qzi_yolo_conv_of(g, "cv2", x, (qzi_yolo_conv){channels, 1, 1, 0}, ACT));
}

/* Modules `index`, `index` + 1: x in twice its size, then `map` behind it. */
static qz_value up_and_join(qz_graph *g, int32_t index, qz_value x, qz_value map)
{
    const qz_value both[] = {qzi_yolo_upsample(g, qzi_index(index).text, x, map), map};
    return qz_concat(g, qzi_index(index + 1).text, both, 2);
}

static qz_value join(qz_graph *g, int32_t index, qz_value a, qz_value b)
{
    const qz_value both[] = {a, b};
    return qz_concat(g, qzi_index(index).text, both, 2);
}

static const qzi_detector detector;

static void build_yolov5(qz_graph *g, const void *config, const qzi_build_options *options)
{
    const struct yolov5 *net = config;
    qz_value x = qzi_block_image_input(g), maps[QZI_YOLO_LEVELS];
    qz_graph_enter(g, "model");
    x = conv(g, net, 0, x, (qzi_yolo_conv){64, 6, 2, 2});
    x = conv(g, net, 1, x, (qzi_yolo_conv){128, 3, 2, 0});
    x = c3(g, net, 2, x, 128, 3, true);
    x = conv(g, net, 3, x, (qzi_yolo_conv){256, 3, 2, 0});
    const qz_value x4 = c3(g, net, 4, x, 256, 6, true);
    x = conv(g, net, 5, x4, (qzi_yolo_conv){512, 3, 2, 0});
    const qz_value x6 = c3(g, net, 6, x, 512, 9, true);
    x = conv(g, net, 7, x6, (qzi_yolo_conv){1024, 3, 2, 0});
    x = c3(g, net, 8, x, 1024, 3, true);
    x = sppf(g, net, 9, x, 1024);

    const qz_value x10 = conv(g, net, 10, x, (qzi_yolo_conv){512, 1, 1, 0});
    x = c3(g, net, 13, up_and_join(g, 11, x10, x6), 512, 3, false);
    const qz_value x14 = conv(g, net, 14, x, (qzi_yolo_conv){256, 1, 1, 0});
    maps[0] = c3(g, net, 17, up_and_join(g, 15, x14, x4), 256, 3, false);
    x = conv(g, net, 18, maps[0], (qzi_yolo_conv){256, 3, 2, 0});
    maps[1] = c3(g, net, 20, join(g, 19, x, x14), 512, 3, false);
    x = conv(g, net, 21, maps[1], (qzi_yolo_conv){512, 3, 2, 0});
    maps[2] = c3(g, net, 23, join(g, 22, x, x10), 1024, 3, false);
    qzi_yolo_detect(g, "24", &detector, maps, options->num_classes);
    qz_graph_leave(g, QZ_NO_VALUE);
}

static const qzi_detector detector = {
    QZI_YOLO_DETECTOR(640, QZ_YOLO_DECODE_V5),
    .yolo_anchors = QZI_YOLO_COCO_ANCHORS,
    .scale_xy = {1, 1, 1},
};

static const qz_fill_rule rules_n[] = {
    {"model.0.", 5.327},
    {"model.1.", 1.476},
    {"model.2.m.", 0.8465},
    {"model.2.", 1.154},
    {"model.3.", 2.131},
    {"model.4.m.", 0.8988},
    {"model.4.", 1.214},
    {"model.5.", 1.138},
    {"model.6.m.", 0.9499},
    {"model.6.", 1.289},
    {"model.7.", 1.172},
    {"model.8.m.", 0.9706},
    {"model.8.", 1.347},
    {"model.9.", 1.155},
    {"model.10.", 1.243},
    {"model.13.m.", 1.407},
    {"model.13.", 1.2},
    {"model.14.", 1.367},
    {"model.17.m.", 1.957},
    {"model.17.", 1.437},
    {"model.18.", 1.399},
    {"model.20.m.", 1.244},
    {"model.20.", 1.539},
    {"model.21.", 1.168},
    {"model.23.m.", 1.108},
    {"model.23.", 1.3},
    {"model.24.", 0.6043},
    {"", 1.3},
    {NULL, 0.0},
};
static const qz_fill_rule rules_s[] = {
    {"model.0.", 4.749},
    {"model.1.", 1.641},
    {"model.2.m.", 1.135},
    {"model.2.", 1.26},
    {"model.3.", 1.164},
    {"model.4.m.", 1.078},
    {"model.4.", 1.362},
    {"model.5.", 1.195},
    {"model.6.m.", 0.9071},
    {"model.6.", 1.264},
    {"model.7.", 1.246},
    {"model.8.m.", 0.9308},
    {"model.8.", 1.325},
    {"model.9.", 1.057},
    {"model.10.", 1.09},
    {"model.13.m.", 1.179},
    {"model.13.", 1.338},
    {"model.14.", 1.563},
    {"model.17.m.", 1.112},
    {"model.17.", 1.276},
    {"model.18.", 1.631},
    {"model.20.m.", 1.286},
    {"model.20.", 1.291},
    {"model.21.", 1.528},
    {"model.23.m.", 1.296},
    {"model.23.", 1.406},
    {"model.24.", 0.6822},
    {"", 1.3},
    {NULL, 0.0},
};
static const qz_fill_rule rules_m[] = {
    {"model.0.", 4.852},
    {"model.1.", 1.629},
    {"model.2.m.", 0.8369},
    {"model.2.", 1.255},
    {"model.3.", 1.024},
    {"model.4.m.", 0.7887},
    {"model.4.", 1.26},
    {"model.5.", 1.052},
    {"model.6.m.", 0.841},
    {"model.6.", 1.187},
    {"model.7.", 1.114},
    {"model.8.m.", 0.8774},
    {"model.8.", 1.334},
    {"model.9.", 1.024},
    {"model.10.", 1.273},
    {"model.13.m.", 1.255},
    {"model.13.", 1.321},
    {"model.14.", 1.497},
    {"model.17.m.", 1.31},
    {"model.17.", 1.331},
    {"model.18.", 1.562},
    {"model.20.m.", 1.403},
    {"model.20.", 1.457},
    {"model.21.", 1.342},
    {"model.23.m.", 1.295},
    {"model.23.", 1.367},
    {"model.24.", 0.6901},
    {"", 1.3},
    {NULL, 0.0},
};
static const qz_fill_rule rules_l[] = {
    {"model.0.", 4.713},
    {"model.1.", 1.855},
    {"model.2.m.", 0.8419},
    {"model.2.", 1.2},
    {"model.3.", 1.146},
    {"model.4.m.", 0.8466},
    {"model.4.", 1.107},
    {"model.5.", 0.9746},
    {"model.6.m.", 0.8104},
    {"model.6.", 1.104},
    {"model.7.", 0.9873},
    {"model.8.m.", 0.8949},
    {"model.8.", 1.292},
    {"model.9.", 0.9821},
    {"model.10.", 1.123},
    {"model.13.m.", 1.263},
    {"model.13.", 1.165},
    {"model.14.", 1.642},
    {"model.17.m.", 1.352},
    {"model.17.", 1.199},
    {"model.18.", 1.499},
    {"model.20.m.", 1.224},
    {"model.20.", 1.466},
    {"model.21.", 1.755},
    {"model.23.m.", 1.328},
    {"model.23.", 1.376},
    {"model.24.", 0.7268},
    {"", 1.3},
    {NULL, 0.0},
};
static const qz_fill_rule rules_x[] = {
    {"model.0.", 4.769},
    {"model.1.", 1.718},
    {"model.2.m.", 0.8924},
    {"model.2.", 1.228},
    {"model.3.", 1.068},
    {"model.4.m.", 0.8497},
    {"model.4.", 1.065},
    {"model.5.", 1.071},
    {"model.6.m.", 0.8306},
    {"model.6.", 1.043},
    {"model.7.", 0.9733},
    {"model.8.m.", 0.9396},
    {"model.8.", 1.24},
    {"model.9.", 1.01},
    {"model.10.", 1.145},
    {"model.13.m.", 1.348},
    {"model.13.", 1.159},
    {"model.14.", 1.655},
    {"model.17.m.", 1.33},
    {"model.17.", 1.205},
    {"model.18.", 1.56},
    {"model.20.m.", 1.312},
    {"model.20.", 1.405},
    {"model.21.", 1.526},
    {"model.23.m.", 1.388},
    {"model.23.", 1.422},
    {"model.24.", 0.751},
    {"", 1.3},
    {NULL, 0.0},
};

static const struct yolov5 net_n = {1, 1}, net_s = {2, 1}, net_m = {3, 2}, net_l = {4, 3},
                           net_x = {5, 4};

#define YOLOV5(size)                                                          \
    const qzi_arch qzi_arch_yolov5##size = {QZI_YOLO_INFO(yolov5##size, 640), \
                                            .fill_rules = rules_##size,       \
                                            .config = &net_##size,            \
                                            .build = build_yolov5,            \
                                            .fuse = qzi_yolo_fuse,            \
                                            .detector = &detector}
YOLOV5(n);
YOLOV5(s);
YOLOV5(m);
YOLOV5(l);
YOLOV5(x);
