# SPDX-License-Identifier: MIT
"""Writes tests/unit/detection_goldens.inc: what torchvision 0.14.1 finds in random heads.

Values are those of qz_random_uniform, in the order of NHWC maps. Thresholds lie in gaps between
scores, so that rounding does not decide.
"""
import os
from types import SimpleNamespace

import numpy as np
import torch
from torchvision.models.detection._utils import BoxCoder, BoxLinearCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference, paste_masks_in_image
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.ssd import SSD
from torchvision.ops import MultiScaleRoIAlign

from golden_fill import uniform

PADDED, IMAGE = (128, 160), (120, 150)
MAPS = [(16, 20), (8, 10), (4, 5), (2, 3), (1, 2)]
CLASSES = 6


def values(key, spread, *shape):
    count = 1
    for s in shape:
        count *= s
    return torch.from_numpy(uniform(key, -0.5, 2.0 * spread, count).reshape(shape))


def anchors_of(generator, maps, padded):
    images = ImageList(torch.zeros(1, 3, *padded), [IMAGE])
    return generator(images, [torch.zeros(1, 1, *m) for m in maps])[0]


def found(name, result):
    boxes, scores, labels = result["boxes"], result["scores"], result["labels"]
    rows = ["    {%s, %r, %d}," % (", ".join("%.9g" % v for v in b), float("%.9g" % s), l)
            for b, s, l in zip(boxes.tolist(), scores.tolist(), labels.tolist())]
    return ["static const golden_box %s_golden[] = {" % name] + rows + ["};"]


def one_stage(cls, generator, ctr, **settings):
    per = generator.num_anchors_per_location()[0]
    anchors = anchors_of(generator, MAPS, PADDED).split([h * w * per for h, w in MAPS])
    head = {"cls_logits": [values("cls.%d" % k, 4, 1, h * w * per, CLASSES) for k, (h, w) in enumerate(MAPS)],
            "bbox_regression": [values("box.%d" % k, 1.5, 1, h * w * per, 4) for k, (h, w) in enumerate(MAPS)]}
    if ctr:
        head["bbox_ctrness"] = [values("ctr.%d" % k, 4, 1, h * w * per, 1) for k, (h, w) in enumerate(MAPS)]
    return cls.postprocess_detections(SimpleNamespace(**settings), head, [list(anchors)], [IMAGE])[0]


lines = []
ratios = ((0.5, 1.0, 2.0),) * 5
lines += found("retinanet", one_stage(
    RetinaNet, AnchorGenerator(((8, 10, 12), (16, 20, 25), (32, 40, 50), (64, 80, 101), (128, 161, 203)), ratios),
    False, box_coder=BoxCoder((1.0, 1.0, 1.0, 1.0)), score_thresh=0.6, nms_thresh=0.5, topk_candidates=60,
    detections_per_img=40))
lines += found("fcos", one_stage(
    FCOS, AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5), True,
    box_coder=BoxLinearCoder(True), score_thresh=0.3, nms_thresh=0.6, topk_candidates=60, detections_per_img=40))

generator = DefaultBoxGenerator([[2], [2, 3]], scales=[0.07, 0.15, 0.33], steps=[8, 16])
maps = [(8, 12), (4, 6)]
counts = [h * w * p for (h, w), p in zip(maps, generator.num_anchors_per_location())]
head = {"cls_logits": torch.cat([values("cls.%d" % k, 3, 1, n, CLASSES) for k, n in enumerate(counts)], 1),
        "bbox_regression": torch.cat([values("box.%d" % k, 1.5, 1, n, 4) for k, n in enumerate(counts)], 1)}
ssd = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), score_thresh=0.5, nms_thresh=0.45,
                      topk_candidates=30, detections_per_img=40)
lines += found("ssd", SSD.postprocess_detections(ssd, head, [anchors_of(generator, maps, (64, 96))], [(64, 96)])[0])

generator = AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ratios)
rpn = RegionProposalNetwork(generator, RPNHead(4, 3), 0.7, 0.3, 256, 0.5, {"training": 1, "testing": 50},
                            {"training": 1, "testing": 40}, 0.7, 0.4).eval()
objectness = [values("cls.%d" % k, 4, 1, h * w * 3) for k, (h, w) in enumerate(MAPS)]
deltas = torch.cat([values("box.%d" % k, 1.5, h * w * 3, 4) for k, (h, w) in enumerate(MAPS)])
decoded = rpn.box_coder.decode(deltas, [anchors_of(generator, MAPS, PADDED)]).view(1, -1, 4)
boxes, scores = rpn.filter_proposals(decoded, torch.cat(objectness, 1), [IMAGE], [o.shape[1] for o in objectness])
lines += found("rpn", {"boxes": boxes[0], "scores": scores[0], "labels": torch.zeros(len(boxes[0]))})

u = values("rois", 0.5, 30, 4) + 0.5
scale = torch.tensor([100.0, 80.0, 60.0, 50.0])
rois = u * scale
rois[:, 2:] += rois[:, :2]
heads = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), score_thresh=0.3, nms_thresh=0.5,
                        detections_per_img=40)
boxes, scores, labels = RoIHeads.postprocess_detections(
    heads, values("cls.0", 3, 30, CLASSES), values("box.0", 3, 30, CLASSES * 4), [rois], [IMAGE])
lines += found("rcnn", {"boxes": boxes[0], "scores": scores[0], "labels": labels[0]})

count = 6
logits = values("mask", 4, count, 28, 28, CLASSES).permute(0, 3, 1, 2)
labels = torch.arange(count) % CLASSES
masks = paste_masks_in_image(maskrcnn_inference(logits, [labels])[0], rois[:count], IMAGE)[:, 0].double()
lines += ["static const double mask_golden[][3] = { /* sum, pixels above one half, sum of index * value */"]
index = torch.arange(1, IMAGE[0] * IMAGE[1] + 1, dtype=torch.float64).view(IMAGE)
lines += ["    {%.12g, %d, %.12g}," % (m.sum(), (m > 0.5).sum(), (m * index).sum() / index.sum()) for m in masks] + ["};"]

pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
# about 4 pixels of the image for one of the finest map
features = {str(k): values("map.%d" % k, 2, 1, 32 >> k, 40 >> k, 5).permute(0, 3, 1, 2) for k in range(4)}
many = torch.cat([rois, rois * 3.0])
out = pool(features, [many], [IMAGE]).permute(0, 2, 3, 1).reshape(len(many), -1).double()
lines += ["static const double pool_golden[][2] = { /* of a RoI: l2, sum of index * value */"]
index = torch.arange(1, out.shape[1] + 1, dtype=torch.float64)
lines += ["    {%.12g, %.12g}," % (o.norm(), (o * index).sum() / index.sum()) for o in out] + ["};"]

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "..", "detection_goldens.inc"), "w") as f:
    f.write("/* SPDX-License-Identifier: MIT */\n/* Written by gen/detection_goldens.py. clang-format off */\n")
    f.write("\n".join(lines) + "\n")
