/* SPDX-License-Identifier: MIT */
/*
 * test_state_dict.c - opening files that are none, running out of memory, and what thousands of
 * truncations and bit flips do to every fixture.
 */
#include "state_dict_tools.h"
#include "zip_writer.h"

#include <sys/stat.h>
#include <unistd.h>

static const char *const fixtures[] = {
    "big_endian.pth", "checkpoint2.pth", "checkpoint4.pth", "complex.pth",        "deflated.pth",
    "dtypes.pth",     "empty.pth",       "legacy.pth",      "dtypes.safetensors", "module.pth",
    "parameter.pth",  "system.pth",      "torchscript.pt",  "views.pth",
};
#define FIXTURES (sizeof(fixtures) / sizeof(fixtures[0]))

static void expect_load_failure(qz_context *ctx, const char *path, qz_status status,
                                const char *part)
{
    qz_state_dict *dict = NULL;
    assert_int_equal(qz_state_dict_load(ctx, path, &dict), status);
    assert_null(dict);
    assert_int_equal(strncmp(qz_context_message(ctx), path, strlen(path)), 0);
    if (!strstr(qz_context_message(ctx), part))
        fail_msg("'%s' lacks '%s'", qz_context_message(ctx), part);
}

static void test_no_files(void **state)
{
    qz_context *ctx = tool_context(NULL);
    char path[1024];
    qz_state_dict *dict = NULL;
    (void)state;
    snprintf(path, sizeof(path), "%s", tool_scratch("file"));
    expect_load_failure(ctx, "/nonexistent/x.pth", QZ_ERR_IO, "No such file");
    expect_load_failure(ctx, "", QZ_ERR_IO, "No such file");
    expect_load_failure(ctx, "/tmp", QZ_ERR_IO, "a directory");
    expect_load_failure(ctx, "/dev/zero", QZ_ERR_IO, "not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_load_failure(ctx, path, QZ_ERR_IO, "not a regular file"); /* and does not wait */
    unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    expect_load_failure(ctx, path, QZ_ERR_FORMAT, "empty");
    /* 1 TiB of holes: not a byte more than the first block is read */
    assert_int_equal(ftruncate(fileno(file), (off_t)1 << 40), 0);
    expect_load_failure(ctx, path, QZ_ERR_UNSUPPORTED, "larger than 16 GiB");
    assert_int_equal(ftruncate(fileno(file), (off_t)1 << 33), 0);
    expect_load_failure(ctx, path, QZ_ERR_FORMAT, "neither");
    fclose(file);
    if (geteuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        expect_load_failure(ctx, path, QZ_ERR_IO, "Permission");
    }
    unlink(path);
    assert_int_equal(qz_state_dict_load(ctx, NULL, &dict), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_state_dict_load(ctx, path, NULL), QZ_ERR_ARGUMENT);
    assert_int_equal(qz_state_dict_parse(ctx, NULL, 1, "x", &dict), QZ_ERR_ARGUMENT);
    qz_state_dict_destroy(NULL);
    qz_context_destroy(ctx);
}

static void test_other_formats(void **state)
{
    char tar[512] = "pickle";
    qz_context *ctx = tool_context(NULL);
    (void)state;
    memcpy(tar + 257, "ustar", 5);
    tool_expect_failure(ctx, "", 0, QZ_ERR_FORMAT, "empty");
    tool_expect_failure(ctx, NULL, 0, QZ_ERR_FORMAT, "empty");
    tool_expect_failure(ctx, "P", 1, QZ_ERR_FORMAT, "neither");
    tool_expect_failure(ctx, "GGUF0000", 8, QZ_ERR_FORMAT, "neither");
    tool_expect_failure(ctx, tar, sizeof(tar), QZ_ERR_UNSUPPORTED, "tar");
    tool_expect_failure(ctx, "\x80\2}.", 4, QZ_ERR_UNSUPPORTED, "bare pickle");
    tool_expect_failure(ctx, "<!DOCTYPE html>", 15, QZ_ERR_FORMAT, "web page");
    tool_expect_failure(ctx, "version https://git-lfs.github.com/spec/v1\n", 43, QZ_ERR_FORMAT,
                        "git lfs pull");
    qz_context_destroy(ctx);
}

/* Every allocation fails once: QZ_ERR_MEMORY, named, and nothing is left behind. */
static void test_out_of_memory(void **state)
{
    (void)state;
    for (size_t f = 0; f < FIXTURES; f++) {
        size_t size;
        uint8_t *bytes = tool_read(tool_fixture(fixtures[f]), &size);
        tool_counter counter = {.fail_at = -1};
        qz_context *ctx = tool_context(&counter);
        int64_t before = counter.live;
        for (int64_t i = 0;; i++) {
            qz_state_dict *dict = NULL;
            counter.fail_at = counter.total + i;
            qz_status st = qz_state_dict_parse(ctx, bytes, size, "good", &dict);
            qz_state_dict_destroy(dict);
            assert_int_equal(counter.live, before);
            if (st != QZ_ERR_MEMORY) /* more allocations than it makes */
                break;
            assert_int_equal(strncmp(qz_context_message(ctx), "good: out of memory", 19), 0);
            assert_true(i < 1000);
        }
        counter.fail_at = -1;
        qz_context_destroy(ctx);
        free(bytes);
    }
}

static void test_save_out_of_memory(void **state)
{
    static const char *const texts[] = {"key", "value"};
    const qz_safetensors_entry entry = {"a", {QZ_U8, 1, {1}, (void *)(uintptr_t) "x"}};
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    (void)state;
    for (int64_t i = 0;; i++) {
        counter.fail_at = counter.total + i;
        qz_status st = qz_safetensors_save(ctx, tool_scratch("memory.safetensors"), &entry, 1,
                                           texts, texts + 1, 1);
        assert_int_equal(counter.live, before);
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
        assert_true(i < 100);
    }
    assert_int_equal(unlink(tool_scratch("memory.safetensors")), 0);
    counter.fail_at = -1;
    qz_context_destroy(ctx);
}

/* ---- mutations ---- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static void test_truncations(void **state)
{
    qz_context *ctx = tool_context(NULL);
    (void)state;
    for (size_t f = 0; f < FIXTURES; f++) {
        size_t size;
        uint8_t *bytes = tool_read(tool_fixture(fixtures[f]), &size);
        for (size_t n = 0; n < size; n++) {
            qz_state_dict *dict = NULL;
            tool_expect_clean(ctx, bytes, n);
            assert_int_not_equal(qz_state_dict_parse(ctx, bytes, n, "evil", &dict), QZ_OK);
        }
        free(bytes);
    }
    qz_context_destroy(ctx);
}

/* Random bytes change; with `fix` the checksums are put right, so that the pickle is read. */
static void mutate(qz_context *ctx, const uint8_t *bytes, size_t size, uint64_t seed, int rounds,
                   bool fix)
{
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    for (int i = 0; i < rounds; i++) {
        memcpy(copy, bytes, size);
        for (uint64_t flips = 1 + next_random(&seed) % 4; flips > 0; flips--) {
            uint64_t r = next_random(&seed);
            copy[r % size] ^= (uint8_t)(1U << (r >> 32) % 8);
        }
        if (fix)
            zip_fix_crcs(copy, size);
        tool_expect_clean(ctx, copy, size);
    }
    free(copy);
}

static void test_bit_flips(void **state)
{
    tool_counter counter = {.fail_at = -1};
    qz_context *ctx = tool_context(&counter);
    int64_t before = counter.live;
    (void)state;
    for (size_t f = 0; f < FIXTURES; f++) {
        size_t size;
        uint8_t *bytes = tool_read(tool_fixture(fixtures[f]), &size);
        mutate(ctx, bytes, size, f, 2000, false);
        mutate(ctx, bytes, size, f + 100, 5000, true);
        free(bytes);
        assert_int_equal(counter.live, before);
    }
    assert_true(counter.largest < (size_t)40 << 20); /* the budget of files this small */
    qz_context_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_files),      cmocka_unit_test(test_other_formats),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_save_out_of_memory),
        cmocka_unit_test(test_truncations),   cmocka_unit_test(test_bit_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
