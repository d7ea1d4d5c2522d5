/* SPDX-License-Identifier: MIT */
/*
 * saved_model.h - the file of an int8 model: version 2, or 3 where it computes by channel. Private.
 *
 * A safetensors file. The graph is not in the file: it follows from the architecture, the options
 * and the parameters of the observed values, by the code that converted the model. A file holds the
 * data that cannot be computed again, and its origin. Nothing in it depends on the machine: the
 * same weights, images and options make the same bytes everywhere, and saving an opened file makes
 * its bytes again.
 *
 * Metadata, all of it text and all of it required (the user's text, classes and weights, is
 * written by qz_text_escape: \xe9 for a byte that is not UTF-8, two backslashes for one):
 *   format              "qzoo.int8/2", or "qzoo.int8/3" of backend native, whose values may have
 *                       a scale for each channel; a reader refuses another number
 *   version             of the library that wrote the file
 *   arch                name of the architecture
 *   graph               only where an application built the graph: 16 hex digits, the FNV-1a 64 of
 *                       its nodes (model_graph.c). `arch` is then the application's own name
 *   num_classes         decimal, as all numbers here
 *   transform_input     "1" or "0": the first layer brings the input to mean and std 0.5
 *   no_aux_logits       "1" or "0": the model was built without the parameters of auxiliary heads
 *   zero_eps            "1": a detector whose backbone has norms with eps 0; absent elsewhere
 *   activation          yolov3's where it is not its own: "silu"; absent elsewhere
 *   norm_eps            of all batch norms, a float32's bits in 16 hex digits, where it is not
 *                       their own
 *   relu, fused         "1" or "0": ReLU6 was replaced by ReLU; fuse_model was run
 *   imported            "1" or "0": scales, zero points and weights are PyTorch's (torch_int8.h),
 *                       so that nothing was observed and no inputs of a concatenation share
 *                       parameters
 *   backend             its name
 *   observer            its word, "mse", "percentile:99.99"; empty where imported
 *   per_channel         "1" or "0": weight scales differ within a layer
 *   reduce_range        "1" or "0": activations had 7 bits when they were observed
 *   recipe              "fast", "best"; absent: "none"
 *   bias_correction     "images": the biases have the mean error of their layers' outputs added,
 *                       as measured on calibration images; absent: "none"
 *   equalize            "auto", or the alpha of all values as "0.5"; absent: "none"
 *   rounding            "adaround"; absent: "nearest"
 *   weight_bits         "7" or "4": integers of weights within 63 or 7; absent: 8
 *   exclude, fallback   names joined by commas; may be empty
 *   detection           of detectors only: their settings, "score_thresh=5e-2 nms_thresh=5e-1 …"
 *   resize, crop_h, crop_w, resize_h, resize_w, bgr   of qz_preprocess
 *   interpolation       "bilinear" or "bicubic"
 *   classes             the names given to the classes, a newline between two; may be empty
 *   weights             "random:SEED", or the tag, or the base name of the file that was loaded,
 *                       and " + random:0 (3 of 62 parameters)" where it lacked some
 *   random              "1" or "0": any parameter is random
 *   missing             how many parameters the file lacked
 *   weights_hash        16 hex digits: FNV-1a 64 over the hashes of all parameters in order,
 *                       each FNV-1a over four lanes (hashes are 8 bytes, little-endian); lane k
 *                       takes the float32 values k, k + 4, ... by FNV-1a's step on their 32 bits
 *                       at once (num_batches_tracked counts as empty)
 *                       Where imported: FNV-1a 64 of each layer's int8 weights, their scales and
 *                       its float bias
 *   calibration_images  how many were seen; 0 where imported, and only there
 *   synthetic_images    how many of them were synthetic
 *   calib               the same in words, for readers: "images:100", "synthetic:32", "imported"
 *   calibration_hash    the sum of FNV-1a 64 of each image's float32 values, 16 hex digits:
 *                       the order of the images does not matter; 0 where imported
 *
 * Tensors, in this order:
 *   preprocess.mean, preprocess.std   float32 [3]
 *   anchors                 float32 [3, 3, 2]  of YOLO: level, anchor, width and height in pixels
 *   activation.scale        float32 [V]  one entry for each node of the fused float graph, in its
 *   activation.zero_point   int32 [V]    order; scale 0 where its value has no parameters
 *   activation.channels     int32 [V]    in format 3: how many of the following are the value's,
 *                                        its channels or 0
 *   channel.scale           float32 [S]  those of all such values, one value after the other; both
 *   channel.zero_point      uint8 [S]    are absent where there are none
 *   then for each node of the int8 graph, in its order, what it has of
 *     NAME.weight           int8 [oc, ic/groups, kh, kw], or [out, in] of a linear layer
 *     NAME.weight_scale     float32 [oc]
 *     NAME.bias             int32 [oc], magnitude below 2^30
 *     NAME.bias_f32         float32 [oc], what the integer bias was rounded from
 *     NAME.table            uint8 [inputs, 256] of a concatenation
 *   and, where the node stayed float, its float32 parameters under torchvision's keys, unless an
 *   earlier call of the same layer has brought them.
 */
#ifndef QZOO_ZOO_SAVED_SAVED_MODEL_H
#define QZOO_ZOO_SAVED_SAVED_MODEL_H

#include "zoo/model/model.h"

#define QZI_SAVED_FORMAT "qzoo.int8/2"
#define QZI_SAVED_FORMAT_CHANNELS "qzoo.int8/3" /* computes by channel */
#define QZI_SAVED_FORMAT_FAMILY "qzoo.int8/"

/* Integer biases stay below this in magnitude (CONTRACT.md). */
#define QZI_SAVED_BIAS_LIMIT (INT32_C(1) << 30)

#endif
