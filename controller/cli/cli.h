/* SPDX-License-Identifier: MIT */
/* ocmctl: a client of the controller's API. One table of commands makes help,
 * usage errors, completion and man pages. */
#ifndef CONTROLLER_CLI_CLI_H
#define CONTROLLER_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

/* Exit codes; every other one is a failure, too. */
#define CLI_EXITS(X)                                                           \
    X(EXIT_OK, 0, "all went well")                                             \
    X(EXIT_FAILED, 1, "it failed")                                             \
    X(EXIT_USAGE, 2, "the command line is wrong")                              \
    X(EXIT_PARTIAL, 3, "done in part: something could not be read")            \
    X(EXIT_NOTFOUND, 10, "no such node, snapshot, job, file or plan")          \
    X(EXIT_LOCKED, 11, "locked or busy, try again later")                      \
    X(EXIT_DENIED, 12, "not allowed")                                          \
    X(EXIT_OFFLINE, 13, "the controller or the node cannot be reached")        \
    X(EXIT_DAMAGED, 14, "a check found damage")                                \
    X(EXIT_INTERRUPTED, 130, "interrupted; a job that was begun goes on")
enum cli_exit {
#define X(name, code, text) CLI_##name = code,
    CLI_EXITS(X)
#undef X
};

/* The world around the program; tests bring their own. */
struct cli_io {
    FILE *in, *out, *err;
    bool tty_in, tty_out, tty_err;
    bool utf8;
    int width;                            /* columns of the terminal */
    const char *(*env)(const char *name); /* getenv */
};

/* The whole program; the exit code. */
int cli_run(int argc, char *const *argv, const struct cli_io *io);

#endif
