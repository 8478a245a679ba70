/* SPDX-License-Identifier: MIT */
/* Help and the manual page from the table. */
#include <ctype.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"

#define WRAP_COLUMNS 78

static const struct {
    int code;
    const char *text;
} exits[] = {
#define X(name, code, text) {code, text},
    CLI_EXITS(X)
#undef X
};

static void give_wrapped(FILE *out, const char *text, int indent)
{
    int column = 0;

    while (*text) {
        int len = (int)strcspn(text, " ");

        if (column > 0 && column + 1 + len > WRAP_COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0)
            column = fprintf(out, "%*s%.*s", indent, "", len, text);
        else
            column += fprintf(out, " %.*s", len, text);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void give_option(FILE *out, const struct option *o)
{
    char left[64], letter[8] = "   ";

    if (o->letter)
        snprintf(letter, sizeof(letter), "-%c,", o->letter);
    snprintf(left, sizeof(left), "%s --%s%s%s", letter, o->name,
             o->value ? " " : "", o->value ? o->value : "");
    fprintf(out, "  %-28s %s\n", left, o->help);
}

void help_command(FILE *out, const struct command *cmd)
{
    fprintf(out, "%s\n\nExamples:\n%s\nUsage:\n  ocmctl %s%s%s%s\n",
            cmd->summary, cmd->examples, cmd->name, cmd->args[0] ? " " : "",
            cmd->args, cmd->options[0].name ? " [OPTIONS]" : "");
    if (cmd->text) {
        fputc('\n', out);
        give_wrapped(out, cmd->text, 0);
    }
    if (cmd->options[0].name)
        fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i < COMMAND_MAX_OPTIONS && cmd->options[i].name; i++)
        give_option(out, &cmd->options[i]);
    fprintf(out, "\nOptions of every command:\n");
    for (size_t i = 0; i < global_count; i++)
        give_option(out, &global_options[i]);
}

void help_all(FILE *out)
{
    fprintf(out, "ocmctl: back up, restore and migrate OpenClaw nodes\n\n"
                 "Examples:\n"
                 "  ocmctl status\n"
                 "  ocmctl node token web-1       invite a node\n"
                 "  ocmctl backup --all           back up all nodes\n"
                 "  ocmctl list web-1             its backups\n"
                 "  ocmctl restore web-1          bring it back\n"
                 "  ocmctl migrate web-1 web-2    bring it to another node\n"
                 "\nUsage:\n  ocmctl COMMAND [OPTIONS]\n\nCommands:\n");
    for (size_t i = 0; i < command_count; i++) {
        char left[64];

        snprintf(left, sizeof(left), "%s %s", command_table[i].name,
                 command_table[i].args);
        fprintf(out, "  %-28s %s\n", left, command_table[i].summary);
    }
    fprintf(out, "\nOptions of every command:\n");
    for (size_t i = 0; i < global_count; i++)
        give_option(out, &global_options[i]);
    fprintf(out, "\nExit codes:\n");
    for (size_t i = 0; i < ARRAY_LEN(exits); i++)
        fprintf(out, "  %-4d %s\n", exits[i].code, exits[i].text);
    fprintf(out, "\nThe socket: --socket, else $OCM_SOCKET, else "
                 "$XDG_RUNTIME_DIR/ocm/controller.sock\nwhen it is there, else "
                 "/run/ocm/controller.sock.\n"
                 "More on a command: ocmctl COMMAND --help\n");
}

/* ---- roff ---- */

/* '-' is a hyphen to roff, '.' and '\'' at a line's begin are requests. */
static void roff(FILE *out, const char *s)
{
    bool begin = true;

    for (; *s; s++) {
        if (begin && (*s == '.' || *s == '\''))
            fputs("\\&", out);
        begin = *s == '\n';
        if (*s == '\\')
            fputs("\\e", out);
        else if (*s == '-')
            fputs("\\-", out);
        else
            fputc(*s, out);
    }
}

static void roff_option(FILE *out, const struct option *o)
{
    fputs(".TP\n", out);
    if (o->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", out);
    roff(out, o->name);
    fputs("\\fR", out);
    if (o->value) {
        fputs(" \\fI", out);
        roff(out, o->value);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    roff(out, o->help);
    fputc('\n', out);
}

static void roff_command(FILE *out, const struct command *cmd)
{
    fputs(".SS \"ocmctl ", out);
    roff(out, cmd->name);
    if (cmd->args[0]) {
        fputc(' ', out);
        roff(out, cmd->args);
    }
    fputs("\"\n", out);
    fputc(toupper((unsigned char)cmd->summary[0]), out);
    roff(out, cmd->summary + 1);
    fputs(".\n", out);
    if (cmd->text) {
        roff(out, cmd->text);
        fputc('\n', out);
    }
    for (size_t i = 0; i < COMMAND_MAX_OPTIONS && cmd->options[i].name; i++)
        roff_option(out, &cmd->options[i]);
    fputs(".PP\n.nf\n.RS\n", out);
    roff(out, cmd->examples);
    fputs(".RE\n.fi\n", out);
}

void help_man(FILE *out)
{
    fputs(".TH OCMCTL 1 \"\" \"OCM " OCM_VERSION "\" \"OpenClaw Manager\"\n"
          ".SH NAME\nocmctl \\- back up, restore and migrate OpenClaw nodes\n"
          ".SH SYNOPSIS\n\\fBocmctl\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
          ".SH DESCRIPTION\nocmctl talks to \\fBocm\\-controller\\fR over its "
          "unix socket.\n.SH OPTIONS\n",
          out);
    for (size_t i = 0; i < global_count; i++)
        roff_option(out, &global_options[i]);
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < command_count; i++)
        roff_command(out, &command_table[i]);
    fputs(".SH \"EXIT STATUS\"\nA code that is not listed is a failure.\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
        fprintf(out, ".TP\n%d\n", exits[i].code);
        roff(out, exits[i].text);
        fputc('\n', out);
    }
    fputs(".SH ENVIRONMENT\n.TP\nOCM_SOCKET\nThe controller's socket.\n.TP\n"
          "XDG_RUNTIME_DIR\nIts ocm/controller.sock is used when it is "
          "there.\n.TP\nNO_COLOR\nNo colours.\n.SH FILES\n.TP\n"
          "/run/ocm/controller.sock\nThe socket of the system's controller.\n"
          ".SH \"SEE ALSO\"\n.BR restic (1)\n",
          out);
}
