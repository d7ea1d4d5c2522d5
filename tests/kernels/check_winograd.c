/* SPDX-License-Identifier: MIT */
/*
 * check_winograd.c - what is right for the kernels of f32_winograd: CONTRACT.md's formula once
 * more, and the bound that it states for the distance from the exact convolution.
 */
#include "check_conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the formula ---- */

/* CONTRACT.md's 1-D transforms for Winograd: six inputs, four outputs, six weights. */
static void winograd_input(const float *d, float *v)
{
    const float a = 0.707106769f, b = 1.41421354f;
    float e = check_fmaf(-2.0f, d[2], d[4]), o = check_fmaf(-2.0f, d[1], d[3]);
    float p = check_fmaf(-0.5f, d[2], d[4]), q = check_fmaf(-0.5f, d[1], d[3]);
    v[0] = check_fmaf(-2.5f, d[2], d[0]) + d[4];
    v[1] = check_fmaf(a, o, e);
    v[2] = check_fmaf(-a, o, e);
    v[3] = check_fmaf(b, q, p);
    v[4] = check_fmaf(-b, q, p);
    v[5] = check_fmaf(-2.5f, d[3], d[1]) + d[5];
}

static void winograd_output(const float *m, float *y)
{
    const float a = 0.707106769f, b = 1.41421354f;
    float s = m[1] + m[2], d = m[1] - m[2], t = m[3] + m[4], e = m[3] - m[4];
    float ad = a * d, hs = 0.5f * s, inner = check_fmaf(0.5f * a, d, m[5]), first = m[0] + s;
    y[0] = first + t;
    y[1] = check_fmaf(b, e, ad);
    y[2] = check_fmaf(2.0f, t, hs);
    y[3] = check_fmaf(2.0f * b, e, inner);
}

static void winograd_weights(const double *g, double *u)
{
    double near = g[0] + g[2] * 0.5, near_odd = g[1] * 0.70710678118654752440;
    double far = g[0] + g[2] * 2.0, far_odd = g[1] * 1.41421356237309504880;
    u[0] = g[0];
    u[1] = (near + near_odd) / -1.5;
    u[2] = (near - near_odd) / -1.5;
    u[3] = (far + far_odd) / 6.0;
    u[4] = (far - far_odd) / 6.0;
    u[5] = g[2];
}

/* One channel of a tile of 4x4 outputs, from the output (n, oy, ox) on. */
static void winograd_tile(const conv_operands *o, int32_t n, int32_t oy, int32_t ox, int32_t oc,
                          float y[4][4])
{
    const qzk_conv_shape *s = &o->problem.shape;
    const qzk_view *in = &o->args.in;
    float sum[6][6] = {{0}}, rows[6][4], line[6];
    for (int32_t ic = 0; ic < s->ic; ic++) {
        double g[3], gu[3][6], u[6][6], column[6];
        float v[6][6], d[6], at[6];
        const float *w = o->weights.w_f32 + ((size_t)oc * (size_t)s->ic + (size_t)ic) * 9;
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++)
                g[j] = (double)w[i * 3 + j];
            winograd_weights(g, gu[i]);
        }
        for (int i = 0; i < 6; i++) {
            for (int j = 0; j < 6; j++) {
                int32_t iy = oy - s->pad_top + i, ix = ox - s->pad_left + j;
                bool inside = iy >= 0 && iy < in->h && ix >= 0 && ix < in->w;
                int64_t pixel = ((int64_t)n * in->h + iy) * in->w + ix;
                d[j] = inside ? ((const float *)in->data)[pixel * in->pixel_stride + ic] : 0.0f;
            }
            winograd_input(d, v[i]);
        }
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++)
                d[i] = v[i][j];
            winograd_input(d, at);
            for (int i = 0; i < 3; i++)
                g[i] = gu[i][j];
            winograd_weights(g, column);
            for (int i = 0; i < 6; i++) {
                u[i][j] = column[i];
                sum[i][j] = check_fmaf(at[i], (float)u[i][j], sum[i][j]);
            }
        }
    }
    for (int i = 0; i < 6; i++)
        winograd_output(sum[i], rows[i]);
    for (int j = 0; j < 4; j++) {
        float four[4];
        for (int i = 0; i < 6; i++)
            line[i] = rows[i][j];
        winograd_output(line, four);
        for (int i = 0; i < 4; i++)
            y[i][j] = four[i];
    }
}

float *conv_winograd(const conv_operands *o)
{
    const qzk_view *out = &o->args.out;
    size_t count = (size_t)out->n * (size_t)out->h * (size_t)out->w * (size_t)out->c;
    float *y = calloc(count, sizeof(float));
    if (!y)
        exit(2);
    for (int32_t n = 0; n < out->n; n++)
        for (int32_t oy = 0; oy < out->h; oy += 4)
            for (int32_t ox = 0; ox < out->w; ox += 4)
                for (int32_t oc = 0; oc < out->c; oc++) {
                    float tile[4][4];
                    float bias = o->weights.bias_f32 ? o->weights.bias_f32[oc] : 0.0f;
                    winograd_tile(o, n, oy, ox, oc, tile);
                    for (int32_t i = 0; i < 4 && oy + i < out->h; i++)
                        for (int32_t j = 0; j < 4 && ox + j < out->w; j++) {
                            int64_t pixel = ((int64_t)n * out->h + oy + i) * out->w + ox + j;
                            float v = tile[i][j] + bias;
                            y[pixel * out->c + oc] = v < o->args.lo   ? o->args.lo
                                                     : v > o->args.hi ? o->args.hi
                                                                      : v;
                        }
                }
    return y;
}

/* ---- the bound ---- */

/* The transforms' matrices: B transposed, G, and A transposed. */
#define A1 0.70710678118654752440
#define B1 1.41421356237309504880
static const double input_matrix[6][6] = {
    {1, 0, -2.5, 0, 1, 0},        {0, -2 * A1, -2, A1, 1, 0},   {0, 2 * A1, -2, -A1, 1, 0},
    {0, -B1 / 2, -0.5, B1, 1, 0}, {0, B1 / 2, -0.5, -B1, 1, 0}, {0, 1, 0, -2.5, 0, 1},
};
static const double weight_matrix[6][3] = {
    {1, 0, 0},
    {1 / -1.5, A1 / -1.5, 0.5 / -1.5},
    {1 / -1.5, -A1 / -1.5, 0.5 / -1.5},
    {1 / 6.0, B1 / 6.0, 2 / 6.0},
    {1 / 6.0, -B1 / 6.0, 2 / 6.0},
    {0, 0, 1},
};
static const double output_matrix[4][6] = {
    {1, 1, 1, 1, 1, 0},
    {0, A1, -A1, B1, -B1, 0},
    {0, 0.5, 0.5, 2, 2, 0},
    {0, A1 / 2, -A1 / 2, 2 * B1, -2 * B1, 1},
};

/* c = |a| b |a transposed|, a of rows x columns, b of columns x columns. */
static void magnitude(const double *a, int rows, int columns, const double *b, double *c)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < rows; j++) {
            double sum = 0;
            for (int k = 0; k < columns; k++)
                for (int l = 0; l < columns; l++)
                    sum += fabs(a[i * columns + k]) * b[k * columns + l] * fabs(a[j * columns + l]);
            c[i * rows + j] = sum;
        }
}

typedef struct bound_sums {
    double worst;            /* of error over bound */
    double winograd, direct; /* sums of squared errors */
    int64_t values;
} bound_sums;

/* One tile of one channel: every output against the sum in double. */
static void check_tile(const conv_operands *o, const float *winograd, const float *direct,
                       int32_t oy, int32_t ox, int32_t oc, bound_sums *sums)
{
    const qzk_conv_shape *s = &o->problem.shape;
    const qzk_view *in = &o->args.in, *out = &o->args.out;
    double exact[16] = {0}, products[36] = {0}, limit[16];
    for (int32_t ic = 0; ic < s->ic; ic++) {
        double d[36], w[9], v[36], u[36];
        for (int i = 0; i < 36; i++) {
            int32_t iy = oy - s->pad_top + i / 6, ix = ox - s->pad_left + i % 6;
            bool inside = iy >= 0 && iy < in->h && ix >= 0 && ix < in->w;
            int64_t pixel = (int64_t)iy * in->w + ix;
            d[i] = inside ? (double)((const float *)in->data)[pixel * in->pixel_stride + ic] : 0.0;
        }
        for (int i = 0; i < 9; i++)
            w[i] =
                (double)o->weights.w_f32[((size_t)oc * (size_t)s->ic + (size_t)ic) * 9 + (size_t)i];
        for (int i = 0; i < 16; i++)
            for (int k = 0; k < 9; k++)
                exact[i] += d[(i / 4 + k / 3) * 6 + i % 4 + k % 3] * w[k];
        for (int i = 0; i < 36; i++)
            d[i] = fabs(d[i]);
        for (int i = 0; i < 9; i++)
            w[i] = fabs(w[i]);
        magnitude(&input_matrix[0][0], 6, 6, d, v);
        magnitude(&weight_matrix[0][0], 6, 3, w, u);
        for (int i = 0; i < 36; i++)
            products[i] += u[i] * v[i];
    }
    magnitude(&output_matrix[0][0], 4, 6, products, limit);
    for (int i = 0; i < 16; i++) {
        if (oy + i / 4 >= out->h || ox + i % 4 >= out->w)
            continue;
        size_t at =
            (size_t)(((int64_t)oy + i / 4) * out->w + ox + i % 4) * (size_t)out->c + (size_t)oc;
        double error = (double)winograd[at] - exact[i], other = (double)direct[at] - exact[i];
        sums->worst = fmax(sums->worst, fabs(error) / ((s->ic + 16) * 0x1p-24 * limit[i]));
        sums->winograd += error * error;
        sums->direct += other * other;
        sums->values++;
    }
}

/*
 * Inputs after a ReLU and weights of a normal network. What is computed is the formula above (the
 * conv suite finds every kernel equal to it), so no kernel is run here.
 */
int check_suite_winograd(const check_options *options, int64_t *compared)
{
    static const int32_t channels[] = {1, 3, 16, 64, 256, 512};
    check_rng rng = {options->seed};
    int failures = 0;
    for (size_t i = 0; i < QZI_ARRAY_LEN(channels); i++) {
        bound_sums sums = {0};
        for (int64_t run = 0; run < (options->runs ? options->runs : 8); run++) {
            conv_problem p = {
                "bound", {channels[i], 2, 1, 3, 3, 1, 1, 1, 1, 1, 1, false}, 1, 10, 9, 10, 9};
            conv_operands o = conv_operands_new(&rng, &p, false, true, true);
            o.weights.bias_f32 = NULL;
            o.args.lo = -INFINITY;
            o.args.hi = INFINITY;
            float *winograd = conv_winograd(&o), *direct = conv_direct(&o);
            for (int32_t oy = 0; oy < p.oh; oy += 4)
                for (int32_t ox = 0; ox < p.ow; ox += 4)
                    for (int32_t oc = 0; oc < p.shape.oc; oc++)
                        check_tile(&o, winograd, direct, oy, ox, oc, &sums);
            free(winograd);
            free(direct);
            conv_operands_free(&o);
        }
        double ratio = sqrt(sums.winograd / sums.direct);
        bool good = sums.worst <= 1.0 && ratio < 8.0;
        printf("%3d channels: largest error %.4f of the bound, root of the mean square %.2f times "
               "the direct one's%s\n",
               (int)channels[i], sums.worst, ratio, good ? "" : "  FAILED");
        failures += !good;
        *compared += sums.values;
    }
    return failures;
}
