/* SPDX-License-Identifier: MIT */
/* image_names.c - what a file is by the suffix of its name. */
#include "image_names.h"

#include <string.h>
#include <strings.h>

bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    return n > s && strcasecmp(name + n - s, suffix) == 0;
}

bool images_is_array(const char *name)
{
    return has_suffix(name, ".npy");
}

bool images_is_image(const char *name)
{
    static const char *const suffixes[] = {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
#if defined(QZ_HAVE_WEBP)
        ".webp",
#endif
        ".npy"
    };
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        if (has_suffix(name, suffixes[i]))
            return true;
    }
    return false;
}

bool images_is_statistics(const char *name)
{
    return has_suffix(name, ".qzstats");
}

bool images_is_list(const char *name)
{
    return has_suffix(name, ".txt");
}
