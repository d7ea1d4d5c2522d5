/* SPDX-License-Identifier: MIT */
/*
 * check_conv.c - every convolution kernel of kernels.inc that this CPU runs, byte for byte.
 *
 * What is right comes from CONTRACT.md once more, as plain loops over OIHW weights, so
 * that the reference kernel is checked like any other. Each problem runs twice in each kernel that
 * supports it: in one piece with every buffer right before a guard page, and in pieces of random
 * size and order with every buffer right after one.
 */
#include "check_conv.h"
#include "layers/kernels/ref/requant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is right ---- */

static int32_t zero_point(const conv_operands *o, int32_t ic)
{
    return o->weights.x_zps ? o->weights.x_zps[ic] : o->weights.x_zp;
}

void *conv_direct(const conv_operands *o)
{
    const qzk_conv_shape *s = &o->problem.shape;
    const qzk_view *in = &o->args.in, *out = &o->args.out;
    int32_t icg = s->ic / s->groups, ocg = s->oc / s->groups;
    size_t count = (size_t)out->n * (size_t)out->h * (size_t)out->w * (size_t)s->oc, at = 0;
    uint8_t *y8 = calloc(count, sizeof(float));
    float *y = (float *)(void *)y8;
    if (!y)
        exit(2);
    for (int32_t n = 0; n < out->n; n++)
        for (int32_t oy = 0; oy < out->h; oy++)
            for (int32_t ox = 0; ox < out->w; ox++)
                for (int32_t oc = 0; oc < s->oc; oc++, at++) {
                    float acc = 0.0f;
                    int64_t sum = 0;
                    for (int32_t kh = 0; kh < s->kh; kh++)
                        for (int32_t kw = 0; kw < s->kw; kw++)
                            for (int32_t ic = 0; ic < icg; ic++) {
                                int32_t iy = oy * s->stride_h - s->pad_top + kh * s->dil_h;
                                int32_t ix = ox * s->stride_w - s->pad_left + kw * s->dil_w;
                                bool inside = iy >= 0 && iy < in->h && ix >= 0 && ix < in->w;
                                int64_t xi =
                                    (((int64_t)n * in->h + iy) * in->w + ix) * in->pixel_stride +
                                    oc / ocg * icg + ic;
                                int64_t wi = (((int64_t)oc * icg + ic) * s->kh + kh) * s->kw + kw;
                                if (!o->int8)
                                    acc = check_fmaf(inside ? ((const float *)in->data)[xi] : 0.0f,
                                                     o->weights.w_f32[wi], acc);
                                else if (inside)
                                    sum += (((const uint8_t *)in->data)[xi] -
                                            zero_point(o, oc / ocg * icg + ic)) *
                                           o->weights.w_s8[wi];
                            }
                    if (!o->int8) {
                        float b = o->weights.bias_f32 ? o->weights.bias_f32[oc] : 0.0f;
                        float v = acc + b;
                        y[at] = v < o->args.lo ? o->args.lo : v > o->args.hi ? o->args.hi : v;
                    } else {
                        sum += o->weights.bias_s32 ? o->weights.bias_s32[oc] : 0;
                        if (s->by_channel) {
                            y8[at] = conv_channels_right(o, oc, sum, (int64_t)at / s->oc);
                            continue;
                        }
                        float v = (float)sum * o->weights.mult[oc];
                        v = isnan(v) ? 0.0f : fminf(fmaxf(v, o->args.lo), o->args.hi);
                        y8[at] = (uint8_t)(lrintf(v) + o->args.y_zp);
                    }
                }
    return y8;
}

/* Same bits, or NaN both: which NaN is left open. */
static bool same_float(const float *a, const float *b)
{
    return memcmp(a, b, sizeof(*a)) == 0 || (isnan(*a) && isnan(*b));
}

/* ---- one kernel on one problem ---- */

static int fail(const conv_operands *o, const qzk_conv_kernel *kernel, const char *how)
{
    printf("FAILED %s: %s\n  %s\n"
           "  pixel strides %" PRId64 " and %" PRId64 ", %sbias, x_zp %d, y_zp %d, clamp %g %g\n"
           "  %s, activation %d, %s\n",
           kernel->name, how, conv_describe(&o->problem).text, o->args.in.pixel_stride,
           o->args.out.pixel_stride, o->weights.bias_f32 || o->weights.bias_s32 ? "" : "no ",
           (int)o->weights.x_zp, (int)o->args.y_zp, (double)o->args.lo, (double)o->args.hi,
           o->problem.shape.by_channel ? "by channel" : "one scale", (int)o->weights.act,
           !o->args.residual.data ? "no residual"
           : o->in_place          ? "over its residual"
                                  : "a residual");
    return 1;
}

static void run_pieces(check_rng *rng, const qzk_conv_kernel *kernel, const qzk_conv_args *args,
                       check_buffer *scratch, bool whole)
{
    int64_t units = kernel->units(args);
    if (whole) {
        kernel->run(args, 0, units, scratch->data);
        return;
    }
    /* cut into at most 16 pieces, then shuffle them; empty ones are allowed */
    int64_t cuts[17];
    int pieces = (int)check_range(rng, 1, 16), order[16];
    for (int i = 0; i <= pieces; i++) {
        cuts[i] = i == 0 ? 0 : i == pieces ? units : check_range(rng, 0, units);
        for (int k = i; k > 0 && i < pieces && cuts[k] < cuts[k - 1]; k--) {
            int64_t t = cuts[k];
            cuts[k] = cuts[k - 1];
            cuts[k - 1] = t;
        }
    }
    for (int i = 0; i < pieces; i++) {
        int k = (int)check_range(rng, 0, i);
        order[i] = order[k];
        order[k] = i;
    }
    for (int i = 0; i < pieces; i++) {
        check_random_bytes(rng, scratch->data, scratch->size);
        kernel->run(args, cuts[order[i]], cuts[order[i] + 1], scratch->data);
    }
}

/* Compares the output, and what lies between its pixels with the copy from before the run. */
static int compare(const conv_operands *o, const qzk_conv_kernel *kernel, const qzk_view *out,
                   const unsigned char *before, const void *want)
{
    int64_t pixels = (int64_t)out->n * out->h * out->w, at = 0;
    size_t bytes = conv_view_bytes(out, o->int8), element = o->int8 ? 1 : sizeof(float);
    const unsigned char *y = out->data;
    char how[200];
    for (int64_t p = 0; p < pixels; p++) {
        for (int32_t oc = 0; oc < out->c; oc++, at++) {
            size_t i = (size_t)(p * out->pixel_stride + oc) * element;
            float got_f = 0, want_f = 0;
            bool same;
            if (o->int8) {
                got_f = y[i];
                want_f = ((const uint8_t *)want)[at];
                same = y[i] == ((const uint8_t *)want)[at];
            } else {
                memcpy(&got_f, y + i, sizeof(got_f));
                want_f = ((const float *)want)[at];
                same = same_float(&got_f, &want_f);
            }
            if (!same) {
                snprintf(
                    how, sizeof(how),
                    "image %d, row %d, column %d, channel %d is %.9g (%a) instead of %.9g (%a)",
                    (int)(p / out->w / out->h), (int)(p / out->w % out->h), (int)(p % out->w),
                    (int)oc, (double)got_f, (double)got_f, (double)want_f, (double)want_f);
                return fail(o, kernel, how);
            }
        }
        size_t gap = (size_t)(p * out->pixel_stride + out->c) * element;
        size_t end = p + 1 < pixels ? (size_t)((p + 1) * out->pixel_stride) * element : bytes;
        if (memcmp(y + gap, before + gap, end - gap) != 0)
            return fail(o, kernel, "writes between the pixels of its output");
    }
    return 0;
}

/* Regions that run() reports as done: they must hold the final values, and cover each output once.
 * */
typedef struct reported {
    const conv_operands *o;
    const qzk_view *out;
    const void *want; /* dense */
    uint8_t *times;   /* reports, by output */
    bool wrong;
} reported;

static void tell(void *user, qzk_region region)
{
    reported *t = user;
    const qzk_view *out = t->out;
    const int64_t pixels = (int64_t)out->n * out->h * out->w;
    if (region.first < 0 || region.count < 1 || region.first + region.count > pixels ||
        region.channel < 0 || region.channels < 1 || region.channel + region.channels > out->c) {
        t->wrong = true;
        return;
    }
    for (int64_t p = region.first; p < region.first + region.count; p++)
        for (int32_t c = region.channel; c < region.channel + region.channels; c++) {
            const int64_t at = p * out->pixel_stride + c, dense = p * out->c + c;
            uint8_t *u8 = (uint8_t *)out->data + at;
            float *f32 = (float *)out->data + at;
            if (++t->times[dense] > 1)
                continue;
            /* negated, so that compare() sees whether it is written again */
            if (t->o->int8) {
                t->wrong |= *u8 != ((const uint8_t *)t->want)[dense];
                *u8 = (uint8_t) ~*u8;
            } else {
                t->wrong |= !same_float(f32, (const float *)t->want + dense);
                *f32 = -*f32;
            }
        }
}

/* Undoes what tell() did, so that compare() finds what the kernel wrote. */
static int check_reported(const reported *t, const qzk_conv_kernel *kernel)
{
    const qzk_view *out = t->out;
    const int64_t pixels = (int64_t)out->n * out->h * out->w;
    if (t->wrong)
        return fail(t->o, kernel, "reports a region before its values are final");
    for (int64_t dense = 0; dense < pixels * out->c; dense++) {
        const int64_t at = dense / out->c * out->pixel_stride + dense % out->c;
        if (t->times[dense] != 1)
            return fail(t->o, kernel, "does not tell of each output once");
        if (t->o->int8)
            ((uint8_t *)out->data)[at] = (uint8_t) ~((uint8_t *)out->data)[at];
        else
            ((float *)out->data)[at] = -((float *)out->data)[at];
    }
    return 0;
}

static int check_one(check_rng *rng, const conv_operands *o, const qzk_conv_kernel *kernel,
                     const void *want, bool at_front)
{
    qzk_conv_args args = o->args;
    args.shape = &o->problem.shape;
    args.ways = (int32_t)check_range(rng, 0, 5);
    args.by_channels = check_range(rng, 0, 1) != 0;
    int failures = 0;
    uint64_t fp_state = check_fp_state();
    check_now(
        "%s on %s, pixel strides %" PRId64 " and %" PRId64 ", cut for %d by %s, guard page %s "
        "the tensors",
        kernel->name, conv_describe(&o->problem).text, args.in.pixel_stride, args.out.pixel_stride,
        args.ways, args.by_channels ? "channels" : "pixels", at_front ? "before" : "after");

    check_buffer packed = check_buffer_new(kernel->packed_size(args.shape), QZI_ALIGN, at_front);
    check_random_bytes(rng, packed.data, packed.size);
    kernel->pack(args.shape, &o->weights, packed.data);
    check_buffer_protect(&packed, true);
    args.packed = packed.data;

    check_buffer out = check_buffer_new(conv_view_bytes(&args.out, o->int8), 4, at_front);
    check_random_bytes(rng, out.data, out.size);
    args.out.data = out.data;
    if (o->in_place) {
        memcpy(out.data, o->residual.data, out.size);
        args.residual = args.out;
    }
    unsigned char *before = malloc(out.size);
    if (!before)
        exit(2);
    memcpy(before, out.data, out.size);

    check_buffer scratch = check_buffer_new(kernel->scratch_size(&args), QZI_ALIGN, at_front);
    check_random_bytes(rng, scratch.data, scratch.size);
    reported t = {.o = o, .out = &args.out, .want = want};
    if (check_range(rng, 0, 1) != 0) {
        t.times = calloc((size_t)args.out.n * (size_t)args.out.h * (size_t)args.out.w,
                         (size_t)args.out.c);
        if (!t.times)
            exit(2);
        args.done = tell;
        args.done_user = &t;
    }
    run_pieces(rng, kernel, &args, &scratch, !at_front);
    if (args.done)
        failures += check_reported(&t, kernel);
    free(t.times);

    failures += compare(o, kernel, &args.out, before, want);
    if (!check_buffer_intact(&packed))
        failures += fail(o, kernel, "pack writes outside the packed weights");
    if (!check_buffer_intact(&out))
        failures += fail(o, kernel, "writes outside its output");
    if (!check_buffer_intact(&scratch))
        failures += fail(o, kernel, "writes outside its scratch");
    if (check_fp_state() != fp_state)
        failures += fail(o, kernel, "changes the floating-point environment");
    free(before);
    check_buffer_free(&packed);
    check_buffer_free(&out);
    check_buffer_free(&scratch);
    return failures;
}

/* ---- the suite ---- */

typedef struct tally {
    const qzk_conv_kernel *const *kernels;
    size_t count;
    int64_t runs[64];
} tally;

static int check_problem(const check_options *options, check_rng *rng, const conv_problem *problem,
                         qzk_conv_list list, tally *t, int64_t *compared)
{
    int failures = 0;
    bool any = false;
    for (size_t i = 0; i < t->count; i++)
        any = any || (check_wanted(options, t->kernels[i]->name, t->kernels[i]->isa) &&
                      t->kernels[i]->supports(&problem->shape));
    if (!any)
        return 0;
    for (int front = 0; front < 2; front++) {
        conv_operands o =
            conv_operands_new(rng, problem, list == QZK_LIST_U8S8_CONV, front != 0, false);
        void *want = list == QZK_LIST_F32_WINOGRAD ? (void *)conv_winograd(&o) : conv_direct(&o);
        for (size_t i = 0; i < t->count; i++) {
            const qzk_conv_kernel *kernel = t->kernels[i];
            if (!check_wanted(options, kernel->name, kernel->isa) ||
                !kernel->supports(&o.problem.shape))
                continue;
            failures += check_one(rng, &o, kernel, want, front != 0);
            t->runs[i]++;
            ++*compared;
        }
        free(want);
        conv_operands_free(&o);
    }
    return failures;
}

int check_suite_conv(const check_options *options, int64_t *compared)
{
    int64_t runs = options->runs ? options->runs : 300;
    int failures = conv_channels_errors(compared);
    for (qzk_conv_list list = 0; list < QZK_CONV_LISTS; list++) {
        check_rng rng = {options->seed + (uint64_t)list};
        tally t = {0};
        t.count = qzk_conv_all(&t.kernels, list);
        if (t.count > QZI_ARRAY_LEN(t.runs)) {
            printf("FAILED: more kernels than the tally has room for\n");
            return 1;
        }
        const conv_problem *problem;
        for (size_t i = 0; failures < 10 && (problem = conv_directed(i)); i++)
            failures += check_problem(options, &rng, problem, list, &t, compared);
        for (int64_t i = 0; failures < 10 && i < runs; i++) {
            conv_problem random =
                list == QZK_LIST_F32_WINOGRAD ? conv_random_3x3(&rng) : conv_random(&rng);
            failures += check_problem(options, &rng, &random, list, &t, compared);
        }
        for (size_t i = 0; i < t.count; i++) {
            const qzk_conv_kernel *kernel = t.kernels[i];
            if (!qz_isa_available(kernel->isa)) {
                printf("%-36s not run: this CPU has no %s\n", kernel->name,
                       qz_isa_name(kernel->isa));
            } else if (check_wanted(options, kernel->name, kernel->isa)) {
                printf("%-36s %6" PRId64 " runs\n", kernel->name, t.runs[i]);
                if (t.runs[i] == 0 && failures == 0) {
                    printf("FAILED %s: supports none of the shapes\n", kernel->name);
                    failures++;
                }
            }
        }
    }
    return failures;
}
