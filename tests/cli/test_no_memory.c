/* SPDX-License-Identifier: MIT */
/*
 * test_no_memory.c - each allocation of the program fails once: the command must then fail with one
 * line that says so, and leave no file. The library's allocations are the unit tests' business.
 */
#include "tools/commands.h"
#include "tools/messages.h"
#include "tools/options_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture.h"

#define TRIES 12 /* of a command, spread over its allocations */

static bool counting;
static size_t allocations, failing; /* failing: the number of the allocation that fails; 0: none */

static bool fails(void)
{
    return counting && ++allocations == failing;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* Runs "bench squeezenet1_1 ..." as qzoo.c does; what it prints on stderr goes to `err`. */
static int run(const char *line, char *err, size_t size)
{
    char words[256], *argv[32];
    int argc = 0, status = EXIT_FAILED;
    tool_options o;
    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    char ignored[1];
    capture out = capture_begin(stdout), errors = capture_begin(stderr);
    for (const tool_command *c = tool_commands; c->name; c++) {
        if (strcmp(c->name, argv[0]) != 0)
            continue;
        allocations = 0;
        counting = true;
        status = options_parse(c->name, c->options, argc - 1, argv + 1, &o);
        if (status == EXIT_DONE)
            status = c->run(&o);
        counting = false;
        options_free(&o);
    }
    capture_end(&out, ignored, sizeof(ignored));
    capture_end(&errors, err, size);
    return status;
}

static bool ends_with_newline(const char *path)
{
    char last = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    bool read = fseek(file, -1, SEEK_END) == 0 && fread(&last, 1, 1, file) == 1;
    fclose(file);
    return read && last == '\n';
}

static void check(const char *line, const char *output)
{
    char err[4096];
    failing = 0;
    if (run(line, err, sizeof(err)) != EXIT_DONE)
        fail_msg("%s: %s", line, err);
    const size_t count = allocations, step = count / TRIES + 1;
    assert_true(count > 0);
    for (size_t i = 1; i <= count; i += step) {
        failing = i;
        if (output)
            remove(output);
        int status = run(line, err, sizeof(err));
        const char *end = strchr(err, '\n');
        if (status != EXIT_FAILED || !strstr(err, "memory") || !end || end[1])
            fail_msg("%s, allocation %zu of %zu: status %d: %s", line, i, count, status, err);
        /* what was measured may be there, but whole */
        if (output && access(output, F_OK) == 0 && !ends_with_newline(output))
            fail_msg("%s, allocation %zu of %zu: wrote half of %s", line, i, count, output);
    }
}

static void bench_reports_what_it_lacks(void **state)
{
    (void)state;
    check("bench squeezenet1_1 --size 32 --runs 1 --warmup 0 --markdown t.md", "t.md");
    check("bench squeezenet1_1 --size 32 --runs 600 --warmup 0", NULL);
}

static void list_reports_what_it_lacks(void **state)
{
    (void)state;
    check("list squeezenet1_1 --json l.json", "l.json");
    check("list squeezenet1_1 --ops --exclude features.0,features.3", NULL);
    check("weights list squeezenet1_1", NULL);
}

static void quantize_reports_what_it_lacks(void **state)
{
    (void)state;
    check("quantize squeezenet1_1 --calib images/0 --report r.txt -o m.safetensors --quiet",
          "r.txt");
}

static void eval_reports_what_it_lacks(void **state)
{
    (void)state;
    check("eval squeezenet1_1 --data images --markdown t.md", "t.md");
    check("run squeezenet1_1 images/0/x.npy --dump-outputs d --dump-node features.3", NULL);
}

/* Two classes of one small image each. */
static void make_images(void)
{
    static float values[3 * 32 * 32];
    qz_tensor image = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, 32, 32}, .data = values};
    qz_context *ctx;
    assert_int_equal(qz_context_create(NULL, &ctx), QZ_OK);
    qz_synthetic_image(0, 32, 32, values);
    mkdir("images", 0700);
    mkdir("images/0", 0700);
    mkdir("images/1", 0700);
    assert_int_equal(qz_npy_save(ctx, "images/0/x.npy", &image), QZ_OK);
    assert_int_equal(qz_npy_save(ctx, "images/1/y.npy", &image), QZ_OK);
    qz_context_destroy(ctx);
}

static char folder[] = "/tmp/qzoo_test_XXXXXX";

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    setenv("QZOO_HOME", "home", 1);
    make_images();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (chdir("/") != 0)
        return -1;
    char command[sizeof(folder) + 16];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bench_reports_what_it_lacks),
        cmocka_unit_test(list_reports_what_it_lacks),
        cmocka_unit_test(quantize_reports_what_it_lacks),
        cmocka_unit_test(eval_reports_what_it_lacks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
