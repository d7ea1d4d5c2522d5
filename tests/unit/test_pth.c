/* SPDX-License-Identifier: MIT */
/* test_pth.c - .pth files as torch writes them, and pickles that mean harm. */
#include "state_dict_tools.h"
#include "zip_writer.h"

#ifdef QZ_HAVE_ZLIB

static qz_state_dict *load_fixture(qz_context *ctx, const char *name)
{
    qz_state_dict *dict = NULL;
    qz_status st = qz_state_dict_load(ctx, tool_fixture(name), &dict);
    if (st != QZ_OK)
        fail_msg("%s", qz_context_message(ctx));
    tool_touch(dict);
    return dict;
}

static void test_dtypes(void **state)
{
    static const char *const names[] = {"dtypes.pth", "deflated.pth", "big_endian.pth"};
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        qz_state_dict *dict = load_fixture(ctx, names[i]);
        tool_check_dtypes(dict);
        assert_null(qz_state_dict_find(dict, "float"));
        assert_null(qz_state_dict_find(dict, ""));
        assert_null(qz_state_dict_metadata(dict, "format"));
        assert_null(qz_state_dict_key(dict, 10));
        assert_null(qz_state_dict_tensor(dict, 10));
        qz_state_dict_destroy(dict);
    }
    qz_context_destroy(ctx);
}

static void check_floats(const qz_state_dict *dict, const char *key, const int64_t *dims,
                         const float *expected, size_t count)
{
    assert_memory_equal(tool_tensor(dict, key, QZ_F32, dims), expected, count * sizeof(float));
}

static void test_views(void **state)
{
    static const float transposed[] = {0, 3, 1, 4, 2, 5}, tail[] = {20, 21, 22, 23},
                       thirds[] = {1, 4, 7, 10, 13, 16, 19, 22}, fives[] = {5, 5, 5, 5, 5, 5};
    float ramp[24];
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = load_fixture(ctx, "views.pth");
    (void)state;
    for (int i = 0; i < 24; i++)
        ramp[i] = (float)i;
    check_floats(dict, "whole", TOOL_DIMS(24), ramp, 24);
    check_floats(dict, "tail", TOOL_DIMS(4), tail, 4);
    check_floats(dict, "transposed", TOOL_DIMS(3, 2), transposed, 6);
    check_floats(dict, "every_third", TOOL_DIMS(8), thirds, 8);
    check_floats(dict, "channels_last", TOOL_DIMS(1, 2, 3, 4), ramp, 24);
    check_floats(dict, "expanded", TOOL_DIMS(2, 3), fives, 6);
    tool_tensor(dict, "empty", QZ_F32, TOOL_DIMS(0, 3));
    assert_int_equal(*(const int64_t *)tool_tensor(dict, "scalar", QZ_S64, TOOL_DIMS(-1)), 7);
    qz_state_dict_destroy(dict);
    qz_context_destroy(ctx);
}

static void test_checkpoints(void **state)
{
    static const char *const names[] = {"checkpoint2.pth", "checkpoint3.pth", "checkpoint4.pth",
                                        "checkpoint5.pth"};
    static const float weight[] = {1.5f, -2.5f}, three = 3.0f;
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        dict = load_fixture(ctx, names[i]);
        assert_int_equal(qz_state_dict_count(dict), 7);
        assert_string_equal(qz_state_dict_key(dict, 1), "0.bias");
        check_floats(dict, "0.weight", TOOL_DIMS(2, 1, 1, 1), weight, 2);
        tool_tensor(dict, "1.num_batches_tracked", QZ_S64, TOOL_DIMS(-1));
        qz_state_dict_destroy(dict);
    }
    dict = load_fixture(ctx, "parameter.pth");
    check_floats(dict, "weight", TOOL_DIMS(1), &three, 1);
    qz_state_dict_destroy(dict);
    dict = load_fixture(ctx, "empty.pth");
    assert_int_equal(qz_state_dict_count(dict), 0);
    assert_null(qz_state_dict_find(dict, "weight"));
    qz_state_dict_destroy(dict);
    qz_context_destroy(ctx);
}

static void test_refused_files(void **state)
{
    static const struct {
        const char *name;
        qz_status status;
        const char *part;
    } files[] = {
        {"system.pth", QZ_ERR_UNSUPPORTED, "refuses to run 'posix.system'"},
        {"complex.pth", QZ_ERR_UNSUPPORTED, "ComplexFloatStorage"},
        {"tensor.pth", QZ_ERR_FORMAT, "holds a tensor"},
        {"mixed.pth", QZ_ERR_FORMAT, "'b' is an int"},
    };
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        size_t size;
        uint8_t *bytes = tool_read(tool_fixture(files[i].name), &size);
        tool_expect_failure(ctx, bytes, size, files[i].status, files[i].part);
        free(bytes);
    }
    qz_context_destroy(ctx);
}

/* ---- pickles by hand: one tensor on a storage of 16 bytes ---- */

#define KEY_A "X\1\0\0\0a"
#define ID(type, numel)                            \
    "(X\7\0\0\0storagectorch\n" type "\nX\1\0\0\0" \
    "0"                                            \
    "X\3\0\0\0cpu" numel "tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define VIEW(numel, offset, shape, strides)                           \
    REBUILD "(" ID("FloatStorage", numel) offset shape strides "\x89" \
                                                               "}"    \
                                                               "tR"
#define TENSOR VIEW("K\4", "K\0", "K\4\x85", "K\1\x85")
#define DICT(items) "\x80\2}(" items "u."
#define INT64_2_62 "\x8a\x08\0\0\0\0\0\0\0\x40"

typedef struct evil_pickle {
    const char *bytes;
    size_t size;
    qz_status status; /* QZ_OK: it is a good one */
    const char *part;
} evil_pickle;
#define EVIL(bytes, status, part)              \
    {                                          \
        bytes, sizeof(bytes) - 1, status, part \
    }
#define DAMAGED(bytes, part) EVIL(bytes, QZ_ERR_FORMAT, part)
#define REFUSED(bytes, part) EVIL(bytes, QZ_ERR_UNSUPPORTED, part)

static const evil_pickle evil_pickles[] = {
    EVIL(DICT(KEY_A TENSOR), QZ_OK, ""),
    EVIL("\x80\4\x95\0\0\0\0\0\0\0\0}\x94\x8c\1a" TENSOR "s.", QZ_OK, ""),
    /* code */
    REFUSED("cos\nsystem\n(X\2\0\0\0lstR.", "refuses to run 'os.system'"),
    REFUSED("\x80\4\x8c\x08"
            "builtins\x8c\4eval\x93\x8c\3"
            "1+1\x85R.",
            "'builtins.eval'"),
    REFUSED(DICT(KEY_A "cos\nsystem\nX\2\0\0\0ls\x85R"), "'os.system'"),
    REFUSED("csubprocess\nPopen\n)\x81.", "class 'subprocess.Popen'"),
    REFUSED("csubprocess\nPopen\n)}\x92}b.", "class 'subprocess.Popen'"),
    REFUSED("ctorch\nFloatStorage\n)R.", "'torch.FloatStorage'"),
    REFUSED("cos\nsys\x1b[2Jtem\n)R.", "'os.sys?[2Jtem'"),
    DAMAGED(DICT(KEY_A "cos\nsystem\n"), "is a class or function, not a tensor"),
    DAMAGED("(cos\nsystem\nX\2\0\0\0lsios\nsystem\n.", "opcode 0x69"),
    DAMAGED("X\2\0\0\0lsPx\n.", "opcode 0x50"),
    DAMAGED("}}b]}b.", "does not hold what an opcode needs"),
    DAMAGED("ccollections\nOrderedDict\n}\x85R.", "OrderedDict with arguments"),
    DAMAGED("ccollections\nOrderedDict\n]K\1a\x85R.", "OrderedDict with arguments"),
    EVIL("\x80\2ccollections\nOrderedDict\n](]" KEY_A "a" TENSOR "ae\x85R.", QZ_OK, ""),
    DAMAGED("K\1)R.", "no function"),
    DAMAGED("K\1)\x81.", "no class"),
    DAMAGED("ctorch\nSize\n)R.", "torch.Size"),
    /* memory */
    DAMAGED("}r\xff\xff\xff\x7f.", "memo index"),
    DAMAGED("}r\xff\xff\xff\xff.", "memo index"),
    DAMAGED("h\5.", "memo index"),
    DAMAGED("}q\2h\1.", "memo index"),
    DAMAGED("X\xff\xff\xff\xff"
            "a.",
            "truncated"),
    DAMAGED("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
            "a.",
            "truncated"),
    DAMAGED("\x8b\xff\xff\xff\xff"
            "a.",
            "truncated"),
    /* the stack */
    DAMAGED("", "truncated"),
    DAMAGED(".", "underflow"),
    DAMAGED("\x80\6}.", "protocol"),
    DAMAGED("0.", "no mark"),
    DAMAGED("1.", "no mark"),
    DAMAGED("2.", "underflow"),
    DAMAGED("t.", "no mark"),
    DAMAGED("q\0.", "underflow"),
    DAMAGED("K\1(\x85.", "underflow"),
    DAMAGED("K\1a.", "does not hold"),
    DAMAGED("}K\1a.", "does not hold"),
    DAMAGED("}(K\1u.", "without a value"),
    DAMAGED("(K\1d.", "without a value"),
    DAMAGED("}}.", "before its end"),
    DAMAGED("(}.", "before its end"),
    DAMAGED("cos\nsystem", "without an end"),
    /* what is no state dict */
    DAMAGED("]q\0h\0a.", "holds a list"),
    DAMAGED("}q\0(X\x0a\0\0\0state_dicth\0u.", "'state_dict' is a dict"),
    DAMAGED("}(K\1K\2u.", "'' is an int"),
    DAMAGED("\x8a\x09\0\0\0\0\0\0\0\0\1.", "holds an int"),
    DAMAGED(DICT("K\1" TENSOR), "is a tensor, not a tensor"),
    DAMAGED(DICT(KEY_A TENSOR KEY_A TENSOR), "'a' occurs twice"),
    DAMAGED(DICT("X\2\0\0\0a\xff" TENSOR), "not UTF-8"),
    DAMAGED(DICT("X\3\0\0\0a\0b" TENSOR), "not UTF-8"),
    DAMAGED(DICT("X\3\0\0\0\xed\xa0\x80" TENSOR), "not UTF-8"),
    /* tensors that their storage does not hold */
    DAMAGED(DICT(KEY_A VIEW("J\0\0\0\x10", "K\0", "J\0\0\0\x10\x85", "K\1\x85")), "another size"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "J\0\0\0\x10\x85", "K\1\x85")), "is smaller"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\1", "K\4\x85", "K\1\x85")), "is smaller"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "K\2\x85", "K\4\x85")), "is smaller"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "K\2K\2\x86", "K\3K\1\x86")), "is smaller"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\4", ")", ")")), "is smaller"),
    DAMAGED(DICT(KEY_A VIEW("K\4", INT64_2_62, "K\1\x85", "K\1\x85")), "is smaller"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "K\5\x85", INT64_2_62 "\x85")), "is smaller"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", INT64_2_62 "K\5\x86", "K\0K\0\x86")), "is too large"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "J\0\0\0\x10\x85", "K\0\x85")), "far more memory"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "J\xff\xff\xff\xff", "K\1\x85", "K\1\x85")), "arguments"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "J\xff\xff\xff\xff\x85", "K\1\x85")), "natural"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "K\1\x85", "J\xff\xff\xff\xff\x85")), "natural"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "K\4\x85", ")")), "strides"),
    DAMAGED(DICT(KEY_A VIEW("K\4", "K\0", "]", ")")), "not a tuple"),
    DAMAGED(DICT(KEY_A VIEW("J\xff\xff\xff\xff", "K\0", ")", ")")), "persistent id"),
    DAMAGED(DICT(KEY_A "X\1\0\0\0aQ"), "persistent id"),
    DAMAGED(DICT(KEY_A REBUILD ")R"), "arguments of a tensor"),
    DAMAGED(DICT(KEY_A REBUILD "(" ID("BoolStorage", "K\x10") "K\0K\x10\x85K\1\x85\x89}tR"),
            "other bytes than 0 and 1"),
    REFUSED(DICT(KEY_A VIEW("K\4", "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", ")")), "dimensions"),
    REFUSED(DICT(KEY_A REBUILD "(" ID("QUInt4x2Storage", "K\x10") "K\0))\x89}tR"), "QUInt4x2"),
};

static void expect_pickle(qz_context *ctx, const evil_pickle *evil)
{
    static const float numbers[4] = {1, 2, 3, 4};
    static const uint8_t storage[] = "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40";
    size_t size;
    uint8_t *zip = zip_write_pth(evil->bytes, evil->size, storage, sizeof(numbers), &size);
    if (evil->status != QZ_OK) {
        tool_expect_failure(ctx, zip, size, evil->status, evil->part);
    } else {
        qz_state_dict *dict = NULL;
        assert_int_equal(qz_state_dict_parse(ctx, zip, size, "good", &dict), QZ_OK);
        check_floats(dict, "a", TOOL_DIMS(4), numbers, 4);
        qz_state_dict_destroy(dict);
    }
    free(zip);
}

static void test_evil_pickles(void **state)
{
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    (void)state;
    for (size_t i = 0; i < sizeof(evil_pickles) / sizeof(evil_pickles[0]); i++) {
        expect_pickle(ctx, &evil_pickles[i]);
        assert_int_equal(counter.live, before);
    }
    assert_true(counter.largest < 100000); /* refused before memory was asked for */
    qz_context_destroy(ctx);
}

/* Nesting costs no stack of the caller's, and has an end. */
static void test_deep_pickles(void **state)
{
    enum { SIZE = 600000 };
    qz_context *ctx = tool_context(NULL);
    char *bytes = malloc(SIZE);
    (void)state;
    assert_non_null(bytes);
    memset(bytes, ']', SIZE);
    expect_pickle(ctx, &(evil_pickle){bytes, SIZE, QZ_ERR_FORMAT, "nested too deeply"});
    memset(bytes, '(', SIZE);
    expect_pickle(ctx, &(evil_pickle){bytes, SIZE, QZ_ERR_FORMAT, "nested too deeply"});
    /* 100000 lists, each in the one before */
    memset(bytes, ']', 100000);
    memset(bytes + 100000, 'a', 99999);
    bytes[199999] = '.';
    expect_pickle(ctx, &(evil_pickle){bytes, 200000, QZ_ERR_FORMAT, "holds a list"});
    /* a list of itself, many times */
    memcpy(bytes, "]q\0(", 4);
    for (int i = 0; i < 100000; i++)
        memcpy(bytes + 4 + 2 * i, "h", 2);
    memcpy(bytes + 200004, "e.", 2);
    expect_pickle(ctx, &(evil_pickle){bytes, 200006, QZ_ERR_FORMAT, "holds a list"});
    /* a million tuples, thrown away */
    for (int i = 0; i < SIZE; i += 2)
        memcpy(bytes + i, ")0", 2);
    memcpy(bytes + SIZE - 2, "}.", 2);
    bytes[0] = 'N';
    expect_pickle(ctx, &(evil_pickle){"\x80\2N.", 4, QZ_ERR_FORMAT, "holds None"});
    size_t size;
    uint8_t *zip = zip_write_pth(bytes, SIZE, "", 0, &size);
    qz_state_dict *dict = NULL;
    assert_int_equal(qz_state_dict_parse(ctx, zip, size, "good", &dict), QZ_OK);
    assert_int_equal(qz_state_dict_count(dict), 0);
    qz_state_dict_destroy(dict);
    free(zip);
    free(bytes);
    qz_context_destroy(ctx);
}

/* Hundreds of names for one storage: each is free, together they are a bomb. */
static void test_many_views(void **state)
{
    static const char first[] =
        REBUILD "q\1(" ID("BoolStorage", "J\0\0\x10\0") "K\0J\0\0\x10\0\x85K\1"
                                                        "\x85\x89}tq\2R";
    enum { STORAGE = 1 << 20, VIEWS = 200, ITEM = 6 + 5 };
    uint8_t *storage = calloc(STORAGE, 1);
    char bytes[sizeof(first) + VIEWS * ITEM + 16] = "\x80\2}(" KEY_A;
    size_t at = 4 + 6, size;
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = NULL;
    (void)state;
    assert_non_null(storage);
    memcpy(bytes + at, first, sizeof(first) - 1);
    at += sizeof(first) - 1;
    for (int views = 20;; views = VIEWS) {
        size_t end = at;
        for (int i = 1; i < views; i++, end += ITEM) {
            memcpy(bytes + end, KEY_A "h\1h\2R", ITEM);
            bytes[end + 1] = 1;
            bytes[end + 5] = (char)(i < 0x40 ? i + 0x20 : 'a');
        }
        memcpy(bytes + end, "u.", 2);
        uint8_t *zip = zip_write_pth(bytes, end + 2, storage, STORAGE, &size);
        if (views == VIEWS) {
            tool_expect_failure(ctx, zip, size, QZ_ERR_FORMAT, "far more memory");
            free(zip);
            break;
        }
        assert_int_equal(qz_state_dict_parse(ctx, zip, size, "good", &dict), QZ_OK);
        assert_int_equal(qz_state_dict_count(dict), views);
        qz_state_dict_destroy(dict);
        free(zip);
    }
    free(storage);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes),       cmocka_unit_test(test_views),
        cmocka_unit_test(test_checkpoints),  cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_evil_pickles), cmocka_unit_test(test_deep_pickles),
        cmocka_unit_test(test_many_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else /* no zlib */

static void test_unsupported(void **state)
{
    size_t size;
    qz_context *ctx = tool_context(NULL);
    uint8_t *bytes = tool_read(tool_fixture("dtypes.pth"), &size);
    (void)state;
    tool_expect_failure(ctx, bytes, size, QZ_ERR_UNSUPPORTED, "zlib");
    free(bytes);
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unsupported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
