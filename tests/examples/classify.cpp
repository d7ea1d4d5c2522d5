/* SPDX-License-Identifier: MIT */
/* classify.cpp - classify.c in C++17: handles that free themselves, failures as exceptions. */
#include <qzoo/qzoo.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>

namespace
{

template <auto destroy> struct deleter {
    template <typename T> void operator()(T *object) const
    {
        destroy(object);
    }
};
using context = std::unique_ptr<qz_context, deleter<qz_context_destroy>>;
using model = std::unique_ptr<qz_model, deleter<qz_model_destroy>>;
using session = std::unique_ptr<qz_session, deleter<qz_session_destroy>>;

void check(qz_status status)
{
    if (status != QZ_OK)
        throw std::runtime_error(qz_context_message(nullptr));
}

struct image {
    image(qz_context *owner, const char *path) : ctx(owner)
    {
        check(qz_image_load(ctx, path, &pixels));
    }
    ~image()
    {
        qz_image_free(ctx, &pixels);
    }
    image(const image &) = delete;
    image &operator=(const image &) = delete;
    size_t stride() const
    {
        return static_cast<size_t>(pixels.width) * 3;
    }
    qz_context *ctx;
    qz_image pixels{};
};

void classify(int count, char **words)
{
    qz_context *raw_context = nullptr;
    check(qz_context_create(nullptr, &raw_context));
    context ctx(raw_context);

    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    options.weights = words[0];
    options.quantize = true;
    qz_model *raw_model = nullptr;
    check(qz_resnet50(ctx.get(), &options, &raw_model));
    model net(raw_model);

    for (int i = 1; i < count - 1; i++) {
        image in(ctx.get(), words[i]);
        check(qz_model_calibrate_u8(net.get(), in.pixels.rgb, in.pixels.width, in.pixels.height,
                                    in.stride()));
    }
    check(qz_model_convert(net.get()));

    qz_session *raw_session = nullptr;
    check(qz_session_create(net.get(), nullptr, &raw_session));
    session run(raw_session);
    image in(ctx.get(), words[count - 1]);
    check(qz_session_run_u8(run.get(), in.pixels.rgb, in.pixels.width, in.pixels.height,
                            in.stride()));
    const qz_tensor *logits = nullptr;
    check(qz_session_output(run.get(), 0, nullptr, &logits));
    qz_top top[5];
    for (size_t i = 0, n = qz_topk(logits, 0, 5, top); i < n; i++) {
        const char *name = qz_model_class(net.get(), top[i].index);
        std::printf("%5.1f %%  %s\n", 100.0 * top[i].probability, name ? name : "no name");
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "usage: %s WEIGHTS CALIBRATION-IMAGE... IMAGE\n", argv[0]);
        return 2;
    }
    try {
        classify(argc - 1, argv + 1);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
        return 1;
    }
    return 0;
}
