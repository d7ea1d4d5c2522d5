/* SPDX-License-Identifier: MIT */
/*
 * random_fill.c - seeded random parameters from a key and a shape alone, the same on every machine.
 *
 *   seed   = FNV-1a 64 of key + suffix
 *   word_i = output i of splitmix64 from that seed
 *   u_i    = (word_i >> 40) / 2^24                in [0, 1), exact
 *   value  = (float)((u_i + off) * mul)           in double, rounded once
 *
 * u + off is exact for every off used here, so contraction could not change it. off and mul by the
 * last part of the key, so that signals neither vanish nor explode in a deep network:
 *
 *   running_mean                               -0.5   0.2
 *   running_var                                 0.5   1
 *   layer_scale                                 1     0.1
 *   scale_weight                                0.5   20
 *   weight, one dimension (a norm's)            0.5   1
 *   weight, more dimensions                    -0.5   2 gain sqrt(3 / fan_in)
 *   bias of a one-dimensional weight           -0.5   0.2
 *   bias otherwise, and anything else          -0.5   0.1
 *
 * fan_in = numel / shape[0]; gain is 1, or what a rule of the architecture says (qz_fill_rule).
 */
#include "layers/base/base.h"
#include "weights/qzoo_weights.h"

#include <math.h>
#include <string.h>

static void fill(uint64_t seed, double off, double mul, int64_t count, float *out)
{
    /* whatever rounding the caller has set: these are the numbers */
    qzi_fpenv env = qzi_fpenv_enter();
    for (int64_t i = 0; i < count; i++) {
        uint64_t z = seed + ((uint64_t)i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        z ^= z >> 31;
        /* 24 bits: int64 converts in one instruction where uint64 takes several */
        double u = (double)(int64_t)(z >> 40) * 0x1p-24;
        out[i] = (float)((u + off) * mul);
    }
    qzi_fpenv_leave(env);
}

void qz_random_uniform(const char *key, const char *suffix, double off, double mul, int64_t count,
                       float *out)
{
    uint64_t seed = qzi_fnv1a(key, strlen(key), QZI_FNV_OFFSET);
    seed = qzi_fnv1a(suffix, strlen(suffix), seed);
    fill(seed, off, mul, count, out);
}

/* 2 gain sqrt(3 / fan_in) */
static double weight_range(const char *key, const qz_fill_rule *rules, size_t rule_count,
                           const qz_tensor *tensor, int64_t count)
{
    double gain = 1.0;
    for (size_t i = 0; i < rule_count; i++) {
        if (strstr(key, rules[i].substring)) {
            gain = rules[i].gain;
            break;
        }
    }
    qzi_fpenv env = qzi_fpenv_enter();
    double range = 2.0 * (gain * sqrt(3.0 / (double)(count / tensor->dims[0])));
    qzi_fpenv_leave(env);
    return range;
}

void qz_random_fill(const char *key, const char *suffix, const qz_fill_rule *rules,
                    size_t rule_count, bool one_dimensional_weight, qz_tensor *tensor)
{
    static const struct {
        const char *leaf;
        double off, mul;
    } leaves[] = {{"running_mean", -0.5, 0.2},
                  {"running_var", 0.5, 1.0},
                  {"layer_scale", 1.0, 0.1},
                  {"scale_weight", 0.5, 20.0}};
    const char *dot = strrchr(key, '.');
    const char *leaf = dot ? dot + 1 : key;
    int64_t count = qz_tensor_numel(tensor);
    if (count <= 0)
        return;
    if (tensor->dtype != QZ_F32 || strcmp(leaf, "num_batches_tracked") == 0) {
        memset(tensor->data, 0, (size_t)count * qz_dtype_size(tensor->dtype));
        return;
    }
    double off = -0.5, mul = 0.1;
    if (strcmp(leaf, "weight") == 0 && tensor->ndim >= 2) {
        mul = weight_range(key, rules, rule_count, tensor, count);
    } else if (strcmp(leaf, "weight") == 0) {
        off = 0.5;
        mul = 1.0;
    } else if (strcmp(leaf, "bias") == 0 && one_dimensional_weight) {
        mul = 0.2;
    }
    for (size_t i = 0; i < QZI_ARRAY_LEN(leaves); i++) {
        if (strcmp(leaf, leaves[i].leaf) == 0) {
            off = leaves[i].off;
            mul = leaves[i].mul;
        }
    }
    qz_random_uniform(key, suffix, off, mul, count, tensor->data);
}
