/* SPDX-License-Identifier: MIT */
/* test_safetensors.c - safetensors files: good ones, damaged ones, and writing them. */
#include "state_dict_tools.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of that header and `data_size` bytes 0 1 2 …; freed with free(). */
static uint8_t *make(const char *header, size_t data_size, size_t *size)
{
    size_t length = strlen(header);
    uint8_t *bytes = calloc(8 + length + data_size + 1, 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_size; i++)
        bytes[8 + length + i] = (uint8_t)i;
    *size = 8 + length + data_size;
    return bytes;
}

static void test_dtypes(void **state)
{
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = NULL;
    (void)state;
    assert_int_equal(qz_state_dict_load(ctx, tool_fixture("dtypes.safetensors"), &dict), QZ_OK);
    tool_touch(dict);
    tool_check_dtypes(dict);
    assert_string_equal(qz_state_dict_metadata(dict, "format"), "pt");
    assert_string_equal(qz_state_dict_metadata(dict, "note"),
                        "caf\xc3\xa9 \xf0\x9f\x98\x80 \"x\"\n");
    assert_null(qz_state_dict_metadata(dict, "other"));
    qz_state_dict_destroy(dict);
    qz_context_destroy(ctx);
}

#define FIELDS(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" FIELDS(dtype, shape, offsets) "}"

typedef struct sample {
    const char *header;
    size_t data_size;
    qz_status status;
    const char *part;
} sample;

static const sample samples[] = {
    {"{}", 0, QZ_OK, ""},
    {"{ }\t\r\n ", 0, QZ_OK, ""},
    {"{\"__metadata__\":{}}", 0, QZ_OK, ""},
    {ONE("U8", "[4]", "[0,4]"), 4, QZ_OK, ""},
    {ONE("F32", "[]", "[0,4]"), 4, QZ_OK, ""},
    {ONE("F64", "[3,0]", "[0,0]"), 0, QZ_OK, ""},
    {ONE("I16", "[1,1,1,1,1,1,1,1]", "[0,2]"), 2, QZ_OK, ""},
    {"{\"a\" : { \"data_offsets\" : [ 0 , 4 ] , \"shape\" : [ 2 , 2 ] ,\n\"dtype\":\"I8\"} } ", 4,
     QZ_OK, ""},
    {"{\"b\":" FIELDS("U8", "[1]", "[2,3]") ",\"a\":" FIELDS("F16", "[1]", "[0,2]") "}", 3, QZ_OK,
     ""},
    /* not JSON, or not this JSON */
    {"{", 0, QZ_ERR_FORMAT, "'\"' expected"},
    {"{\"a\"", 0, QZ_ERR_FORMAT, "':' expected"},
    {"{\"a", 0, QZ_ERR_FORMAT, "without an end"},
    {"{\"a\\", 0, QZ_ERR_FORMAT, "bad escape"},
    {"{}{}", 0, QZ_ERR_FORMAT, "after the header's end"},
    {"{},", 0, QZ_ERR_FORMAT, "after the header's end"},
    {"{\"a\":1}", 0, QZ_ERR_FORMAT, "'{' expected"},
    {"{\"a\":null}", 0, QZ_ERR_FORMAT, "'{' expected"},
    {"{\"a\":{}}", 0, QZ_ERR_FORMAT, "expected"},
    {"{\"a\":{\"dtype\":\"U8\"}}", 0, QZ_ERR_FORMAT, "without dtype, shape or data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, QZ_ERR_FORMAT, "repeated field"},
    {"{\"a\":{\"dtype\":\"U8\",\"color\":\"U8\"}}", 0, QZ_ERR_FORMAT, "unknown"},
    {"{\"a\":{\"dtype\":8}}", 0, QZ_ERR_FORMAT, "expected"},
    {ONE("U8", "[4,]", "[0,4]"), 4, QZ_ERR_FORMAT, "natural number"},
    {ONE("U8", "[-4]", "[0,4]"), 4, QZ_ERR_FORMAT, "natural number"},
    {ONE("U8", "[04]", "[0,4]"), 4, QZ_ERR_FORMAT, "natural number"},
    {ONE("U8", "[4.0]", "[0,4]"), 4, QZ_ERR_FORMAT, "expected"},
    {ONE("U8", "[4e0]", "[0,4]"), 4, QZ_ERR_FORMAT, "expected"},
    {ONE("U8", "[9223372036854775808]", "[0,4]"), 4, QZ_ERR_FORMAT, "number too large"},
    {ONE("U8", "[4]", "[0,4,5]"), 4, QZ_ERR_FORMAT, "']' expected"},
    {ONE("U8", "[4]", "[0]"), 4, QZ_ERR_FORMAT, "',' expected"},
    {ONE("U8", "[[4]]", "[0,4]"), 4, QZ_ERR_FORMAT, "natural number"},
    {"{\"a\\u0000\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "bad escape"},
    {"{\"a\\ud83d\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "bad escape"},
    {"{\"a\\ud83d\\u0041\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "bad escape"},
    {"{\"a\\ude00\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "bad escape"},
    {"{\"a\\u00g0\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "bad escape"},
    {"{\"a\\x41\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "bad escape"},
    {"{\"a\n\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "control character"},
    {"{\"a\xff\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "not UTF-8"},
    {"{\"a\xc0\xaf\":" FIELDS("U8", "[1]", "[0,1]") "}", 1, QZ_ERR_FORMAT, "not UTF-8"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, QZ_ERR_FORMAT, "twice"},
    {"{\"__metadata__\":{\"a\":1}}", 0, QZ_ERR_FORMAT, "expected"},
    {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, QZ_ERR_FORMAT, "'a' occurs twice"},
    {"{\"a\":" FIELDS("U8", "[0]", "[0,0]") ",\"a\":" FIELDS("U8", "[0]", "[0,0]") "}", 0,
     QZ_ERR_FORMAT, "'a' occurs twice"},
    {"{\"a\":" FIELDS("U8", "[0]", "[0,0]") ",\"\\u0061\":" FIELDS("U8", "[0]", "[0,0]") "}", 0,
     QZ_ERR_FORMAT, "'a' occurs twice"},
    /* types */
    {ONE("U32", "[1]", "[0,4]"), 4, QZ_ERR_UNSUPPORTED, "'U32'"},
    {ONE("F8_E4M3", "[4]", "[0,4]"), 4, QZ_ERR_UNSUPPORTED, "'F8_E4M3'"},
    {ONE("G32", "[1]", "[0,4]"), 4, QZ_ERR_FORMAT, "'G32'"},
    {ONE("", "[1]", "[0,4]"), 4, QZ_ERR_FORMAT, "dtype"},
    {ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, QZ_ERR_UNSUPPORTED, "dimensions"},
    {ONE("BOOL", "[3]", "[0,3]"), 3, QZ_ERR_FORMAT, "other bytes than 0 and 1"},
    /* offsets */
    {ONE("U8", "[4]", "[0,4]"), 3, QZ_ERR_FORMAT, "outside the file"},
    {ONE("U8", "[4]", "[0,4]"), 5, QZ_ERR_FORMAT, "longer than its tensors"},
    {ONE("U8", "[3]", "[1,4]"), 4, QZ_ERR_FORMAT, "gap"},
    {ONE("U8", "[4]", "[4,0]"), 4, QZ_ERR_FORMAT, "outside"},
    {ONE("F32", "[268435456]", "[0,1073741824]"), 100, QZ_ERR_FORMAT, "outside the file"},
    {ONE("U8", "[1]", "[0,9223372036854775807]"), 1, QZ_ERR_FORMAT, "outside the file"},
    {ONE("U8", "[5]", "[0,4]"), 4, QZ_ERR_FORMAT, "does not fit its 4 bytes"},
    {ONE("F32", "[4]", "[0,4]"), 4, QZ_ERR_FORMAT, "does not fit"},
    {ONE("F32", "[1]", "[0,5]"), 5, QZ_ERR_FORMAT, "does not fit"},
    {ONE("F32", "[4611686018427387904,4]", "[0,0]"), 0, QZ_ERR_FORMAT, "does not fit"},
    {ONE("F64", "[2305843009213693952]", "[0,0]"), 0, QZ_ERR_FORMAT, "does not fit"},
    {"{\"a\":" FIELDS("U8", "[4]", "[0,4]") ",\"b\":" FIELDS("U8", "[4]", "[0,4]") "}", 4,
     QZ_ERR_FORMAT, "overlap"},
    {"{\"a\":" FIELDS("U8", "[4]", "[0,4]") ",\"b\":" FIELDS("U8", "[2]", "[3,5]") "}", 5,
     QZ_ERR_FORMAT, "overlap"},
};

static void test_headers(void **state)
{
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const sample *s = &samples[i];
        size_t size;
        uint8_t *bytes = make(s->header, s->data_size, &size);
        if (s->status == QZ_OK) {
            qz_state_dict *dict = NULL;
            if (qz_state_dict_parse(ctx, bytes, size, "good", &dict) != QZ_OK)
                fail_msg("%s: %s", s->header, qz_context_message(ctx));
            tool_touch(dict);
            qz_state_dict_destroy(dict);
        } else {
            tool_expect_failure(ctx, bytes, size, s->status, s->part);
        }
        free(bytes);
        assert_int_equal(counter.live, before);
    }
    assert_true(counter.largest < 100000);
    qz_context_destroy(ctx);
}

static void test_order_and_alignment(void **state)
{
    /* the header's order stays; c lies at an odd address and must be moved */
    static const char header[] = "{\"b\":" FIELDS("U8", "[1]", "[0,1]") ",\"c\":" FIELDS(
        "F32", "[2]", "[1,9]") ",\"a\":" FIELDS("U8", "[0]", "[9,9]") "}";
    static const uint32_t expected[] = {0x04030201, 0x08070605};
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = NULL;
    size_t size;
    uint8_t *bytes = make(header, 9, &size);
    (void)state;
    assert_int_equal(qz_state_dict_parse(ctx, bytes, size, "good", &dict), QZ_OK);
    memset(bytes, 0xee, size); /* the dict does not need them any more */
    free(bytes);
    tool_touch(dict);
    assert_string_equal(qz_state_dict_key(dict, 0), "b");
    assert_string_equal(qz_state_dict_key(dict, 1), "c");
    assert_string_equal(qz_state_dict_key(dict, 2), "a");
    assert_memory_equal(tool_tensor(dict, "c", QZ_F32, TOOL_DIMS(2)), expected, 8);
    qz_state_dict_destroy(dict);
    qz_context_destroy(ctx);
}

static void test_header_length(void **state)
{
    static const uint64_t lengths[] = {UINT64_C(1) << 63, UINT64_MAX, UINT64_C(100000001), 3, 1, 0};
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint8_t bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        for (size_t b = 0; b < 8; b++)
            bytes[b] = (uint8_t)(lengths[i] >> (8 * b));
        tool_expect_failure(ctx, bytes, 10, QZ_ERR_FORMAT, "header");
    }
    qz_context_destroy(ctx);
}

/* ---- writing ---- */

static const char *const meta_keys[] = {"qzoo", "quote \" \\ \x01 \xc3\xa9"};
static const char *const meta_values[] = {"1", "line\nend\t\x7f"};

static void test_save(void **state)
{
    static const float weights[6] = {1, 2, 3, 4, 5, 6};
    static const int8_t bytes3[3] = {-1, 0, 1};
    static const int64_t scalar = -5;
    static const char expected[] =
        "{\"__metadata__\":{\"qzoo\":\"1\",\"quote \\\" \\\\ \\u0001 \xc3\xa9\":"
        "\"line\\u000aend\\u0009\x7f\"},"
        "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"q\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[24,27]},"
        "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[27,35]},"
        "\"none\":{\"dtype\":\"F16\",\"shape\":[0],\"data_offsets\":[35,35]}}";
    const qz_safetensors_entry entries[] = {
        {"conv.weight", {QZ_F32, 2, {2, 3}, (void *)(uintptr_t)weights}},
        {"q", {QZ_S8, 1, {3}, (void *)(uintptr_t)bytes3}},
        {"n", {QZ_S64, 0, {0}, (void *)(uintptr_t)&scalar}},
        {"none", {QZ_F16, 1, {0}, NULL}},
    };
    qz_context *ctx = tool_context(NULL);
    char path[1024];
    (void)state;
    snprintf(path, sizeof(path), "%s", tool_scratch("save.safetensors"));
    for (int again = 0; again < 2; again++) { /* over nothing, and over the file of before */
        size_t size, header = (sizeof(expected) - 1 + 7) / 8 * 8;
        assert_int_equal(qz_safetensors_save(ctx, path, entries, 4, meta_keys, meta_values, 2),
                         QZ_OK);
        uint8_t *bytes = tool_read(path, &size);
        assert_int_equal(size, 8 + header + 35);
        assert_int_equal(bytes[0] | bytes[1] << 8, header);
        assert_memory_equal(bytes + 8, expected, sizeof(expected) - 1);
        for (size_t i = sizeof(expected) - 1; i < header; i++)
            assert_int_equal(bytes[8 + i], ' ');
        free(bytes);
    }
    qz_state_dict *dict = NULL;
    assert_int_equal(qz_state_dict_load(ctx, path, &dict), QZ_OK);
    unlink(path);
    tool_touch(dict);
    assert_int_equal(qz_state_dict_count(dict), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(qz_state_dict_key(dict, i), entries[i].key);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(qz_state_dict_metadata(dict, meta_keys[i]), meta_values[i]);
    assert_memory_equal(tool_tensor(dict, "conv.weight", QZ_F32, TOOL_DIMS(2, 3)), weights, 24);
    assert_memory_equal(tool_tensor(dict, "q", QZ_S8, TOOL_DIMS(3)), bytes3, 3);
    assert_memory_equal(tool_tensor(dict, "n", QZ_S64, TOOL_DIMS(-1)), &scalar, 8);
    tool_tensor(dict, "none", QZ_F16, TOOL_DIMS(0));
    qz_state_dict_destroy(dict);
    qz_context_destroy(ctx);
}

static size_t files_in(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void test_save_fails(void **state)
{
    static const char *const twice[] = {"a", "a"}, *const broken[] = {"a", "\xff"};
    const qz_tensor one = {QZ_U8, 1, {1}, (void *)(uintptr_t) "x"};
    const qz_tensor no_data = {QZ_U8, 1, {1}, NULL}, negative = {QZ_U8, 1, {-1}, one.data};
    const qz_tensor bad_dtype = {QZ_DTYPE_COUNT, 1, {1}, one.data};
    const qz_tensor bad_ndim = {QZ_U8, 9, {1}, one.data};
    const struct {
        qz_safetensors_entry entries[2];
        const char *part;
    } cases[] = {
        {{{"a", one}, {"a", one}}, "one name"},
        {{{"a", one}, {"__metadata__", one}}, "__metadata__"},
        {{{"a", one}, {NULL, one}}, "NULL"},
        {{{"a", one}, {"\xff", one}}, "UTF-8"},
        {{{"a", one}, {"b", no_data}}, "'b'"},
        {{{"a", one}, {"b", negative}}, "'b'"},
        {{{"a", one}, {"b", bad_dtype}}, "'b'"},
        {{{"a", one}, {"b", bad_ndim}}, "'b'"},
    };
    qz_context *ctx = tool_context(NULL);
    char folder[1024], path[1100];
    (void)state;
    snprintf(folder, sizeof(folder), "%s", tool_scratch("folder"));
    snprintf(path, sizeof(path), "%s/x.safetensors", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(qz_safetensors_save(ctx, path, cases[i].entries, 2, NULL, NULL, 0),
                         QZ_ERR_ARGUMENT);
        assert_non_null(strstr(qz_context_message(ctx), cases[i].part));
    }
    assert_int_equal(qz_safetensors_save(ctx, path, NULL, 0, twice, twice, 2), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_safetensors_save(ctx, path, NULL, 0, broken, twice, 2), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_safetensors_save(ctx, path, NULL, 0, NULL, NULL, 1), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_safetensors_save(ctx, NULL, NULL, 0, NULL, NULL, 0), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_safetensors_save(ctx, folder, NULL, 0, NULL, NULL, 0), QZ_ERR_IO);
    assert_int_equal(qz_safetensors_save(ctx, "/dev/null", NULL, 0, NULL, NULL, 0),
                     QZ_OK);               /* a device */
    assert_int_equal(files_in(folder), 2); /* . and .. */
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(qz_safetensors_save(ctx, path, NULL, 0, NULL, NULL, 0), QZ_ERR_IO);
    assert_int_equal(strncmp(qz_context_message(ctx), path, strlen(path)), 0);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_order_and_alignment),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_save_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
