/* SPDX-License-Identifier: MIT */
/* Completion scripts. Words and options come from the table; names of nodes
 * and jobs are asked from the controller, which may be away. */
#include <string.h>

#include "controller/cli/cli_internal.h"

#define SECTIONS                                                               \
    "gateway agents credentials cron env service skills state sessions "       \
    "memory workspace media browser logs other extra"

/* What asks for names; each prints one a line and nothing when it fails. */
#define ASK_NODES                                                              \
    "ocmctl node list --json 2>/dev/null | tr ',{' '\\n\\n' | sed -n "         \
    "'s/^ *\"name\": *\"\\([a-z0-9-]*\\)\".*/\\1/p'"
#define ASK_JOBS                                                               \
    "ocmctl job list --json 2>/dev/null | tr ',{' '\\n\\n' | sed -n "          \
    "'s/^ *\"id\": *\"\\(j[a-z0-9]*\\)\".*/\\1/p'"
#define ASK_SNAPSHOTS                                                          \
    "ocmctl list --json 2>/dev/null | tr ',{' '\\n\\n' | sed -n "              \
    "'s/^ *\"id\": *\"\\([0-9a-f]\\{8\\}\\)[0-9a-f]*\".*/\\1/p'"

/* The n-th word of a list divided by spaces; the last one repeats. */
static void nth_word(const char *list, int n, char *out, size_t cap)
{
    out[0] = '\0';
    while (list && *list) {
        size_t len = strcspn(list, " ");

        snprintf(out, cap, "%.*s", (int)len, list);
        list += len;
        list += strspn(list, " ");
        if (n-- == 0)
            return;
    }
}

static void give_words(FILE *out, const char *list)
{
    for (; *list; list++)
        fputc(*list == ',' ? ' ' : *list, out);
}

/* ---- bash ---- */

static void bash_kind(FILE *out, const char *kind)
{
    if (strcmp(kind, "file") == 0)
        fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", out);
    else if (strcmp(kind, "node") == 0)
        fputs("_ocmctl_words \"$(_ocmctl_nodes)\"", out);
    else if (strcmp(kind, "job") == 0)
        fputs("_ocmctl_words \"$(_ocmctl_jobs)\"", out);
    else if (strcmp(kind, "snapshot") == 0)
        fputs("_ocmctl_words \"latest $(_ocmctl_snapshots)\"", out);
    else if (strcmp(kind, "section") == 0)
        fputs("_ocmctl_words '" SECTIONS "'", out);
    else {
        fputs("_ocmctl_words '", out);
        give_words(out, kind);
        fputc('\'', out);
    }
}

static void bash_values(FILE *out, const struct option *o)
{
    if (!o->value)
        return;
    fprintf(out, "    --%s%s%c) ", o->name, o->letter ? "|-" : "",
            o->letter ? o->letter : ' ');
    if (o->complete)
        bash_kind(out, o->complete);
    else
        fputs("COMPREPLY=()", out);
    fputs("; return ;;\n", out);
}

static void bash_command(FILE *out, const struct command *cmd)
{
    char kind[64];

    fprintf(out, "  '%s')\n    if [[ $cur == -* ]]; then _ocmctl_words '",
            cmd->name);
    for (size_t i = 0; i < COMMAND_MAX_OPTIONS && cmd->options[i].name; i++)
        fprintf(out, "--%s ", cmd->options[i].name);
    for (size_t i = 0; i < global_count; i++)
        fprintf(out, "--%s ", global_options[i].name);
    fputs("'; return; fi\n", out);
    if (!cmd->complete) {
        fputs("    ;;\n", out);
        return;
    }
    fputs("    case $nth in\n", out);
    for (int n = 0; n < 2; n++) {
        nth_word(cmd->complete, n, kind, sizeof(kind));
        fprintf(out, "    %s) ", n == 0 ? "0" : "*");
        bash_kind(out, kind);
        fputs(" ;;\n", out);
    }
    fputs("    esac ;;\n", out);
}

static void list_commands(FILE *out, const char *group)
{
    const char *last = "";

    for (size_t i = 0; i < command_count; i++) {
        const char *name = command_table[i].name;
        size_t len = strcspn(name, " ");

        if (group) {
            if (strncmp(name, group, len) == 0 && group[len] == '\0' &&
                name[len] == ' ')
                fprintf(out, "%s ", name + len + 1);
        } else if (strncmp(last, name, len + (name[len] == ' ')) != 0 ||
                   name[len] == '\0') {
            fprintf(out, "%.*s ", (int)len, name);
            last = name;
        }
    }
}

static void write_bash(FILE *out)
{
    fputs("# bash completion for ocmctl\n"
          "_ocmctl_nodes() { " ASK_NODES "; }\n"
          "_ocmctl_jobs() { " ASK_JOBS "; }\n"
          "_ocmctl_snapshots() { " ASK_SNAPSHOTS "; }\n"
          "_ocmctl_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$cur\")); }\n"
          "_ocmctl() {\n"
          "  local cur prev i cmd='' nth=0 skip=''\n"
          "  cur=${COMP_WORDS[COMP_CWORD]}\n"
          "  prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "    case ${COMP_WORDS[i]} in\n"
          "    -*) ;;\n"
          "    *) if [[ -z $cmd ]]; then cmd=${COMP_WORDS[i]}\n"
          "       elif [[ $cmd == node || $cmd == job ]]; then cmd=\"$cmd "
          "${COMP_WORDS[i]}\"\n"
          "       else nth=$((nth + 1)); fi ;;\n"
          "    esac\n"
          "  done\n"
          "  case $prev in\n",
          out);
    for (size_t i = 0; i < global_count; i++)
        bash_values(out, &global_options[i]);
    for (size_t i = 0; i < command_count; i++) {
        for (size_t k = 0;
             k < COMMAND_MAX_OPTIONS && command_table[i].options[k].name; k++)
            bash_values(out, &command_table[i].options[k]);
    }
    fputs("  esac\n  case $cmd in\n  '') _ocmctl_words '", out);
    list_commands(out, NULL);
    fputs("' ;;\n  node) _ocmctl_words '", out);
    list_commands(out, "node");
    fputs("' ;;\n  job) _ocmctl_words '", out);
    list_commands(out, "job");
    fputs("' ;;\n", out);
    for (size_t i = 0; i < command_count; i++)
        bash_command(out, &command_table[i]);
    fputs("  esac\n}\ncomplete -F _ocmctl ocmctl\n", out);
}

/* ---- zsh: bash's function, which zsh can run ---- */

static void write_zsh(FILE *out)
{
    fputs("#compdef ocmctl\n"
          "autoload -U +X bashcompinit && bashcompinit\n",
          out);
    write_bash(out);
}

/* ---- fish ---- */

static void fish_quoted(FILE *out, const char *s)
{
    fputc('\'', out);
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            fputc('\\', out);
        fputc(*s, out);
    }
    fputc('\'', out);
}

static const char *fish_kind(const char *kind)
{
    if (strcmp(kind, "node") == 0)
        return "(__ocmctl_nodes)";
    if (strcmp(kind, "job") == 0)
        return "(__ocmctl_jobs)";
    if (strcmp(kind, "snapshot") == 0)
        return "latest (__ocmctl_snapshots)";
    if (strcmp(kind, "section") == 0)
        return SECTIONS;
    return NULL;
}

static void fish_when(FILE *out, const struct command *cmd)
{
    const char *verb = strchr(cmd->name, ' ');

    if (verb)
        fprintf(out,
                "-n '__fish_seen_subcommand_from %.*s; and "
                "__fish_seen_subcommand_from %s' ",
                (int)(verb - cmd->name), cmd->name, verb + 1);
    else
        fprintf(out, "-n '__fish_seen_subcommand_from %s' ", cmd->name);
}

static void fish_option(FILE *out, const struct command *cmd,
                        const struct option *o)
{
    fputs("complete -c ocmctl ", out);
    if (cmd)
        fish_when(out, cmd);
    fprintf(out, "-l %s ", o->name);
    if (o->letter)
        fprintf(out, "-s %c ", o->letter);
    if (o->value)
        fputs(o->complete && strcmp(o->complete, "file") == 0 ? "-r -F "
                                                              : "-x ",
              out);
    if (o->value && o->complete && strcmp(o->complete, "file") != 0) {
        const char *kind = fish_kind(o->complete);

        fputs("-a ", out);
        fish_quoted(out, kind ? kind : o->complete);
        fputc(' ', out);
    }
    fputs("-d ", out);
    fish_quoted(out, o->help);
    fputc('\n', out);
}

static void fish_command(FILE *out, const struct command *cmd)
{
    const char *verb = strchr(cmd->name, ' ');
    char kind[64];

    fputs("complete -c ocmctl ", out);
    if (verb)
        fprintf(out, "-n '__fish_seen_subcommand_from %.*s' -a %s -d ",
                (int)(verb - cmd->name), cmd->name, verb + 1);
    else
        fprintf(out, "-n __fish_use_subcommand -a %s -d ", cmd->name);
    fish_quoted(out, cmd->summary);
    fputc('\n', out);
    for (size_t i = 0; i < COMMAND_MAX_OPTIONS && cmd->options[i].name; i++)
        fish_option(out, cmd, &cmd->options[i]);
    nth_word(cmd->complete, 0, kind, sizeof(kind));
    if (!kind[0])
        return;
    fputs("complete -c ocmctl ", out);
    fish_when(out, cmd);
    if (strcmp(kind, "file") == 0) {
        fputs("-F\n", out);
        return;
    }
    fputs("-a ", out);
    if (fish_kind(kind)) {
        fish_quoted(out, fish_kind(kind));
    } else {
        fputc('\'', out);
        give_words(out, kind);
        fputc('\'', out);
    }
    fputc('\n', out);
}

static void write_fish(FILE *out)
{
    fputs("# fish completion for ocmctl\n"
          "function __ocmctl_nodes; " ASK_NODES "; end\n"
          "function __ocmctl_jobs; " ASK_JOBS "; end\n"
          "function __ocmctl_snapshots; " ASK_SNAPSHOTS "; end\n"
          "complete -c ocmctl -f\n"
          "complete -c ocmctl -n __fish_use_subcommand -a node -d 'nodes'\n"
          "complete -c ocmctl -n __fish_use_subcommand -a job -d 'jobs'\n",
          out);
    for (size_t i = 0; i < global_count; i++)
        fish_option(out, NULL, &global_options[i]);
    for (size_t i = 0; i < command_count; i++)
        fish_command(out, &command_table[i]);
}

bool complete_write(FILE *out, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        write_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        write_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        write_fish(out);
    else
        return false;
    return true;
}
