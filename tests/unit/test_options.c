/* SPDX-License-Identifier: MIT */
/*
 * test_options.c - options structs of applications that were built with an older or a newer header.
 *
 * A short struct ends right before a page that nobody may read, so a library that reads fields
 * beyond the caller's size crashes.
 */
#include "assert_ok.h"
#include "layers/base/base.h"
#include "qzoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* `size` bytes that end where a guard page begins; the first size_t is `size`. */
typedef struct guarded {
    char *pages;
    size_t page;
    void *options;
} guarded;

static guarded guarded_new(size_t size)
{
    guarded g = {.page = (size_t)sysconf(_SC_PAGESIZE)};
    g.pages = mmap(NULL, 2 * g.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.pages != MAP_FAILED);
    assert_int_equal(mprotect(g.pages + g.page, g.page, PROT_NONE), 0);
    g.options = g.pages + g.page - size;
    memcpy(g.options, &size, sizeof(size));
    return g;
}

static void guarded_free(guarded *g)
{
    munmap(g->pages, 2 * g->page);
}

#define SIZE_MESSAGE "_options: its size is "

/* A call with options: what the five structs have in common. */
typedef qz_status (*call_fn)(void *user, const void *options);

static qz_status call_context(void *user, const void *options)
{
    qz_context *ctx = NULL;
    (void)user;
    qz_status st = qz_context_create(options, &ctx);
    qz_context_destroy(ctx);
    return st;
}

static qz_status call_model(void *user, const void *options)
{
    qz_model *model = NULL;
    qz_status st = qz_model_create(user, "squeezenet1_1", options, &model);
    qz_model_destroy(model);
    return st;
}

struct with_model {
    qz_context *ctx;
    qz_model *model;
};

static qz_status call_session(void *user, const void *options)
{
    struct with_model *w = user;
    qz_session *session = NULL;
    qz_status st = qz_session_create(w->model, options, &session);
    qz_session_destroy(session);
    return st;
}

static qz_status call_export(void *user, const void *options)
{
    struct with_model *w = user;
    return qz_onnx_export(w->model, "/dev/null/no-such-folder/x.onnx", options);
}

/* Fails at the cache's folder, right after the options are taken: nothing is fetched. */
static qz_status call_fetch(void *user, const void *options)
{
    const qz_weights_info info = {.model = "none",
                                  .tag = "none",
                                  .url = "https://127.0.0.1/none.pth",
                                  .sha256 = "",
                                  .file = "none.pth"};
    char path[64];
    return qz_weights_fetch(user, &info, options, path, sizeof(path));
}

/* Every size that an older header may have had is accepted; all others are QZ_ERR_ARGUMENT. */
static void check_sizes(call_fn call, void *user, size_t full)
{
    const qz_status defaults = call(user, NULL);
    if (defaults == QZ_ERR_UNSUPPORTED) /* a build without downloads or ONNX files */
        return;
    for (size_t size = sizeof(size_t); size <= full; size += sizeof(size_t)) {
        guarded g = guarded_new(size);
        assert_int_equal(call(user, g.options), defaults);
        if (defaults != QZ_OK)
            assert_null(strstr(qz_context_message(NULL), SIZE_MESSAGE));
        guarded_free(&g);
    }
    const size_t wrong[] = {0, 1, sizeof(size_t) - 1, full + 1, full + sizeof(size_t), SIZE_MAX};
    for (size_t i = 0; i < QZI_ARRAY_LEN(wrong); i++) {
        guarded g = guarded_new(full);
        memcpy(g.options, &wrong[i], sizeof(wrong[i]));
        assert_int_equal(call(user, g.options), QZ_ERR_ARGUMENT);
        assert_non_null(strstr(qz_context_message(NULL), SIZE_MESSAGE));
        guarded_free(&g);
    }
}

static void older_structs_are_taken_by_their_size(void **state)
{
    struct with_model w = {0};
    qz_context_options no_cache = QZ_CONTEXT_OPTIONS_INIT;
    (void)state;
    no_cache.cache_dir = "/dev/null/no-such-folder"; /* so that fetching fails at once */
    ASSERT_OK(NULL, qz_context_create(&no_cache, &w.ctx));
    ASSERT_OK(w.ctx, qz_model_create(w.ctx, "squeezenet1_1", NULL, &w.model));
    check_sizes(call_context, NULL, sizeof(qz_context_options));
    check_sizes(call_model, w.ctx, sizeof(qz_model_options));
    check_sizes(call_session, &w, sizeof(qz_session_options));
    check_sizes(call_export, &w, sizeof(qz_onnx_options));
    check_sizes(call_fetch, w.ctx, sizeof(qz_fetch_options));
    qz_model_destroy(w.model);
    qz_context_destroy(w.ctx);
}

static void fields_within_the_size_are_kept(void **state)
{
    struct small {
        size_t size;
        int32_t a, b;
    } full;
    struct {
        size_t size;
        int32_t a;
    } given = {offsetof(struct small, b), 7};
    (void)state;
    memset(&full, 0xff, sizeof(full));
    assert_int_equal(qzi_options_take(NULL, &given, &full, sizeof(full), "small_options"), QZ_OK);
    assert_int_equal(full.size, sizeof(full));
    assert_int_equal(full.a, 7);
    assert_int_equal(full.b, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(older_structs_are_taken_by_their_size),
        cmocka_unit_test(fields_within_the_size_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
