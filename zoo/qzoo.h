/* SPDX-License-Identifier: MIT */
/* qzoo.h - the whole public interface. */
#ifndef QZOO_H
#define QZOO_H

#include "qzoo_base.h"
#include "qzoo_coco.h"
#include "qzoo_cpu.h"
#include "qzoo_detection.h"
#include "qzoo_draw.h"
#include "qzoo_graph.h"
#include "qzoo_image.h"
#include "qzoo_model.h"
#include "qzoo_onnx.h"
#include "qzoo_quant.h"
#include "qzoo_segmentation.h"
#include "qzoo_session.h"
#include "qzoo_weights.h"
#include "qzoo_yolo.h"

#endif
