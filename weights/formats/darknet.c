/* SPDX-License-Identifier: MIT */
/*
 * darknet.c - darknet's .weights: int32 major, minor, revision, then the number of images
 * seen in training (int64 since version 0.2, else int32), then float32 numbers to the end.
 *
 * A .cfg file elsewhere says which layers the numbers belong to. So all of them are one tensor;
 * the builder of the network knows how to divide it.
 */
#include "weights/bytes.h"
#include "weights/state_dict.h"

#include <string.h>

static qz_status add(qz_state_dict *dict, const char *key, qzi_raw_tensor raw)
{
    raw.in_file = true;
    qzi_raw_set_dense(&raw);
    return qzi_dict_add(dict, key, strlen(key), &raw);
}

qz_status qzi_read_darknet(qz_state_dict *dict)
{
    static const char damaged[] = "%s: is no darknet .weights file, or a damaged one (%s)";
    if (dict->size < 16)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT, damaged, dict->name, "truncated header");
    uint32_t major = qzi_le32(dict->bytes), minor = qzi_le32(dict->bytes + 4);
    bool wide = major * 10 + minor >= 2;
    size_t header = wide ? 20 : 16;
    if (dict->size < header || (dict->size - header) % 4 != 0)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT, damaged, dict->name,
                        "it does not end with a whole number");
    if (dict->size == header)
        return qzi_fail(dict->ctx, QZ_ERR_FORMAT, damaged, dict->name, "it holds no weights");
    QZI_TRY(add(dict, "header",
                (qzi_raw_tensor){.dtype = QZ_S32, .ndim = 1, .dims = {3}, .data = dict->bytes}));
    QZI_TRY(add(dict, "seen",
                (qzi_raw_tensor){.dtype = wide ? QZ_S64 : QZ_S32, .data = dict->bytes + 12}));
    return add(dict, "weights",
               (qzi_raw_tensor){.dtype = QZ_F32,
                                .ndim = 1,
                                .dims = {(int64_t)((dict->size - header) / 4)},
                                .data = dict->bytes + header});
}
