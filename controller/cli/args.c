/* SPDX-License-Identifier: MIT */
/* The command line against the table: --name value, --name=value, -x, `--`. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"

#define WORD_MAX 40

int usage_error(struct cli *c, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(c->io->err, "ocmctl: %s\n", safe(text));
    if (c->command)
        fprintf(c->io->err, "usage: ocmctl %s%s%s\nSee: ocmctl %s --help\n",
                c->command->name, c->command->args[0] ? " " : "",
                c->command->args, c->command->name);
    else
        fprintf(c->io->err, "See: ocmctl --help\n");
    return CLI_EXIT_USAGE;
}

/* Edits (insert, delete, replace, swap of neighbours) from one to the other. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    size_t rows[3][WORD_MAX + 1];
    size_t *two = rows[0], *one = rows[1], *now = rows[2];

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t k = 0; k <= lb; k++)
        one[k] = two[k] = k;
    for (size_t i = 1; i <= la; i++) {
        size_t *free_row = two;

        now[0] = i;
        for (size_t k = 1; k <= lb; k++) {
            size_t best = one[k - 1] + (a[i - 1] != b[k - 1]);

            if (one[k] + 1 < best)
                best = one[k] + 1;
            if (now[k - 1] + 1 < best)
                best = now[k - 1] + 1;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
                a[i - 2] == b[k - 1] && two[k - 2] + 1 < best)
                best = two[k - 2] + 1;
            now[k] = best;
        }
        two = one;
        one = now;
        now = free_row;
    }
    return one[lb];
}

const char *args_nearest(const char *word, const char *const *names,
                         size_t count)
{
    size_t best = strlen(word) / 3 + 2;
    const char *found = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, names[i]);

        if (d < best) {
            best = d;
            found = names[i];
        }
    }
    return found;
}

/* ---- the command ---- */

/* "node" of "node list" */
static bool is_group(const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i < command_count; i++) {
        if (strncmp(command_table[i].name, word, len) == 0 &&
            command_table[i].name[len] == ' ')
            return true;
    }
    return false;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    }
    return NULL;
}

static int unknown_command(struct cli *c, const char *name, const char *group)
{
    const char *names[64];
    const char *near;
    size_t count = 0;

    for (size_t i = 0; i < command_count && count < ARRAY_LEN(names); i++) {
        const char *n = command_table[i].name;
        size_t len = group ? strlen(group) : 0;

        if (!group || (strncmp(n, group, len) == 0 && n[len] == ' '))
            names[count++] = n;
    }
    near = args_nearest(name, names, count);
    if (near)
        return usage_error(c, "no command '%s': did you mean '%s'?", name,
                           near);
    return usage_error(c, "no command '%s'", name);
}

/* Which words are the command? `words` are the arguments so far. */
static int choose_command(struct cli *c, const char *const *words, int count,
                          int *used)
{
    char name[128];

    *used = 0;
    if (count == 0)
        return 0;
    if (!is_group(words[0])) {
        c->command = find_command(words[0]);
        *used = 1;
        return c->command ? 0 : unknown_command(c, words[0], NULL);
    }
    if (count == 1)
        return usage_error(c, "'%s' wants a verb, such as 'ocmctl %s list'",
                           words[0], words[0]);
    snprintf(name, sizeof(name), "%s %s", words[0], words[1]);
    c->command = find_command(name);
    *used = 2;
    return c->command ? 0 : unknown_command(c, name, words[0]);
}

/* ---- options ---- */

static const struct option *find_in(const struct option *list, size_t count,
                                    const char *name, size_t len, char letter)
{
    for (size_t i = 0; i < count && list[i].name; i++) {
        if (letter ? list[i].letter == letter
                   : strlen(list[i].name) == len &&
                         strncmp(list[i].name, name, len) == 0)
            return &list[i];
    }
    return NULL;
}

static const struct option *find_option(const struct cli *c, const char *name,
                                        size_t len, char letter)
{
    const struct option *o =
        find_in(global_options, global_count, name, len, letter);

    if (!o && c->command)
        o = find_in(c->command->options, COMMAND_MAX_OPTIONS, name, len,
                    letter);
    return o;
}

static int unknown_option(struct cli *c, const char *arg)
{
    const char *names[COMMAND_MAX_OPTIONS + 16], *near;
    size_t count = 0, len = strcspn(arg + 2, "=");
    char word[WORD_MAX + 1];

    for (size_t i = 0; i < global_count; i++)
        names[count++] = global_options[i].name;
    for (size_t i = 0;
         c->command && i < COMMAND_MAX_OPTIONS && c->command->options[i].name;
         i++)
        names[count++] = c->command->options[i].name;
    if (arg[1] != '-')
        return usage_error(c, "unknown option '%s'", arg);
    snprintf(word, sizeof(word), "%.*s", (int)len, arg + 2);
    near = args_nearest(word, names, count);
    if (near)
        return usage_error(c, "unknown option '--%s': did you mean '--%s'?",
                           word, near);
    return usage_error(c, "unknown option '--%s'", word);
}

static int add_option(struct cli *c, const struct option *o, const char *value)
{
    if (!o->repeated && arg_option(c, o->name)) {
        if (!o->value)
            return 0; /* a flag said twice is said */
        return usage_error(c, "--%s stands twice", o->name);
    }
    if (c->option_count == CLI_MAX_OPTIONS)
        return usage_error(c, "too many options");
    c->options[c->option_count++] = (struct given){o, value};
    return 0;
}

/* argv[i] is an option; *i moves on when its value is the next word. */
static int take_option(struct cli *c, char *const *argv, int argc, int *i)
{
    const char *arg = argv[*i], *eq = strchr(arg, '=');
    bool is_long = arg[1] == '-';
    const struct option *o =
        is_long ? find_option(c, arg + 2, strcspn(arg + 2, "="), 0)
                : find_option(c, "", 0, arg[1]);

    if (!o || (!is_long && arg[2] != '\0'))
        return unknown_option(c, arg);
    if (!o->value)
        return is_long && eq ? usage_error(c, "--%s takes no value", o->name)
                             : add_option(c, o, "");
    if (is_long && eq)
        return add_option(c, o, eq + 1);
    if (*i + 1 >= argc)
        return usage_error(c, "--%s wants a value: %s", o->name, o->value);
    return add_option(c, o, argv[++*i]);
}

static bool is_option(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

/* The first one or two words that are no options; options of a command can be
 * told from their values only once it is known, global ones always. */
static int collect_words(struct cli *c, int argc, char *const *argv, int at[2],
                         int *count)
{
    *count = 0;
    for (int i = 1; i < argc && *count < 2; i++) {
        const struct option *o;
        const char *arg = argv[i];

        if (!is_option(arg)) {
            at[(*count)++] = i;
            continue;
        }
        o = arg[1] == '-'
                ? find_in(global_options, global_count, arg + 2,
                          strcspn(arg + 2, "="), 0)
                : find_in(global_options, global_count, "", 0, arg[1]);
        if (!o && *count == 0)
            return unknown_option(c, arg);
        if (!o)
            break;
        if (o->value && !strchr(arg, '='))
            i++;
    }
    return 0;
}

int args_parse(struct cli *c, int argc, char *const *argv)
{
    const char *words[2];
    int at[2] = {0, 0}, count, used = 0, code;
    bool plain = false;

    code = collect_words(c, argc, argv, at, &count);
    for (int i = 0; i < count; i++)
        words[i] = argv[at[i]];
    if (code == 0 && !(count == 1 && is_group(words[0]) && argc > at[0] + 1 &&
                       strcmp(argv[argc - 1], "--help") == 0))
        code = choose_command(c, words, count, &used);
    for (int i = 1; i < argc && code == 0; i++) {
        if (count > 0 && (i == at[0] || (used == 2 && i == at[1])))
            continue;
        if (!plain && strcmp(argv[i], "--") == 0) {
            plain = true;
        } else if (!plain && is_option(argv[i])) {
            code = take_option(c, argv, argc, &i);
        } else if (c->arg_count == CLI_MAX_ARGS) {
            code = usage_error(c, "too many arguments");
        } else {
            c->args[c->arg_count++] = argv[i];
        }
    }
    if (code != 0 || !c->command || arg_flag(c, "help"))
        return code;
    if (c->arg_count < c->command->min_args)
        return usage_error(c, "something is missing: %s", c->command->args);
    if (c->command->max_args >= 0 && c->arg_count > c->command->max_args)
        return usage_error(c, "'%s' is too much",
                           c->args[c->command->max_args]);
    return 0;
}

const char *arg_option_n(const struct cli *c, const char *name, size_t n)
{
    for (size_t i = 0; i < c->option_count; i++) {
        if (strcmp(c->options[i].option->name, name) == 0 && n-- == 0)
            return c->options[i].value;
    }
    return NULL;
}

const char *arg_option(const struct cli *c, const char *name)
{
    return arg_option_n(c, name, 0);
}

bool arg_flag(const struct cli *c, const char *name)
{
    return arg_option(c, name) != NULL;
}

json_t *arg_list(const struct cli *c, const char *name)
{
    json_t *list = NULL;
    const char *v;

    for (size_t i = 0; (v = arg_option_n(c, name, i)) != NULL; i++) {
        if (!list)
            list = json_array();
        json_array_append_new(list, json_string(v));
    }
    return list;
}
