/* SPDX-License-Identifier: MIT */
/* Parse, set up, run the command, clean up. */
#include "controller/cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"

#define SOCKET_DEFAULT "/run/ocm/controller.sock"

volatile sig_atomic_t cli_interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    if (cli_interrupted)
        _exit(CLI_EXIT_INTERRUPTED);
    cli_interrupted = 1;
}

/* A controller of one's own, run by hand, comes before the system's. */
static char *find_socket(const struct cli *c)
{
    const char *given = arg_option(c, "socket");
    const char *env = c->io->env("OCM_SOCKET");
    const char *runtime = c->io->env("XDG_RUNTIME_DIR");
    char *own;

    if (given || (env && *env))
        return mem_strdup(given ? given : env);
    if (runtime && *runtime) {
        own = mem_printf("%s/ocm/controller.sock", runtime);
        if (file_exists(own))
            return own;
        free(own);
    }
    return mem_strdup(SOCKET_DEFAULT);
}

static bool wants_color(const struct cli *c)
{
    const char *no = c->io->env("NO_COLOR"), *term = c->io->env("TERM");

    return c->io->tty_out && !arg_flag(c, "no-color") && !(no && *no) &&
           !(term && strcmp(term, "dumb") == 0);
}

int cli_run(int argc, char *const *argv, const struct cli_io *io)
{
    struct cli *c = mem_zalloc(sizeof(*c));
    struct sigaction on = {.sa_handler = on_interrupt}, before;
    int code;

    c->io = io;
    cli_interrupted = 0;
    sigaction(SIGINT, &on, &before);
    code = args_parse(c, argc, argv);
    if (code == 0 && arg_flag(c, "help")) {
        if (c->command)
            help_command(io->out, c->command);
        else
            help_all(io->out);
    } else if (code == 0 && !c->command) {
        help_all(io->err);
        code = CLI_EXIT_USAGE;
    } else if (code == 0) {
        c->json = arg_flag(c, "json");
        c->quiet = arg_flag(c, "quiet");
        c->color = wants_color(c);
        c->socket = find_socket(c);
        code = c->command->run(c);
    }
    sigaction(SIGINT, &before, NULL);
    client_free(c->client);
    free(c->socket);
    free(c);
    return code;
}
