/* SPDX-License-Identifier: MIT */
/* options.c - copies options structs by their own size, so that they can grow. */
#include "layers/base/base.h"

#include <string.h>

/* "qz_model_options" to "QZ_MODEL_OPTIONS"; only what fits. */
static void upper_case(const char *name, char *upper, size_t size)
{
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < size; i++)
        upper[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
    upper[i] = '\0';
}

static qz_status fail_size(const qz_context *ctx, const char *name, size_t given, size_t known)
{
    char upper[64];
    upper_case(name, upper, sizeof(upper));
    return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                    "%s: its size is %zu, this library knows %zu; begin with %s_INIT of this "
                    "library's headers",
                    name, given, known, upper);
}

qz_status qzi_options_take(const qz_context *ctx, const void *given, void *full, size_t size,
                           const char *name)
{
    size_t given_size = 0;
    memset(full, 0, size);
    if (given) {
        memcpy(&given_size, given, sizeof(given_size));
        if (given_size < sizeof(given_size) || given_size > size)
            return fail_size(ctx, name, given_size, size);
        memcpy(full, given, given_size);
    }
    memcpy(full, &size, sizeof(size));
    return QZ_OK;
}
