/* SPDX-License-Identifier: MIT */
/* test_base.c - errors, memory, tensors, hash and clock. */
#include "counting.h"
#include "layers/base/base.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- errors ---- */

static void *other_thread(void *arg)
{
    (void)arg;
    assert_string_equal(qz_context_message(NULL), "");
    qzi_fail(NULL, QZ_ERR_IO, "of the other thread");
    assert_string_equal(qz_context_message(NULL), "of the other thread");
    return NULL;
}

static void test_message(void **state)
{
    (void)state;
    assert_int_equal(qzi_fail(NULL, QZ_ERR_FORMAT, "%s: %d", "name", 7), QZ_ERR_FORMAT);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(qz_context_message(NULL), "name: 7");

    /* the message itself may be an argument */
    qzi_fail(NULL, QZ_ERR_FORMAT, "again %s", qz_context_message(NULL));
    assert_string_equal(qz_context_message(NULL), "again name: 7");
    assert_int_equal(qzi_fail_prefix(NULL, QZ_ERR_IO, "file %s", "x"), QZ_ERR_IO);
    assert_string_equal(qz_context_message(NULL), "file x: again name: 7");
    assert_int_equal(qzi_fail_memory(NULL, 123), QZ_ERR_MEMORY);
    assert_non_null(strstr(qz_context_message(NULL), "123"));
}

static void test_message_is_one_safe_line(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb\r\tc\x1b[2J\x7f", "a?b??c?[2J?"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x88", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x88"},
        {"\x9b 31m", "? 31m"},        /* a C1 control as one byte */
        {"\xc2\x9b", "??"},           /* and in UTF-8 */
        {"\xc3", "?"},                /* cut */
        {"\xe2\x82", "??"},           /* cut */
        {"\xc0\x8a", "??"},           /* overlong newline */
        {"\xed\xa0\x80", "???"},      /* surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* beyond Unicode */
        {"x\xe2\x80\xae"
         "fdp",
         "x???fdp"},             /* right-to-left override */
        {"\xe2\x80\xa8", "???"}, /* line separator */
    };
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++) {
        qzi_fail(NULL, QZ_ERR_IO, "%s", cases[i].in);
        assert_string_equal(qz_context_message(NULL), cases[i].out);
    }
    char longer[5000];
    memset(longer, 'y', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    qzi_fail(NULL, QZ_ERR_IO, "%s", longer);
    size_t length = strlen(qz_context_message(NULL));
    assert_in_range(length, 500, sizeof(longer) - 2);
    qzi_fail_prefix(NULL, QZ_ERR_IO, "%s", "p");
    assert_int_equal(strlen(qz_context_message(NULL)), length);
    qzi_fail_prefix(NULL, QZ_ERR_IO, "%s", longer);
    assert_int_equal(strlen(qz_context_message(NULL)), length);
    /* cut in the middle of a character */
    for (size_t i = 0; i + 2 < sizeof(longer); i += 2)
        memcpy(longer + i, "\xc3\xa9", 2);
    qzi_fail(NULL, QZ_ERR_IO, "x%s", longer);
    const char *m = qz_context_message(NULL);
    length = strlen(m);
    assert_true((unsigned char)m[length - 1] == 0xa9 || m[length - 1] == '?');
}

static void test_text_of_any_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"plain.jpg", "plain.jpg"},
        {"caf\xe9.jpg", "caf\\xe9.jpg"},
        {"caf\\xe9.jpg", "caf\\\\xe9.jpg"}, /* no other name's text */
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xc3", "\\xc3"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"\\\xff\\", "\\\\\\xff\\\\"},
    };
    for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++) {
        char text[64];
        const size_t length = strlen(cases[i].out);
        assert_int_equal(qz_text_escape(cases[i].in, NULL, 0), length);
        for (size_t size = 1; size < sizeof(text); size++) { /* cut, never beyond */
            memset(text, '#', sizeof(text));
            assert_int_equal(qz_text_escape(cases[i].in, text, size), length);
            const size_t kept = QZI_MIN(length, size - 1);
            assert_memory_equal(text, cases[i].out, kept);
            assert_int_equal(text[kept], '\0');
            if (size + 1 < sizeof(text))
                assert_int_equal(text[size], '#');
        }
        assert_true(qz_text_is_utf8(text));
        qzi_text_unescape(text);
        assert_string_equal(text, cases[i].in);
    }
    /* what is never written stays: no control characters come of it */
    char odd[] = "\\x1b \\xe \\q \\xZZ \\";
    qzi_text_unescape(odd);
    assert_string_equal(odd, "\\x1b \\xe \\q \\xZZ \\");
    assert_true(qz_text_is_utf8("caf\xc3\xa9"));
    assert_false(qz_text_is_utf8("caf\xe9"));
    assert_int_equal(qz_text_escape(NULL, NULL, 0), 0);
}

static void test_status(void **state)
{
    (void)state;
    assert_string_equal(qz_status_name(QZ_OK), "QZ_OK");
    assert_string_equal(qz_status_name(QZ_ERR_INTERNAL), "QZ_ERR_INTERNAL");
    assert_string_equal(qz_status_text(QZ_ERR_MEMORY), "out of memory");
    assert_non_null(qz_status_name((qz_status)999));
    assert_non_null(qz_status_text((qz_status)999));
    assert_string_equal(qz_version(), QZ_VERSION_STRING);
}

typedef struct heard {
    int count;
    qz_log_level level;
    char text[64];
} heard;

static void hear(void *user, qz_log_level level, const char *message)
{
    heard *h = user;
    h->count++;
    h->level = level;
    snprintf(h->text, sizeof(h->text), "%s", message);
}

static void test_log(void **state)
{
    (void)state;
    heard h = {0};
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    o.log = hear;
    o.log_user = &h;
    qz_context *ctx;
    assert_int_equal(qz_context_create(&o, &ctx), QZ_OK);
    qzi_log(ctx, QZ_LOG_WARNING, "%d\nkeys", 3);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.level, QZ_LOG_WARNING);
    assert_string_equal(h.text, "3?keys");
    qzi_log(NULL, QZ_LOG_INFO, "to nobody");
    qz_context_destroy(ctx);
}

/* ---- memory ---- */

static void test_alloc(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    int64_t before = c.live;
    unsigned char *p = qzi_alloc(ctx, 0);
    assert_non_null(p);
    qzi_free(ctx, p);
    qzi_free(ctx, NULL);
    for (size_t size = 1; size < 300; size += 37) {
        p = qzi_alloc(ctx, size);
        assert_int_equal((uintptr_t)p % QZI_ALIGN, 0);
        qzi_free(ctx, p);
    }
    p = qzi_calloc(ctx, 5, 7);
    for (int i = 0; i < 35; i++)
        assert_int_equal(p[i], 0);
    p[34] = 9;
    p = qzi_realloc(ctx, p, 35, 500);
    assert_int_equal(p[34], 9);
    p = qzi_realloc(ctx, p, 500, 1);
    assert_int_equal(p[0], 0);
    c.fail_at = c.total;
    assert_null(qzi_realloc(ctx, p, 1, 100));
    assert_int_equal(p[0], 0); /* still there */
    qzi_free(ctx, p);
    c.fail_at = -1;
    assert_null(qzi_calloc(ctx, SIZE_MAX / 2, 3));
    assert_null(qzi_alloc(ctx, SIZE_MAX));
    assert_null(qzi_alloc(ctx, (size_t)PTRDIFF_MAX + 1));

    char *text = qzi_format(ctx, "%s-%d", "node", 12);
    assert_string_equal(text, "node-12");
    char *copy = qzi_strdup(ctx, text);
    assert_string_equal(copy, text);
    qzi_free(ctx, text);
    qzi_free(ctx, copy);
    assert_int_equal(c.live, before);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);

    p = qzi_alloc(NULL, 100); /* without a context: the C library */
    assert_non_null(p);
    qzi_free(NULL, p);
}

static void test_size_arithmetic(void **state)
{
    (void)state;
    size_t out = 42;
    assert_false(qzi_mul_size(SIZE_MAX, 2, &out));
    assert_false(qzi_mul_size((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_false(qzi_add_size(SIZE_MAX, 1, &out));
    assert_int_equal(out, 42);
    assert_true(qzi_mul_size(SIZE_MAX, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_true(qzi_mul_size(SIZE_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_true(qzi_add_size(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
}

static void test_grow(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    int32_t *items = NULL;
    size_t capacity = 0;
    for (size_t count = 0; count < 1000; count++) {
        assert_int_equal(qzi_grow(ctx, &items, &capacity, count, sizeof(*items)), QZ_OK);
        assert_true(capacity > count);
        items[count] = (int32_t)count;
    }
    for (int32_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_true(c.total < 20); /* it doubles */
    int32_t *before = items;
    c.fail_at = c.total;
    assert_int_equal(qzi_grow(ctx, &items, &capacity, capacity, sizeof(*items)), QZ_ERR_MEMORY);
    assert_ptr_equal(items, before);
    size_t huge = SIZE_MAX / 2 + 1;
    assert_int_equal(qzi_grow(ctx, &items, &huge, huge, sizeof(*items)), QZ_ERR_MEMORY);
    qzi_free(ctx, items);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

static void test_arena(void **state)
{
    (void)state;
    counting c = COUNTING_INIT;
    qz_context *ctx = counting_context(&c, 1);
    int64_t before = c.live;
    qzi_arena arena;
    qzi_arena_init(&arena, ctx);
    for (int round = 0; round < 2; round++) {
        unsigned char *pieces[400];
        for (int i = 0; i < 400; i++) {
            size_t size = (size_t)(i * 7919 % 9000);
            pieces[i] = qzi_arena_alloc(&arena, size);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(pieces[i][k], 0);
            memset(pieces[i], i & 0xff, size);
        }
        for (int i = 0; i < 400; i++) {
            size_t size = (size_t)(i * 7919 % 9000);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(pieces[i][k], i & 0xff);
        }
        assert_string_equal(qzi_arena_strdup(&arena, "text"), "text");
        qzi_arena_free(&arena);
        assert_int_equal(c.live, before);
    }
    /* a large piece does not throw the rest of the block away */
    int64_t total = c.total;
    qzi_arena_alloc(&arena, 16);
    qzi_arena_alloc(&arena, 100000);
    for (int i = 0; i < 100; i++)
        qzi_arena_alloc(&arena, 16);
    assert_int_equal(c.total, total + 2);
    c.fail_at = c.total;
    assert_null(qzi_arena_alloc(&arena, 100000));
    assert_null(qzi_arena_alloc(&arena, SIZE_MAX - 8));
    qzi_arena_free(&arena);
    qz_context_destroy(ctx);
    assert_int_equal(c.live, 0);
}

/* ---- small things ---- */

static void test_tensor(void **state)
{
    (void)state;
    assert_string_equal(qz_dtype_name(QZ_F32), "float32");
    assert_string_equal(qz_dtype_name(QZ_BOOL), "bool");
    assert_null(qz_dtype_name(QZ_DTYPE_COUNT));
    assert_int_equal(qz_dtype_size(QZ_S64), 8);
    assert_int_equal(qz_dtype_size(QZ_BF16), 2);
    assert_int_equal(qz_dtype_size(QZ_DTYPE_COUNT), 0);
    for (int i = 0; i < QZ_DTYPE_COUNT; i++)
        assert_true(qz_dtype_name((qz_dtype)i) && qz_dtype_size((qz_dtype)i) > 0);

    qz_tensor t = {.ndim = 0};
    assert_int_equal(qz_tensor_numel(&t), 1);
    t = (qz_tensor){.ndim = 3, .dims = {2, 3, 4}};
    assert_int_equal(qz_tensor_numel(&t), 24);
    t.dims[1] = -3;
    assert_int_equal(qz_tensor_numel(&t), -1);
    t = (qz_tensor){.ndim = 3, .dims = {INT64_MAX, 2, 0}};
    assert_int_equal(qz_tensor_numel(&t), 0);
    t.dims[2] = 1;
    assert_int_equal(qz_tensor_numel(&t), -1);
    t.dims[1] = 1;
    assert_true(qz_tensor_numel(&t) == INT64_MAX);
    t.ndim = QZ_MAX_DIMS + 1;
    assert_int_equal(qz_tensor_numel(&t), -1);
    t.ndim = -1;
    assert_int_equal(qz_tensor_numel(&t), -1);
}

static void test_hash_and_clock(void **state)
{
    (void)state;
    assert_true(qzi_fnv1a("", 0, QZI_FNV_OFFSET) == UINT64_C(0xcbf29ce484222325));
    assert_true(qzi_fnv1a("a", 1, QZI_FNV_OFFSET) == UINT64_C(0xaf63dc4c8601ec8c));
    uint64_t h = qzi_fnv1a("conv1", 5, QZI_FNV_OFFSET);
    assert_true(qzi_fnv1a(".weight", 7, h) == UINT64_C(0x69a29a2cee47d254));
    double a = qzi_now();
    assert_true(qzi_now() >= a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message), cmocka_unit_test(test_message_is_one_safe_line),
        cmocka_unit_test(test_message), cmocka_unit_test(test_text_of_any_bytes),
        cmocka_unit_test(test_status),  cmocka_unit_test(test_log),
        cmocka_unit_test(test_alloc),   cmocka_unit_test(test_size_arithmetic),
        cmocka_unit_test(test_grow),    cmocka_unit_test(test_arena),
        cmocka_unit_test(test_tensor),  cmocka_unit_test(test_hash_and_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
