/* SPDX-License-Identifier: MIT */
/* One connection to a host by the ssh program: a master that logs in, asks
 * what must be asked and stays, and commands that go through it. Blocking:
 * from a thread of the caller's own; one thread per connection. SIGPIPE must be
 * ignored. */
#ifndef CONTROLLER_BOOTSTRAP_SSH_H
#define CONTROLLER_BOOTSTRAP_SSH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "controller/bootstrap/prompt.h"

/* Where to. Strings are borrowed; "" (never NULL) leaves it to ssh's own
 * configuration. */
struct ssh_target {
    const char *host;
    const char *user, *identity, *jump;
    int64_t port; /* 0: ssh's own */
};

/* OCM_E_INVALID for what must not stand in a command line of ssh. */
int ssh_target_check(const struct ssh_target *t, struct error *e);

struct ssh_options {
    struct ssh_target target;
    const char *config;      /* ssh_config; "" : the operator's, "none": none */
    const char *helper;      /* program that runs askpass_main */
    const char *known_hosts; /* lines that we trust from before, of any host */
    bool accept_new;         /* trust a key on first use without asking */
    bool forget_key;         /* what we trust from before does not count */
    prompt_fn *prompt;
    void *arg;               /* of prompt and stop */
    bool (*stop)(void *arg); /* asked several times a second; true: end */
};

struct ssh;

/* Log in. OCM_E_OFFLINE (not reached), OCM_E_AUTH (not let in, or its host key
 * is not the one we know; the text says what to do), OCM_E_TIMEOUT,
 * OCM_E_CANCELLED. Options are borrowed until ssh_close. */
int ssh_open(const struct ssh_options *o, struct ssh **out, struct error *e);
/* The password of the login, kept for a sudo that may want it, is wiped. */
void ssh_forget_login(struct ssh *s);
void ssh_close(struct ssh *s); /* NULL is fine; secrets are wiped */

/* known_hosts lines of the key that the host has shown, for next time. */
const char *ssh_host_key(struct ssh *s);
/* What ssh's configuration made of the target: host name and port. */
const char *ssh_host_name(const struct ssh *s);
int64_t ssh_port(const struct ssh *s);

/* One command. Zero it, fill the first part; ssh_command_fini releases the
 * second. */
struct ssh_command {
    const char *command; /* for the remote shell: no line ends */
    bool sudo;           /* as root; sudo's questions go to `prompt` */
    const void *input;   /* for its stdin, then end of file */
    size_t input_len;
    int64_t timeout_ms; /* without the time that people need to answer */

    int exit_code;
    struct buf out, err;
};

/* 0 when it ran to its end, whatever its exit code. OCM_E_CLOSED: the
 * connection broke; OCM_E_AUTH: no root. */
int ssh_run(struct ssh *s, struct ssh_command *cmd, struct error *e);
void ssh_command_fini(struct ssh_command *cmd);
/* The same when its exit code must be 0; the error has its last line. */
int ssh_check(struct ssh *s, struct ssh_command *cmd, struct error *e);

/* 'it'\''s': one word of a POSIX shell. */
void ssh_quote(struct buf *out, const char *word);

#endif
