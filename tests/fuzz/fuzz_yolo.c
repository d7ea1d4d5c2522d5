/* SPDX-License-Identifier: MIT */
/*
 * fuzz_yolo.c - libFuzzer target: files of YOLO behind their readers. The first byte chooses: the
 * pickle of a torch archive whose keys, shapes and facts YOLOv5 looks at, or darknet's numbers,
 * divided among the layers of YOLOv3. No parameter is loaded, so that a run is short.
 */
#include "../unit/zip_writer.h"
#include "fuzz_load.h"
#include "zoo/model/keys.h"
#include "zoo/model/model_build.h"
#include "zoo/model/weights_darknet.h"

#include <stdlib.h>
#include <string.h>

static qz_context *ctx;
static qz_model *yolov3, *yolov5n;

static qz_model *build(const char *name)
{
    qz_model *model = NULL;
    fuzz_check(qzi_model_alloc(ctx, qzi_arch_get(name), &model) == QZ_OK);
    fuzz_check(qzi_model_build(model, NULL) == QZ_OK);
    model->origin.path = "fuzz";
    return model;
}

static void begin(void)
{
    if (ctx)
        return;
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    options.threads = 1;
    fuzz_check(qz_context_create(&options, &ctx) == QZ_OK);
    yolov3 = build("yolov3");
    yolov5n = build("yolov5n");
}

static void check_status(qz_status st)
{
    fuzz_check(st == QZ_OK || st == QZ_ERR_MISMATCH || st == QZ_ERR_UNSUPPORTED ||
               st == QZ_ERR_FORMAT);
    fuzz_check(st == QZ_OK || strncmp(qz_context_message(ctx), "fuzz: ", 6) == 0);
}

static volatile uint8_t sink; /* so that reading is not optimised away */

static void touch(const qz_state_dict *dict)
{
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        const qz_tensor *tensor = qz_state_dict_tensor(dict, i);
        const size_t size = (size_t)qz_tensor_numel(tensor) * qz_dtype_size(tensor->dtype);
        const uint8_t *bytes = tensor->data;
        for (size_t b = 0; b < size; b++)
            sink ^= bytes[b];
    }
}

static void look_at_keys(qz_state_dict *dict, uint8_t bits)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qzi_build_options how = {0};
    qz_model *model = (bits & 2) != 0 ? yolov3 : yolov5n;
    options.allow_missing = (bits & 4) != 0;
    options.activation = (bits & 8) != 0 && model == yolov3 ? QZ_ACT_SILU : QZ_ACT_NONE;
    check_status(qzi_keys_fit(model, dict, "fuzz", false, &options, &how));
    touch(dict);
}

static void divide(const qz_state_dict *dict, uint8_t bits)
{
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_state_dict *layers = NULL;
    options.allow_missing = (bits & 2) != 0;
    options.num_classes = (bits & 4) != 0 ? 80 : 0;
    const qz_status st = qzi_weights_darknet(yolov3, dict, &options, &layers);
    check_status(st);
    fuzz_check(st == QZ_OK || !layers);
    if (layers)
        touch(layers);
    qz_state_dict_destroy(layers);
}

/* Behind the byte: a count of zeros that come after what is given, as numbers, then the file. */
static void run_darknet(const uint8_t *data, size_t size, uint8_t bits)
{
    if (size < 10)
        return;
    const size_t more = 4 * (((size_t)data[0] | (size_t)data[1] << 8) % 50000);
    uint8_t *file = calloc(1, size - 2 + more);
    qz_state_dict *dict = NULL;
    fuzz_check(file != NULL);
    memcpy(file, data + 2, size - 2);
    const qz_status st = qz_state_dict_parse(ctx, file, size - 2 + more, "fuzz", &dict);
    check_status(st);
    if (st == QZ_OK)
        divide(dict, bits);
    qz_state_dict_destroy(dict);
    free(file);
}

static void run_pickle(const uint8_t *data, size_t size, uint8_t bits)
{
    static const float storage[16] = {8, 16, 32, 1}; /* the strides that YOLOv5 should have */
    size_t zip_size = 0;
    qz_state_dict *dict = NULL;
    uint8_t *zip = zip_write_pth(data, size, storage, sizeof(storage), &zip_size);
    const qz_status st = qz_state_dict_parse(ctx, zip, zip_size, "fuzz", &dict);
    check_status(st);
    if (st == QZ_OK)
        look_at_keys(dict, bits);
    qz_state_dict_destroy(dict);
    free(zip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    begin();
    if ((data[0] & 1) != 0)
        run_darknet(data + 1, size - 1, data[0]);
    else
        run_pickle(data + 1, size - 1, data[0]);
    return 0;
}
