/* SPDX-License-Identifier: MIT */
/* One command through the master: feed it, answer sudo, collect what it says.
 * With sudo the input waits for the line "ocm-ready" that comes once root is
 * reached: a password that was not asked for must not end up in it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "controller/bootstrap/ssh_internal.h"

#define OUTPUT_MAX (4u * 1024 * 1024)
#define READY "ocm-ready\n"
#define SUDO_PROMPT "ocm-sudo-password:"
#define SUDO_TRIES 3

struct run {
    struct ssh *s;
    struct ssh_command *cmd;
    struct ssh_child child;
    bool ready;              /* input may flow */
    size_t sent;             /* of the input */
    size_t err_seen;         /* of cmd->err: prompts before it were answered */
    int tries;               /* of sudo's password */
    int64_t begun, thinking; /* of this run; of the connection at its begin */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- sudo ---- */

static char *command_line(const struct ssh_command *cmd)
{
    struct buf b = {0};

    if (!cmd->sudo)
        return mem_strdup(cmd->command);
    buf_add_str(&b, "exec sudo -k -S -p '" SUDO_PROMPT "' -- sh -c ");
    {
        char *inner = mem_printf("echo ocm-ready; %s", cmd->command);

        ssh_quote(&b, inner);
        free(inner);
    }
    return buf_str(&b);
}

/* The answer to sudo: what was right before, else a person's. */
static bool root_secret(struct run *r)
{
    struct ssh *s = r->s;

    if (r->tries++ == 0 && *s->root)
        return true;
    if (r->tries > SUDO_TRIES ||
        !ssh_ask(s, PROMPT_SUDO, "sudo asks for the password"))
        return false;
    memcpy(s->root, *s->answer ? s->answer : s->login, PROMPT_ANSWER_MAX);
    secret_wipe(s->answer, PROMPT_ANSWER_MAX);
    return *s->root != '\0';
}

/* false: nobody answers. */
static bool answer_sudo(struct run *r)
{
    char *at;

    if (!r->cmd->sudo || r->ready)
        return true;
    at = strstr(buf_str(&r->cmd->err) + r->err_seen, SUDO_PROMPT);
    if (!at)
        return true;
    r->err_seen = (size_t)(at - (char *)r->cmd->err.data) + strlen(SUDO_PROMPT);
    if (!root_secret(r))
        return false;
    fd_write_all(r->child.in, r->s->root, strlen(r->s->root));
    fd_write_all(r->child.in, "\n", 1);
    return true;
}

static void look_for_ready(struct run *r)
{
    if (r->ready || r->cmd->out.len < strlen(READY) ||
        memcmp(r->cmd->out.data, READY, strlen(READY)) != 0)
        return;
    buf_consume(&r->cmd->out, strlen(READY));
    r->ready = true;
}

/* ---- its pipes ---- */

static void take(int *fd, struct buf *to)
{
    while (*fd >= 0) {
        ssize_t n = read(*fd, buf_reserve(to, 8192), 8192);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || to->len + (size_t)n > OUTPUT_MAX) {
            close_fd(fd);
            return;
        }
        to->len += (size_t)n;
    }
}

static void feed(struct run *r)
{
    struct ssh_command *cmd = r->cmd;

    while (r->ready && r->child.in >= 0) {
        ssize_t n;

        if (r->sent == cmd->input_len) {
            close_fd(&r->child.in);
            return;
        }
        n = write(r->child.in, (const char *)cmd->input + r->sent,
                  cmd->input_len - r->sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            close_fd(&r->child.in); /* it reads no more: its end says why */
            return;
        }
        r->sent += (size_t)n;
    }
}

static void wait_for_pipes(const struct run *r)
{
    struct pollfd p[] = {
        {.fd = r->child.out, .events = POLLIN},
        {.fd = r->child.err, .events = POLLIN},
        {.fd = r->ready ? r->child.in : -1, .events = POLLOUT},
        {.fd = r->s->channel, .events = POLLIN},
    };

    poll(p, ARRAY_LEN(p), SSH_TICK_MS);
}

static int why_stop(struct run *r, struct error *e)
{
    int64_t now = clock_monotonic_ms();
    int64_t thought = r->s->thinking_ms - r->thinking;

    if (ssh_stopped(r->s))
        return error_set(e, OCM_E_CANCELLED, "interrupted");
    if (now - r->begun - thought > r->cmd->timeout_ms)
        return error_set(e, OCM_E_TIMEOUT, "no end within %lld s",
                         (long long)r->cmd->timeout_ms / 1000);
    return 0;
}

static int pump(struct run *r, struct error *e)
{
    bool ended = false;
    int rc = 0;

    while (rc == 0 && !ended) {
        wait_for_pipes(r);
        if (!ssh_drain_channel(r->s))
            close_fd(&r->s->channel);
        ended = ssh_reap(r->child.pid, &r->cmd->exit_code);
        if (ended)
            r->child.pid = 0;
        take(&r->child.out, &r->cmd->out);
        take(&r->child.err, &r->cmd->err);
        look_for_ready(r);
        if (!ended && !answer_sudo(r))
            return error_set(e, OCM_E_AUTH,
                             r->tries > 1
                                 ? "sudo does not accept the password"
                                 : "sudo wants a password and nobody gave it");
        feed(r);
        if (!ended)
            rc = why_stop(r, e);
    }
    return rc;
}

/* ---- the command ---- */

static int start(struct run *r, struct error *e)
{
    struct ssh *s = r->s;
    char *line = command_line(r->cmd);
    /* a master that is gone must not be replaced by a new login */
    const char *argv[] = {
        "ssh",
        "-F",
        "none",
        "-S",
        s->control,
        "-o",
        "BatchMode=yes",
        "-o",
        "ProxyCommand=false",
        "-T",
        "--",
        s->o->target.host,
        line,
        NULL,
    };
    extern char **environ;
    int rc = ssh_spawn(argv, environ, -1, &r->child, e);

    free(line);
    return rc;
}

/* What ssh itself says when the master has gone. */
static bool broke_off(struct run *r)
{
    int exit_code;

    if (r->cmd->exit_code != 255)
        return false;
    if (r->s->master && ssh_reap(r->s->master, &exit_code))
        r->s->master = 0;
    return true;
}

int ssh_run(struct ssh *s, struct ssh_command *cmd, struct error *e)
{
    struct run r = {
        .s = s,
        .cmd = cmd,
        .ready = !cmd->sudo,
        .begun = clock_monotonic_ms(),
        .thinking = s->thinking_ms,
    };
    int rc;

    cmd->exit_code = -1;
    s->attempts[PROMPT_SUDO] = 0;
    rc = start(&r, e);
    if (rc == 0)
        rc = pump(&r, e);
    ssh_kill(r.child.pid);
    close_fd(&r.child.in);
    close_fd(&r.child.out);
    close_fd(&r.child.err);
    if (rc == 0 && broke_off(&r))
        rc = error_set(e, OCM_E_CLOSED,
                       "the connection broke: run this again to go on");
    else if (rc == 0 && cmd->sudo && !r.ready)
        rc = error_set(e, OCM_E_AUTH, "sudo: %s",
                       strstr(buf_str(&cmd->err), "not in the sudoers")
                           ? "this user may not use it"
                       : r.tries > 0 ? "it does not accept the password"
                                     : "it refuses");
    return rc;
}

int ssh_check(struct ssh *s, struct ssh_command *cmd, struct error *e)
{
    const char *text, *end;
    int rc = ssh_run(s, cmd, e);

    if (rc < 0 || cmd->exit_code == 0)
        return rc;
    text = buf_str(&cmd->err);
    end = text + cmd->err.len;
    while (end > text && (unsigned char)end[-1] <= ' ')
        end--;
    for (const char *p = end; p > text; p--) {
        if (p[-1] == '\n') {
            text = p;
            break;
        }
    }
    return error_set(e, OCM_E_FAILED, "%.*s",
                     end > text ? (int)(end - text) : 18,
                     end > text ? text : "it failed silently");
}

void ssh_command_fini(struct ssh_command *cmd)
{
    buf_wipe(&cmd->out);
    buf_wipe(&cmd->err);
}
