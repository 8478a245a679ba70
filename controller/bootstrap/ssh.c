/* SPDX-License-Identifier: MIT */
/* The master: `ssh -M` in the foreground of nobody, its session a `cat` that
 * ends with us -> its helpers ask over the channel -> its control socket
 * appears: logged in. It ends before that: its last words say why. Closed by
 * TERM; nothing of it stays behind. */
#include "controller/bootstrap/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "controller/bootstrap/askpass.h"
#include "controller/bootstrap/ssh_internal.h"
#include "controller/bootstrap/ssh_words.h"

#define CONNECT_S "15"
#define LOGIN_MS 60000 /* without the time that people need */
#define ARGS_MAX 64

extern char **environ;

/* ---- its command line ---- */

struct args {
    const char *argv[ARGS_MAX];
    size_t n;
    char *owned[ARGS_MAX];
    size_t owned_count;
};

static void add(struct args *a, const char *arg)
{
    if (a->n < ARGS_MAX - 1)
        a->argv[a->n++] = arg;
}

static void add_option(struct args *a, char *option)
{
    add(a, "-o");
    add(a, option);
    a->owned[a->owned_count++] = option;
}

static void args_fini(struct args *a)
{
    for (size_t i = 0; i < a->owned_count; i++)
        free(a->owned[i]);
}

/* Ours is the first of the files: ssh adds new keys to it. A key of ours that
 * we know from before alone counts then. */
static void add_host_keys(struct args *a, const struct ssh *s)
{
    struct buf files = {0};

    buf_printf(&files, "UserKnownHostsFile=\"%s\"", s->hosts);
    for (size_t i = 0; i < s->user_hosts_count && !s->pinned; i++) {
        if (!strchr(s->user_hosts[i], '"'))
            buf_printf(&files, " \"%s\"", s->user_hosts[i]);
    }
    add_option(a, mem_strdup(buf_str(&files)));
    buf_free(&files);
    if (s->pinned)
        add_option(a, mem_strdup("GlobalKnownHostsFile=/dev/null"));
    add_option(a, mem_printf("StrictHostKeyChecking=%s", s->pinned ? "yes"
                                                         : s->o->accept_new
                                                             ? "accept-new"
                                                             : "ask"));
    add_option(a, mem_strdup("HashKnownHosts=no"));
    add_option(a, mem_strdup("UpdateHostKeys=no"));
}

static void add_target(struct args *a, const struct ssh *s)
{
    const struct ssh_target *t = &s->o->target;

    if (t->port)
        add_option(a, mem_printf("Port=%lld", (long long)t->port));
    if (*t->user) {
        add(a, "-l");
        add(a, t->user);
    }
    if (*t->identity) {
        add(a, "-i");
        add(a, t->identity);
    }
    if (*t->jump)
        add_option(a, mem_printf("ProxyJump=%s", t->jump));
    add(a, "--");
    add(a, t->host);
    add(a, "exec cat >/dev/null");
    a->argv[a->n] = NULL;
}

static void master_args(struct args *a, const struct ssh *s)
{
    static const char *const options[] = {
        "ControlMaster=yes",
        "ControlPersist=no",
        ("ConnectTimeout=" CONNECT_S),
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        "NumberOfPasswordPrompts=3",
        "BatchMode=no",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
        "RequestTTY=no",
        "LogLevel=INFO",
    };

    add(a, "ssh");
    if (*s->o->config) {
        add(a, "-F");
        add(a, s->o->config);
    }
    add(a, "-T");
    add(a, "-S");
    add(a, s->control);
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        add_option(a, mem_strdup(options[i]));
    add_host_keys(a, s);
    add_target(a, s);
}

/* Ours and where the helper is; names only, never a secret. DISPLAY: clients
 * before 8.4 ask for it. */
static char **make_env(const struct ssh *s)
{
    size_t n = 0, more = 0;
    char **env;

    while (environ[n])
        n++;
    env = mem_array(n + 6, sizeof(*env));
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "SSH_ASKPASS", 11) != 0)
            env[more++] = mem_strdup(environ[i]);
    }
    env[more++] = mem_printf("SSH_ASKPASS=%s", s->o->helper);
    env[more++] = mem_strdup("SSH_ASKPASS_REQUIRE=force");
    env[more++] = mem_strdup(ASKPASS_ENV "=1");
    if (!getenv("DISPLAY"))
        env[more++] = mem_strdup("DISPLAY=none:0");
    return env;
}

static void free_env(char **env)
{
    for (size_t i = 0; env[i]; i++)
        free(env[i]);
    free(env);
}

/* ---- logging in ---- */

static int start_master(struct ssh *s, struct error *e)
{
    struct ssh_child child;
    struct args a = {0};
    int pair[2], rc;
    char **env;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(e, "socketpair");
    env = make_env(s);
    master_args(&a, s);
    rc = ssh_spawn(a.argv, env, pair[1], &child, e);
    args_fini(&a);
    free_env(env);
    close(pair[1]);
    s->channel = pair[0];
    s->master = child.pid;
    s->leash = child.in;
    return rc;
}

static bool logged_in(const struct ssh *s)
{
    return file_exists(s->control);
}

static int wait_for_login(struct ssh *s, struct error *e)
{
    int64_t begun = clock_monotonic_ms();
    int exit_code;

    for (;;) {
        struct pollfd p = {.fd = s->channel, .events = POLLIN};

        poll(&p, 1, SSH_TICK_MS / 2);
        ssh_drain_channel(s);
        if (logged_in(s))
            return 0;
        if (ssh_reap(s->master, &exit_code)) {
            s->master = 0;
            ssh_drain_channel(s);
            return ssh_words_failure(s, e);
        }
        if (ssh_stopped(s))
            return error_set(e, OCM_E_CANCELLED, "interrupted");
        if (clock_monotonic_ms() - begun - s->thinking_ms > LOGIN_MS)
            return error_set(e, OCM_E_TIMEOUT, "ssh did not log in within %d s",
                             LOGIN_MS / 1000);
    }
}

static char *locked(void)
{
    char *p = sodium_malloc(PROMPT_ANSWER_MAX);

    if (!p)
        abort();
    memset(p, 0, PROMPT_ANSWER_MAX);
    return p;
}

/* Not deep: the name of a unix socket ends at 107 bytes, and ssh adds some. */
static int make_dir(struct ssh *s, struct error *e)
{
    const char *tmp = getenv("TMPDIR");

    if (!tmp || *tmp != '/' || strlen(tmp) > 50 || strpbrk(tmp, "\"% "))
        tmp = "/tmp";
    s->dir = mem_printf("%s/ocm-ssh-XXXXXX", tmp);
    if (!mkdtemp(s->dir)) {
        free(s->dir);
        s->dir = NULL;
        return error_errno(e, "a folder in %s", tmp);
    }
    s->control = path_join(s->dir, "c");
    s->hosts = path_join(s->dir, "known_hosts");
    return 0;
}

int ssh_open(const struct ssh_options *o, struct ssh **out, struct error *e)
{
    struct ssh *s;
    int rc = ssh_target_check(&o->target, e);

    if (rc < 0)
        return rc;
    if (sodium_init() < 0)
        return error_set(e, OCM_E_FAILED, "no source of randomness");
    s = mem_zalloc(sizeof(*s));
    s->o = o;
    s->channel = s->leash = -1;
    s->port = 22;
    s->answer = locked();
    s->login = locked();
    s->root = locked();
    rc = make_dir(s, e);
    if (rc == 0)
        rc = ssh_resolve(s, e);
    if (rc == 0)
        rc = start_master(s, e);
    if (rc == 0)
        rc = wait_for_login(s, e);
    if (rc < 0) {
        ssh_close(s);
        return rc;
    }
    ssh_learn_host_key(s);
    *out = s;
    return 0;
}

void ssh_forget_login(struct ssh *s)
{
    secret_wipe(s->login, PROMPT_ANSWER_MAX);
}

void ssh_close(struct ssh *s)
{
    if (!s)
        return;
    ssh_kill(s->master);
    if (s->leash >= 0)
        close(s->leash);
    if (s->channel >= 0)
        close(s->channel);
    if (s->dir)
        tree_remove(s->dir, NULL);
    for (size_t i = 0; i < s->user_hosts_count; i++)
        free(s->user_hosts[i]);
    for (size_t i = 0; i < s->global_hosts_count; i++)
        free(s->global_hosts[i]);
    sodium_free(s->answer); /* wipes */
    sodium_free(s->login);
    sodium_free(s->root);
    buf_free(&s->text);
    buf_free(&s->host_key);
    free(s->dir);
    free(s->control);
    free(s->hosts);
    free(s->host_name);
    free(s->key_name);
    free(s);
}

const char *ssh_host_key(struct ssh *s)
{
    return buf_str(&s->host_key);
}

const char *ssh_host_name(const struct ssh *s)
{
    return s->host_name;
}

int64_t ssh_port(const struct ssh *s)
{
    return s->port;
}
