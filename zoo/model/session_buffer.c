/* SPDX-License-Identifier: MIT */
/* session_buffer.c - memory of a session that grows to what its largest run needs. */
#include "zoo/model/session.h"

qz_status qzi_buffer_reserve(const qz_context *ctx, qzi_buffer *buffer, size_t count, size_t size)
{
    size_t bytes = 0;
    if (!qzi_mul_size(count, size, &bytes))
        return qzi_fail(ctx, QZ_ERR_ARGUMENT, "a tensor of %zu elements is too large", count);
    if (buffer->data && buffer->bytes >= bytes)
        return QZ_OK;
    void *data = qzi_alloc(ctx, bytes);
    if (!data)
        return QZ_ERR_MEMORY;
    qzi_free(ctx, buffer->data);
    *buffer = (qzi_buffer){data, bytes};
    return QZ_OK;
}
