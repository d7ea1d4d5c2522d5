/* SPDX-License-Identifier: MIT */
/*
 * test_sessions.c - several threads at once: sessions that share a model, models that share a
 * context. Every result is what one thread alone gets. .ci/checks/threads.sh runs this under the
 * thread sanitizer.
 */
#include "zoo/model/model.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 48, IMAGES = 3, PIXELS = 3 * SIZE * SIZE, CLASSES = 10, WORKERS = 6 };

static float images[IMAGES * PIXELS];

static qz_tensor image(int i)
{
    return (qz_tensor){.dtype = QZ_F32,
                       .ndim = 4,
                       .dims = {1, 3, SIZE, SIZE},
                       .data = images + (size_t)i * PIXELS};
}

struct worker {
    pthread_t thread;
    qz_context *ctx;
    qz_model *model; /* shared; NULL: the worker makes its own */
    qz_precision precision;
    uint32_t threads;
    float output[IMAGES * CLASSES];
    qz_status status;
    char message[256]; /* of a call that must fail, while the others work */
};

static qz_status make_model(qz_context *ctx, qz_model **model)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.quantize = true;
    options.num_classes = CLASSES;
    QZI_TRY(qz_squeezenet1_1(ctx, &options, model));
    for (int i = 0; i < IMAGES; i++) {
        const qz_tensor input = image(i);
        QZI_TRY(qz_model_calibrate(*model, &input));
    }
    return qz_model_convert(*model);
}

static qz_status run_images(struct worker *w, qz_session *s)
{
    for (int i = 0; i < IMAGES; i++) {
        const qz_tensor input = image(i);
        const qz_tensor *output = NULL;
        QZI_TRY(qz_session_run(s, &input));
        QZI_TRY(qz_session_output(s, 0, NULL, &output));
        memcpy(w->output + i * CLASSES, output->data, CLASSES * sizeof(float));
    }
    return QZ_OK;
}

static qz_status work_on(struct worker *w, qz_model *model)
{
    qz_session *s = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    options.precision = w->precision;
    options.threads = w->threads;
    QZI_TRY(qz_session_create(model, &options, &s));
    qz_status st = run_images(w, s);
    qz_session_destroy(s);
    return st;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    qz_model *own = NULL;
    char name[32] = "resnet_";
    name[6] = (char)('a' + w->threads);
    if (qz_model_create(w->ctx, name, NULL, &own) == QZ_ERR_UNKNOWN_NAME)
        strncpy(w->message, qz_context_message(w->ctx), sizeof(w->message) - 1);
    w->status = w->model ? QZ_OK : make_model(w->ctx, &own);
    if (w->status == QZ_OK)
        w->status = work_on(w, w->model ? w->model : own);
    qz_model_destroy(own);
    return NULL;
}

/* Every thread count and precision at once; then each alone must have given the same. */
static void run_workers(qz_context *ctx, qz_model *model)
{
    static struct worker workers[WORKERS];
    memset(workers, 0, sizeof(workers));
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].ctx = ctx;
        workers[i].model = model;
        workers[i].precision = i % 3 == 2 ? QZ_PRECISION_FP32 : QZ_PRECISION_INT8;
        workers[i].threads = (uint32_t)i % 2 + 1;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        char name[] = "resnet_";
        name[6] = (char)('a' + workers[i].threads);
        assert_int_equal(workers[i].status, QZ_OK);
        assert_non_null(strstr(workers[i].message, name));
        struct worker alone = {.ctx = ctx, .precision = workers[i].precision, .threads = 1};
        qz_model *own = NULL;
        if (!model)
            assert_int_equal(make_model(ctx, &own), QZ_OK);
        assert_int_equal(work_on(&alone, own ? own : model), QZ_OK);
        assert_memory_equal(alone.output, workers[i].output, sizeof(alone.output));
        qz_model_destroy(own);
    }
}

static qz_context *context(void)
{
    qz_context *ctx = NULL;
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    assert_int_equal(qz_context_create(&options, &ctx), QZ_OK);
    return ctx;
}

static void test_one_model(void **state)
{
    (void)state;
    qz_context *ctx = context();
    qz_model *model = NULL;
    assert_int_equal(make_model(ctx, &model), QZ_OK);
    run_workers(ctx, model);
    assert_int_equal(model->packings.count, 2); /* once for each precision, by the first session */
    assert_int_equal(model->packings.sessions[0] + model->packings.sessions[1], 0);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
}

static void test_one_context(void **state)
{
    (void)state;
    qz_context *ctx = context();
    run_workers(ctx, NULL);
    qz_context_destroy(ctx);
}

int main(void)
{
    qz_random_uniform("sessions", "", -0.5, 2.0, IMAGES * PIXELS, images);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_model),
        cmocka_unit_test(test_one_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
