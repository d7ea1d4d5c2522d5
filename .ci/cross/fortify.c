/* SPDX-License-Identifier: MIT */
/*
 * fortify.c - what Debian's cmocka and jansson want of glibc beyond the C standard (their printf
 * and longjmp with checks), for running them on musl. Only the tests' own libraries call these.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

int __vsnprintf_chk(char *text, size_t size, int flag, size_t room, const char *fmt, va_list args);
int __snprintf_chk(char *text, size_t size, int flag, size_t room, const char *fmt, ...);
int __vfprintf_chk(FILE *file, int flag, const char *fmt, va_list args);
int __fprintf_chk(FILE *file, int flag, const char *fmt, ...);
int __printf_chk(int flag, const char *fmt, ...);
void __longjmp_chk(jmp_buf env, int value);

int __vsnprintf_chk(char *text, size_t size, int flag, size_t room, const char *fmt, va_list args)
{
    (void)flag;
    return vsnprintf(text, size < room ? size : room, fmt, args);
}

int __snprintf_chk(char *text, size_t size, int flag, size_t room, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int written = __vsnprintf_chk(text, size, flag, room, fmt, args);
    va_end(args);
    return written;
}

int __vfprintf_chk(FILE *file, int flag, const char *fmt, va_list args)
{
    (void)flag;
    return vfprintf(file, fmt, args);
}

int __fprintf_chk(FILE *file, int flag, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int written = __vfprintf_chk(file, flag, fmt, args);
    va_end(args);
    return written;
}

int __printf_chk(int flag, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int written = __vfprintf_chk(stdout, flag, fmt, args);
    va_end(args);
    return written;
}

void __longjmp_chk(jmp_buf env, int value)
{
    longjmp(env, value);
}
