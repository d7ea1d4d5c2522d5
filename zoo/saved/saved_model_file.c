/* SPDX-License-Identifier: MIT */
/* saved_model_file.c - whether a word of the command line is a file with a model. */
#include "zoo/saved/saved_model.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Whether the file is a safetensors file with the metadata of a saved model, of any version. */
static bool holds_saved_model(const char *path)
{
    static const char family[] = QZI_SAVED_FORMAT_FAMILY;
    char head[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, head, sizeof(head));
    close(fd);
    if (got < 9 || head[8] != '{')
        return false;
    for (ssize_t i = 9; i + (ssize_t)sizeof(family) <= got; i++)
        if (memcmp(head + i, family, sizeof(family) - 1) == 0)
            return true;
    return false;
}

bool qz_model_is_file(const char *word)
{
    return qz_weights_is_file(word) && (!qzi_arch_get(word) || holds_saved_model(word));
}
