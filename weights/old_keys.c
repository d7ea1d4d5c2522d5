/* SPDX-License-Identifier: MIT */
/*
 * old_keys.c - keys of older torchvision versions, replaced by today's. Published files keep the
 * old ones, and torchvision's own loaders replace them too:
 *
 *   densenet   denselayerN.norm.1.weight          denselayerN.norm1.weight     (relu, conv; .2)
 *   FPN        inner_blocks.N.weight              inner_blocks.N.0.weight      (layer_blocks)
 *   RPN        rpn.head.conv.weight               rpn.head.conv.0.0.weight
 *   Mask R-CNN mask_head.mask_fcnN.weight         mask_head.(N-1).0.weight
 *   RetinaNet  X_head.conv.{0,2,4,6}.weight       X_head.conv.{0,1,2,3}.0.weight
 *
 * FCOS has keys that look like RetinaNet's old ones, and bbox_ctrness, which RetinaNet has not.
 */
#include "weights/bytes.h"
#include "weights/state_dict.h"

#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_leaf(const char *text)
{
    return strcmp(text, "weight") == 0 || strcmp(text, "bias") == 0;
}

/* …denselayer12.norm.1.weight: `dot` is the one before 1, which goes. */
static bool densenet(const char *key, char *out, size_t size)
{
    static const char *const kinds[] = {".norm.", ".relu.", ".conv."};
    const char *layer = strstr(key, "denselayer");
    if (!layer)
        return false;
    const char *p = layer + strlen("denselayer");
    if (!is_digit(*p))
        return false;
    while (is_digit(*p))
        p++;
    for (size_t i = 0; i < QZI_ARRAY_LEN(kinds); i++) {
        if (strncmp(p, kinds[i], 6) == 0 && (p[6] == '1' || p[6] == '2') && p[7] == '.') {
            snprintf(out, size, "%.*s%s", (int)(p + 5 - key), key, p + 6);
            return true;
        }
    }
    return false;
}

/* …inner_blocks.2.weight */
static bool fpn(const char *key, char *out, size_t size)
{
    static const char *const kinds[] = {"fpn.inner_blocks.", "fpn.layer_blocks."};
    for (size_t i = 0; i < QZI_ARRAY_LEN(kinds); i++) {
        const char *p = strstr(key, kinds[i]);
        if (!p)
            continue;
        p += strlen(kinds[i]);
        const char *digits = p;
        while (is_digit(*p))
            p++;
        if (p == digits || *p != '.' || !is_leaf(p + 1))
            continue;
        snprintf(out, size, "%.*s.0%s", (int)(p - key), key, p);
        return true;
    }
    return false;
}

static bool two_stage_heads(const char *key, char *out, size_t size)
{
    static const char rpn[] = "rpn.head.conv.", mask[] = "mask_head.mask_fcn";
    const char *p;
    if (strncmp(key, rpn, strlen(rpn)) == 0 && is_leaf(key + strlen(rpn))) {
        snprintf(out, size, "%s0.0.%s", rpn, key + strlen(rpn));
        return true;
    }
    if ((p = strstr(key, mask)) != NULL) {
        const char *digit = p + strlen(mask);
        if (*digit >= '1' && *digit <= '9' && digit[1] == '.' && is_leaf(digit + 2)) {
            snprintf(out, size, "%.*smask_head.%d.0%s", (int)(p - key), key, *digit - '1',
                     digit + 1);
            return true;
        }
    }
    return false;
}

static bool retinanet(const char *key, char *out, size_t size)
{
    static const char *const retina[] = {"head.classification_head.conv.",
                                         "head.regression_head.conv."};
    for (size_t i = 0; i < QZI_ARRAY_LEN(retina); i++) {
        size_t length = strlen(retina[i]);
        if (strncmp(key, retina[i], length) != 0)
            continue;
        char digit = key[length];
        if ((digit == '0' || digit == '2' || digit == '4' || digit == '6') &&
            key[length + 1] == '.' && is_leaf(key + length + 2)) {
            snprintf(out, size, "%s%d.0%s", retina[i], (digit - '0') / 2, key + length + 1);
            return true;
        }
    }
    return false;
}

static bool is_fcos(const qz_state_dict *dict)
{
    for (size_t i = 0; i < dict->count; i++)
        if (strstr(dict->entries[i].key, "regression_head.bbox_ctrness."))
            return true;
    return false;
}

qz_status qz_state_dict_update_keys(qz_state_dict *dict, size_t *renamed)
{
    char key[QZI_KEY_MAX + 8];
    size_t count = 0;
    if (!dict)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_state_dict_update_keys: dict is NULL");
    const bool fcos = is_fcos(dict);
    for (size_t i = 0; i < dict->count; i++) {
        const char *old = dict->entries[i].key;
        if (!densenet(old, key, sizeof(key)) && !fpn(old, key, sizeof(key)) &&
            !two_stage_heads(old, key, sizeof(key)) && (fcos || !retinanet(old, key, sizeof(key))))
            continue;
        char *copy = qzi_arena_strdup(&dict->arena, key);
        if (!copy)
            return QZ_ERR_MEMORY;
        dict->entries[i].key = copy;
        count++;
    }
    if (renamed)
        *renamed = count;
    return count > 0 ? qzi_dict_sort(dict) : QZ_OK;
}
