/* SPDX-License-Identifier: MIT */
/*
 * statistics_file.h - the file of a calibration's statistics (.qzstats), version 1. Private.
 *
 * A safetensors file with the counts of all values of a model's float graph (tally.h). They serve
 * every backend and every observer whose ranges do not depend on the order of images. The same
 * images make the same bytes, in any order, split over any number of files that were merged.
 *
 * Metadata, all of it text and all of it required:
 *   format              "qzoo.statistics/1"
 *   version             of the library that wrote the file
 *   arch                name of the network
 *   graph               16 hex digits, the FNV-1a 64 of the nodes of the fused graph: options that
 *                       change the network change it
 *   weights             as in a saved model (saved_model.h), for messages
 *   weights_hash        the same: of the loaded parameters
 *   preprocess          the preprocessing of images: "resize=256 crop=224x224 size=0x0
 *                       interpolation=bilinear bgr=0 mean=3ef7ced9,… std=…"; the numbers of mean
 *                       and std are the bits of float32
 *   detection           settings of a detector, as in a saved model; empty of others
 *   calibration_images, synthetic_images, calibration_hash   as in a saved model
 *
 * Tensors, for each node of C channels in the graph's order:
 *   NAME.values          int64 [1]  values of each channel; where 0, the rest is 0 or empty
 *   NAME.min, NAME.max   float32 [C]
 *   NAME.zeros           int64 [C]  how many of them are 0
 *   NAME.counts          uint8 [n]  the bins of all channels together, from that of the smallest
 *                        value to that of the largest, each as a variable-length number: 7 bits a
 *                        byte from the least, bit 7 where more follow
 *   NAME.channel_counts  uint8 [n]  where C is above 1: the same of channel 0, 1, … in a row
 */
#ifndef QZOO_ZOO_SAVED_STATISTICS_FILE_H
#define QZOO_ZOO_SAVED_STATISTICS_FILE_H

#include "zoo/model/model.h"

#define QZI_STATISTICS_FORMAT "qzoo.statistics/1"
#define QZI_STATISTICS_FAMILY "qzoo.statistics/"

/* The preprocessing of images as text, in the arena. */
qz_status qzi_statistics_recipe(const qz_model *model, qzi_arena *arena, const char **text);

#endif
