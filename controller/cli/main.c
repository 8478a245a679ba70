/* SPDX-License-Identifier: MIT */
/* ocmctl: look at the terminal, run, flush. */
#include <jansson.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/secret.h"
#include "controller/bootstrap/askpass.h"
#include "controller/cli/cli.h"

static const char *env(const char *name)
{
    return getenv(name);
}

static int terminal_width(void)
{
    struct winsize w;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        return w.ws_col;
    return 80;
}

int main(int argc, char **argv)
{
    struct cli_io io = {
        .in = stdin,
        .out = stdout,
        .err = stderr,
        .tty_in = isatty(STDIN_FILENO),
        .tty_out = isatty(STDOUT_FILENO),
        .tty_err = isatty(STDERR_FILENO),
        .width = terminal_width(),
        .env = env,
    };
    int code = askpass_main(argc, argv);

    if (code >= 0)
        return code;
    json_set_alloc_funcs(malloc, secret_free); /* plans, tokens */
    setlocale(LC_ALL, "");
    io.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    code = cli_run(argc, argv, &io);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "ocmctl: standard output cannot be written\n");
        return code ? code : CLI_EXIT_FAILED;
    }
    return code;
}
