/* SPDX-License-Identifier: MIT */
/* The trial of a new agent, from both sides: the watcher runs the code of the
 * agent that is known to be good, and needs nothing of the new one but a line
 * in upgrade.conf. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/build.h"
#include "agent/openclaw/proc.h"
#include "agent/upgrade/upgrade_internal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define WATCH_POLL_MS 100
#define STEADY_MAX_MS 10000
#define WATCH_KILL_MS 10000 /* until a killed process is gone */

enum verdict { TRIAL_RUNS, TRIAL_OVER, TRIAL_DIED, TRIAL_SILENT };

/* `version` is that of the trial when it began. */
static enum verdict look(const struct upgrade_place *p,
                         const struct proc *agent, const char *version,
                         int64_t until_ms)
{
    struct upgrade_state s;
    bool over;
    int rc = upgrade_state_load(p->state_dir, &s, NULL);

    over = rc == 0 && (!s.trial || strcmp(s.version, version) != 0);
    upgrade_state_fini(&s);
    if (over)
        return TRIAL_OVER;
    if (!proc_is_alive(agent))
        return TRIAL_DIED;
    return clock_monotonic_ms() < until_ms ? TRIAL_RUNS : TRIAL_SILENT;
}

static void end_agent(const struct proc *agent)
{
    int64_t until = clock_monotonic_ms() + WATCH_KILL_MS;

    if (proc_is_alive(agent))
        kill(agent->pid, SIGKILL);
    while (proc_is_alive(agent) && clock_monotonic_ms() < until)
        uv_sleep(WATCH_POLL_MS);
}

/* upgrade.conf first: what is killed then is not started again. */
static bool put_back(const struct upgrade_place *p, enum verdict v)
{
    struct upgrade_state s;
    struct error e = {0};
    char *why =
        v == TRIAL_DIED
            ? mem_strdup("it ended before it reached the controller")
            : mem_printf("it did not reach the controller within %lld s",
                         (long long)p->wait_ms / 1000);
    int rc = upgrade_state_load(p->state_dir, &s, &e);

    if (rc == 0 && s.trial) {
        log_error("agent %s is put back: %s", s.version, why);
        rc = upgrade_state_undo(p->state_dir, &s, why, &e);
    }
    if (rc < 0)
        log_error("%s", e.text);
    upgrade_state_fini(&s);
    free(why);
    return rc == 0;
}

int64_t upgrade_steady_ms(int64_t wait_ms)
{
    return wait_ms < STEADY_MAX_MS ? wait_ms : STEADY_MAX_MS;
}

void upgrade_watch(const struct upgrade_place *p, pid_t pid)
{
    struct proc agent = {.pid = pid, .start = proc_start_time(pid)};
    int64_t until =
        clock_monotonic_ms() + p->wait_ms + upgrade_steady_ms(p->wait_ms);
    enum verdict v = TRIAL_RUNS;
    struct upgrade_state s;
    char *version;

    if (upgrade_state_load(p->state_dir, &s, NULL) < 0 || !s.trial) {
        upgrade_state_fini(&s);
        return;
    }
    version = mem_strdup(s.version);
    upgrade_state_fini(&s);
    while (v == TRIAL_RUNS) {
        uv_sleep(WATCH_POLL_MS);
        v = look(p, &agent, version, until);
        /* a service manager starts what died, and the attempts are counted */
        if (v == TRIAL_DIED && upgrade_is_managed())
            v = TRIAL_OVER;
        /* a full disk: what cannot be put back now is tried once more */
        if ((v == TRIAL_DIED || v == TRIAL_SILENT) && !put_back(p, v)) {
            v = TRIAL_RUNS;
            uv_sleep(1000);
        }
    }
    free(version);
    if (v == TRIAL_OVER)
        return;
    end_agent(&agent);
    if (!upgrade_is_managed())
        upgrade_run_self(p);
}

/* ---- the running agent ---- */

bool upgrade_on_trial(const char *state_dir)
{
    char *self = upgrade_own_name(state_dir);
    struct upgrade_state s;
    bool trial = upgrade_state_load(state_dir, &s, NULL) == 0 && s.trial &&
                 strcmp(s.current, self) == 0;

    upgrade_state_fini(&s);
    free(self);
    return trial;
}

int upgrade_settle(const char *state_dir, struct error *e)
{
    struct upgrade_state s;
    int rc = upgrade_state_load(state_dir, &s, e);

    if (rc == 0 && s.trial) {
        s.trial = false;
        s.attempts = 0;
        rc = upgrade_state_save(state_dir, &s, e);
        if (rc == 0)
            log_info("agent %s was heard: the upgrade is done", agent_version);
    }
    upgrade_state_fini(&s);
    return rc;
}

char *upgrade_undone(const char *state_dir)
{
    struct upgrade_state s;
    char *text = NULL;

    if (upgrade_state_load(state_dir, &s, NULL) == 0 && *s.undone)
        text = mem_strdup(s.undone);
    upgrade_state_fini(&s);
    return text;
}

void upgrade_told(const char *state_dir)
{
    struct upgrade_state s;
    struct error e = {0};

    if (upgrade_state_load(state_dir, &s, NULL) == 0 && *s.undone) {
        upgrade_state_set(&s.undone, "");
        if (upgrade_state_save(state_dir, &s, &e) < 0)
            log_warn("%s", e.text);
    }
    upgrade_state_fini(&s);
}
