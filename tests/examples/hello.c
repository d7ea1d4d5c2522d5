/* SPDX-License-Identifier: MIT */
/* hello.c - the five best classes of an image, by a saved int8 model. */
#include <qzoo/qzoo.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_model *model = NULL;
    qz_session *session = NULL;
    qz_image image = {0, 0, NULL};
    const qz_tensor *logits = NULL;
    qz_top top[5];
    qz_status st = argc == 3 ? qz_context_create(NULL, &ctx) : QZ_ERR_ARGUMENT;
    st = st != QZ_OK ? st : qz_model_open(ctx, argv[1], &model);
    st = st != QZ_OK ? st : qz_session_create(model, NULL, &session);
    st = st != QZ_OK ? st : qz_image_load(ctx, argv[2], &image);
    st = st != QZ_OK ? st
                     : qz_session_run_u8(session, image.rgb, image.width, image.height,
                                         (size_t)image.width * 3);
    st = st != QZ_OK ? st : qz_session_output(session, 0, NULL, &logits);
    for (size_t i = 0, n = st == QZ_OK ? qz_topk(logits, 0, 5, top) : 0; i < n; i++) {
        const char *name = qz_model_class(model, top[i].index); /* NULL: the class has no name */
        printf("%5.1f %%  %s\n", 100.0 * top[i].probability, name ? name : "no name");
    }
    if (st != QZ_OK)
        fprintf(stderr, "%s\n", argc == 3 ? qz_context_message(ctx) : "usage: hello MODEL IMAGE");
    qz_image_free(ctx, &image);
    qz_session_destroy(session);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    return st != QZ_OK;
}
