/* SPDX-License-Identifier: MIT */
/* test_catalogue.c - the table of published weights holds together, and a user's file extends it.
 */
#include "state_dict_tools.h"

#include <unistd.h>

static void check_entry(const qz_weights_info *info)
{
    size_t digits = strlen(info->sha256), i;
    assert_true(strlen(info->model) > 0 && strlen(info->tag) > 0 && strlen(info->licence) > 0);
    assert_int_equal(strncmp(info->url, "https://", 8), 0);
    assert_true(digits >= 8 && digits <= 64);
    assert_int_equal(strspn(info->sha256, "0123456789abcdef"), digits);
    /* torch's and ours: the name contains the first eight digits */
    char first[9] = "";
    memcpy(first, info->sha256, 8);
    assert_non_null(strstr(info->file, first));
    assert_null(strchr(info->file, '/'));
    assert_true(info->file[0] != '.');
    for (i = 0; i < QZ_MAX_METRICS && info->metrics[i].name; i++)
        assert_true(info->metrics[i].thousandths > 0 && info->metrics[i].thousandths <= 100000);
    assert_true(info->resize >= info->crop);
    assert_true(info->std[0] > 0.0f);
    if (strcmp(info->task, "classification") == 0)
        assert_true(info->crop >= 224 && info->params > 1000000);
}

static void test_table(void **state)
{
    qz_context *ctx = tool_context(NULL);
    qz_catalogue *catalogue = NULL;
    (void)state;
    assert_int_equal(qz_catalogue_open(ctx, NULL, &catalogue), QZ_OK);
    size_t count = qz_catalogue_count(catalogue), defaults = 0, models = 0;
    assert_int_equal(count, 155); /* torchvision 0.14.1's 148, and seven of YOLO */
    assert_null(qz_catalogue_at(catalogue, count));
    for (size_t i = 0; i < count; i++) {
        const qz_weights_info *info = qz_catalogue_at(catalogue, i), *found = NULL;
        check_entry(info);
        const qz_weights_info *next = qz_catalogue_at(catalogue, i + 1);
        if (next)
            assert_true(strcmp(info->model, next->model) <= 0);
        models += !next || strcmp(info->model, next->model) != 0;
        defaults += info->is_default && *info->quantized == '\0';
        assert_int_equal(qz_catalogue_find(catalogue, info->model, info->tag, &found), QZ_OK);
        assert_ptr_equal(found, info);
        if (*info->parent != '\0')
            assert_int_equal(qz_catalogue_find(catalogue, info->model, info->parent, &found),
                             QZ_OK);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(qz_catalogue_at(catalogue, j)->file, info->file);
    }
    assert_int_equal(defaults, models); /* one for each */
    qz_catalogue_close(catalogue);
    qz_context_destroy(ctx);
}

static void test_find(void **state)
{
    qz_context *ctx = tool_context(NULL);
    qz_catalogue *catalogue = NULL;
    const qz_weights_info *info = NULL;
    (void)state;
    assert_int_equal(qz_catalogue_open(ctx, NULL, &catalogue), QZ_OK);
    static const char *const words[] = {NULL, "default", "DEFAULT", "imagenet1k_v2"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(qz_catalogue_find(catalogue, "resnet50", words[i], &info), QZ_OK);
        assert_string_equal(info->tag, "IMAGENET1K_V2");
        assert_string_equal(info->sha256, "11ad3fa6");
        assert_int_equal(info->resize, 232);
        assert_int_equal(info->metrics[0].thousandths, 80858);
    }
    assert_int_equal(qz_catalogue_find(catalogue, "resnet50", "IMAGENET1K_FBGEMM_V2", &info),
                     QZ_OK);
    assert_string_equal(info->quantized, "fbgemm");
    assert_string_equal(info->parent, "IMAGENET1K_V2");
    assert_int_equal(qz_catalogue_find(catalogue, "resnet50", "V9", &info), QZ_ERR_UNKNOWN_NAME);
    assert_non_null(strstr(qz_context_message(ctx), "default, IMAGENET1K_V1, IMAGENET1K_V2"));
    assert_null(info);
    assert_int_equal(qz_catalogue_find(catalogue, "resnet51", NULL, &info), QZ_ERR_UNKNOWN_NAME);
    assert_int_equal(qz_catalogue_find(catalogue, "googlenet", NULL, &info), QZ_OK);
    assert_true(info->transform_input);
    qz_catalogue_close(catalogue);
    qz_context_destroy(ctx);
}

#define HASH "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"
#define ENTRY(model, tag, url, more)                                                      \
    "{\"model\":\"" model "\",\"tag\":\"" tag "\",\"url\":\"" url "\",\"sha256\":\"" HASH \
    "\"" more "}"
#define FILE_OF(entries) "{\"schema\":\"qzoo.catalogue/1\",\"weights\":[" entries "]}"

static qz_status open_text(qz_context *ctx, const char *text, qz_catalogue **catalogue)
{
    const char *path = tool_scratch("catalogue.json");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
    qz_status st = qz_catalogue_open(ctx, path, catalogue);
    unlink(path);
    return st;
}

static void test_user_file(void **state)
{
    static const char text[] = FILE_OF(
        ENTRY("resnet18", "MINE", "http://h:8080/d/x.y.pth?a=b",
              ",\"size\":7,\"default\":true") "," ENTRY("other", "V1", "https://h/..%2f..pth",
                                                        "") "," ENTRY("resnet34", "IMAGENET1K_V1",
                                                                      "https://h/mirror.pth", ""));
    qz_context *ctx = tool_context(NULL);
    qz_catalogue *catalogue = NULL;
    const qz_weights_info *info = NULL;
    (void)state;
    qz_status st = open_text(ctx, text, &catalogue);
    if (st == QZ_ERR_UNSUPPORTED) { /* built without the feature fetch */
        qz_context_destroy(ctx);
        skip();
    }
    assert_int_equal(st, QZ_OK);
    assert_int_equal(qz_catalogue_find(catalogue, "resnet18", NULL, &info), QZ_OK);
    assert_string_equal(info->tag, "MINE");
    assert_string_equal(info->file, "x.y-00112233.pth");
    assert_string_equal(info->sha256 + 48, "8899aabbccddeeff");
    assert_int_equal(info->size, 7);
    assert_true(info->user);
    assert_int_equal(qz_catalogue_find(catalogue, "other", NULL, &info), QZ_OK);
    assert_null(strchr(info->file, '%'));
    assert_true(info->file[0] != '.');
    assert_int_equal(qz_catalogue_find(catalogue, "resnet34", "DEFAULT", &info), QZ_OK);
    assert_string_equal(info->url, "https://h/mirror.pth"); /* replaced, and still the default */
    assert_int_equal(qz_catalogue_count(catalogue), 157);
    qz_catalogue_close(catalogue);
    qz_context_destroy(ctx);
}

static void test_bad_user_files(void **state)
{
    static const struct {
        const char *text, *part;
    } files[] = {
        {"", "line 1"},
        {"[]", "schema"},
        {"{\"schema\":\"qzoo.catalogue/2\",\"weights\":[]}", "schema"},
        {"{\"schema\":\"qzoo.catalogue/1\"}", "'weights'"},
        {FILE_OF("7"), "entry 0: must be an object"},
        {FILE_OF("{}"), "'model'"},
        {FILE_OF(ENTRY("a", "b", "https://h/f", "") "," ENTRY("a/b", "c", "https://h/f", "")),
         "entry 1: 'model'"},
        {FILE_OF(ENTRY("a", "b c", "https://h/f", "")), "'tag'"},
        {FILE_OF(ENTRY("a", "b", "ftp://h/f", "")), "'url'"},
        {FILE_OF(ENTRY("a", "b", "https://h", "")), "'url'"},
        {FILE_OF(ENTRY("a", "b", "https:///f", "")), "'url'"},
        {FILE_OF(ENTRY("a", "b", "https://h/f/", "")), "'url'"},
        {FILE_OF(ENTRY("a", "b", "https://h/f\\u000aX: y", "")), "'url'"},
        {FILE_OF(ENTRY("a", "b", "https://h/f", ",\"size\":-1")), "'size'"},
        {FILE_OF(ENTRY("a", "b", "https://h/f", ",\"size\":\"7\"")), "'size'"},
        {FILE_OF(ENTRY("a", "b", "https://h/f", ",\"licence\":7")), "'licence'"},
        {FILE_OF(ENTRY("a", "b", "https://h/f", ",\"model\":\"c\"")), "line 1"},
        {"{\"schema\":\"qzoo.catalogue/1\",\"weights\":[{\"model\":\"a\",\"tag\":\"b\","
         "\"url\":\"https://h/f\",\"sha256\":\"00112233\"}]}",
         "64 hexadecimal"},
    };
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        qz_catalogue *catalogue = NULL;
        qz_status st = open_text(ctx, files[i].text, &catalogue);
        if (st == QZ_ERR_UNSUPPORTED)
            break;
        const char *message = qz_context_message(ctx);
        if (st != QZ_ERR_FORMAT || !strstr(message, files[i].part))
            fail_msg("%zu: %s: %s", i, qz_status_name(st), message);
        assert_null(catalogue);
        assert_int_equal(counter.live, before);
    }
    qz_context_destroy(ctx);
}

/* Every allocation fails once. */
static void test_out_of_memory(void **state)
{
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    qz_status st = QZ_ERR_MEMORY;
    (void)state;
    for (int64_t i = 0; st != QZ_OK; i++) {
        qz_catalogue *catalogue = NULL;
        counter.fail_at = counter.total + i;
        st = open_text(ctx, FILE_OF(ENTRY("a", "b", "https://h/f", "")), &catalogue);
        if (st == QZ_ERR_UNSUPPORTED)
            break;
        assert_true(st == QZ_OK || st == QZ_ERR_MEMORY);
        qz_catalogue_close(catalogue);
        assert_int_equal(counter.live, before);
    }
    counter.fail_at = -1;
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_find),
        cmocka_unit_test(test_user_file),     cmocka_unit_test(test_bad_user_files),
        cmocka_unit_test(test_out_of_memory),
    };
    /* no file of the user's */
    setenv("QZOO_HOME", "/nonexistent", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
