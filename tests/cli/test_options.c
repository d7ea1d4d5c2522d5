/* SPDX-License-Identifier: MIT */
/*
 * test_options.c - the table of options, row by row: each row is whole, sets its own value and no
 * other, refuses wrong numbers by name and bounds, and belongs to the commands that take it.
 */
#include "tools/commands.h"
#include "tools/messages.h"
#include "tools/options_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture.h"

static char message[4096]; /* of the last parse, from stderr */

/* Parses the words; the caller frees *o. */
static int parse(const char *command, unsigned groups, const char *name, const char *value,
                 tool_options *o)
{
    char *words[] = {(char *)(uintptr_t)name, (char *)(uintptr_t)value};
    capture err = capture_begin(stderr);
    int status = options_parse(command, groups, value ? 2 : 1, words, o);
    capture_end(&err, message, sizeof(message));
    return status;
}

static int status_of(const char *command, unsigned groups, const char *name, const char *value)
{
    tool_options o;
    int status = parse(command, groups, name, value, &o);
    options_free(&o);
    return status;
}

static size_t size_of(const tool_option *option)
{
    switch (option->target.kind) {
    case OPTION_FLAG:
        return sizeof(bool);
    case OPTION_WHOLE:
        return sizeof(long);
    case OPTION_REAL:
        return sizeof(double);
    case OPTION_SIZE:
        return sizeof(option_size);
    case OPTION_WORD:
        return sizeof(int);
    case OPTION_TEXT:
        return sizeof(const char *);
    case OPTION_TEXTS:
    case OPTION_NAMES:
        return sizeof(option_list);
    case OPTION_EARLY:
    case OPTION_LATER:
        break;
    }
    return 0;
}

/* A value that the option takes, other than its preset. NULL: the option takes none. */
static const char *good_value(const tool_option *option)
{
    static char text[64];
    const option_target *t = &option->target;
    if (!option->value)
        return NULL;
    snprintf(text, sizeof(text), "some");
    if (t->kind == OPTION_WHOLE || t->kind == OPTION_REAL || t->kind == OPTION_SIZE)
        snprintf(text, sizeof(text), "%.0f", t->max);
    for (int i = 0; t->kind == OPTION_WORD && t->words->word(i); i++)
        snprintf(text, sizeof(text), "%s", t->words->word(i));
    return text;
}

static void rows_are_whole(void **state)
{
    (void)state;
    for (const tool_option *o = tool_option_table; o->name; o++) {
        const option_target *t = &o->target;
        char help[400];
        unsigned taken = 0;
        for (const tool_command *c = tool_commands; c->name; c++)
            taken |= c->options & o->group;
        assert_true(o->name[0] == '-');
        assert_ptr_equal(option_find(o->name, strlen(o->name)), o); /* once */
        assert_int_equal(t->kind == OPTION_LATER, o->group == 0);
        if (t->kind == OPTION_LATER)
            continue;
        assert_int_equal(taken, o->group);
        assert_int_equal(t->kind == OPTION_FLAG || t->kind == OPTION_EARLY, !o->value);
        option_help(o, help, sizeof(help));
        assert_true(*o->help && strlen(help) + 1 < sizeof(help));
        assert_true(t->min <= t->max);
        assert_int_equal(t->kind == OPTION_WORD, t->words != NULL);
        if (t->words)
            assert_true(t->words->word(0) && (t->preset == -1 || t->words->word((int)t->preset)));
        assert_true(t->offset + size_of(o) <= sizeof(tool_options));
        for (const tool_option *p = tool_option_table; p < o && size_of(o); p++)
            assert_true(!size_of(p) || p->target.offset + size_of(p) <= t->offset ||
                        t->offset + size_of(o) <= p->target.offset);
    }
}

static void each_row_sets_its_own_value(void **state)
{
    (void)state;
    for (const tool_option *row = tool_option_table; row->name; row++) {
        tool_options before, after;
        if (size_of(row) == 0)
            continue;
        assert_int_equal(options_parse("bench", row->group, 0, NULL, &before), EXIT_DONE);
        if (parse("bench", row->group, row->name, good_value(row), &after) != EXIT_DONE)
            fail_msg("%s: %s", row->name, message);
        const unsigned char *a = (const unsigned char *)&before, *b = (const unsigned char *)&after;
        const size_t first = row->target.offset, last = first + size_of(row);
        size_t changed = 0;
        for (size_t i = 0; i < offsetof(tool_options, owned); i++) {
            bool inside = i >= first && i < last;
            if (a[i] != b[i] && !inside)
                fail_msg("%s changes byte %zu of the options", row->name, i);
            changed += a[i] != b[i];
        }
        if (!changed && strcmp(row->name, "--fetch") != 0)
            fail_msg("%s changes nothing", row->name);
        options_free(&before);
        options_free(&after);
    }
}

static void numbers_are_refused_by_name_and_bounds(void **state)
{
    static const char *const wrong[] = {
        "abc", "5x", " 5", "5 ",   "0x5",  "nan",  "inf", "-inf",
        "-7",  "--", "5-", "1e9",  "1e99", ".",    "5,5", "99999999999999999999",
        "5.",  "x5", "5y", "5x5x", "-",    "1e400"};
    (void)state;
    size_t numbers = 0;
    for (const tool_option *o = tool_option_table; o->name; o++) {
        const option_target *t = &o->target;
        char max[32];
        if (t->kind != OPTION_WHOLE && t->kind != OPTION_REAL && t->kind != OPTION_SIZE)
            continue;
        numbers++;
        snprintf(max, sizeof(max), "%.0f", t->max);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
            if (t->kind == OPTION_REAL && strcmp(wrong[i], "5.") == 0)
                continue;
            if (status_of("bench", o->group, o->name, wrong[i]) != EXIT_USAGE ||
                !strstr(message, o->name) || !strstr(message, max))
                fail_msg("%s '%s': %s", o->name, wrong[i], message);
        }
        assert_int_equal(status_of("bench", o->group, o->name, ""), EXIT_USAGE);
        assert_non_null(strstr(message, o->name));
        assert_int_equal(status_of("bench", o->group, o->name, max), EXIT_DONE);
        snprintf(max, sizeof(max), "%.0f", t->max + 1);
        assert_int_equal(status_of("bench", o->group, o->name, max), EXIT_USAGE);
        snprintf(max, sizeof(max), "%.10g", t->min);
        assert_int_equal(status_of("bench", o->group, o->name, max), EXIT_DONE);
    }
    assert_true(numbers >= 10);
}

static void words_are_refused_with_the_list(void **state)
{
    (void)state;
    for (const tool_option *o = tool_option_table; o->name; o++) {
        if (o->target.kind != OPTION_WORD)
            continue;
        for (int i = 0; o->target.words->word(i); i++) {
            assert_int_equal(status_of("bench", o->group, o->name, o->target.words->word(i)),
                             EXIT_DONE);
        }
        assert_int_equal(status_of("bench", o->group, o->name, "frob"), EXIT_USAGE);
        for (int i = 0; o->target.words->word(i); i++)
            assert_non_null(strstr(message, o->target.words->word(i)));
    }
}

static void each_command_takes_its_options_only(void **state)
{
    (void)state;
    for (const tool_command *c = tool_commands; c->name; c++) {
        for (const tool_option *o = tool_option_table; o->name; o++) {
            int want = o->target.kind == OPTION_LATER ? EXIT_UNSUPPORTED
                       : o->group & c->options        ? EXIT_DONE
                                                      : EXIT_USAGE;
            int got = status_of(c->name, c->options, o->name, good_value(o));
            if (got != want)
                fail_msg("%s %s: status %d, not %d: %s", c->name, o->name, got, want, message);
            if (got != EXIT_DONE)
                assert_non_null(strstr(message, o->name));
            if (got == EXIT_USAGE)
                assert_non_null(strstr(message, c->name));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(each_row_sets_its_own_value),
        cmocka_unit_test(numbers_are_refused_by_name_and_bounds),
        cmocka_unit_test(words_are_refused_with_the_list),
        cmocka_unit_test(each_command_takes_its_options_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
