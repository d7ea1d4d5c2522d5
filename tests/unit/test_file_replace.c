/* SPDX-License-Identifier: MIT */
/*
 * test_file_replace.c - files are written whole or not at all; links, devices and pipes are what
 * they were afterwards, and nothing is left behind.
 */
#include "layers/base/base.h"
#include "weights/qzoo_weights.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static qz_context *ctx;
static char folder[] = "/tmp/qzoo-test-replace-XXXXXX";

static qz_status save(const char *path, const char *text)
{
    return qz_file_save(ctx, path, text, strlen(text));
}

static void assert_holds(const char *path, const char *text)
{
    char got[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(got, 1, sizeof(got) - 1, file);
    got[n] = '\0';
    fclose(file);
    assert_string_equal(got, text);
}

static int count_files(void)
{
    int count = -2; /* . and .. */
    DIR *dir = opendir(".");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void test_new_and_old(void **state)
{
    (void)state;
    assert_int_equal(save("a", "one"), QZ_OK);
    assert_holds("a", "one");
    assert_int_equal(save("a", "two"), QZ_OK);
    assert_holds("a", "two");
    assert_int_equal(save("./none/a", "x"), QZ_ERR_IO);
    assert_int_equal(save(".", "x"), QZ_ERR_IO);
    assert_int_equal(save("a/b", "x"), QZ_ERR_IO);
    assert_int_equal(count_files(), 1);
    remove("a");
}

static void test_links(void **state)
{
    (void)state;
    struct stat info;
    assert_int_equal(mkdir("sub", 0777), 0);
    assert_int_equal(symlink("sub/target", "link"), 0); /* dangling: made when written */
    assert_int_equal(symlink("link", "second"), 0);
    assert_int_equal(symlink("circle", "circle"), 0);
    assert_int_equal(save("second", "one"), QZ_OK);
    assert_holds("sub/target", "one");
    assert_int_equal(save("link", "two"), QZ_OK);
    assert_holds("sub/target", "two");
    assert_int_equal(lstat("link", &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(save("circle", "x"), QZ_ERR_IO);
    bool same = false;
    assert_int_equal(qz_file_same(ctx, "link", "./sub/../sub/target", &same), QZ_OK);
    assert_true(same);
    remove("sub/target");
    assert_int_equal(qz_file_same(ctx, "link", "sub/target", &same), QZ_OK);
    assert_true(same); /* neither is there yet */
    assert_int_equal(qz_file_same(ctx, "link", "sub/other", &same), QZ_OK);
    assert_false(same);
    remove("second");
    remove("circle");
    remove("link");
    assert_int_equal(rmdir("sub"), 0);
}

static void test_long_names(void **state)
{
    (void)state;
    char name[257];
    for (size_t length = 245; length <= 255; length++) {
        memset(name, 'n', length);
        name[length] = '\0';
        assert_int_equal(qz_file_check(ctx, name), QZ_OK);
        assert_int_equal(save(name, "long"), QZ_OK);
        assert_holds(name, "long");
        remove(name);
    }
    memset(name, 'n', 256);
    name[256] = '\0';
    assert_int_equal(qz_file_check(ctx, name), QZ_ERR_IO);
    assert_int_equal(save(name, "too long"), QZ_ERR_IO);
    assert_int_equal(count_files(), 0);
}

static void test_devices_and_pipes(void **state)
{
    (void)state;
    struct stat info;
    char got[8] = "";
    bool same = true;
    assert_int_equal(save("/dev/null", "x"), QZ_OK);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_int_equal(qz_file_same(ctx, "/dev/null", "/dev/null", &same), QZ_OK);
    assert_false(same);
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(save("/dev/full", "x"), QZ_ERR_WRITE);
    assert_int_equal(mkfifo("pipe", 0666), 0);
    assert_int_equal(save("pipe", "x"), QZ_ERR_IO); /* nobody reads it */
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(save("pipe", "text"), QZ_OK);
    assert_int_equal(read(reader, got, sizeof(got)), 4);
    assert_memory_equal(got, "text", 4);
    close(reader);
    qz_tensor tensor;
    qz_state_dict *dict = NULL;
    assert_int_equal(qz_npy_load(ctx, "pipe", &tensor), QZ_ERR_IO); /* not waited for */
    assert_int_equal(qz_state_dict_load(ctx, "pipe", &dict), QZ_ERR_IO);
    remove("pipe");
    assert_int_equal(count_files(), 0);
}

static void test_stdout(void **state)
{
    (void)state;
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), file = open("out", O_RDWR | O_CREAT, 0666);
    assert_true(saved >= 0 && file >= 0);
    dup2(file, STDOUT_FILENO);
    qz_status first = save("/dev/stdout", "one "), second = save("/dev/stdout", "two");
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(file);
    assert_int_equal(first, QZ_OK);
    assert_int_equal(second, QZ_OK);
    assert_holds("out", "one two"); /* where the stream is, not from its beginning */
    remove("out");
}

static void test_full(void **state)
{
    (void)state;
    struct rlimit old, small = {4, RLIM_INFINITY};
    assert_int_equal(save("a", "old"), QZ_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    qz_status st = save("a", "more than four bytes");
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(st, QZ_ERR_WRITE);
    assert_holds("a", "old");
    assert_int_equal(count_files(), 1);
    remove("a");
}

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(qz_file_check(ctx, "new"), QZ_OK);
    assert_int_equal(qz_file_check(ctx, "none/new"), QZ_ERR_IO);
    assert_int_equal(qz_file_check(ctx, "."), QZ_ERR_IO);
    assert_int_equal(qz_file_check(ctx, "/dev/null"), QZ_OK);
    assert_int_equal(qz_file_check(ctx, "/dev/null/x"), QZ_ERR_IO);
    assert_int_equal(save("a", "old"), QZ_OK);
    assert_int_equal(qz_file_check(ctx, "a"), QZ_OK);
    assert_holds("a", "old");
    if (geteuid() != 0) {
        chmod(".", 0500);
        assert_int_equal(qz_file_check(ctx, "new"), QZ_ERR_IO);
        chmod(".", 0700);
    }
    assert_int_equal(count_files(), 1);
    remove("a");
}

static void test_cancelled(void **state)
{
    (void)state;
    assert_int_equal(save("a", "old"), QZ_OK);
    qz_context_cancel(ctx, true);
    assert_int_equal(save("a", "new"), QZ_ERR_CANCELLED);
    qz_context_cancel(ctx, false);
    assert_holds("a", "old");
    assert_int_equal(count_files(), 1);
    remove("a");
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 && qz_context_create(NULL, &ctx) == QZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_and_old), cmocka_unit_test(test_links),
        cmocka_unit_test(test_long_names),  cmocka_unit_test(test_devices_and_pipes),
        cmocka_unit_test(test_stdout),      cmocka_unit_test(test_full),
        cmocka_unit_test(test_check),       cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
