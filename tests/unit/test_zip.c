/* SPDX-License-Identifier: MIT */
/* test_zip.c - the archive around a .pth: zip64, deflate, and archives that lie. */
#include "state_dict_tools.h"
#include "zip_writer.h"

#ifdef QZ_HAVE_ZLIB
#include <zlib.h>

/* {"a": 1 2 3 4} */
static const char pickle[] =
    "\x80\2}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\n"
    "X\1\0\0\0"
    "0"
    "X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89}tRs.";
/* what a file holds, and what it says */
static const uint8_t four[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40};
static const float numbers[4] = {1, 2, 3, 4};

static const zip_record good[] = {
    {"a/data.pkl", pickle, sizeof(pickle) - 1, NULL, 0},
    {"a/data/0", four, sizeof(four), NULL, 0},
    {"a/version", "3\n", 2, NULL, 0},
};

static uint8_t *make(size_t *size)
{
    return zip_write(good, 3, false, size);
}

/* The record of that kind with number `index`, -1: the last. */
static uint8_t *find(uint8_t *zip, size_t size, const char *magic, int index)
{
    uint8_t *found = NULL;
    for (size_t i = 0; i + 4 <= size && index != -2; i++) {
        if (memcmp(zip + i, magic, 4) != 0)
            continue;
        found = zip + i;
        if (index >= 0 && index-- == 0)
            break;
    }
    assert_non_null(found);
    return found;
}

static void expect_good(qz_context *ctx, const uint8_t *zip, size_t size)
{
    qz_state_dict *dict = NULL;
    qz_status st = qz_state_dict_parse(ctx, zip, size, "good", &dict);
    if (st != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    assert_int_equal(qz_state_dict_count(dict), 1);
    assert_memory_equal(tool_tensor(dict, "a", QZ_F32, TOOL_DIMS(4)), numbers, sizeof(numbers));
    qz_state_dict_destroy(dict);
}

static void test_good(void **state)
{
    size_t size;
    qz_context *ctx = tool_context(NULL);
    uint8_t *zip = make(&size);
    (void)state;
    expect_good(ctx, zip, size);
    free(zip);
    zip = zip_write(good, 3, true, &size);
    expect_good(ctx, zip, size);
    /* a comment, whose length is in the end record */
    zip = realloc(zip, size + 7);
    assert_non_null(zip);
    memcpy(zip + size, "PK\5\6 hi", 7);
    zip[size - 2] = 7;
    expect_good(ctx, zip, size + 7);
    free(zip);
    qz_context_destroy(ctx);
}

/* One byte changed, and what the reader says to it. */
static void test_patched(void **state)
{
    static const struct {
        const char *magic;
        int index;
        size_t at;
        uint8_t value;
        qz_status status;
        const char *part;
    } patches[] = {
        {"PK\5\6", -1, 4, 1, QZ_ERR_FORMAT, "volume"},
        {"PK\5\6", -1, 8, 2, QZ_ERR_FORMAT, "volume"},
        {"PK\5\6", -1, 20, 1, QZ_ERR_FORMAT, "no directory"},
        {"PK\5\6", -1, 0, 0, QZ_ERR_FORMAT, "no directory"},
        {"PK\5\6", -1, 19, 0x7f, QZ_ERR_FORMAT, "out of bounds"},
        {"PK\5\6", -1, 15, 0x7f, QZ_ERR_FORMAT, "out of bounds"},
        {"PK\5\6", -1, 16, 0, QZ_ERR_FORMAT, "truncated"},
        {"PK\1\2", 0, 8, 1, QZ_ERR_UNSUPPORTED, "encrypted"},
        {"PK\1\2", 0, 10, 12, QZ_ERR_UNSUPPORTED, "method"},
        {"PK\1\2", 0, 10, 8, QZ_ERR_FORMAT, "disagree"},
        {"PK\1\2", 1, 16, 0, QZ_ERR_FORMAT, "checksum of 'a/data/0'"},
        {"PK\1\2", 1, 20, 15, QZ_ERR_FORMAT, "sizes disagree"},
        {"PK\1\2", 1, 24, 17, QZ_ERR_FORMAT, "sizes disagree"},
        {"PK\1\2", 1, 23, 0xff, QZ_ERR_FORMAT, "out of bounds"},
        {"PK\1\2", 1, 28, 7, QZ_ERR_FORMAT, "disagree"},
        {"PK\1\2", 1, 29, 0xff, QZ_ERR_FORMAT, "truncated"},
        {"PK\1\2", 1, 34, 1, QZ_ERR_FORMAT, "volume"},
        {"PK\1\2", 1, 42, 0, QZ_ERR_FORMAT, "disagree"},
        {"PK\1\2", 1, 45, 0xff, QZ_ERR_FORMAT, "out of bounds"},
        {"PK\1\2", 1, 53, '1', QZ_ERR_FORMAT, "disagree"},
        {"PK\3\4", 1, 30, 'b', QZ_ERR_FORMAT, "disagree"},
        {"PK\3\4", 1, 29, 0xff, QZ_ERR_FORMAT, "out of bounds"},
        {"PK\3\4", 1, 40, 0, QZ_ERR_FORMAT, "checksum"},
        {"PK\3\4", 0, 100, 0, QZ_ERR_FORMAT, "checksum of 'a/data.pkl'"},
    };
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        size_t size;
        uint8_t *zip = make(&size);
        find(zip, size, patches[i].magic, patches[i].index)[patches[i].at] = patches[i].value;
        tool_expect_failure(ctx, zip, size, patches[i].status, patches[i].part);
        free(zip);
    }
    qz_context_destroy(ctx);
}

static void test_patched_zip64(void **state)
{
    static const struct {
        const char *magic;
        size_t at;
        uint8_t value;
        const char *part;
    } patches[] = {
        {"PK\6\7", 0, 0, "zip64 record missing"},
        {"PK\6\7", 15, 0x80, "not where"},
        {"PK\6\6", 0, 0, "not where"},
        {"PK\6\6", 24, 4, "volume"},
        {"PK\6\6", 16, 4, "volume"},
        {"PK\6\6", 47, 0x80, "out of bounds"},
        {"PK\6\6", 55, 0x80, "out of bounds"},
        {"PK\5\6", 10, 3, "volume"},
        {"PK\5\6", 15, 0, "end records disagree"},
        {"PK\5\6", 19, 0, "end records disagree"},
    };
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        size_t size;
        uint8_t *zip = zip_write(good, 3, true, &size);
        find(zip, size, patches[i].magic, -1)[patches[i].at] = patches[i].value;
        tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, patches[i].part);
        free(zip);
    }
    /* the entry's own zip64 field: too short, of another kind, a wild offset */
    for (int i = 0; i < 3; i++) {
        static const size_t at[] = {46 + 8 + 2, 46 + 8, 46 + 8 + 4 + 23};
        static const uint8_t value[] = {20, 2, 0x80};
        static const char *const part[] = {"zip64 field", "zip64 field", "out of bounds"};
        size_t size;
        uint8_t *zip = zip_write(good, 3, true, &size);
        find(zip, size, "PK\1\2", 1)[at[i]] = value[i];
        tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, part[i]);
        free(zip);
    }
    qz_context_destroy(ctx);
}

static void test_overlap_and_names(void **state)
{
    const zip_record twins[] = {good[0], good[1], good[1], good[2]};
    const zip_record two[] = {good[0], good[1], {"b/data.pkl", "N.", 2, NULL, 0}};
    const zip_record none[] = {{"a/b/data.pkl", "N.", 2, NULL, 0}, good[1]};
    const zip_record order[] = {good[0], good[1], {"a/byteorder", "small", 5, NULL, 0}};
    qz_context *ctx = tool_context(NULL);
    size_t size;
    (void)state;
    uint8_t *zip = zip_write(twins, 4, false, &size);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "two entries have one name");
    /* both names on the first one's bytes: that is how small bombs become large */
    memcpy(find(zip, size, "PK\1\2", 2) + 42, find(zip, size, "PK\1\2", 1) + 42, 4);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "overlap");
    free(zip);
    zip = zip_write(two, 3, false, &size);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "two torch archives");
    free(zip);
    zip = zip_write(none, 2, false, &size);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "no data.pkl");
    free(zip);
    zip = zip_write(order, 3, false, &size);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "byteorder");
    free(zip);
    zip = zip_write(good, 1, false, &size);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "storage of 'a' is missing");
    free(zip);
    tool_expect_failure(ctx, "PK\3\4", 4, QZ_ERR_FORMAT, "truncated");
    qz_context_destroy(ctx);
}

/* ---- deflate ---- */

static uint8_t *deflated(const void *data, size_t size, size_t *packed)
{
    z_stream stream = {.zalloc = Z_NULL};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    uLong bound = deflateBound(&stream, size);
    uint8_t *out = malloc(bound);
    assert_non_null(out);
    stream.next_in = (z_const Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)bound;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed = stream.total_out;
    deflateEnd(&stream);
    return out;
}

static void test_deflate(void **state)
{
    zip_record records[3] = {good[0], good[1], good[2]};
    qz_context *ctx = tool_context(NULL);
    size_t size;
    uint8_t *packed = deflated(four, sizeof(four), &records[1].deflated_size);
    (void)state;
    records[1].deflated = packed;
    uint8_t *zip = zip_write(records, 3, false, &size);
    expect_good(ctx, zip, size);
    free(zip);
    for (int wrong = -1; wrong <= 1; wrong += 2) {
        /* sizes that are one off, both ways: in the directory, in the stream */
        zip = zip_write(records, 3, false, &size);
        find(zip, size, "PK\1\2", 1)[24] = (uint8_t)(sizeof(four) + wrong * 4);
        tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "another size");
        free(zip);
        records[1].deflated_size -= (size_t)1;
        zip = zip_write(records, 3, false, &size);
        tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "does not inflate");
        free(zip);
        records[1].deflated_size += (size_t)1;
    }
    packed[0] = 0x07; /* no such block type */
    zip = zip_write(records, 3, false, &size);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "does not inflate");
    free(zip);
    free(packed);
    qz_context_destroy(ctx);
}

/* 40 MiB of zeros in 40 KiB: refused before anything of that size is allocated. */
static void test_bomb(void **state)
{
    const size_t large = (size_t)40 << 20;
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    uint8_t *zeros = calloc(large, 1);
    size_t size, packed_size;
    (void)state;
    assert_non_null(zeros);
    uint8_t *packed = deflated(zeros, large, &packed_size);
    const zip_record records[] = {{"a/data.pkl", zeros, large, packed, packed_size}, good[1]};
    uint8_t *zip = zip_write(records, 2, false, &size);
    assert_true(size < 100000);
    tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "far more memory");
    assert_true(counter.largest < 1000000);
    free(zip);
    free(packed);
    free(zeros);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_patched),
        cmocka_unit_test(test_patched_zip64), cmocka_unit_test(test_overlap_and_names),
        cmocka_unit_test(test_deflate),       cmocka_unit_test(test_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no zlib and reads no .pth files\n");
    return 77;
}

#endif
