/* SPDX-License-Identifier: MIT */
/*
 * npy_header.h - the header of an array in numpy's file format: a Python dict literal with the keys
 * descr, fortran_order and shape. Private.
 */
#ifndef QZOO_WEIGHTS_FORMATS_NPY_HEADER_H
#define QZOO_WEIGHTS_FORMATS_NPY_HEADER_H

#include "layers/base/base.h"

#define QZI_NPY_MAGIC "\x93NUMPY"
#define QZI_NPY_MAGIC_BYTES 6
#define QZI_NPY_HEADER_MAX 4096 /* longer ones are refused; numpy writes about 128 bytes */

typedef struct qzi_npy_header {
    char descr[16]; /* "<f4" */
    bool fortran;   /* the first dimension is dense */
    int32_t ndim;
    int64_t dims[QZ_MAX_DIMS];
} qzi_npy_header;

/*
 * Parses `size` bytes of text. *what says what is wrong. QZ_ERR_FORMAT: it is not numpy's text.
 * QZ_ERR_UNSUPPORTED: records, or more dimensions than QZ_MAX_DIMS. Sets no message.
 */
qz_status qzi_npy_header_parse(const char *text, size_t size, qzi_npy_header *header,
                               const char **what);

#endif
