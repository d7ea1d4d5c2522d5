/* SPDX-License-Identifier: MIT */
/* test_npy.c - .npy files: round trips, numpy's own bytes, damaged and hostile headers. */
#include "counting.h"
#include "layers/base/base.h"
#include "zoo/qzoo_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static qz_context *ctx;
static counting memory = COUNTING_INIT;

static char folder[] = "/tmp/qzoo_test_XXXXXX";
static char path[sizeof(folder) + 16];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/a.npy", folder);
    ctx = counting_context(&memory, 0);
    return ctx ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    qz_context_destroy(ctx);
    return memory.live == 0 ? 0 : -1;
}

/* ---- writing ourselves ---- */

static void write_npy(int version, const char *header, size_t header_bytes, size_t data_bytes)
{
    unlink(path); /* some file systems flush a file that is cut to nothing */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite("\x93NUMPY", 1, 6, file);
    fputc(version, file);
    fputc(0, file);
    fputc((int)(header_bytes & 0xff), file);
    fputc((int)(header_bytes >> 8 & 0xff), file);
    if (version >= 2) {
        fputc((int)(header_bytes >> 16 & 0xff), file);
        fputc((int)(header_bytes >> 24 & 0xff), file);
    }
    fwrite(header, 1, header_bytes, file);
    for (size_t i = 0; i < data_bytes; i++)
        fputc((int)(i & 0x3f), file);
    assert_int_equal(fclose(file), 0);
}

static void expect(int version, const char *header, size_t data_bytes, qz_status want)
{
    write_npy(version, header, strlen(header), data_bytes);
    int64_t before = memory.live;
    qz_tensor t;
    qz_status st = qz_npy_load(ctx, path, &t);
    if (st != want)
        fail_msg("%s: %s, not %s", header, qz_status_name(st), qz_status_name(want));
    if (st == QZ_OK) {
        assert_int_equal(t.dtype, QZ_F32);
        assert_int_equal(qz_tensor_numel(&t) * 4, data_bytes);
        for (size_t i = 0; i < data_bytes; i++) {
            uint32_t bits; /* the file's bytes are those of a number from its low end on */
            memcpy(&bits, (char *)t.data + i / 4 * 4, 4);
            assert_int_equal(bits >> i % 4 * 8 & 0xff, i & 0x3f);
        }
        qz_npy_free(ctx, &t);
    } else {
        assert_ptr_equal(strstr(qz_context_message(ctx), path), qz_context_message(ctx));
    }
    assert_null(t.data);
    assert_int_equal(memory.live, before);
}

static void test_headers(void **state)
{
    (void)state;
#define DICT(descr, order, shape) \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }"
    expect(1, DICT("<f4", "False", "(2, 3)") "     \n", 24, QZ_OK);
    expect(2, DICT("<f4", "False", "(2, 3)") "\n", 24, QZ_OK);
    expect(1, DICT("<f4", "False", "()"), 4, QZ_OK);
    expect(1, DICT("<f4", "False", "(5,)"), 20, QZ_OK);
    expect(1, DICT("<f4", "False", "(0, 3)"), 0, QZ_OK);
    expect(1, DICT("<f4", "False", "(1,1,1,1,1,1,1,2)"), 8, QZ_OK);
    expect(1, "{\"shape\":(1,),\"descr\":\"<f4\",\"fortran_order\":False}", 4, QZ_OK);

    expect(1, DICT("<f4", "False", "(1,1,1,1,1,1,1,1,2)"), 8, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "True", "(2, 3)"), 24, QZ_ERR_UNSUPPORTED);
    expect(1, DICT("<f8", "False", "(2, 3)"), 48, QZ_ERR_UNSUPPORTED);
    expect(1, DICT(">f4", "False", "(2, 3)"), 24, QZ_ERR_UNSUPPORTED);
    expect(1, DICT("|O", "False", "(2, 3)"), 24, QZ_ERR_UNSUPPORTED);
    expect(3, DICT("<f4", "False", "(2, 3)"), 24, QZ_ERR_UNSUPPORTED);
    expect(0, DICT("<f4", "False", "(2, 3)"), 24, QZ_ERR_UNSUPPORTED);

    /* sizes that do not fit, that overflow, that are none */
    expect(1, DICT("<f4", "False", "(2, 3)"), 23, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(2, 3)"), 25, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(2, 3)"), 0, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(1000000, 1000000)"), 24, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(4611686018427387905,)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(4294967296, 4294967296, 4)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(99999999999999999999,)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(-1,)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(1)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(1 1)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(,)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(1,"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "1"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "None", "(1,)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("a very long type", "False", "(1,)"), 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4\\x00", "False", "(1,)"), 4, QZ_ERR_FORMAT);

    /* no dict, or keys missing or strange */
    expect(1, "", 4, QZ_ERR_FORMAT);
    expect(1, "{}", 4, QZ_ERR_FORMAT);
    expect(1, "{'descr': '<f4', 'fortran_order': False}", 4, QZ_ERR_FORMAT);
    expect(1, "{'descr': '<f4', 'shape': (1,)}", 4, QZ_ERR_FORMAT);
    expect(1, "{'fortran_order': False, 'shape': (1,)}", 4, QZ_ERR_FORMAT);
    expect(1, DICT("<f4", "False", "(1,)") " x", 4, QZ_ERR_FORMAT);
    expect(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4, QZ_ERR_FORMAT);
    expect(1, "{'descr' '<f4'}", 4, QZ_ERR_FORMAT);
    expect(1, "{'descr': '<f4' 'fortran_order': False}", 4, QZ_ERR_FORMAT);
    expect(1, "{'descr", 4, QZ_ERR_FORMAT);
    expect(1, "{descr: 1}", 4, QZ_ERR_FORMAT);

    char *long_header = malloc(70001);
    memset(long_header, ' ', 70000);
    long_header[70000] = 0;
    memcpy(long_header, DICT("<f4", "False", "(1,)"), strlen(DICT("<f4", "False", "(1,)")));
    expect(2, long_header, 4, QZ_ERR_FORMAT);
    long_header[4000] = 0;
    expect(1, long_header, 4, QZ_OK);
    free(long_header);

    static const char inner_zero[] = DICT("<f4", "False", "(1,)") "\0garbage";
    write_npy(1, inner_zero, sizeof(inner_zero) - 1, 4);
    qz_tensor t;
    assert_int_equal(qz_npy_load(ctx, path, &t), QZ_ERR_FORMAT);
}

static void test_cut(void **state)
{
    (void)state;
    char bytes[200];
    write_npy(2, DICT("<f4", "False", "(3,)"), strlen(DICT("<f4", "False", "(3,)")), 12);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    for (size_t n = 0; n < size; n++) {
        unlink(path);
        file = fopen(path, "wb");
        fwrite(bytes, 1, n, file);
        fclose(file);
        qz_tensor t;
        assert_int_equal(qz_npy_load(ctx, path, &t), QZ_ERR_FORMAT);
        assert_null(t.data);
    }
}

static void test_load_errors(void **state)
{
    (void)state;
    qz_tensor t;
    assert_int_equal(qz_npy_load(ctx, "/nonexistent/a.npy", &t), QZ_ERR_IO);
    assert_non_null(strstr(qz_context_message(ctx), "/nonexistent/a.npy"));
    assert_int_equal(qz_npy_load(ctx, folder, &t), QZ_ERR_IO);
    assert_int_equal(qz_npy_load(ctx, "/dev/zero", &t), QZ_ERR_IO);
    assert_int_equal(qz_npy_load(ctx, NULL, &t), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_npy_load(ctx, path, NULL), QZ_ERR_ARGUMENT);
    memory.fail_at = memory.total;
    expect(1, DICT("<f4", "False", "(2, 3)"), 24, QZ_ERR_MEMORY);
    memory.fail_at = -1;
    qz_npy_free(ctx, NULL);
}

/* ---- saving ---- */

static void round_trip(const qz_tensor *t)
{
    assert_int_equal(qz_npy_save(ctx, path, t), QZ_OK);
    qz_tensor back;
    assert_int_equal(qz_npy_load(ctx, path, &back), QZ_OK);
    assert_int_equal(back.ndim, t->ndim);
    for (int i = 0; i < t->ndim; i++)
        assert_int_equal(back.dims[i], t->dims[i]);
    int64_t count = qz_tensor_numel(t);
    if (count > 0)
        assert_memory_equal(back.data, t->data, (size_t)count * 4);
    qz_npy_free(ctx, &back);
}

static void test_save(void **state)
{
    (void)state;
    float values[24];
    for (int i = 0; i < 24; i++)
        values[i] = (float)i * 0.3f - 2.0f;
    values[3] = -0.0f;
    qz_tensor t = {.dtype = QZ_F32, .data = values};
    round_trip(&t);
    t = (qz_tensor){QZ_F32, 1, {24}, values};
    round_trip(&t);
    t = (qz_tensor){QZ_F32, 4, {1, 2, 3, 4}, values};
    round_trip(&t);
    t = (qz_tensor){QZ_F32, 8, {1, 1, 1, 1, 1, 1, 1, 24}, values};
    round_trip(&t);
    t = (qz_tensor){QZ_F32, 2, {0, 5}, NULL};
    round_trip(&t);
    t = (qz_tensor){
        QZ_F32,
        8,
        {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0},
        NULL};
    round_trip(&t);

    /* elements begin at a multiple of 64, and the header is the one that numpy 1.20 writes */
    t = (qz_tensor){QZ_F32, 2, {2, 3}, values};
    assert_int_equal(qz_npy_save(ctx, path, &t), QZ_OK);
    unsigned char head[128 + 24 + 1];
    FILE *file = fopen(path, "rb");
    assert_int_equal(fread(head, 1, sizeof(head), file), 128 + 24);
    fclose(file);
    static const char want[] = "\x93NUMPY\x01\x00\x76\x00"
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    assert_memory_equal(head, want, sizeof(want) - 1);
    for (size_t i = sizeof(want) - 1; i < 127; i++)
        assert_int_equal(head[i], ' ');
    assert_int_equal(head[127], '\n');
    for (int i = 0; i < 6; i++) {
        const unsigned char *at = head + 128 + 4 * i;
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        assert_int_equal(at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24, bits);
    }
}

static void test_save_errors(void **state)
{
    (void)state;
    float value = 1.0f;
    qz_tensor t = {QZ_F32, 1, {1}, &value};
    assert_int_equal(qz_npy_save(ctx, "/nonexistent/a.npy", &t), QZ_ERR_IO);
    assert_int_equal(qz_npy_save(ctx, NULL, &t), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_npy_save(ctx, path, NULL), QZ_ERR_ARGUMENT);
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(qz_npy_save(ctx, "/dev/full", &t), QZ_ERR_WRITE);
    t.dims[0] = -1;
    assert_int_equal(qz_npy_save(ctx, path, &t), QZ_ERR_ARGUMENT);
    t = (qz_tensor){QZ_F32, 1, {1}, NULL};
    assert_int_equal(qz_npy_save(ctx, path, &t), QZ_ERR_ARGUMENT);
    t = (qz_tensor){QZ_U8, 1, {1}, &value};
    assert_int_equal(qz_npy_save(ctx, path, &t), QZ_ERR_UNSUPPORTED);
    t.dtype = QZ_DTYPE_COUNT;
    assert_int_equal(qz_npy_save(ctx, path, &t), QZ_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_load_errors), cmocka_unit_test(test_save),
        cmocka_unit_test(test_save_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
