/* SPDX-License-Identifier: MIT */
/*
 * test_formats.c - every container of tensors against what PyTorch and numpy read from the same
 * file (fixtures/formats/expected.txt, made by gen/make_format_files.py), damaged copies of each,
 * and files that mean harm.
 */
#include "state_dict_tools.h"
#include "zip_writer.h"

#include "layers/base/base.h"

#define NAMES_MAX 64

static char names[NAMES_MAX][64]; /* of the files that expected.txt speaks of */
static size_t name_count;

static const char *fixture(const char *name)
{
    static char path[1024];
    const char *folder = getenv("QZOO_TEST_FIXTURES");
    snprintf(path, sizeof(path), "%.700s/formats/%.63s", folder ? folder : "tests/unit/fixtures",
             name);
    return path;
}

static void remember(const char *name)
{
    assert_true(strlen(name) < sizeof(names[0]));
    if (name_count > 0 && strcmp(names[name_count - 1], name) == 0)
        return;
    assert_true(name_count < NAMES_MAX);
    memcpy(names[name_count++], name, strlen(name) + 1);
}

/* The text up to the next tab, which becomes its end. */
static char *next_field(char **line)
{
    char *field = *line, *tab = strpbrk(field, "\t\n");
    assert_non_null(tab);
    *line = tab + 1;
    *tab = '\0';
    return field;
}

static void check_shape(const qz_tensor *tensor, const char *key, const char *shape)
{
    char text[128] = "";
    size_t used = 0;
    for (int32_t i = 0; i < tensor->ndim; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%lld", i > 0 ? "x" : "",
                                 (long long)tensor->dims[i]);
    if (strcmp(tensor->ndim > 0 ? text : "scalar", shape) != 0)
        fail_msg("%s: shape %s instead of %s", key, text, shape);
}

static void check_quant(const qz_tensor_quant *quant, const char *key, char *line)
{
    assert_non_null(quant);
    assert_int_equal(quant->axis, strtol(line, &line, 10));
    for (int64_t i = 0; i < quant->count; i++) {
        double scale = strtod(line, &line);
        if (memcmp(&scale, &quant->scales[i], sizeof(scale)) != 0)
            fail_msg("%s: scale %lld", key, (long long)i);
    }
    for (int64_t i = 0; i < quant->count; i++)
        assert_int_equal(quant->zero_points[i], strtoll(line, &line, 10));
    assert_int_equal(*line, '\n');
}

static size_t index_of(const qz_state_dict *dict, const char *file, const char *key)
{
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        if (strcmp(qz_state_dict_key(dict, i), key) == 0)
            return i;
    }
    fail_msg("%s: '%s' is missing", file, key);
    return 0;
}

typedef qz_status (*load_fn)(qz_context *context, const char *path, qz_state_dict **out);

static void compare_all(load_fn load)
{
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = NULL;
    char text[8192], now[64] = "";
    size_t lines = 0, seen = 0;
    FILE *file = fopen(fixture("expected.txt"), "r");
    assert_non_null(file);
    name_count = 0;
    for (; fgets(text, sizeof(text), file); lines++) {
        char *line = text;
        const char *name = next_field(&line), *key = next_field(&line), *dtype = next_field(&line);
        const char *shape = next_field(&line);
        if (strcmp(now, name) != 0) {
            if (dict && strncmp(now, "quantized-", 10) != 0)
                assert_int_equal(qz_state_dict_count(dict), seen); /* and nothing more */
            qz_state_dict_destroy(dict);
            remember(name);
            memcpy(now, names[name_count - 1], sizeof(now));
            if (load(ctx, fixture(name), &dict) != QZ_OK)
                fail_msg("%s", qz_context_message(ctx));
            tool_touch(dict);
            seen = 0;
        }
        size_t index = index_of(dict, name, key);
        const qz_tensor *tensor = qz_state_dict_tensor(dict, index);
        if (strcmp(qz_dtype_name(tensor->dtype), dtype) != 0)
            fail_msg("%s: %s is %s, not %s", name, key, qz_dtype_name(tensor->dtype), dtype);
        check_shape(tensor, key, shape);
        uint64_t hash = qzi_fnv1a_numbers(tensor->data, (size_t)qz_tensor_numel(tensor),
                                          qz_dtype_size(tensor->dtype), QZI_FNV_OFFSET);
        if (hash != strtoull(line, &line, 16))
            fail_msg("%s: the bytes of %s differ", name, key);
        if (*line == '\t')
            check_quant(qz_state_dict_quant(dict, index), key, line + 1);
        else
            assert_null(qz_state_dict_quant(dict, index));
        seen++;
    }
    qz_state_dict_destroy(dict);
    fclose(file);
    assert_true(lines > 250 && name_count == 18);
    qz_context_destroy(ctx);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void test_expected(void **state)
{
    (void)state;
    compare_all(qz_state_dict_load);
}

/* Mapped files say the same, also of damage; and stay as they were when they are replaced. */
static void test_mapped(void **state)
{
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = NULL;
    size_t size;
    (void)state;
    compare_all(qz_state_dict_map);
    assert_int_equal(qz_state_dict_map(ctx, fixture("gone.pth"), &dict), QZ_ERR_IO);
    assert_int_equal(qz_state_dict_map(ctx, "/", &dict), QZ_ERR_IO);
    uint8_t *bytes = tool_read(fixture("layouts.pth"), &size);
    char path[1024];
    snprintf(path, sizeof(path), "%s", tool_scratch("mapped.pth"));
    write_file(path, bytes, size - 1);
    assert_int_equal(qz_state_dict_map(ctx, path, &dict), QZ_ERR_FORMAT);
    assert_null(dict);
    assert_int_equal(remove(path), 0);
    write_file(path, bytes, size);
    assert_int_equal(qz_state_dict_map(ctx, path, &dict), QZ_OK);
    assert_int_equal(remove(path), 0);
    tool_touch(dict);
    qz_state_dict_destroy(dict);
    free(bytes);
    qz_context_destroy(ctx);
}

/* Files that others published, where the oracle folder is: all that torch finds in them. */
static void test_real_files(void **state)
{
    static const struct {
        const char *file, *key;
        size_t count;
    } files[] = {
        {"deeplabv3_mobilenet_v2-tfvoc.pth", "classifier.4.bias", 332},
        {"mobilenet_v2-demo.pth", "classifier.1.weight", 314},
        {"mobilenet_v2-demo-legacy.pth", "classifier.1.weight", 314},
        {"mobilenet_v2-int8-torchscript.pt", "classifier.1._packed_params._packed_params.weight",
         158},
        {"squeezenet1_0-deepcomp.pth", "features.0.weight", 52},
        {"yolov5n.pth", "model.24.m.2.bias", 349},
    };
    const char *folder = getenv("QZOO_TEST_DATA");
    qz_context *ctx = tool_context(NULL);
    size_t loaded = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[1024];
        qz_state_dict *dict = NULL;
        snprintf(path, sizeof(path), "%s/weights/%s", folder ? folder : "../shared/data",
                 files[i].file);
        FILE *file = fopen(path, "rb");
        if (!file) {
            print_message("skipped: no %s\n", path);
            continue;
        }
        fclose(file);
        if (qz_state_dict_load(ctx, path, &dict) != QZ_OK)
            fail_msg("%s", qz_context_message(ctx));
        tool_touch(dict);
        assert_int_equal(qz_state_dict_count(dict), files[i].count);
        assert_non_null(qz_state_dict_find(dict, files[i].key));
        qz_state_dict_destroy(dict);
        loaded++;
    }
    qz_context_destroy(ctx);
    if (loaded == 0)
        skip();
}

/* ---- conversions ---- */

/* Every half and every bfloat16 as ldexp has them. */
static void test_to_f32(void **state)
{
    static uint16_t bits[65536];
    static float out[65536];
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t i = 0; i < 65536; i++)
        bits[i] = (uint16_t)i;
    qz_tensor tensor = {.dtype = QZ_F16, .ndim = 1, .dims = {65536}, .data = bits};
    assert_int_equal(qz_tensor_to_f32(ctx, &tensor, NULL, out), QZ_OK);
    for (uint32_t i = 0; i < 65536; i++) {
        int exponent = (int)(i >> 10 & 31);
        double mantissa = i & 1023, magnitude = exponent == 0 ? mantissa / (1 << 24) : 0.0;
        if (exponent == 31) {
            assert_true(mantissa == 0.0 ? out[i] * 0.0f != 0.0f && out[i] == out[i]
                                        : out[i] != out[i]);
            continue;
        }
        if (exponent > 0) {
            magnitude = (1024.0 + mantissa) / (1 << 25);
            for (int e = 0; e < exponent; e++)
                magnitude *= 2.0;
        }
        assert_true((double)out[i] == ((i & 0x8000) != 0 ? -magnitude : magnitude));
    }
    tensor.dtype = QZ_BF16;
    assert_int_equal(qz_tensor_to_f32(ctx, &tensor, NULL, out), QZ_OK);
    for (uint32_t i = 0; i < 65536; i++) {
        uint32_t got;
        memcpy(&got, &out[i], sizeof(got));
        assert_int_equal(got, i << 16);
    }
    tensor.dtype = QZ_S16;
    assert_int_equal(qz_tensor_to_f32(ctx, &tensor, NULL, out), QZ_ERR_UNSUPPORTED);
    static int8_t q[6] = {-128, -1, 0, 1, 2, 127};
    static const double scales[3] = {0.5, 0.25, 2.0};
    static const int64_t zero_points[3] = {0, 1, -128};
    static const float expected[6] = {-64.0f, -0.5f, 256.0f, 0.5f, 0.25f, 510.0f};
    const qz_tensor_quant quant = {1, 3, scales, zero_points};
    qz_tensor small = {.dtype = QZ_S8, .ndim = 2, .dims = {2, 3}, .data = q};
    assert_int_equal(qz_tensor_to_f32(ctx, &small, &quant, out), QZ_OK);
    assert_memory_equal(out, expected, sizeof(expected));
    qz_context_destroy(ctx);
}

/* ---- old keys ---- */

static void test_old_keys(void **state)
{
    static const char *const keys[][2] = {
        {"features.denseblock1.denselayer12.norm.1.running_mean",
         "features.denseblock1.denselayer12.norm1.running_mean"},
        {"features.denseblock1.denselayer2.conv.2.weight",
         "features.denseblock1.denselayer2.conv2.weight"},
        {"features.denseblock1.denselayer2.norm1.weight",
         "features.denseblock1.denselayer2.norm1.weight"},
        {"backbone.fpn.inner_blocks.3.bias", "backbone.fpn.inner_blocks.3.0.bias"},
        {"backbone.fpn.layer_blocks.0.weight", "backbone.fpn.layer_blocks.0.0.weight"},
        {"backbone.fpn.layer_blocks.1.0.weight", "backbone.fpn.layer_blocks.1.0.weight"},
        {"backbone.fpn.extra_blocks.p6.weight", "backbone.fpn.extra_blocks.p6.weight"},
        {"rpn.head.conv.weight", "rpn.head.conv.0.0.weight"},
        {"rpn.head.cls_logits.weight", "rpn.head.cls_logits.weight"},
        {"roi_heads.mask_head.mask_fcn4.bias", "roi_heads.mask_head.3.0.bias"},
        {"head.classification_head.conv.6.weight", "head.classification_head.conv.3.0.weight"},
        {"head.regression_head.conv.0.bias", "head.regression_head.conv.0.0.bias"},
        {"head.regression_head.conv.1.0.bias", "head.regression_head.conv.1.0.bias"},
        {"conv1.weight", "conv1.weight"},
    };
    enum { COUNT = sizeof(keys) / sizeof(keys[0]) };
    float value[COUNT];
    qz_safetensors_entry entries[COUNT];
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = NULL;
    size_t renamed = 0, expected = 0, size;
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        value[i] = (float)i;
        entries[i] = (qz_safetensors_entry){keys[i][0], {.dtype = QZ_F32, .data = &value[i]}};
        expected += strcmp(keys[i][0], keys[i][1]) != 0;
    }
    char path[1024];
    snprintf(path, sizeof(path), "%s", tool_scratch("old.safetensors"));
    assert_int_equal(qz_safetensors_save(ctx, path, entries, COUNT, NULL, NULL, 0), QZ_OK);
    uint8_t *bytes = tool_read(path, &size);
    remove(path);
    assert_int_equal(qz_state_dict_parse(ctx, bytes, size, "old", &dict), QZ_OK);
    assert_int_equal(qz_state_dict_update_keys(dict, &renamed), QZ_OK);
    assert_int_equal(renamed, expected);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(*(const float *)tool_tensor(dict, keys[i][1], QZ_F32, TOOL_DIMS(-1)) ==
                    value[i]);
    assert_int_equal(qz_state_dict_update_keys(dict, &renamed), QZ_OK);
    assert_int_equal(renamed, 0);
    qz_state_dict_destroy(dict);
    free(bytes);
    qz_context_destroy(ctx);
}

/* FCOS's own keys look like RetinaNet's old ones, and stay. */
static void test_fcos_keys(void **state)
{
    static const char *const keys[] = {
        "head.classification_head.conv.0.weight", "head.classification_head.conv.4.weight",
        "head.regression_head.conv.6.bias",       "head.regression_head.bbox_ctrness.weight",
        "backbone.fpn.inner_blocks.0.0.weight",
    };
    float value = 1.0f;
    qz_safetensors_entry entries[QZI_ARRAY_LEN(keys)];
    qz_context *ctx = tool_context(NULL);
    qz_state_dict *dict = NULL;
    size_t renamed = 0, size;
    char path[1024];
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(keys); i++)
        entries[i] = (qz_safetensors_entry){keys[i], {.dtype = QZ_F32, .data = &value}};
    snprintf(path, sizeof(path), "%s", tool_scratch("fcos.safetensors"));
    assert_int_equal(qz_safetensors_save(ctx, path, entries, QZI_ARRAY_LEN(keys), NULL, NULL, 0),
                     QZ_OK);
    uint8_t *bytes = tool_read(path, &size);
    remove(path);
    assert_int_equal(qz_state_dict_parse(ctx, bytes, size, "fcos", &dict), QZ_OK);
    assert_int_equal(qz_state_dict_update_keys(dict, &renamed), QZ_OK);
    assert_int_equal(renamed, 0);
    for (size_t i = 0; i < QZI_ARRAY_LEN(keys); i++)
        tool_tensor(dict, keys[i], QZ_F32, TOOL_DIMS(-1));
    qz_state_dict_destroy(dict);
    free(bytes);
    qz_context_destroy(ctx);
}

/* What a module of ultralytics' says beside its tensors. */
static void test_module_facts(void **state)
{
    static const struct {
        const char *file, *key, *value;
    } rows[] = {
        {"ultralytics.pt", QZ_METADATA_CLASSES, "cat\ndog"},
        {"ultralytics.pt", QZ_METADATA_MODULE_CLASS, "models.yolo.DetectionModel"},
        {"ultralytics.pt", QZ_METADATA_MODULE_ACTIVATIONS, "SiLU LeakyReLU(0.1)"},
        {"ultralytics.pt", QZ_METADATA_MODULE_CLASSES, "2"},
        {"ultralytics.pt", QZ_METADATA_MODULE_STRIDES, "8"},
        {"ultralytics-ema.pt", QZ_METADATA_MODULE_STRIDES, "8"},
        {"checkpoint.pt", QZ_METADATA_CLASSES, "a\nb"},
        {"checkpoint.pt", QZ_METADATA_MODULE_CLASS, "__main__.Net"},
        {"checkpoint.pt", QZ_METADATA_MODULE_ACTIVATIONS, "SiLU"},
        {"checkpoint.pt", QZ_METADATA_MODULE_STRIDES, NULL},
        {"quantized-net.pth", QZ_METADATA_MODULE_CLASS, NULL},
    };
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(rows); i++) {
        qz_state_dict *dict = NULL;
        assert_int_equal(qz_state_dict_load(ctx, fixture(rows[i].file), &dict), QZ_OK);
        const char *value = qz_state_dict_metadata(dict, rows[i].key);
        if (rows[i].value)
            assert_string_equal(value, rows[i].value);
        else
            assert_null(value);
        qz_state_dict_destroy(dict);
    }
    qz_context_destroy(ctx);
}

/* ---- damage ---- */

/* Cut short, and with bits flipped, each file ends cleanly: an answer or one line, no leak. */
static void test_damaged(void **state)
{
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    uint32_t random = 1;
    (void)state;
    for (size_t f = 0; f < name_count; f++) {
        size_t size;
        uint8_t *bytes = tool_read(fixture(names[f]), &size);
        uint8_t *copy = malloc(size);
        assert_non_null(copy);
        for (int i = 0; i < 60; i++) {
            random = random * 1664525 + 1013904223;
            memcpy(copy, bytes, size);
            tool_expect_clean(ctx, copy, (size_t)(random >> 4) % size);
            for (int flips = 0; flips <= i % 4; flips++) {
                random = random * 1664525 + 1013904223;
                copy[(random >> 4) % size] ^= (uint8_t)(1U << (random >> 28) % 8);
            }
            tool_expect_clean(ctx, copy, size);
        }
        assert_int_equal(counter.live, before);
        free(copy);
        free(bytes);
    }
    assert_true(counter.largest < (size_t)40 << 20);
    qz_context_destroy(ctx);
}

/* Every allocation of a load fails once. */
static void test_out_of_memory(void **state)
{
    static const char *const files[] = {
        "quantized.pth",       "quantized-legacy.pth", "module.pt", "ultralytics-ema.pt",
        "quantized-script.pt", "arrays-deflated.npz",  "v2.weights"};
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    (void)state;
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
        qz_status st = QZ_ERR_MEMORY;
        for (int64_t i = 0; st != QZ_OK; i++) {
            qz_state_dict *dict = NULL;
            counter.fail_at = counter.total + i;
            st = qz_state_dict_load(ctx, fixture(files[f]), &dict);
            if (st != QZ_OK && st != QZ_ERR_MEMORY)
                fail_msg("%s: %s", files[f], qz_context_message(ctx));
            qz_state_dict_destroy(dict);
            assert_int_equal(counter.live, before);
        }
    }
    counter.fail_at = -1;
    qz_context_destroy(ctx);
}

/* ---- harm ---- */

#define MAGIC_PICKLE "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define HEAD MAGIC_PICKLE "\x80\2M\xe9\3.\x80\2}X\x0d\0\0\0little_endian\x88s."
#define STORAGE(numel)                                 \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" \
    "0X\3\0\0\0cpu" numel "NtQ"
#define DICT_OF(numel, shape, stride)                                                         \
    "\x80\2}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n(" STORAGE(numel) "K\0" shape stride \
                                                                           "\x89}tRs."
#define KEYS           \
    "\x80\2]X\1\0\0\0" \
    "0a."
#define TWO "K\2\x85"
#define ONE "K\1\x85"
#define COUNT2 "\2\0\0\0\0\0\0\0"
#define FLOATS2 "\0\0\x80\x3f\0\0\0\x40"

static const struct {
    const char *bytes;
    size_t size;
    qz_status status;
    const char *part;
} evil[] = {
#define EVIL(bytes, status, part)              \
    {                                          \
        bytes, sizeof(bytes) - 1, status, part \
    }
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) KEYS COUNT2 FLOATS2, QZ_OK, ""),
    EVIL(MAGIC_PICKLE "\x80\2K\1.", QZ_ERR_FORMAT, "version"),
    EVIL(MAGIC_PICKLE "\x80\2M\xe9\3.\x80\2].", QZ_ERR_FORMAT, "byte order"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE), QZ_ERR_FORMAT, "truncated"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) KEYS, QZ_ERR_FORMAT, "truncated"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) KEYS COUNT2 "\0\0\0\0", QZ_ERR_FORMAT, "truncated"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) KEYS "\xff\xff\xff\xff\xff\xff\xff\xff" FLOATS2,
         QZ_ERR_FORMAT, "truncated"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) KEYS "\1\0\0\0\0\0\0\0\0\0\0\0", QZ_ERR_FORMAT,
         "another size"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) "\x80\2]." COUNT2 FLOATS2, QZ_ERR_FORMAT, "its end"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) "\x80\2].", QZ_ERR_FORMAT, "is missing"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) KEYS COUNT2 FLOATS2 "x", QZ_ERR_FORMAT, "its end"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) "\x80\2](X\1\0\0\0"
                                       "0X\1\0\0\0"
                                       "0e." COUNT2 FLOATS2,
         QZ_ERR_FORMAT, "twice"),
    EVIL(HEAD DICT_OF("K\2", TWO, ONE) "\x80\2]X\1\0\0\0"
                                       "1a." COUNT2 FLOATS2,
         QZ_ERR_FORMAT, "no tensor"),
    EVIL(HEAD DICT_OF("K\2", TWO, "K\2\x85") KEYS COUNT2 FLOATS2, QZ_ERR_FORMAT, "is smaller"),
    EVIL(HEAD DICT_OF("K\2", "\x8a\x08\0\0\0\0\0\0\0\x40\x85", ONE) KEYS COUNT2 FLOATS2,
         QZ_ERR_FORMAT, "is smaller"),
    EVIL(HEAD "\x80\2cos\nsystem\nX\2\0\0\0ls\x85R.", QZ_ERR_UNSUPPORTED,
         "refuses to run 'os.system'"),
    EVIL(HEAD "\x80\2cbuiltins\ngetattr\n)R.", QZ_ERR_UNSUPPORTED, "builtins.getattr"),
    EVIL(HEAD "\x80\2(X\6\0\0\0modulecos\nsystem\nNNtQ)R.", QZ_ERR_UNSUPPORTED, "os.system"),
    EVIL(HEAD "\x80\2cposix\nsystem\n)\x81.\x80\2].", QZ_ERR_UNSUPPORTED,
         "class 'posix.system' and no tensors"),
    /* darknet */
    EVIL("\0\0\0\0\2\0\0\0\5\0\0\0", QZ_ERR_FORMAT, "truncated"),
    EVIL("\0\0\0\0\2\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0", QZ_ERR_FORMAT, "no weights"),
    EVIL("\0\0\0\0\2\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0", QZ_ERR_FORMAT, "whole number"),
};

static void test_evil(void **state)
{
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    (void)state;
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        if (evil[i].status == QZ_OK) {
            qz_state_dict *dict = NULL;
            if (qz_state_dict_parse(ctx, evil[i].bytes, evil[i].size, "good", &dict) != QZ_OK)
                fail_msg("%s", qz_context_message(ctx));
            qz_state_dict_destroy(dict);
        } else {
            tool_expect_failure(ctx, evil[i].bytes, evil[i].size, evil[i].status, evil[i].part);
        }
        assert_int_equal(counter.live, before);
    }
    assert_true(counter.largest < 100000);
    qz_context_destroy(ctx);
}

/*
 * Modules that hold themselves, and modules that hold the next one twice: 2^40 paths, no tensor.
 * Memo 0 is the string "m".
 */
static void test_module_bombs(void **state)
{
    static const char self[] = HEAD "\x80\2c__main__\nM\n)\x81q\1}X\1\0\0\0mh\1sb.\x80\2].";
    char bytes[4096];
    size_t size = sizeof(HEAD) - 1;
    qz_context *ctx = tool_context(NULL);
    (void)state;
    tool_expect_failure(ctx, self, sizeof(self) - 1, QZ_ERR_FORMAT, "nested more than 64 deep");
    memcpy(bytes, HEAD, size);
    size += (size_t)sprintf(bytes + size, "%s", "\x80\2");
    for (int i = 0; i < 40; i++) {
        size += (size_t)sprintf(bytes + size, "c__main__\nM\n)\x81q%c}(", 10 + i);
        for (int twice = 0; twice < 2 && i > 0; twice++) {
            memcpy(bytes + size, "X\1\0\0\0ah", 7);
            bytes[size + 5] = (char)('a' + twice);
            bytes[size + 7] = (char)(10 + i - 1);
            size += 8;
        }
        size += (size_t)sprintf(bytes + size, "%s", i < 39 ? "ub0" : "ub.\x80\2].");
    }
    tool_expect_failure(ctx, bytes, size, QZ_ERR_FORMAT, "too many times");
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected),      cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_real_files),    cmocka_unit_test(test_to_f32),
        cmocka_unit_test(test_old_keys),      cmocka_unit_test(test_fcos_keys),
        cmocka_unit_test(test_module_facts),  cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_evil),
        cmocka_unit_test(test_module_bombs),
    };
#ifndef QZ_HAVE_ZLIB
    print_message("skipped: this build has no zlib\n");
    return 77;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
