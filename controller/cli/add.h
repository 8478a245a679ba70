/* SPDX-License-Identifier: MIT */
/* `node add`: what its files share. One thread works on one host; the terminal
 * and the API are shared by all, one at a time. */
#ifndef CONTROLLER_CLI_ADD_H
#define CONTROLLER_CLI_ADD_H

#include <pthread.h>

#include "controller/bootstrap/bootstrap.h"
#include "controller/cli/cli_internal.h"

#define ADD_MAX_HOSTS 1000
#define ADD_MAX_PARALLEL 64

struct add;

struct add_host {
    struct add *add;
    char *text; /* as it was given; what lines begin with */
    char *host, *user, *identity, *jump, *name;
    int64_t port;
    struct remote remote;
    struct bootstrap_plan plan;
    struct error e;
    int rc;
    double seconds;
};

struct add {
    struct cli *c;
    struct add_host *hosts;
    size_t count, next;   /* next: the first that nobody has taken */
    pthread_mutex_t lock; /* of `next` and of the API's client */

    /* the terminal: lines of others wait while somebody is asked */
    pthread_mutex_t asking_lock; /* held for one question */
    pthread_mutex_t out_lock;
    bool asking;
    struct buf held;
    int tty; /* -1: there is none */

    bool yes; /* "all" was answered */
    bool fd_given;
    char *secrets[2]; /* locked: lines of --password-fd: login, sudo */
    struct buf known_hosts;
    char *helper, *agent_dir; /* owned */
};

/* ---- cmd_node_add.c ---- */
/* Where agents are: --agent-dir, /usr/lib/ocm/agents, or beside the folder of
 * this program. Caller frees. */
char *add_agent_dir(struct cli *c);

/* ---- add_terminal.c ---- */
void add_terminal_open(struct add *a);
void add_terminal_close(struct add *a);
/* A line about a host; on stdout when `out`. */
void add_line(struct add_host *h, bool out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Several lines as they are. */
void add_lines(struct add_host *h, const char *text);
/* Both lines of --password-fd. 0 or a usage error. */
int add_read_secrets(struct add *a, const char *fd);
/* prompt_fn; `arg` is the host. */
bool add_prompt(void *arg, const struct prompt *p, char *answer);
/* A question with a one-word answer, shown; false: nobody is there. */
bool add_ask(struct add_host *h, const char *question, char *answer,
             size_t cap);

/* ---- add_hooks.c ---- */
extern const struct bootstrap_hooks add_hooks; /* arg: the host */
/* Keys of hosts that are known, and the connection of `text` when it is a
 * node's name. 0 or an exit code, told. */
int add_load_connections(struct add *a);

#endif
