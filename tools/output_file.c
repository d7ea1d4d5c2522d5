/* SPDX-License-Identifier: MIT */
/*
 * output_file.c - writes to a temporary file beside the path and renames it. Devices, pipes and
 * symbolic links are written in place: renaming would replace them.
 */
#include "output_file.h"

#include "messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int output_open(const char *path, output_file *file)
{
    struct stat info;
    *file = (output_file){.path = path};
    if (strcmp(path, "-") == 0) {
        *file = (output_file){.path = "standard output", .stream = stdout};
        return EXIT_DONE;
    }
    if (lstat(path, &info) != 0 || S_ISREG(info.st_mode)) {
        const size_t size = strlen(path) + 32;
        file->temporary = malloc(size);
        if (!file->temporary)
            return tool_fail_memory();
        snprintf(file->temporary, size, "%s.tmp-%ld", path, (long)getpid());
        remove(file->temporary); /* of a process that had this number and was killed */
    }
    file->stream = fopen(file->temporary ? file->temporary : path, file->temporary ? "wx" : "w");
    if (file->stream)
        return EXIT_DONE;
    free(file->temporary);
    return tool_fail(EXIT_INPUT, "%s: cannot be opened for writing: %s", path, strerror(errno));
}

int output_close(output_file *file, int status)
{
    errno = 0;
    bool bad = ferror(file->stream) || fflush(file->stream) != 0;
    bad |= file->temporary && fsync(fileno(file->stream)) != 0;
    bad |= file->stream != stdout && fclose(file->stream) != 0;
    if (!bad && status == EXIT_DONE && file->temporary)
        bad = rename(file->temporary, file->path) != 0;
    if (bad && status == EXIT_DONE)
        status = tool_fail(EXIT_FAILED, "%s: cannot be written: %s", file->path,
                           errno ? strerror(errno) : "a write failed");
    if (status && file->temporary)
        remove(file->temporary);
    free(file->temporary);
    return status;
}
