/* SPDX-License-Identifier: MIT */
/*
 * torch_int8.h - int8 models that PyTorch made, loaded as converted models. Private.
 *
 * Three forms are distinguished by their content:
 *
 *   keys     the state dict of a quantized module (torchvision's published files): NAME.weight is
 *            quantized, NAME.scale and NAME.zero_point belong to the module's output, "quant" is
 *            the input's; linear layers keep NAME._packed_params._packed_params = (weight, bias)
 *   qat      the state dict of a module that was trained with fake quantization and not converted
 *            (torchvision's mobilenet_v3_large): float weights with live batch norm, and the
 *            ranges of weight_fake_quant and activation_post_process
 *   script   a frozen TorchScript archive: parameters of layers are packed in it, and the scales
 *            and zero points of values are numbers in the text of its forward()
 *
 * All yield the same: parameters for the values of the fused float graph, and weights for its
 * convolutions and linears. From there on the model is made as one of ours is, by
 * qzi_convert_structure, so that nothing is calibrated. What PyTorch does not observe (max pool,
 * average pool, flatten) keeps its input's parameters here as there. Nothing in a file is executed.
 */
#ifndef QZOO_ZOO_TORCH_TORCH_INT8_H
#define QZOO_ZOO_TORCH_TORCH_INT8_H

#include "zoo/model/model.h"

/* Whether the file holds an int8 model, in any of the forms. */
bool qzi_torch_is_int8(const qz_state_dict *dict);
/*
 * Makes the model's int8 graph of a dict for which that is true; the float graph, built and not yet
 * loaded, is used up. Options that ask for other parameters than the file's are QZ_ERR_ARGUMENT.
 */
qz_status qzi_torch_load(qz_model *model, const qz_state_dict *dict, const char *path,
                         const qz_model_options *options);

#endif
