/* SPDX-License-Identifier: MIT */
/* test_cancel.c - every call that takes long can be cancelled, says so, and works again later. */
#include "zoo/qzoo.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "assert_ok.h"

enum { SIDE = 64 };

static qz_context *ctx;
static float pixels[3 * SIDE * SIDE];
static const qz_tensor image = {QZ_F32, 4, {1, 3, SIDE, SIDE}, pixels};
static char path[] = "/tmp/qzoo-test-cancel-XXXXXX.safetensors";

#define ASSERT_CANCELLED(call)                                         \
    do {                                                               \
        qz_context_cancel(ctx, true);                                  \
        assert_int_equal(call, QZ_ERR_CANCELLED);                      \
        assert_non_null(strstr(qz_context_message(ctx), "cancelled")); \
        qz_context_cancel(ctx, false);                                 \
    } while (0)

static void test_calls(void **state)
{
    (void)state;
    qz_model *model = NULL, *opened = NULL;
    qz_session *session = NULL;
    qz_state_dict *dict = NULL;
    const qz_sqnr_row *rows;
    size_t count;
    char hex[65];
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    o.quantize = true;
    /* leaves a message that must not be shown later */
    assert_int_equal(qz_model_create(ctx, "no such model", &o, &model), QZ_ERR_UNKNOWN_NAME);
    ASSERT_OK(ctx, qz_model_create(ctx, "squeezenet1_1", &o, &model));
    ASSERT_CANCELLED(qz_model_calibrate(model, &image));
    ASSERT_OK(ctx, qz_model_calibrate(model, &image));
    ASSERT_CANCELLED(qz_model_convert(model));
    ASSERT_OK(ctx, qz_model_convert(model));
    ASSERT_CANCELLED(qz_model_sqnr(model, &image, &rows, &count, NULL, NULL));
    ASSERT_OK(ctx, qz_model_sqnr(model, &image, &rows, &count, NULL, NULL));
    ASSERT_CANCELLED(qz_model_save(model, path));
    ASSERT_OK(ctx, qz_model_save(model, path));
    ASSERT_CANCELLED(qz_model_open(ctx, path, &opened));
    ASSERT_CANCELLED(qz_state_dict_load(ctx, path, &dict));
    ASSERT_CANCELLED(qz_sha256_file(ctx, path, hex));
#if defined(QZ_HAVE_ONNX)
    ASSERT_CANCELLED(qz_onnx_export(model, path, NULL));
#endif
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    ASSERT_CANCELLED(qz_session_run(session, &image));
    ASSERT_OK(ctx, qz_session_run(session, &image));
    qz_session_destroy(session);
    qz_model_destroy(model);
}

static void *cancel_soon(void *arg)
{
    (void)arg;
    const struct timespec wait = {0, 20000000};
    nanosleep(&wait, NULL);
    qz_context_cancel(ctx, true);
    return NULL;
}

/* From another thread, in the middle of work that would take seconds. */
static void test_from_another_thread(void **state)
{
    (void)state;
    qz_model *model = NULL;
    pthread_t thread;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    o.quantize = true;
    ASSERT_OK(ctx, qz_model_create(ctx, "squeezenet1_1", &o, &model));
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    assert_int_equal(qz_model_calibrate_synthetic(model, 100000), QZ_ERR_CANCELLED);
    pthread_join(thread, NULL);
    qz_context_cancel(ctx, false);
    qz_model_destroy(model);
}

static qz_status refuse(void *user, const char *name, const qz_tensor *value,
                        const qz_tensor *bytes)
{
    (void)user, (void)name, (void)value, (void)bytes;
    return QZ_ERR_CANCELLED;
}

/* A hook that says nothing does not bring up the message of an older failure. */
static void test_hook_message(void **state)
{
    (void)state;
    qz_model *model = NULL;
    qz_session *session = NULL;
    ASSERT_OK(ctx, qz_model_create(ctx, "squeezenet1_1", NULL, &model));
    ASSERT_OK(ctx, qz_session_create(model, NULL, &session));
    qz_model *none = NULL;
    assert_int_equal(qz_model_create(ctx, "no such model", NULL, &none), QZ_ERR_UNKNOWN_NAME);
    qz_session_set_node_hook(session, refuse, NULL);
    assert_int_equal(qz_session_run(session, &image), QZ_ERR_CANCELLED);
    assert_null(strstr(qz_context_message(ctx), "no such model"));
    assert_non_null(strstr(qz_context_message(ctx), "hook"));
    qz_session_destroy(session);
    qz_model_destroy(model);
}

static int setup(void **state)
{
    (void)state;
    int file = mkstemps(path, 12);
    if (file < 0)
        return -1;
    close(file);
    return qz_context_create(NULL, &ctx) == QZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_from_another_thread),
        cmocka_unit_test(test_hook_message),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
