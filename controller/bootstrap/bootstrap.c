/* SPDX-License-Identifier: MIT */
/* The flow of one host. A failure before "install" leaves nothing behind but
 * a folder in /tmp, which is removed at the end or by the next run; install
 * itself takes back what it did when a step of it fails. */
#include "controller/bootstrap/bootstrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "controller/bootstrap/agents.h"
#include "controller/bootstrap/plan.h"
#include "controller/bootstrap/ssh_words.h"

#define DETECT_MS 60000
#define COPY_MS 900000
#define INSTALL_MS 120000
#define CLEAN_MS 5000
#define TOKEN_MAX 256

struct flow {
    const struct bootstrap_order *o;
    const struct bootstrap_hooks *h;
    struct remote *remote;
    struct bootstrap_plan *plan;
    struct ssh *ssh;
    char dir[128]; /* on the host; "" : none yet */
    struct buf agent;
    char agent_sha256[ID_HEX_LEN + 1];
};

static void step(struct flow *f, const char *text)
{
    f->h->step(f->o->arg, text);
}

/* ---- detect ---- */

/* Folders that a broken connection left are swept by the next one. */
static const char upload_and_detect[] =
    "exec sh -c 'umask 077; t=${TMPDIR:-/tmp}; find \"$t\" -maxdepth 1 -user "
    "\"$(id -un)\" -name \"ocm-bootstrap.*\" -mmin +60 -exec rm -rf {} + "
    "2>/dev/null; d=$(mktemp -d \"$t/ocm-bootstrap.XXXXXX\") && cat "
    ">\"$d/bootstrap.sh\" && echo \"dir=$d\" && exec sh \"$d/bootstrap.sh\" "
    "detect </dev/null'";

static int take_dir(struct flow *f, const char *text, struct error *e)
{
    const char *p = text;

    if (!text_has_prefix(text, "dir=")) {
        p = strstr(text, "\ndir="); /* behind what a shell's start files say */
        if (p)
            p++;
    }
    if (p)
        snprintf(f->dir, sizeof(f->dir), "%.*s", (int)strcspn(p + 4, "\n"),
                 p + 4);
    for (const char *c = f->dir; *c; c++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789/._-",
                    *c))
            f->dir[0] = '\0';
    }
    if (f->dir[0] != '/') {
        f->dir[0] = '\0';
        return error_set(e, OCM_E_FAILED, "no temporary folder could be made");
    }
    return 0;
}

static int detect(struct flow *f, struct error *e)
{
    struct ssh_command cmd = {
        .command = upload_and_detect,
        .input = bootstrap_script,
        .input_len = bootstrap_script_len,
        .timeout_ms = DETECT_MS,
    };
    int rc;

    step(f, "looking around");
    rc = ssh_check(f->ssh, &cmd, e);
    if (rc == 0)
        rc = take_dir(f, buf_str(&cmd.out), e);
    if (rc == 0)
        rc = remote_parse(buf_str(&cmd.out), f->remote, e);
    ssh_command_fini(&cmd);
    return rc;
}

/* Root sees every user's OpenClaw. What only the login knows is kept. */
static int detect_as_root(struct flow *f, struct error *e)
{
    char *line =
        mem_printf("exec sh %s/bootstrap.sh detect </dev/null", f->dir);
    struct ssh_command cmd = {
        .command = line, .sudo = true, .timeout_ms = DETECT_MS};
    struct remote *root = mem_zalloc(sizeof(*root));
    int rc;

    step(f, "looking around as root");
    rc = ssh_check(f->ssh, &cmd, e);
    if (rc == 0)
        rc = remote_parse(buf_str(&cmd.out), root, e);
    if (rc == 0) {
        memcpy(root->ssh_client, f->remote->ssh_client,
               sizeof(root->ssh_client));
        *f->remote = *root;
    }
    ssh_command_fini(&cmd);
    free(root);
    free(line);
    return rc;
}

/* ---- plan ---- */

/* The controller's own word, else the address that the host sees us by: the
 * controller is where we are. Behind a jump host that is the jump host's. */
static int find_address(struct flow *f, struct error *e)
{
    struct bootstrap_plan *plan = f->plan;
    const char *client = f->remote->ssh_client, *port;
    char guess[300];
    bool advertised = false;
    int rc;

    if (*f->o->controller) {
        snprintf(plan->controller, sizeof(plan->controller), "%s",
                 f->o->controller);
        return 0;
    }
    rc = f->h->address(f->o->arg, guess, sizeof(guess), &advertised, e);
    if (rc < 0)
        return rc;
    port = strrchr(guess, ':');
    if (advertised || !*client || *f->o->ssh.target.jump || !port)
        snprintf(plan->controller, sizeof(plan->controller), "%s", guess);
    else
        snprintf(plan->controller, sizeof(plan->controller),
                 strchr(client, ':') ? "[%s]%s" : "%s%s", client, port);
    return 0;
}

static int check_identities(struct flow *f, struct error *e)
{
    for (size_t i = 0; i < f->plan->item_count; i++) {
        struct bootstrap_item *it = &f->plan->items[i];
        bool known = false;
        int rc;

        if (!it->node_id[0])
            continue;
        rc = f->h->knows(f->o->arg, it->node_id, &known, e);
        if (rc < 0)
            return rc;
        it->join = !known;
    }
    return 0;
}

static int make_plan(struct flow *f, struct error *e)
{
    struct bootstrap_plan *plan = f->plan;
    int rc;

    plan->host = f->o->ssh.target.host;
    plan->remote = f->remote;
    ssh_words_fingerprint(ssh_host_key(f->ssh), plan->host_key,
                          sizeof(plan->host_key));
    rc = agents_read(f->o->agent_dir, f->remote->arch, &f->agent,
                     f->agent_sha256, e);
    if (rc == 0)
        rc = plan_make(f->o, f->remote, f->agent_sha256, plan, e);
    if (rc == 0)
        rc = check_identities(f, e);
    if (rc == 0)
        rc = find_address(f, e);
    if (rc == 0 && !f->h->approve(f->o->arg, plan))
        rc = error_set(e, OCM_E_CANCELLED, "left as it is");
    return rc;
}

/* ---- install ---- */

static int copy_agent(struct flow *f, struct error *e)
{
    char *line = mem_printf("cat >%s/ocm-agent", f->dir);
    struct ssh_command cmd = {
        .command = line,
        .input = f->agent.data,
        .input_len = f->agent.len,
        .timeout_ms = COPY_MS,
    };
    int rc = 0;

    if (strcmp(f->remote->agent_sha256, f->agent_sha256) == 0) {
        free(line);
        return 0;
    }
    if (f->o->dry_run) {
        f->h->would(f->o->arg, line);
    } else {
        step(f, "copying the agent");
        rc = ssh_check(f->ssh, &cmd, e);
        ssh_command_fini(&cmd);
    }
    free(line);
    return rc;
}

static void add_value(struct buf *b, const char *option, const char *value)
{
    if (!*value)
        return;
    buf_printf(b, " %s ", option);
    ssh_quote(b, value);
}

static char *install_line(const struct flow *f, const struct bootstrap_item *it)
{
    bool there = strcmp(f->remote->agent_sha256, f->agent_sha256) == 0;
    char *copied = mem_printf("%s/ocm-agent", f->dir);
    struct buf b = {0};

    buf_printf(&b, "exec sh %s/bootstrap.sh install", f->dir);
    add_value(&b, "--agent", there ? f->remote->agent : copied);
    add_value(&b, "--sha256", f->agent_sha256);
    /* a user's service that may not linger becomes a cron job: its choice */
    if (strcmp(f->plan->mode, "user") != 0 || *f->o->mode)
        add_value(&b, "--mode", f->plan->mode);
    add_value(&b, "--user", it->state.user);
    add_value(&b, "--state", it->state.dir);
    add_value(&b, "--instance", it->instance);
    add_value(&b, "--gateway-unit", it->state.unit);
    add_value(&b, "--name", it->node);
    add_value(&b, "--controller", f->plan->controller);
    if (it->join)
        buf_add_str(&b, " --rejoin");
    free(copied);
    return buf_str(&b);
}

/* "key=value" of the script's last words. */
static void take_value(const char *text, const char *key, char *out, size_t cap)
{
    size_t n = strlen(key);

    for (const char *p = text; p && *p; p = strchr(p, '\n')) {
        if (*p == '\n')
            p++;
        if (strncmp(p, key, n) == 0 && p[n] == '=')
            snprintf(out, cap, "%.*s", (int)strcspn(p + n + 1, "\n"),
                     p + n + 1);
    }
}

/* The script's name before its words says nothing to a person. */
static void drop_prefix(struct error *e)
{
    static const char prefix[] = "bootstrap: ";

    if (e && text_has_prefix(e->text, prefix))
        memmove(e->text, e->text + strlen(prefix),
                strlen(e->text + strlen(prefix)) + 1);
}

static int install(struct flow *f, struct bootstrap_item *it, struct error *e)
{
    char *line = install_line(f, it);
    char token[TOKEN_MAX] = "";
    struct ssh_command cmd = {
        .command = line,
        .sudo = f->plan->sudo,
        .input = token,
        .timeout_ms = INSTALL_MS,
    };
    int rc = 0;

    if (it->join)
        rc = f->h->token(f->o->arg, it->node, token, sizeof(token) - 1, e);
    strcat(token, "\n");
    cmd.input_len = strlen(token);
    if (rc == 0)
        rc = ssh_check(f->ssh, &cmd, e);
    secret_wipe(token, sizeof(token));
    if (rc < 0) {
        char joined[40] = "";

        take_value(buf_str(&cmd.out), "joined", joined, sizeof(joined));
        if (joined[0] && rc == OCM_E_FAILED)
            f->h->forget(f->o->arg, joined);
        drop_prefix(e);
    } else {
        const char *out = buf_str(&cmd.out);

        take_value(out, "node_id", it->node_id, sizeof(it->node_id));
        take_value(out, "node_name", it->node_name, sizeof(it->node_name));
        take_value(out, "mode", it->mode, sizeof(it->mode));
        if (!it->node_id[0])
            rc = error_set(e, OCM_E_FAILED,
                           "the installer did not say that it is done");
    }
    ssh_command_fini(&cmd);
    free(line);
    return rc;
}

static void install_dry(struct flow *f, const struct bootstrap_item *it)
{
    char *line = install_line(f, it);
    char *shown = mem_printf("%s%s%s", f->plan->sudo ? "sudo " : "",
                             line + strlen("exec "), it->join ? " <token" : "");

    f->h->would(f->o->arg, shown);
    free(shown);
    free(line);
}

/* ---- after it ---- */

/* The agent's own last lines say more than "not heard". */
static void add_log(struct flow *f, const struct bootstrap_item *it,
                    struct error *e)
{
    char *line = mem_printf("exec sh %s/bootstrap.sh log --instance %s", f->dir,
                            it->instance);
    struct ssh_command cmd = {
        .command = line, .sudo = f->plan->sudo, .timeout_ms = DETECT_MS};
    char why[ERROR_TEXT_MAX];

    if (e && ssh_run(f->ssh, &cmd, NULL) == 0 && cmd.out.len > 0) {
        char *text = buf_str(&cmd.out), *last;

        while (cmd.out.len > 0 && text[cmd.out.len - 1] == '\n')
            text[--cmd.out.len] = '\0';
        last = strrchr(text, '\n');
        snprintf(why, sizeof(why), "%s", e->text);
        error_set(e, e->code, "%.250s; the agent's last line: %.200s", why,
                  last ? last + 1 : text);
    }
    ssh_command_fini(&cmd);
    free(line);
}

static int keep_connection(struct flow *f, const struct bootstrap_item *it,
                           struct error *e)
{
    const struct ssh_target *t = &f->o->ssh.target;
    struct bootstrap_connection c = {
        .host = t->host,
        .user = t->user,
        .identity = t->identity,
        .jump = t->jump,
        .port = t->port,
        .host_key = ssh_host_key(f->ssh),
    };

    return f->h->keep(f->o->arg, it->node_id, &c, e);
}

static int one_item(struct flow *f, struct bootstrap_item *it, struct error *e)
{
    char text[100];
    int rc;

    if (f->o->dry_run) {
        install_dry(f, it);
        return 0;
    }
    snprintf(text, sizeof(text), "installing for %s", it->state.user);
    step(f, text);
    rc = install(f, it, e);
    if (rc < 0)
        return rc;
    rc = keep_connection(f, it, e);
    if (rc < 0)
        return rc;
    step(f, "waiting for the agent");
    rc = f->h->heard(f->o->arg, it->node_id, e);
    if (rc < 0) {
        add_log(f, it, e);
        return rc;
    }
    if (f->o->no_backup || !it->state.dir[0])
        return 0;
    step(f, "backing up");
    return f->h->backup(f->o->arg, it->node_id, it->backup, sizeof(it->backup),
                        e);
}

static void clean(struct flow *f)
{
    char *line;
    struct ssh_command cmd = {.timeout_ms = CLEAN_MS};

    if (!f->ssh || !f->dir[0])
        return;
    line = mem_printf("rm -rf %s", f->dir);
    cmd.command = line;
    ssh_run(f->ssh, &cmd, NULL);
    ssh_command_fini(&cmd);
    free(line);
}

static int work(struct flow *f, struct error *e)
{
    int rc = detect(f, e);

    if (rc == 0 && plan_wants_sudo(f->o, f->remote)) {
        f->plan->sudo = true;
        rc = f->o->dry_run ? 0 : detect_as_root(f, e);
    }
    if (rc == 0) {
        ssh_forget_login(f->ssh);
        rc = make_plan(f, e);
    }
    if (rc == 0)
        rc = copy_agent(f, e);
    for (size_t i = 0; i < f->plan->item_count && rc == 0; i++)
        rc = one_item(f, &f->plan->items[i], e);
    return rc;
}

int bootstrap_run(const struct bootstrap_order *o, struct remote *remote,
                  struct bootstrap_plan *plan, struct error *e)
{
    struct flow f = {.o = o, .h = o->hooks, .remote = remote, .plan = plan};
    int rc;

    memset(remote, 0, sizeof(*remote));
    memset(plan, 0, sizeof(*plan));
    step(&f, "connecting");
    rc = ssh_open(&o->ssh, &f.ssh, e);
    if (rc == 0)
        rc = work(&f, e);
    clean(&f);
    ssh_close(f.ssh);
    buf_free(&f.agent);
    return rc;
}
