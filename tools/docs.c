/* SPDX-License-Identifier: MIT */
/*
 * docs.c - writes manual pages and shell completion from the tables of commands and options, at
 * build time. So every option is documented. Not installed.
 *
 *   qzoo_docs man COMMAND FRAGMENT   a page; replaces @OPTIONS@ in FRAGMENT (roff)
 *   qzoo_docs man qzoo FRAGMENT      the page of the program; replaces @COMMANDS@
 *   qzoo_docs completion TEMPLATE    for bash; replaces @COMMANDS@, @OPTIONS@, @VALUES@, @NAMES@
 *   qzoo_docs zsh TEMPLATE           the same for zsh, behind #compdef
 *   qzoo_docs fish TEMPLATE          the completion for fish
 *   qzoo_docs commands               the names of the commands, one a line
 */
#include "commands.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Writes text for roff: hyphens that can be copied, no control character at the start of a line. */
static void put_roff(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '-')
            fputs("\\-", stdout);
        else if (*p == '\\')
            fputs("\\e", stdout);
        else if ((*p == '.' || *p == '\'') && p == text)
            printf("\\&%c", *p);
        else
            putchar(*p);
    }
}

static void man_options(const tool_command *command)
{
    char help[400];
    puts(".SH OPTIONS");
    for (const tool_option *o = tool_option_table; o->name; o++) {
        if (!(o->group & command->options))
            continue;
        fputs(".TP\n\\fB", stdout);
        put_roff(o->name);
        fputs("\\fR", stdout);
        if (o->value) {
            fputs(" \\fI", stdout);
            put_roff(o->value);
            fputs("\\fR", stdout);
        }
        putchar('\n');
        option_help(o, help, sizeof(help));
        put_roff(help);
        puts(".");
    }
}

static void man_commands(const tool_command *command)
{
    (void)command;
    puts(".SH COMMANDS");
    for (const tool_command *c = tool_commands; c->name; c++) {
        printf(".TP\n\\fB%s\\fR ", c->name);
        put_roff(c->args);
        putchar('\n');
        put_roff(c->summary);
        printf(".\nSee\n.BR qzoo\\-%s (1).\n", c->name);
    }
}

static void man_status(void)
{
    puts(".SH EXIT STATUS\n"
         ".TP\n0\ndone\n.TP\n1\nthe work failed\n.TP\n2\nwrong usage: an unknown model, option or "
         "value\n.TP\n3\nan input is missing, damaged or does not fit\n.TP\n4\nthe network or a "
         "checksum\n.TP\n5\nnot supported here, yet, or by this CPU\n.PP\n"
         "Every failure is one line on standard error that names the file or option.");
}

static void man_see_also(const tool_command *command)
{
    puts(".SH SEE ALSO");
    if (command)
        puts(".BR qzoo (1),");
    for (const tool_command *c = tool_commands; c->name; c++) {
        if (c != command)
            printf(".BR qzoo\\-%s (1)%s\n", c->name,
                   c[1].name && (c + 1 != command || c[2].name) ? "," : "");
    }
}

/* The first words of a command, such as "list|fetch" of weights; "": it has none. */
static size_t subcommands(const tool_command *command)
{
    const size_t length = strcspn(command->args, " ");
    return islower((unsigned char)command->args[0]) ? length : 0;
}

static void put_models(void)
{
    for (size_t i = 0; i < qz_arch_count(); i++) {
        qz_arch_info info;
        qz_arch_at(i, &info);
        printf("%s%s", i ? " " : "", info.name);
    }
}

/* Published weights behind `before` (resnet18:IMAGENET1K_V1), tags behind `between`. */
static void put_weights(const char *before, const char *between)
{
    const char *tags[64];
    size_t count = 0;
    qz_context *ctx = NULL;
    qz_catalogue *catalogue = NULL;
    qz_context_options options = QZ_CONTEXT_OPTIONS_INIT;
    options.cache_dir = "/nowhere/qzoo"; /* no weights of the user's own */
    fputs(before, stdout);
    if (qz_context_create(&options, &ctx) == QZ_OK &&
        qz_catalogue_open(ctx, NULL, &catalogue) == QZ_OK)
        for (size_t i = 0; i < qz_catalogue_count(catalogue); i++) {
            const qz_weights_info *info = qz_catalogue_at(catalogue, i);
            size_t k = 0;
            printf("%s%s:%s", i ? " " : "", info->model, info->tag);
            while (k < count && strcmp(tags[k], info->tag) != 0)
                k++;
            if (k == count && count < sizeof(tags) / sizeof(*tags))
                tags[count++] = info->tag;
        }
    fputs(between, stdout);
    for (size_t i = 0; i < count; i++)
        printf(" %s", tags[i]);
    puts("'");
    qz_catalogue_close(catalogue);
    qz_context_destroy(ctx);
}

static void shell_commands(const tool_command *command)
{
    (void)command;
    fputs("    local all_commands='", stdout);
    for (const tool_command *c = tool_commands; c->name; c++)
        printf("%s%s", c == tool_commands ? "" : " ", c->name);
    fputs("'\n    local all_models='", stdout);
    put_models();
    put_weights("'\n    local all_weights='", "'\n    local all_tags='default random");
}

/* zsh's first line names the commands that the file completes. */
static void shell_compdef(const tool_command *command)
{
    (void)command;
    fputs("#compdef qzoo", stdout);
    for (const tool_command *c = tool_commands; c->name; c++)
        printf(" zoo-%s", c->name);
    putchar('\n');
}

static void shell_names(const tool_command *command)
{
    (void)command;
    fputs("complete -o filenames -F _qzoo qzoo", stdout);
    for (const tool_command *c = tool_commands; c->name; c++)
        printf(" zoo-%s", c->name);
    putchar('\n');
}

static void shell_options(const tool_command *command)
{
    (void)command;
    for (const tool_command *c = tool_commands; c->name; c++) {
        const size_t length = subcommands(c);
        printf("    %s) subcommands='", c->name);
        for (size_t i = 0; i < length; i++)
            putchar(c->args[i] == '|' ? ' ' : c->args[i]);
        fputs("' flags='", stdout);
        const char *space = "";
        for (const tool_option *o = tool_option_table; o->name; o++) {
            if (o->group & c->options) {
                printf("%s%s", space, o->name);
                space = " ";
            }
        }
        puts("' ;;");
    }
}

/* The values of each option: words, files, folders, or anything. */
static void shell_values(const tool_command *command)
{
    char words[160];
    (void)command;
    for (const tool_option *o = tool_option_table; o->name; o++) {
        if (!o->value || !o->group)
            continue;
        printf("    %s) ", o->name);
        if (strcmp(o->name, "--isa") == 0) {
            puts("values=$(_qzoo_isas) ;;");
        } else if (strcmp(o->name, "--weights") == 0) {
            puts("values=$all_tags kind=file ;;");
        } else if (o->target.kind == OPTION_WORD) {
            option_list_words(o, " ", words, sizeof(words));
            printf("values='%s' ;;\n", words);
        } else if (strcmp(o->value, "DIR") == 0) {
            puts("kind=directory ;;");
        } else if (strncmp(o->value, "FILE", 4) == 0 || strcmp(o->name, "--calib") == 0) {
            puts("kind=file ;;");
        } else {
            puts("kind=none ;;");
        }
    }
}

/* A line of a file that `put` replaces. */
typedef struct placeholder {
    const char *line;
    void (*put)(const tool_command *command);
} placeholder;

/* Copies a file to stdout and replaces its placeholders. */
static int expand(const char *path, const placeholder *places, const tool_command *command)
{
    char line[1024];
    FILE *in = fopen(path, "r");
    if (!in) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    while (fgets(line, sizeof(line), in)) {
        const placeholder *p = places;
        while (p->line && strcmp(p->line, line) != 0)
            p++;
        if (p->line)
            p->put(command);
        else
            fputs(line, stdout);
    }
    fclose(in);
    return 0;
}

static int man_page(const char *name, const char *path)
{
    static const placeholder places[] = {
        {"@OPTIONS@\n", man_options}, {"@COMMANDS@\n", man_commands}, {NULL, NULL}};
    const tool_command *command = NULL;
    for (const tool_command *c = tool_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            command = c;
    }
    if (!command && strcmp(name, "qzoo") != 0) {
        fprintf(stderr, "%s: not in the command table\n", name);
        return 1;
    }
    puts(".\\\" SPDX-License-Identifier: MIT\n"
         ".\\\" Written by qzoo_docs from tools/commands.c and a fragment of tools/man.");
    fputs(command ? ".TH QZOO\\-" : ".TH QZOO", stdout);
    for (const char *p = command ? name : ""; *p; p++)
        putchar(toupper((unsigned char)*p));
    printf(" 1 \"\" \"qzoo %s\" \"User Commands\"\n", qz_version());
    if (command) {
        printf(".SH NAME\nqzoo\\-%s \\- ", name);
        put_roff(command->summary);
        printf("\n.SH SYNOPSIS\n.B qzoo %s\n", name);
        put_roff(command->args);
        printf("%s[\\fIOPTION\\fR...]\n.br\n.B zoo\\-%s\n", *command->args ? " " : "", name);
        put_roff(command->args);
        printf("%s[\\fIOPTION\\fR...]\n", *command->args ? " " : "");
    }
    if (expand(path, places, command))
        return 1;
    man_status();
    man_see_also(command);
    return 0;
}

/* ---- fish ---- */

/* Text between single quotes. */
static void put_fish(const char *text)
{
    putchar('\'');
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\')
            putchar('\\');
        putchar(*p);
    }
    putchar('\'');
}

/* The lists of models and weights. */
static void fish_names(const tool_command *command)
{
    (void)command;
    fputs("set -g __qzoo_models '", stdout);
    put_models();
    put_weights("'\nset -g __qzoo_weights '", "'\nset -g __qzoo_tags 'default random");
}

static void fish_option(const char *program, const char *condition, const tool_option *o)
{
    char words[160];
    printf("complete -c %s", program);
    if (condition)
        printf(" -n '__fish_seen_subcommand_from %s'", condition);
    printf(o->name[1] == '-' ? " -l %s" : " -s %s", o->name + (o->name[1] == '-' ? 2 : 1));
    if (strcmp(o->name, "--isa") == 0) {
        fputs(" -x -a '(__qzoo_isas)'", stdout);
    } else if (strcmp(o->name, "--weights") == 0) {
        fputs(" -r -F -a \"$__qzoo_tags\"", stdout);
    } else if (o->value && o->target.kind == OPTION_WORD) {
        option_list_words(o, " ", words, sizeof(words));
        printf(" -x -a '%s'", words);
    } else if (o->value) {
        const bool path = strcmp(o->value, "DIR") == 0 || strncmp(o->value, "FILE", 4) == 0 ||
                          strcmp(o->name, "--calib") == 0;
        fputs(path ? " -r -F" : " -x", stdout);
    }
    fputs(" -d ", stdout);
    put_fish(o->help);
    putchar('\n');
}

static void fish_command(const char *program, const char *condition, const tool_command *c)
{
    const size_t length = subcommands(c);
    for (const tool_option *o = tool_option_table; o->name; o++)
        if (o->group & c->options)
            fish_option(program, condition, o);
    printf("complete -c %s", program);
    if (condition)
        printf(" -n '__fish_seen_subcommand_from %s'", condition);
    fputs(" -a \"", stdout);
    for (size_t i = 0; i < length; i++)
        putchar(c->args[i] == '|' ? ' ' : c->args[i]);
    puts(length ? " $__qzoo_weights\"" : "$__qzoo_models\"");
}

static int fish_completion(const char *path)
{
    static const placeholder places[] = {{"@NAMES@\n", fish_names}, {NULL, NULL}};
    if (expand(path, places, NULL))
        return 1;
    for (const tool_command *c = tool_commands; c->name; c++) {
        printf("complete -c qzoo -n __fish_use_subcommand -f -a %s -d ", c->name);
        put_fish(c->summary);
        putchar('\n');
        fish_command("qzoo", c->name, c);
        char program[64];
        snprintf(program, sizeof(program), "zoo-%s", c->name);
        fish_command(program, NULL, c);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const placeholder shell[] = {
        {"@COMMANDS@\n", shell_commands}, {"@OPTIONS@\n", shell_options},
        {"@VALUES@\n", shell_values},     {"@NAMES@\n", shell_names},
        {"@COMPDEF@\n", shell_compdef},   {NULL, NULL}};
    int status = 2;
    if (argc == 4 && strcmp(argv[1], "man") == 0) {
        status = man_page(argv[2], argv[3]);
    } else if (argc == 3 && strcmp(argv[1], "completion") == 0) {
        status = expand(argv[2], shell, NULL);
    } else if (argc == 3 && strcmp(argv[1], "zsh") == 0) {
        shell_compdef(NULL);
        status = expand(argv[2], shell, NULL);
    } else if (argc == 3 && strcmp(argv[1], "fish") == 0) {
        status = fish_completion(argv[2]);
    } else if (argc == 2 && strcmp(argv[1], "commands") == 0) {
        for (const tool_command *c = tool_commands; c->name; c++)
            puts(c->name);
        status = 0;
    }
    return fflush(stdout) == 0 ? status : 1;
}
