/* SPDX-License-Identifier: MIT */
/* conf_man agent|controller: the manual page of a config file, from the table
 * of its keys. Runs when OCM is built. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_conf.h"
#include "controller/controller_conf.h"

static const struct page {
    const char *program, *about;
    const struct conf_key *(*keys)(size_t *count);
} pages[] = {
    {"agent",
     "ocm\\-agent@\\fINAME\\fR.service reads "
     "/etc/ocm/agent\\-\\fINAME\\fR.conf; "
     "an agent that is started by hand reads /etc/ocm/agent.conf when it is "
     "there. One file describes one OpenClaw state.",
     agent_conf_keys},
    {"controller",
     "ocm\\-controller.service reads /etc/ocm/controller.conf at its start.",
     controller_conf_keys},
};

/* '-' is a hyphen to roff. */
static void give(const char *s)
{
    for (; *s; s++)
        if (*s == '-')
            fputs("\\-", stdout);
        else if (*s == '\\')
            fputs("\\e", stdout);
        else
            putchar(*s);
}

static void give_type(const struct conf_key *k)
{
    switch (k->type) {
    case CONF_STRING:
        break;
    case CONF_PATH:
        fputs("An absolute path.\n", stdout);
        break;
    case CONF_BOOL:
        fputs("Yes or no.\n", stdout);
        break;
    case CONF_INT:
        if (k->min || k->max)
            printf("A number from %lld to %lld.\n", (long long)k->min,
                   (long long)k->max);
        else
            fputs("A number.\n", stdout);
        break;
    case CONF_BYTES:
        fputs("A size, such as 512M or 2G.\n", stdout);
        break;
    case CONF_TIME:
        fputs("A time, such as 30s, 15m or 2h.\n", stdout);
        break;
    case CONF_LIST:
        fputs("May stand several times.\n", stdout);
        break;
    }
}

static void give_key(const struct conf_key *k)
{
    fputs(".TP\n.B ", stdout);
    give(k->key);
    fputs("\n", stdout);
    putchar(toupper((unsigned char)k->help[0]));
    give(k->help + 1);
    fputs(".\n", stdout);
    give_type(k);
    if (k->fallback && *k->fallback) {
        fputs("Default: ", stdout);
        give(k->fallback);
        fputs(".\n", stdout);
    }
}

int main(int argc, char **argv)
{
    const struct conf_key *keys;
    const struct page *p;
    size_t count;

    if (argc != 2 ||
        (strcmp(argv[1], "agent") != 0 && strcmp(argv[1], "controller") != 0)) {
        fprintf(stderr, "Usage: conf_man agent|controller\n");
        return 2;
    }
    p = &pages[strcmp(argv[1], "agent") != 0];
    keys = p->keys(&count);
    printf(
        ".TH OCM\\-%s.CONF 5 \"\" \"OCM " OCM_VERSION
        "\" \"OpenClaw Manager\"\n"
        ".SH NAME\nocm\\-%s.conf \\- configuration of ocm\\-%s\n"
        ".SH DESCRIPTION\n%s\n.PP\n"
        "Lines are \\fIkey\\fR = \\fIvalue\\fR in [\\fIsections\\fR]; a line "
        "that begins with # is a comment. An unknown key, one that stands "
        "twice and a value out of its bounds are errors that name the "
        "line. Every key is optional.\n",
        p->program[0] == 'a' ? "AGENT" : "CONTROLLER", p->program, p->program,
        p->about);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(keys[i].section, keys[i - 1].section) != 0)
            printf(".SH \"[%s]\"\n", keys[i].section);
        give_key(&keys[i]);
    }
    printf(".SH \"SEE ALSO\"\n.BR ocm\\-%s (8),\n.BR ocmctl (1)\n", p->program);
    return 0;
}
