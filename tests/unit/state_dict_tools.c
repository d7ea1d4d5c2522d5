/* SPDX-License-Identifier: MIT */
/* state_dict_tools.c - see state_dict_tools.h. */
#include "state_dict_tools.h"

#include <unistd.h>

static void *count_alloc(void *user, size_t size, size_t align)
{
    tool_counter *c = user;
    void *ptr = NULL;
    if (c->total++ == c->fail_at || posix_memalign(&ptr, align, size) != 0)
        return NULL;
    if (size > c->largest)
        c->largest = size;
    c->live++;
    return ptr;
}

static void count_free(void *user, void *ptr)
{
    tool_counter *c = user;
    c->live--;
    free(ptr);
}

qz_context *tool_context(tool_counter *counter)
{
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    const qz_allocator allocator = {count_alloc, count_free, counter};
    qz_context *ctx = NULL;
    options.threads = 1;
    if (counter)
        options.allocator = &allocator;
    assert_int_equal(qz_context_create(&options, &ctx), QZ_OK);
    return ctx;
}

const char *tool_fixture(const char *name)
{
    static char path[1024];
    const char *folder = getenv("QZOO_TEST_FIXTURES");
    snprintf(path, sizeof(path), "%s/state_dict/%s", folder ? folder : "tests/unit/fixtures", name);
    return path;
}

uint8_t *tool_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

const char *tool_scratch(const char *name)
{
    static char path[1024];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof(path), "%s/qzoo-test-%ld-%s", folder ? folder : "/tmp", (long)getpid(),
             name);
    return path;
}

uint64_t tool_touch(const qz_state_dict *dict)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        const qz_tensor *tensor = qz_state_dict_tensor(dict, i);
        int64_t count = qz_tensor_numel(tensor);
        size_t size = qz_dtype_size(tensor->dtype);
        assert_ptr_equal(qz_state_dict_find(dict, qz_state_dict_key(dict, i)), tensor);
        assert_true(count >= 0);
        assert_non_null(tensor->data);
        assert_int_equal((uintptr_t)tensor->data % size, 0);
        const uint8_t *p = tensor->data;
        for (size_t b = 0; b < (size_t)count * size; b++)
            sum = sum * 31 + p[b];
    }
    return sum;
}

void tool_expect_failure(qz_context *ctx, const void *bytes, size_t size, qz_status status,
                         const char *part)
{
    qz_state_dict *dict = (qz_state_dict *)&size; /* must become NULL */
    qz_status st = qz_state_dict_parse(ctx, bytes, size, "evil", &dict);
    const char *message = qz_context_message(ctx);
    if (st != status || strncmp(message, "evil: ", 6) != 0 || !strstr(message, part))
        fail_msg("%s (%s) instead of %s (%s)", qz_status_name(st), message, qz_status_name(status),
                 part);
    assert_null(dict);
    assert_null(strchr(message, '\n'));
}

void tool_expect_clean(qz_context *ctx, const void *bytes, size_t size)
{
    qz_state_dict *dict = NULL;
    qz_status st = qz_state_dict_parse(ctx, bytes, size, "evil", &dict);
    if (st == QZ_OK) {
        tool_touch(dict);
    } else {
        if (st != QZ_ERR_FORMAT && st != QZ_ERR_UNSUPPORTED)
            fail_msg("%s: %s", qz_status_name(st), qz_context_message(ctx));
        assert_int_equal(strncmp(qz_context_message(ctx), "evil: ", 6), 0);
        assert_null(dict);
    }
    qz_state_dict_destroy(dict);
}

const void *tool_tensor(const qz_state_dict *dict, const char *key, qz_dtype dtype,
                        const int64_t *dims)
{
    const qz_tensor *tensor = qz_state_dict_find(dict, key);
    if (!tensor)
        fail_msg("'%s' is missing", key);
    assert_int_equal(tensor->dtype, dtype);
    int32_t ndim = 0;
    for (; dims[ndim] >= 0; ndim++)
        assert_int_equal(tensor->dims[ndim], dims[ndim]);
    assert_int_equal(tensor->ndim, ndim);
    return tensor->data;
}

#define CHECK_RAMP(dict, name, dtype, type, ...)                                       \
    do {                                                                               \
        static const type expected[] = {__VA_ARGS__};                                  \
        assert_memory_equal(tool_tensor(dict, name, dtype, TOOL_DIMS(2, 3)), expected, \
                            sizeof(expected));                                         \
    } while (0)

void tool_check_dtypes(const qz_state_dict *dict)
{
    assert_int_equal(qz_state_dict_count(dict), 10);
    assert_string_equal(qz_state_dict_key(dict, 0), "float32");
    assert_string_equal(qz_state_dict_key(dict, 9), "bool");
    CHECK_RAMP(dict, "float32", QZ_F32, float, -2, -1, 0, 1, 2, 3);
    CHECK_RAMP(dict, "float64", QZ_F64, double, -2, -1, 0, 1, 2, 3);
    CHECK_RAMP(dict, "float16", QZ_F16, uint16_t, 0xC000, 0xBC00, 0, 0x3C00, 0x4000, 0x4200);
    CHECK_RAMP(dict, "bfloat16", QZ_BF16, uint16_t, 0xC000, 0xBF80, 0, 0x3F80, 0x4000, 0x4040);
    CHECK_RAMP(dict, "int64", QZ_S64, int64_t, -2, -1, 0, 1, 2, 3);
    CHECK_RAMP(dict, "int32", QZ_S32, int32_t, -2, -1, 0, 1, 2, 3);
    CHECK_RAMP(dict, "int16", QZ_S16, int16_t, -2, -1, 0, 1, 2, 3);
    CHECK_RAMP(dict, "int8", QZ_S8, int8_t, -2, -1, 0, 1, 2, 3);
    CHECK_RAMP(dict, "uint8", QZ_U8, uint8_t, 0, 1, 2, 3, 4, 5);
    CHECK_RAMP(dict, "bool", QZ_BOOL, uint8_t, 1, 0, 1, 0, 0, 1);
}
