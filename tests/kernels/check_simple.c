/* SPDX-License-Identifier: MIT */
/*
 * check_simple.c - every function of the kernel table that is not a convolution, as each bundle of
 * this CPU fills it, byte for byte with CONTRACT.md's formulas written once more (with the C
 * library's fmaf and lrintf).
 *
 * Every length from 0 to 200 and some longer ones; operands end right before a guard page or begin
 * right after one, with no alignment beyond their elements'; in place where that is allowed.
 */
#include "check_call.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* ---- one function each: true when right ---- */

static bool check_f32_add(call *c)
{
    float *a = call_random_f32(c, c->n, 8), *b = call_random_f32(c, c->n, 8), lo, hi;
    const float *a0 = call_copy_of(c, a, c->n, 4), *b0 = call_copy_of(c, b, c->n, 4);
    float *y = !c->in_place ? call_fresh(c, c->n, 4) : check_one_in(c->rng, 2) ? a : b;
    call_random_clamp(c->rng, &lo, &hi);
    c->k->f32_add(a, b, y, c->n, lo, hi);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i], call_clamped(a0[i] + b0[i], lo, hi)))
            return false;
    return true;
}

static bool check_f32_clamp(call *c)
{
    float *x = call_random_f32(c, c->n, 8), lo, hi;
    const float *x0 = call_copy_of(c, x, c->n, 4);
    float *y = c->in_place ? x : call_fresh(c, c->n, 4);
    call_random_clamp(c->rng, &lo, &hi);
    c->k->f32_clamp(x, y, c->n, lo, hi);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i], call_clamped(x0[i], lo, hi)))
            return false;
    return true;
}

static bool check_f32_affine(call *c)
{
    call_strided s = call_random_strided(c);
    float *x = call_random_f32(c, s.x_size, 8);
    const float *x0 = call_copy_of(c, x, s.x_size, 4);
    const float *scale = call_random_f32(c, c->n, 2), *shift = call_random_f32(c, c->n, 4);
    float *y = c->in_place ? x : call_fresh(c, s.y_size, 4);
    const float *y0 = call_copy_of(c, y, s.y_size, 4);
    c->k->f32_affine(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride}, scale, shift);
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        float want = y0[i]; /* between the pixels */
        if (ch < c->n)
            want = check_fmaf(x0[p * (size_t)s.x_stride + ch], scale[ch], shift[ch]);
        if (!call_same_f32(c, i, y[i], want))
            return false;
    }
    return true;
}

static bool check_u8_affine(call *c)
{
    call_strided s = call_random_strided(c);
    uint8_t *x = call_random_u8(c, s.x_size);
    const uint8_t *x0 = call_copy_of(c, x, s.x_size, 1);
    float *mult = call_random_f32(c, c->n, 2), *shift = call_random_f32(c, c->n, 60), lo, hi;
    uint8_t *y = c->in_place ? x : call_fresh(c, s.y_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, s.y_size, 1);
    int32_t x_zp = call_random_zp(c->rng), y_zp = call_random_zp(c->rng);
    call_random_bounds(c->rng, y_zp, &lo, &hi);
    c->k->u8_affine(&(qzk_rows){x, y, s.pixels, c->n, s.x_stride, s.y_stride},
                    &(qzk_affine_params){mult, shift, x_zp, y_zp, lo, hi});
    for (size_t i = 0; i < s.y_size; i++) {
        size_t p = i / (size_t)s.y_stride, ch = i % (size_t)s.y_stride;
        uint8_t want = y0[i];
        if (ch < c->n) {
            float product = (float)(x0[p * (size_t)s.x_stride + ch] - x_zp) * mult[ch];
            want = call_clampq(product + shift[ch], lo, hi, y_zp);
        }
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}

static size_t random_taps(call *c)
{
    return (size_t)(check_one_in(c->rng, 8) ? check_range(c->rng, 1, 64)
                                            : check_range(c->rng, 1, 9));
}

static bool check_f32_maxpool(call *c)
{
    const float *taps[64];
    size_t count = random_taps(c);
    for (size_t t = 0; t < count; t++)
        taps[t] = call_random_f32(c, c->n, 8);
    float *y = call_fresh(c, c->n, 4);
    c->k->f32_maxpool(taps, count, c->n, y);
    for (size_t i = 0; i < c->n; i++) {
        float want = taps[0][i];
        for (size_t t = 1; t < count; t++)
            if (taps[t][i] > want || isnan(taps[t][i]))
                want = taps[t][i];
        if (!call_same_f32(c, i, y[i], want))
            return false;
    }
    return true;
}

static bool check_f32_avgpool(call *c)
{
    const float *taps[64];
    size_t count = random_taps(c);
    float divisor = (float)(check_one_in(c->rng, 3) ? count + 3 : count);
    for (size_t t = 0; t < count; t++)
        taps[t] = call_random_f32(c, c->n, 8);
    float *y = call_fresh(c, c->n, 4);
    c->k->f32_avgpool(taps, count, c->n, divisor, y);
    for (size_t i = 0; i < c->n; i++) {
        float sum = 0.0f;
        for (size_t t = 0; t < count; t++)
            sum += taps[t][i];
        if (!call_same_f32(c, i, y[i], sum / divisor))
            return false;
    }
    return true;
}

static bool check_f32_roi_bin(call *c)
{
    const float *taps[64];
    size_t count = check_one_in(c->rng, 8) ? 0 : random_taps(c);
    for (size_t t = 0; t < count; t++)
        taps[t] = call_random_f32(c, c->n, 8);
    const float *weights = call_random_f32(c, count, 1);
    float *y = call_fresh(c, c->n, 4);
    c->k->f32_roi_bin(taps, weights, count, c->n, y);
    for (size_t i = 0; i < c->n; i++) {
        float want = 0.0f;
        for (size_t t = 0; t < count; t++)
            want = check_fmaf(weights[t], taps[t][i], want);
        if (!call_same_f32(c, i, y[i], want))
            return false;
    }
    return true;
}

static bool check_u8_roi_bin(call *c)
{
    const uint8_t *taps[64];
    size_t count = check_one_in(c->rng, 8) ? 0 : random_taps(c);
    for (size_t t = 0; t < count; t++)
        taps[t] = call_random_u8(c, c->n);
    const float *weights = call_random_f32(c, count, 1);
    float *y = call_fresh(c, c->n, 4), scale = call_random_scale(c->rng);
    float start = -check_uniform(c->rng, 0, 255);
    c->k->u8_roi_bin(taps, weights, count, c->n, start, scale, y);
    for (size_t i = 0; i < c->n; i++) {
        float want = start;
        for (size_t t = 0; t < count; t++)
            want = check_fmaf(weights[t], (float)taps[t][i], want);
        if (!call_same_f32(c, i, y[i], want * scale))
            return false;
    }
    return true;
}

static bool check_u8_maxpool(call *c)
{
    const uint8_t *taps[64];
    size_t count = random_taps(c);
    for (size_t t = 0; t < count; t++)
        taps[t] = call_random_u8(c, c->n);
    uint8_t *y = call_fresh(c, c->n, 1);
    c->k->u8_maxpool(taps, count, c->n, y);
    for (size_t i = 0; i < c->n; i++) {
        uint8_t want = 0;
        for (size_t t = 0; t < count; t++)
            want = QZI_MAX(want, taps[t][i]);
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}

static bool check_u8_avgpool(call *c)
{
    /* many taps may be the same pixel, which reaches the sums of a large window */
    static const uint8_t *taps[3000];
    size_t distinct = random_taps(c), count = distinct;
    if (check_one_in(c->rng, 10))
        count = (size_t)check_range(c->rng, (int64_t)distinct, (int64_t)QZI_ARRAY_LEN(taps));
    for (size_t t = 0; t < count; t++)
        taps[t] = t < distinct ? call_random_u8(c, c->n) : taps[t % distinct];
    uint8_t *y = call_fresh(c, c->n, 1);
    qzk_avgpool_params p = {.x_zp = call_random_zp(c->rng), .y_zp = call_random_zp(c->rng)};
    p.mult = call_random_scale(c->rng) / (float)count;
    call_random_bounds(c->rng, p.y_zp, &p.lo, &p.hi);
    c->k->u8_avgpool(taps, count, c->n, &p, y);
    for (size_t i = 0; i < c->n; i++) {
        int32_t sum = 0;
        for (size_t t = 0; t < count; t++)
            sum += taps[t][i] - p.x_zp;
        if (!call_same_u8(c, i, y[i], call_clampq((float)sum * p.mult, p.lo, p.hi, p.y_zp)))
            return false;
    }
    return true;
}

static bool check_u8_add(call *c)
{
    uint8_t *a = call_random_u8(c, c->n), *b = call_random_u8(c, c->n);
    const uint8_t *a0 = call_copy_of(c, a, c->n, 1), *b0 = call_copy_of(c, b, c->n, 1);
    uint8_t *y = !c->in_place ? call_fresh(c, c->n, 1) : check_one_in(c->rng, 2) ? a : b;
    qzk_add_params p = {.a_zp = call_random_zp(c->rng), .b_zp = call_random_zp(c->rng)};
    p.y_zp = call_random_zp(c->rng);
    p.a_mult = call_random_scale(c->rng);
    p.b_mult = call_random_scale(c->rng);
    call_random_bounds(c->rng, p.y_zp, &p.lo, &p.hi);
    c->k->u8_add(a, b, y, c->n, &p);
    for (size_t i = 0; i < c->n; i++) {
        float va = (float)(a0[i] - p.a_zp) * p.a_mult, vb = (float)(b0[i] - p.b_zp) * p.b_mult;
        if (!call_same_u8(c, i, y[i], call_clampq(va + vb, p.lo, p.hi, p.y_zp)))
            return false;
    }
    return true;
}

static bool check_u8_clamp(call *c)
{
    uint8_t *x = call_random_u8(c, c->n);
    const uint8_t *x0 = call_copy_of(c, x, c->n, 1);
    uint8_t *y = c->in_place ? x : call_fresh(c, c->n, 1);
    uint8_t lo = (uint8_t)check_range(c->rng, 0, 255), hi = (uint8_t)check_range(c->rng, lo, 255);
    c->k->u8_clamp(x, y, c->n, lo, hi);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_u8(c, i, y[i], QZI_MIN(QZI_MAX(x0[i], lo), hi)))
            return false;
    return true;
}

static bool check_u8_lut(call *c)
{
    uint8_t *x = call_random_u8(c, c->n);
    const uint8_t *x0 = call_copy_of(c, x, c->n, 1), *table = call_random_u8(c, 256);
    uint8_t *y = c->in_place ? x : call_fresh(c, c->n, 1);
    c->k->u8_lut(x, y, c->n, table);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_u8(c, i, y[i], table[x0[i]]))
            return false;
    return true;
}

static uint8_t quantized(float x, float inv_scale, int32_t zp)
{
    return call_clampq(x * inv_scale, (float)-zp, (float)(255 - zp), zp);
}

static bool check_quantize(call *c)
{
    float inv_scale = call_random_scale(c->rng);
    const float *x = call_random_f32(c, c->n, 300 / fmaxf(inv_scale, 1e-3f));
    uint8_t *y = call_fresh(c, c->n, 1);
    int32_t zp = call_random_zp(c->rng);
    c->k->quantize(x, y, c->n, inv_scale, zp);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_u8(c, i, y[i], quantized(x[i], inv_scale, zp)))
            return false;
    return true;
}

static bool check_dequantize(call *c)
{
    const uint8_t *x = call_random_u8(c, c->n);
    float *y = call_fresh(c, c->n, 4), scale = call_random_scale(c->rng);
    int32_t zp = call_random_zp(c->rng);
    c->k->dequantize(x, y, c->n, scale, zp);
    for (size_t i = 0; i < c->n; i++)
        if (!call_same_f32(c, i, y[i], (float)(x[i] - zp) * scale))
            return false;
    return true;
}

/* c->n pixels of some channels, as planes and as pixels. */
typedef struct image {
    size_t c, planes_size, pixels_size;
    int64_t plane_stride, pixel_stride;
} image;

static image random_image(call *c)
{
    image m = {.c = (size_t)(check_one_in(c->rng, 3) ? check_range(c->rng, 1, 70)
                                                     : check_range(c->rng, 1, 5))};
    m.plane_stride = (int64_t)c->n + (check_one_in(c->rng, 2) ? check_range(c->rng, 0, 9) : 0);
    m.pixel_stride = (int64_t)m.c + (check_one_in(c->rng, 2) ? check_range(c->rng, 0, 9) : 0);
    m.planes_size = (m.c - 1) * (size_t)m.plane_stride + c->n;
    m.pixels_size = c->n == 0 ? 0 : (c->n - 1) * (size_t)m.pixel_stride + m.c;
    return m;
}

static bool check_quantize_nchw(call *c)
{
    image m = random_image(c);
    float inv_scale = call_random_scale(c->rng);
    const float *x = call_random_f32(c, m.planes_size, 300 / fmaxf(inv_scale, 1e-3f));
    uint8_t *y = call_fresh(c, m.pixels_size, 1);
    const uint8_t *y0 = call_copy_of(c, y, m.pixels_size, 1);
    int32_t zp = call_random_zp(c->rng);
    c->k->quantize_nchw(x, m.plane_stride, m.c, c->n, y, m.pixel_stride, inv_scale, zp);
    for (size_t i = 0; i < m.pixels_size; i++) {
        size_t p = i / (size_t)m.pixel_stride, ch = i % (size_t)m.pixel_stride;
        uint8_t want = y0[i];
        if (ch < m.c)
            want = quantized(x[ch * (size_t)m.plane_stride + p], inv_scale, zp);
        if (!call_same_u8(c, i, y[i], want))
            return false;
    }
    return true;
}

static bool check_f32_nchw_to_nhwc(call *c)
{
    image m = random_image(c);
    const float *x = call_random_f32(c, m.planes_size, 8);
    float *y = call_fresh(c, m.pixels_size, 4);
    const float *y0 = call_copy_of(c, y, m.pixels_size, 4);
    c->k->f32_nchw_to_nhwc(x, m.plane_stride, m.c, c->n, y, m.pixel_stride);
    for (size_t i = 0; i < m.pixels_size; i++) {
        size_t p = i / (size_t)m.pixel_stride, ch = i % (size_t)m.pixel_stride;
        const float *want = ch < m.c ? &x[ch * (size_t)m.plane_stride + p] : &y0[i];
        if (memcmp(&y[i], want, sizeof(*y)) != 0) { /* bytes are moved, NaN too */
            snprintf(c->how, sizeof(c->how), "element %zu is %a", i, (double)y[i]);
            return false;
        }
    }
    return true;
}

static bool check_f32_nhwc_to_nchw(call *c)
{
    image m = random_image(c);
    const float *x = call_random_f32(c, m.pixels_size, 8);
    float *y = call_fresh(c, m.planes_size, 4);
    const float *y0 = call_copy_of(c, y, m.planes_size, 4);
    c->k->f32_nhwc_to_nchw(x, m.pixel_stride, m.c, c->n, y, m.plane_stride);
    for (size_t i = 0; i < m.planes_size; i++) {
        size_t ch = m.plane_stride ? i / (size_t)m.plane_stride : 0;
        size_t p = m.plane_stride ? i % (size_t)m.plane_stride : 0;
        const float *want = p < c->n ? &x[p * (size_t)m.pixel_stride + ch] : &y0[i];
        if (memcmp(&y[i], want, sizeof(*y)) != 0) {
            snprintf(c->how, sizeof(c->how), "element %zu is %a", i, (double)y[i]);
            return false;
        }
    }
    return true;
}

/* ---- the suite ---- */

static const struct {
    const char *name;
    size_t offset; /* of the pointer in qzk_kernels */
    bool (*check)(call *c);
    bool in_place;
} functions[] = {
#define FUNCTION(name, in_place)                                   \
    {                                                              \
#name, offsetof(qzk_kernels, name), check_##name, in_place \
    }
    FUNCTION(f32_add, true),
    FUNCTION(f32_clamp, true),
    FUNCTION(f32_affine, true),
    FUNCTION(f32_maxpool, false),
    FUNCTION(f32_avgpool, false),
    FUNCTION(f32_hardsigmoid, true),
    FUNCTION(f32_hardswish, true),
    FUNCTION(f32_sigmoid, true),
    FUNCTION(f32_silu, true),
    FUNCTION(f32_gelu, true),
    FUNCTION(f32_leaky_relu, true),
    FUNCTION(f32_mish, true),
    FUNCTION(f32_mul, true),
    FUNCTION(f32_mul_channels, true),
    FUNCTION(f32_layer_norm, true),
    FUNCTION(f32_channel_sums, false),
    FUNCTION(f32_l2_norm, true),
    FUNCTION(f32_shuffle, false),
    FUNCTION(f32_blend, false),
    FUNCTION(f32_resize_row, false),
    FUNCTION(u8_add, true),
    FUNCTION(u8_clamp, true),
    FUNCTION(u8_lut, true),
    FUNCTION(u8_maxpool, false),
    FUNCTION(u8_avgpool, false),
    FUNCTION(u8_affine, true),
    FUNCTION(u8_mul, true),
    FUNCTION(u8_mul_channels, true),
    FUNCTION(u8_layer_norm, true),
    FUNCTION(u8_channel_sums, false),
    FUNCTION(u8_l2_norm, true),
    FUNCTION(u8_shuffle, false),
    FUNCTION(u8_blend, false),
    FUNCTION(u8_resize_row, false),
    FUNCTION(u8_filter_row, false),
    FUNCTION(u8_filter_column, false),
    FUNCTION(u8_affine_channels, true),
    FUNCTION(u8_act_channels, true),
    FUNCTION(u8_add_channels, true),
    FUNCTION(u8_mul_pair_channels, true),
    FUNCTION(u8_factor_channels, false),
    FUNCTION(u8_avgpool_channels, false),
    FUNCTION(f32_roi_bin, false),
    FUNCTION(u8_roi_bin, false),
    FUNCTION(quantize, false),
    FUNCTION(dequantize, false),
    FUNCTION(quantize_nchw, false),
    FUNCTION(f32_nchw_to_nhwc, false),
    FUNCTION(f32_nhwc_to_nchw, false),
#undef FUNCTION
};

/* A function pointer was added to the table: it needs a check here. */
_Static_assert(sizeof(qzk_kernels) == offsetof(qzk_kernels, f32_add) +
                                          QZI_ARRAY_LEN(functions) * sizeof(void (*)(void)),
               "each function of qzk_kernels has a check");

static bool check_call(call *c, size_t function)
{
    uint64_t fp_state = check_fp_state();
    c->count = 0;
    strcpy(c->how, "");
    bool right = functions[function].check(c);
    for (size_t i = 0; right && i < c->count; i++)
        if (!check_buffer_intact(&c->buffers[i])) {
            strcpy(c->how, "writes outside its operands");
            right = false;
        }
    if (right && check_fp_state() != fp_state) {
        strcpy(c->how, "changes the floating-point environment");
        right = false;
    }
    for (size_t i = 0; i < c->count; i++)
        check_buffer_free(&c->buffers[i]);
    return right;
}

static int check_function(const check_options *options, const qzk_kernels *kernels, size_t function,
                          int64_t *compared)
{
    int64_t runs = options->runs ? options->runs : 60;
    check_rng rng = {options->seed + function};
    int failures = 0;
    for (int64_t n = 0; n <= 200 + runs; n++) {
        for (int variant = 0; variant < 4 && failures < 3; variant++) {
            if (variant >= 2 && !functions[function].in_place)
                break;
            call c = {.k = kernels, .rng = &rng};
            c.n = (size_t)(n <= 200 ? n : check_range(&rng, 201, 5000));
            c.at_front = variant & 1;
            c.in_place = variant >= 2;
            ++*compared;
            check_now("%s of %s: n %zu%s, guard page %s the operands", functions[function].name,
                      qz_isa_name(kernels->isa), c.n, c.in_place ? ", in place" : "",
                      c.at_front ? "before" : "after");
            if (!check_call(&c, function)) {
                printf("FAILED %s of %s: n %zu%s: %s\n", functions[function].name,
                       qz_isa_name(kernels->isa), c.n, c.in_place ? ", in place" : "", c.how);
                failures++;
            }
        }
    }
    return failures;
}

int check_suite_simple(const check_options *options, int64_t *compared)
{
    static qzk_kernels tables[QZ_ISA_COUNT];
    int failures = 0;
    for (int isa = QZ_ISA_REF; isa < QZ_ISA_COUNT; isa++) {
        if (!qz_isa_available((qz_isa)isa))
            continue;
        qzk_init(&tables[isa], (qz_isa)isa);
        if (options->isa != QZ_ISA_AUTO && (int)options->isa != isa)
            continue;
        int own = 0;
        for (size_t f = 0; f < QZI_ARRAY_LEN(functions); f++) {
            const char *mine = (const char *)&tables[isa] + functions[f].offset;
            bool known = false; /* the same function was checked under a lower bundle */
            for (int lower = QZ_ISA_REF; lower < isa && options->isa == QZ_ISA_AUTO; lower++)
                known = known || memcmp(mine, (char *)&tables[lower] + functions[f].offset,
                                        sizeof(void (*)(void))) == 0;
            if (known || (options->kernel && !strstr(functions[f].name, options->kernel)))
                continue;
            failures += check_function(options, &tables[isa], f, compared);
            own++;
        }
        printf("%-12s %2d functions checked, %d are a lower bundle's\n", qz_isa_name((qz_isa)isa),
               own, (int)QZI_ARRAY_LEN(functions) - own);
    }
    return failures;
}
