/* SPDX-License-Identifier: MIT */
/* For hosts that we cannot reach by SSH: the installer, and the line that
 * joins with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/add.h"

#define SUMS_MAX 65536

/* Checksums of all agents that we have, a comma between. */
static void add_sums(struct cli *c, struct buf *line)
{
    char *dir = add_agent_dir(c), *path = path_join(dir, "SHA256SUMS");
    struct buf text = {0};
    char *rest = NULL;
    bool first = true;

    if (file_read(path, SUMS_MAX, &text, NULL) == 0) {
        for (char *p = strtok_r(buf_str(&text), "\n", &rest); p;
             p = strtok_r(NULL, "\n", &rest)) {
            if (strspn(p, "0123456789abcdef") != 64 ||
                !strstr(p, " ocm-agent-"))
                continue;
            buf_printf(line, "%s%.64s", first ? " --sha256 " : ",", p);
            first = false;
        }
    }
    buf_free(&text);
    free(path);
    free(dir);
}

int token_script(struct cli *c, const json_t *doc)
{
    const char *name = text_of(doc, "name");
    char *dir = add_agent_dir(c);
    struct buf line = {0};

    /* by standard input: a command line is seen by all users */
    buf_printf(&line,
               "printf '%%s\\n' '%s' | sh ./bootstrap.sh install --controller "
               "%s%s%s",
               text_of(doc, "token"), text_of(doc, "controller"),
               *name ? " --name " : "", name);
    add_sums(c, &line);
    say(c,
        "Put bootstrap.sh (ocmctl node script >bootstrap.sh) and the agent for "
        "the node's\nkind of machine (%s/ocm-agent-...) into one folder of the "
        "node, and run this there\nas root or as OpenClaw's user; it works "
        "once, until %s:\n",
        dir, local_time(text_of(doc, "expires")));
    fprintf(c->io->out, "%s\n", buf_str(&line));
    buf_wipe(&line);
    free(dir);
    return CLI_EXIT_OK;
}

int cmd_node_script(struct cli *c)
{
    fwrite(bootstrap_script, 1, bootstrap_script_len, c->io->out);
    return CLI_EXIT_OK;
}
