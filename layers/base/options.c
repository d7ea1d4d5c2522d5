/* SPDX-License-Identifier: MIT */
/* options.c - copies options structs by their own size, so that they can grow. */
#include "layers/base/base.h"

#include <string.h>

qz_status qzi_options_take(const qz_context *ctx, const void *given, void *full, size_t size,
                           const char *name)
{
    size_t given_size = 0;
    memset(full, 0, size);
    if (given) {
        memcpy(&given_size, given, sizeof(given_size));
        if (given_size < sizeof(given_size) || given_size > size)
            return qzi_fail(
                ctx, QZ_ERR_ARGUMENT,
                "%s: its size is %zu, this library's is %zu; begin with its _INIT macro, "
                "and build with the headers of this library or of an older one",
                name, given_size, size);
        memcpy(full, given, given_size);
    }
    memcpy(full, &size, sizeof(size));
    return QZ_OK;
}
