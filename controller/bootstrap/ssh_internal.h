/* SPDX-License-Identifier: MIT */
/* What the files of ssh share. */
#ifndef CONTROLLER_BOOTSTRAP_SSH_INTERNAL_H
#define CONTROLLER_BOOTSTRAP_SSH_INTERNAL_H

#include <sys/types.h>

#include "controller/bootstrap/ssh.h"

#define SSH_TEXT_MAX 16384
#define SSH_TICK_MS 50

struct ssh {
    const struct ssh_options *o;
    char *dir;     /* private folder: control socket, known_hosts */
    char *control; /* <dir>/c */
    char *hosts;   /* <dir>/known_hosts: what we trust */
    pid_t master;  /* 0: none */
    int leash;     /* its stdin: it ends when we do, however we end; -1: none */
    int channel;   /* packets of ssh and of its helpers; -1: none */
    struct buf text;     /* ssh's words */
    struct buf host_key; /* known_hosts lines of this host */

    /* of `ssh -G` */
    char *host_name, *key_name; /* key_name: how known_hosts calls it */
    int64_t port;
    char *user_hosts[8], *global_hosts[8];
    size_t user_hosts_count, global_hosts_count;

    bool pinned;
    char *answer; /* locked: the one being given */
    char *login;  /* locked: the password of the login, "" unknown */
    char *root;   /* locked: sudo's password, "" unknown */
    int attempts[PROMPT_NOTICE + 1];
    bool refused;        /* nobody answered a question */
    int64_t thinking_ms; /* spent by people, in all */
};

/* ---- ssh_config.c ---- */
/* Ask ssh what it makes of the target, and write what we trust. */
int ssh_resolve(struct ssh *s, struct error *e);
/* After login: the lines of the key that was shown. */
void ssh_learn_host_key(struct ssh *s);

/* ---- ssh_child.c ---- */
struct ssh_child {
    pid_t pid;
    int in, out, err; /* our ends; -1: closed */
};
/* Start `argv` in a session of its own. With `channel` >= 0 that is its
 * stderr, and stdout is /dev/null. */
int ssh_spawn(const char *const *argv, char *const *env, int channel,
              struct ssh_child *out, struct error *e);
/* Has it ended? Then its exit code, or 128 + signal. */
bool ssh_reap(pid_t pid, int *exit_code);
void ssh_kill(pid_t pid); /* the whole session; reaped */

/* ---- ssh_ask.c ---- */
/* Ask for an answer of `kind` into s->answer. */
bool ssh_ask(struct ssh *s, enum prompt_kind kind, const char *text);
/* Take what waits on the channel: words into s->text, questions to people.
 * false: the other end is gone. */
bool ssh_drain_channel(struct ssh *s);
bool ssh_stopped(const struct ssh *s);

#endif
