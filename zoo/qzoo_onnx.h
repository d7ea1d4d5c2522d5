/* SPDX-License-Identifier: MIT */
/*
 * qzoo_onnx.h - writing a model as ONNX, in float, in half precision and in int8.
 *
 * The page zoo/onnx/README.md says what each op becomes, and what is where in the file.
 */
#ifndef QZOO_ONNX_H
#define QZOO_ONNX_H

#include "qzoo_base.h"
#include "qzoo_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What kind of ONNX file to write. */
typedef enum qz_onnx_format {
    QZ_ONNX_FP32 = 0,
    QZ_ONNX_FP16,      /* weights and arithmetic in half precision */
    QZ_ONNX_QDQ,       /* int8 as float ops between DequantizeLinear and QuantizeLinear */
    QZ_ONNX_QOPERATOR, /* int8 as QLinearConv and similar, com.microsoft's where ONNX has none */
    QZ_ONNX_FORMAT_COUNT
} qz_onnx_format;
/* "fp32", "fp16", "qdq", "qoperator"; NULL for another number. */
QZ_API const char *qz_onnx_format_name(qz_onnx_format format);
/* The inverse; false for an unknown word, and *format stays. */
QZ_API bool qz_onnx_format_parse(const char *name, qz_onnx_format *format);

/* Which stage of a detector of two stages (Faster and Mask R-CNN) to write. */
typedef enum qz_onnx_stage {
    QZ_ONNX_STAGE_ALL = 0,
    QZ_ONNX_STAGE_IMAGE, /* from `input` to the RPN's values */
    QZ_ONNX_STAGE_BOX,   /* from `box_features`, what is pooled in R boxes, to scores and boxes */
    QZ_ONNX_STAGE_MASK,  /* from `mask_features` to masks */
    QZ_ONNX_STAGE_COUNT
} qz_onnx_stage;

#define QZ_ONNX_OPSET_MIN 13
#define QZ_ONNX_OPSET_DEFAULT 17
#define QZ_ONNX_OPSET_MAX 21

/* How to write it. Begin with QZ_ONNX_OPTIONS_INIT: zero is the default everywhere. */
typedef struct qz_onnx_options {
    size_t size; /* sizeof(qz_onnx_options) */
    qz_onnx_format format;
    int32_t opset;         /* of the domain ai.onnx, 13 to 21; 0: 17 */
    int32_t batch;         /* 0: any number of images, the symbol N */
    int32_t height, width; /* of the images; 0: the model's own */
    bool io_fp16;          /* QZ_ONNX_FP16: inputs and outputs too, else they are float32 */
    bool all_outputs;      /* every node's value is an output; int8 ones as their bytes */
    bool external_data;    /* tensors go to PATH.data beside it; above 2 GB always */
    /* QZ_ONNX_FP16: images (NCHW float32, preprocessed) on which values too large or too small for
     * half precision are looked for; NULL: only weights are looked at */
    const qz_tensor *images;
    /* called for each node that was kept in float32, with the reason; may be NULL */
    void (*note)(void *user, const char *node, const char *reason);
    void *note_user;
    /* detectors: the outputs are the objects of one image, not the raw values of the heads.
     * Decoding, suppression and pooling are operators of the file: see zoo/onnx/README.md */
    bool postprocess;
    qz_onnx_stage stage; /* one stage alone; not with postprocess */
    bool aux; /* segmenters: the auxiliary head's output too; all_outputs has it always */
    /* YOLO with postprocess: the classes that are looked for, `only_count` of them; NULL: all */
    const int32_t *only;
    size_t only_count;
} qz_onnx_options;
#define QZ_ONNX_OPTIONS_INIT QZ_OPTIONS_INIT(qz_onnx_options)

/*
 * Writes the float model (QZ_ONNX_FP32, QZ_ONNX_FP16) or the converted one (QZ_ONNX_QDQ,
 * QZ_ONNX_QOPERATOR). The file appears under its name only when it is whole. NULL for options:
 * float32. The float model is written as it is, fused or not.
 *
 * QZ_ERR_STATE: there is no float model (an opened int8 file), no converted one, or its weights
 * were dropped. QZ_ERR_UNSUPPORTED: built without protobuf-c. QZ_ERR_IO names the file.
 */
QZ_API qz_status qz_onnx_export(qz_model *model, const char *path, const qz_onnx_options *options);

#ifdef __cplusplus
}
#endif
#endif
