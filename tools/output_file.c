/* SPDX-License-Identifier: MIT */
/* output_file.c - collects a file's bytes, which the library writes whole (qz_file_save). */
#include "output_file.h"

#include "messages.h"

#include <stdlib.h>
#include <string.h>

const char *output_path(const char *path)
{
    return path && strcmp(path, "-") == 0 ? "/dev/stdout" : path;
}

int output_open(const char *path, output_file *file)
{
    *file = (output_file){.path = path};
    file->stream = open_memstream(&file->bytes, &file->size);
    return file->stream ? EXIT_DONE : tool_fail_memory();
}

int output_close(output_file *file, int status)
{
    const bool whole = fclose(file->stream) == 0 && file->bytes;
    if (status == EXIT_DONE && !whole)
        status = tool_fail_memory();
    if (status == EXIT_DONE) {
        if (fflush(stdout) != 0 && strcmp(file->path, "-") == 0)
            status = tool_fail(EXIT_FAILED, "standard output cannot be written");
        else
            status = output_save(file->path, file->bytes, file->size);
    }
    free(file->bytes);
    return status;
}

int output_save(const char *path, const void *bytes, size_t size)
{
    qz_status st = qz_file_save(NULL, output_path(path), bytes, size);
    return st == QZ_OK ? EXIT_DONE : tool_fail_status(NULL, st);
}
