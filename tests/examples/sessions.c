/* SPDX-License-Identifier: MIT */
/*
 * sessions.c - one saved int8 model shared by several threads, each with a session of its own.
 *
 *   sessions MODEL.safetensors THREADS IMAGE...
 */
#include <qzoo/qzoo.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct worker {
    pthread_t thread;
    qz_context *ctx;
    const qz_model *model; /* all workers' */
    qz_session *session;
    char **images;
    int first, count, step; /* this worker's images */
    qz_status status;
};

/* Messages belong to a thread, so a worker prints its own. */
static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = w->first; i < w->count && w->status == QZ_OK; i += w->step) {
        qz_image image;
        const qz_tensor *logits = NULL;
        qz_top top;
        w->status = qz_image_load(w->ctx, w->images[i], &image);
        if (w->status != QZ_OK)
            break;
        w->status = qz_session_run_u8(w->session, image.rgb, image.width, image.height,
                                      (size_t)image.width * 3);
        if (w->status == QZ_OK)
            w->status = qz_session_output(w->session, 0, NULL, &logits);
        if (w->status == QZ_OK && qz_topk(logits, 0, 1, &top) == 1) {
            const char *name = qz_model_class(w->model, top.index);
            printf("%s: %s\n", w->images[i], name ? name : "no name");
        }
        qz_image_free(w->ctx, &image);
    }
    if (w->status != QZ_OK)
        fprintf(stderr, "%s\n", qz_context_message(w->ctx));
    return NULL;
}

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    int count = argc > 3 ? atoi(argv[2]) : 0, started = 0;
    if (count < 1 || count > 64) {
        fprintf(stderr, "usage: %s MODEL.safetensors THREADS IMAGE...\n", argv[0]);
        return 2;
    }
    options.threads = 1; /* of each run: the images are shared out instead */
    struct worker workers[64];
    qz_status st = qz_context_create(NULL, &ctx);
    if (st == QZ_OK)
        st = qz_model_open(ctx, argv[1], &model);
    for (; started < count && st == QZ_OK; started++) {
        struct worker *w = &workers[started];
        *w = (struct worker){.ctx = ctx,
                             .model = model,
                             .images = argv + 3,
                             .first = started,
                             .count = argc - 3,
                             .step = count};
        st = qz_session_create(model, &options, &w->session);
        if (st != QZ_OK)
            break;
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            qz_session_destroy(w->session);
            st = QZ_ERR_MEMORY;
            break;
        }
    }
    if (st != QZ_OK)
        fprintf(stderr, "%s: %s\n", argv[0], qz_context_message(ctx));
    for (int i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].status != QZ_OK)
            st = workers[i].status;
        qz_session_destroy(workers[i].session);
    }
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    return st == QZ_OK ? 0 : 1;
}
