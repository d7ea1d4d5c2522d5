/* SPDX-License-Identifier: MIT */
/* qzoo.c - main: finds the subcommand, by the first argument or by the name zoo-COMMAND. */
#include "checks.h"
#include "commands.h"
#include "interrupt.h"
#include "messages.h"
#include "options_apply.h"
#include "options_parse.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void print_options(const tool_command *command)
{
    char help[400];
    for (const tool_option *o = tool_option_table; o->name; o++) {
        if (!(o->group & command->options))
            continue;
        int width = printf("  %s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        option_help(o, help, sizeof(help));
        printf("%*s%s\n", width < 27 ? 27 - width : 1, "", help);
    }
}

static void print_help(const tool_command *command)
{
    if (command) {
        printf("usage: qzoo %s %s%s[OPTION...]\n\n%s\n\n", command->name, command->args,
               *command->args ? " " : "", command->summary);
        print_options(command);
    } else {
        printf("usage: qzoo COMMAND [ARGUMENT...] [OPTION...]\n\n"
               "quantizable convolutional networks: the gain and the cost of int8 on this CPU\n\n");
        for (const tool_command *c = tool_commands; c->name; c++)
            printf("  %-10s %s\n", c->name, c->summary);
        printf(
            "\nqzoo COMMAND --help lists the options of a command. zoo-COMMAND is the same as qzoo "
            "COMMAND.\n");
    }
    printf("\nexit status: 0 done, 1 the work failed, 2 wrong usage, 3 an input is missing, "
           "damaged or\ndoes not fit, 4 network or checksum, 5 not supported here, yet, or by "
           "this CPU, 128 + the signal's number after a signal (130: ^C)\n");
}

static const tool_command *find_command(const char *name)
{
    for (const tool_command *c = tool_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

static bool is_later(const char *name)
{
    for (const char *const *later = tool_later_commands; *later; later++) {
        if (strcmp(*later, name) == 0)
            return true;
    }
    return false;
}

/* The command that the program's own name contains ("…/zoo-bench"), or NULL. */
static const char *command_of_program(const char *argv0)
{
    const char *base = strrchr(argv0, '/');
    base = base ? base + 1 : argv0;
    return strncmp(base, "zoo-", 4) == 0 ? base + 4 : NULL;
}

/* Whether one of the words before "--" is `flag` or `shorter`. */
static bool has_word(int argc, char **argv, const char *flag, const char *shorter)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], flag) == 0 || (shorter && strcmp(argv[i], shorter) == 0))
            return true;
    }
    return false;
}

static int run_program(int argc, char **argv)
{
    const char *name = argc > 0 ? command_of_program(argv[0]) : NULL;
    int first = 1;
    if (!name && argc > 1 && argv[1][0] != '-')
        name = argv[first++];
    if (!name) {
        if (has_word(argc - 1, argv + 1, "--version", NULL)) {
            printf("qzoo %s\n", qz_version());
            return EXIT_DONE;
        }
        if (has_word(argc - 1, argv + 1, "--help", "-h")) {
            print_help(NULL);
            return EXIT_DONE;
        }
        return tool_fail(EXIT_USAGE, "no command; qzoo --help lists the commands");
    }
    const tool_command *command = find_command(name);
    if (!command && is_later(name))
        return tool_fail(EXIT_UNSUPPORTED, "%s: not built yet", name);
    if (!command)
        return tool_fail(EXIT_USAGE, "%s: unknown command; qzoo --help lists the commands", name);
    argc -= first;
    argv += first;
    if (has_word(argc, argv, "--help", "-h")) {
        print_help(command);
        return EXIT_DONE;
    }
    if (has_word(argc, argv, "--version", NULL)) {
        printf("qzoo %s\n", qz_version());
        return EXIT_DONE;
    }
    tool_options options;
    int status = options_parse(command->name, command->options, argc, argv, &options);
    if (status == EXIT_DONE)
        status = options_apply(&options);
    if (status == EXIT_DONE)
        status = checks_before(&options);
    if (status == EXIT_DONE)
        status = command->run(&options);
    options_free(&options);
    return status;
}

int main(int argc, char **argv)
{
    interrupt_install();
    int status = run_program(argc, argv);
    /* only now does a full disk cause an error */
    if ((ferror(stdout) | (fflush(stdout) != 0)) && status == EXIT_DONE)
        status = tool_fail(EXIT_FAILED, "standard output cannot be written");
    const int number = interrupt_signal();
    if (number && !tool_has_failed())
        tool_fail(EXIT_FAILED, "interrupted by %s",
                  number == SIGINT    ? "SIGINT"
                  : number == SIGTERM ? "SIGTERM"
                  : number == SIGHUP  ? "SIGHUP"
                                      : "SIGXFSZ");
    if (number)
        return 128 + number;
    return status;
}
