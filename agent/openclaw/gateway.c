/* SPDX-License-Identifier: MIT */
/* Stopping and starting.
 *
 * Stop: ask whoever runs it (systemd, a command, OpenClaw's CLI) -> a process
 * that lives on gets TERM, after the bound KILL -> prove it: no gateway of this
 * state, no database of it open, port closed. Killed by signal, it must also
 * stay down for a moment: something unknown may bring it back.
 *
 * Start: neither guard nor fence -> with or without the skip variables -> the
 * unit or the command. Whether it came up is for gateway_health to say. */
#include "agent/openclaw/gateway.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/openclaw/gateway_internal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/data/digest.h"

#define QUIET_DROPIN "ocm-quiet.conf"
#define COMMAND_MS 120000  /* start commands; they should only hand over */
#define STATUS_MS 10000    /* exec_status */
#define KILL_WAIT_MS 10000 /* after KILL until it is gone */
#define TERM_MIN_MS 2000   /* between TERM and KILL at least */
#define LOOK_MS 50         /* between two looks */

int64_t gateway_stay_down_ms = 1500;

static void pause_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

/* ---- making one ---- */

static char *copy(const char *s)
{
    return mem_strdup(s ? s : "");
}

/* Root looks after somebody's gateway: run OpenClaw as that user. */
static void find_user(struct gateway *g)
{
    const char *given = getenv("XDG_RUNTIME_DIR");
    struct passwd pw, *found = NULL;
    char room[4096];
    struct stat st;
    uid_t uid = geteuid();

    if (stat(g->state_dir, &st) == 0 || stat(g->home, &st) == 0)
        uid = st.st_uid;
    if (uid != geteuid() && geteuid() == 0 &&
        getpwuid_r(uid, &pw, room, sizeof(room), &found) == 0 && found)
        g->run_as = mem_strdup(pw.pw_name);
    g->runtime_dir = uid == geteuid() && given && given[0] == '/'
                         ? mem_strdup(given)
                         : mem_printf("/run/user/%u", (unsigned)uid);
}

struct gateway *gateway_new(const struct openclaw_conf *conf,
                            const struct openclaw *o)
{
    struct gateway *g = mem_zalloc(sizeof(*g));
    const char *port = facts_get(&o->facts, "gateway.port");
    char hex[ID_HEX_LEN + 1];
    struct id id;
    int64_t number;

    g->state_dir = mem_strdup(o->state_dir);
    g->config_path = mem_strdup(o->config_path);
    g->home = mem_strdup(o->home);
    g->layout = copy(conf->layout);
    g->conf_bin = copy(conf->bin);
    g->conf_unit = copy(conf->unit);
    g->exec_start = copy(conf->exec_start);
    g->exec_stop = copy(conf->exec_stop);
    g->exec_status = copy(conf->exec_status);
    g->era = o->era;
    g->has_unit = unit_find(g->conf_unit, g->home, g->state_dir, &g->unit);
    g->control = control_choose(conf, g->has_unit ? &g->unit : NULL);
    install_find(g->conf_bin, g->has_unit ? &g->unit : NULL, g->home,
                 &g->install);
    if (port && text_to_i64(port, 1, 65535, &number))
        g->port = (int)number;
    find_user(g);
    id = digest_of(g->state_dir, strlen(g->state_dir));
    id_hex(&id, hex);
    g->guard_path =
        mem_printf("%s/" OPENCLAW_OCM_DIR "/gateway-%.8s.guard", g->home, hex);
    g->fence_path =
        mem_printf("%s/" OPENCLAW_OCM_DIR "/gateway-%.8s.fence", g->home, hex);
    return g;
}

void gateway_free(struct gateway *g)
{
    if (!g)
        return;
    free(g->state_dir);
    free(g->config_path);
    free(g->home);
    free(g->layout);
    free(g->conf_bin);
    free(g->conf_unit);
    free(g->exec_start);
    free(g->exec_stop);
    free(g->exec_status);
    if (g->has_unit)
        unit_fini(&g->unit);
    install_fini(&g->install);
    free(g->guard_path);
    free(g->fence_path);
    free(g->run_as);
    free(g->runtime_dir);
    free(g);
}

/* ---- status ---- */

bool gateway_is_unit(const struct gateway *g)
{
    return g->has_unit && (g->control == CONTROL_USER_UNIT ||
                           g->control == CONTROL_SYSTEM_UNIT);
}

static int need_unit(const struct gateway *g, struct error *e)
{
    if (g->has_unit)
        return 0;
    return error_set(e, OCM_E_NOTFOUND,
                     "control = %s, but there is no unit%s%s for %s: install "
                     "the service (openclaw gateway install) or set [gateway] "
                     "unit or control in agent.conf",
                     control_name(g->control), *g->conf_unit ? " " : "",
                     g->conf_unit, g->state_dir);
}

/* Does whoever runs it say that it runs? */
static bool manager_says_up(const struct gateway *g)
{
    struct unit_state s;

    if (gateway_is_unit(g) && systemd_show(g, &s, NULL) == 0)
        return strcmp(s.active, "active") == 0 ||
               strcmp(s.active, "activating") == 0 ||
               strcmp(s.active, "deactivating") == 0 ||
               strcmp(s.active, "reloading") == 0;
    if (g->control == CONTROL_EXEC && *g->exec_status)
        return cli_command(g, g->exec_status, false, false, STATUS_MS, NULL) ==
               0;
    return false;
}

enum gateway_state gateway_status(struct gateway *g, struct buf *text)
{
    struct proc p;

    if (proc_find_gateway(g->state_dir, g->config_path, &p)) {
        if (text)
            buf_printf(text, "running, pid %d, port %d, control %s", (int)p.pid,
                       p.port ? p.port : g->port, control_name(g->control));
        return GATEWAY_RUNNING;
    }
    if (manager_says_up(g)) {
        if (text)
            buf_printf(text, "running, control %s", control_name(g->control));
        return GATEWAY_RUNNING;
    }
    if (g->era == ERA_NONE && !g->install.bin && !g->has_unit &&
        g->control != CONTROL_EXEC) {
        if (text)
            buf_printf(text, "no OpenClaw here");
        return GATEWAY_ABSENT;
    }
    if (text)
        buf_printf(text, "stopped, control %s", control_name(g->control));
    return g->control == CONTROL_MANUAL ? GATEWAY_MANUAL : GATEWAY_STOPPED;
}

/* ---- stop ---- */

struct stopping {
    struct gateway *g;
    struct proc first; /* the gateway as it was found; pid 0: none */
    int port;          /* where it listened */
    int64_t deadline;  /* until then it may end by itself */
    bool asked;        /* its manager was told, and may need its time */
    bool signalled;    /* it did not end by its manager */
};

static bool wait_gone(const struct proc *p, int64_t until)
{
    while (p->pid && proc_is_alive(p)) {
        if (clock_monotonic_ms() >= until)
            return false;
        pause_ms(LOOK_MS);
    }
    return true;
}

/* systemd's own stop waits up to TimeoutStopSec (330 s): we do not. */
static int stop_unit(struct stopping *s, struct error *e)
{
    static const char *const stop[] = {"stop", "--no-block", NULL};
    static const char *const kill_now[] = {"kill", "--signal=KILL", NULL};
    struct gateway *g = s->g;
    struct unit_state state;
    int rc = need_unit(g, e);

    if (rc == 0)
        rc = systemd_verb(g, stop, COMMAND_MS, e);
    if (rc == OCM_E_UNSUPPORTED)
        return 0; /* no manager: a process of it is signalled below */
    if (rc < 0)
        return rc;
    s->asked = true;
    wait_gone(&s->first, s->deadline);
    for (bool killed = false;;) {
        rc = systemd_show(g, &state, e);
        if (rc < 0)
            return rc;
        if (strcmp(state.active, "inactive") == 0 ||
            strcmp(state.active, "failed") == 0)
            return 0;
        if (clock_monotonic_ms() >= s->deadline) {
            if (killed)
                return error_set(e, OCM_E_TIMEOUT,
                                 "%s does not stop: it is %s (%s)",
                                 g->unit.name, state.active, state.sub);
            log_warn("gateway unit=%s does not stop, killing it", g->unit.name);
            systemd_verb(g, kill_now, COMMAND_MS, NULL);
            killed = true;
            s->deadline = clock_monotonic_ms() + KILL_WAIT_MS;
        }
        pause_ms(4 * LOOK_MS);
    }
}

static int stop_by_cli(struct stopping *s, struct error *e)
{
    static const char *const words[] = {"gateway", "stop", NULL};
    struct gateway *g = s->g;
    const char *argv[CLI_MAX_WORDS + 8];
    struct process_job job = {.argv = argv};
    struct cli_env env;
    int rc;

    if (!g->install.bin)
        return error_set(e, OCM_E_NOTFOUND,
                         "control = cli, but no openclaw command was found");
    cli_argv(g, words, argv);
    cli_env_openclaw(g, &env);
    job.env = (const char *const *)env.items;
    job.timeout_ms = s->deadline - clock_monotonic_ms();
    if (job.timeout_ms < 1000)
        job.timeout_ms = 1000;
    /* whatever it says: what counts is whether the process is gone */
    rc = process_run(&job, 1, NULL, e);
    process_job_fini(&job);
    cli_env_fini(&env);
    return rc == OCM_E_TIMEOUT ? 0 : rc;
}

static int stop_by_command(struct stopping *s, struct error *e)
{
    struct error why = {0};
    int64_t left = s->deadline - clock_monotonic_ms();
    int rc;

    if (!*s->g->exec_stop)
        return 0; /* by signal */
    rc = cli_command(s->g, s->g->exec_stop, false, false,
                     left < 1000 ? 1000 : left, &why);
    s->asked = rc == 0;
    if (rc == OCM_E_TIMEOUT || rc == 0)
        return 0;
    if (s->first.pid && proc_is_alive(&s->first))
        return error_set(e, rc, "%s", why.text);
    return 0; /* it was down: many stop commands complain then */
}

/* A gateway that lives on: TERM, and KILL when its time is over. */
static int stop_process(struct stopping *s, struct error *e)
{
    struct gateway *g = s->g;
    struct proc p;
    int64_t now;

    if (!proc_find_gateway(g->state_dir, g->config_path, &p))
        return 0;
    if (p.port)
        s->port = p.port;
    if (s->asked)
        wait_gone(&p, s->deadline);
    if (!proc_is_alive(&p))
        return 0;
    s->signalled = true;
    if (kill(p.pid, SIGTERM) < 0)
        return error_errno(e, "TERM to the gateway, pid %d", (int)p.pid);
    now = clock_monotonic_ms();
    if (wait_gone(&p, s->deadline > now + TERM_MIN_MS ? s->deadline
                                                      : now + TERM_MIN_MS))
        return 0;
    log_warn("gateway pid=%d does not end, killing it", (int)p.pid);
    if (proc_is_alive(&p))
        kill(p.pid, SIGKILL);
    if (!wait_gone(&p, clock_monotonic_ms() + KILL_WAIT_MS))
        return error_set(e, OCM_E_TIMEOUT,
                         "the gateway, pid %d, survived KILL for %d s",
                         (int)p.pid, KILL_WAIT_MS / 1000);
    return 0;
}

/* What cannot be seen from here, a container say, only its status command
 * knows. */
static int prove_status(struct stopping *s, struct error *e)
{
    struct gateway *g = s->g;

    if (g->control != CONTROL_EXEC || !*g->exec_status)
        return 0;
    while (manager_says_up(g)) {
        if (clock_monotonic_ms() >= s->deadline)
            return error_set(e, OCM_E_TIMEOUT,
                             "after the stop, '%.100s' still says that the "
                             "gateway runs",
                             g->exec_status);
        pause_ms(4 * LOOK_MS);
    }
    return 0;
}

static int prove_no_holder(struct stopping *s, struct error *e)
{
    int64_t until = clock_monotonic_ms() + KILL_WAIT_MS;
    int64_t patience = clock_monotonic_ms() + KILL_WAIT_MS / 2;
    char what[300];
    pid_t pid;

    while (proc_find_holder(s->g->state_dir, &pid, what, sizeof(what))) {
        int64_t now = clock_monotonic_ms();

        if (now >= until)
            return error_set(e, OCM_E_BUSY, "%s: end it and try again", what);
        if (now >= patience && proc_is_helper(pid, s->g->state_dir)) {
            log_warn("a helper outlived its gateway, killing it: %s", what);
            kill(pid, SIGKILL);
            patience = until;
        }
        pause_ms(2 * LOOK_MS);
    }
    return 0;
}

/* The port counts only if the gateway had it or a process of this state has
 * it: another program, a neighbour's gateway say, is no sign of ours. */
static int prove_port_closed(struct stopping *s, struct error *e)
{
    int64_t until = clock_monotonic_ms() + KILL_WAIT_MS;

    while (s->port && port_is_open(s->port)) {
        pid_t owner = port_owner(s->port);
        char name[64] = "another user's process";

        if (!s->first.pid && !proc_is_helper(owner, s->g->state_dir))
            return 0;
        if (clock_monotonic_ms() >= until) {
            if (owner)
                proc_name(owner, name, sizeof(name));
            return error_set(e, OCM_E_BUSY,
                             "port %d is still answered by %s (pid %d)",
                             s->port, name, (int)owner);
        }
        pause_ms(2 * LOOK_MS);
    }
    return 0;
}

static int prove_stays_down(struct stopping *s, struct error *e)
{
    int64_t until =
        clock_monotonic_ms() + (s->signalled ? gateway_stay_down_ms : 0);
    struct proc p;

    do {
        if (proc_find_gateway(s->g->state_dir, s->g->config_path, &p))
            return error_set(
                e, OCM_E_BUSY,
                "the gateway came back as pid %d: something starts it again; "
                "name its service in [gateway] of agent.conf",
                (int)p.pid);
        pause_ms(LOOK_MS);
    } while (clock_monotonic_ms() < until);
    return 0;
}

static int ask_manager(struct stopping *s, struct error *e)
{
    switch (s->g->control) {
    case CONTROL_USER_UNIT:
    case CONTROL_SYSTEM_UNIT:
        return stop_unit(s, e);
    case CONTROL_CLI:
        return stop_by_cli(s, e);
    case CONTROL_EXEC:
        return stop_by_command(s, e);
    case CONTROL_MANUAL:
        break;
    }
    if (!s->first.pid)
        return 0;
    return error_set(e, OCM_E_BUSY,
                     "the gateway runs (pid %d) and agent.conf leaves it to "
                     "you (control = manual): stop it and try again",
                     (int)s->first.pid);
}

int gateway_stop(struct gateway *g, int64_t bound_ms, struct error *e)
{
    struct stopping s = {.g = g, .port = g->port};
    int rc;

    s.deadline = clock_monotonic_ms() + bound_ms;
    proc_find_gateway(g->state_dir, g->config_path, &s.first);
    if (s.first.port)
        s.port = s.first.port;
    rc = ask_manager(&s, e);
    if (rc == 0)
        rc = stop_process(&s, e);
    if (rc == 0)
        rc = prove_status(&s, e);
    if (rc == 0)
        rc = prove_no_holder(&s, e);
    if (rc == 0)
        rc = prove_port_closed(&s, e);
    if (rc == 0)
        rc = prove_stays_down(&s, e);
    return rc;
}

/* ---- start ---- */

/* *changed: the unit runs or will run with other settings than before. */
static int set_quiet(struct gateway *g, bool quiet, bool *changed,
                     struct error *e)
{
    static const char text[] = "# Set by OCM for a check; gone after it.\n"
                               "[Service]\n"
                               "Environment=OPENCLAW_SKIP_CHANNELS=1\n"
                               "Environment=OPENCLAW_SKIP_CRON=1\n";
    int rc =
        systemd_dropin(g, QUIET_DROPIN, false, quiet ? text : NULL, changed, e);

    return rc == 0 && *changed ? systemd_reload(g, e) : rc;
}

static int start_unit(struct gateway *g, bool quiet, struct error *e)
{
    static const char *const reset[] = {"reset-failed", NULL};
    static const char *const start[] = {"start", NULL};
    static const char *const restart[] = {"restart", NULL};
    struct unit_state s;
    bool changed = false;
    int rc = set_quiet(g, quiet, &changed, e);

    if (rc < 0)
        return rc;
    systemd_verb(g, reset, COMMAND_MS,
                 NULL); /* start limits of earlier tries */
    rc = systemd_verb(g, changed ? restart : start, COMMAND_MS, e);
    if (rc == 0)
        rc = systemd_show(g, &s, e);
    if (rc == 0 && strcmp(s.active, "failed") == 0)
        rc = error_set(e, OCM_E_FAILED, "%s failed at once (%s)", g->unit.name,
                       s.sub);
    if (rc == 0 && s.condition_failed && strcmp(s.active, "inactive") == 0)
        rc = error_set(e, OCM_E_DENIED,
                       "a condition of %s keeps it from starting: systemctl "
                       "status %s",
                       g->unit.name, g->unit.name);
    return rc;
}

static int start_by_cli(struct gateway *g, bool quiet, struct error *e)
{
    static const char *const words[] = {"gateway", "start", NULL};
    const char *argv[CLI_MAX_WORDS + 8];
    struct process_job job = {.argv = argv, .timeout_ms = COMMAND_MS};
    struct cli_env env;
    bool changed = false;
    char text[200];
    int rc = set_quiet(g, quiet, &changed, e);

    if (rc < 0)
        return rc;
    cli_argv(g, words, argv);
    cli_env_openclaw(g, &env);
    job.env = (const char *const *)env.items;
    rc = process_run(&job, 1, NULL, e);
    if (rc == 0 && job.exit_code != 0) {
        process_job_text(&job, text, sizeof(text));
        rc = error_set(e, OCM_E_FAILED, "openclaw gateway start: %s", text);
    }
    process_job_fini(&job);
    cli_env_fini(&env);
    return rc;
}

/* OpenClaw's command starts a service, and only through its unit can a start
 * be a quiet one. */
static int check_cli(const struct gateway *g, struct error *e)
{
    if (!g->install.bin)
        return error_set(e, OCM_E_NOTFOUND,
                         "control = cli, but no openclaw command was found");
    return need_unit(g, e);
}

int gateway_check_start(struct gateway *g, struct error *e)
{
    switch (g->control) {
    case CONTROL_USER_UNIT:
    case CONTROL_SYSTEM_UNIT:
        return need_unit(g, e);
    case CONTROL_CLI:
        return check_cli(g, e);
    case CONTROL_EXEC:
        if (!*g->exec_start)
            return error_set(e, OCM_E_INVALID,
                             "control = exec, but exec_start is empty in "
                             "agent.conf");
        break;
    case CONTROL_MANUAL:
        break;
    }
    return 0;
}

int gateway_start(struct gateway *g, bool quiet, struct error *e)
{
    int rc = guard_check(g, e);

    if (rc == 0)
        rc = gateway_check_start(g, e);
    if (rc < 0)
        return rc;
    switch (g->control) {
    case CONTROL_USER_UNIT:
    case CONTROL_SYSTEM_UNIT:
        return start_unit(g, quiet, e);
    case CONTROL_CLI:
        return start_by_cli(g, quiet, e);
    case CONTROL_EXEC:
        return cli_command(g, g->exec_start, quiet, true, COMMAND_MS, e);
    case CONTROL_MANUAL:
        break;
    }
    return 0;
}
