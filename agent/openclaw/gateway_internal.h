/* SPDX-License-Identifier: MIT */
/* What the files of gateway control share. */
#ifndef AGENT_OPENCLAW_GATEWAY_INTERNAL_H
#define AGENT_OPENCLAW_GATEWAY_INTERNAL_H

#include "agent/openclaw/control.h"
#include "agent/openclaw/gateway.h"
#include "agent/openclaw/install.h"
#include "agent/openclaw/proc.h"
#include "agent/openclaw/unit.h"
#include "common/base/process.h"

struct gateway {
    enum control control;
    char *state_dir, *config_path, *home;
    char *layout, *conf_bin, *conf_unit;
    char *exec_start, *exec_stop, *exec_status; /* "" when not configured */
    struct unit unit;
    bool has_unit;
    struct install install;
    enum openclaw_era era;
    int port;
    char *guard_path, *fence_path; /* files that forbid a start */
    char *run_as;                  /* user to run OpenClaw as when we are root
                                      and the state is somebody else's */
    char *runtime_dir;             /* XDG_RUNTIME_DIR of that user */
};

/* Is it run by systemd, as far as we are concerned? */
bool gateway_is_unit(const struct gateway *g);

/* ---- systemd.c ---- */

struct unit_state {
    char active[24]; /* ActiveState: "active", "failed", ... */
    char sub[24];
    pid_t main_pid;
    bool condition_failed; /* the last start was refused by a Condition */
};

/* Ask systemd. OCM_E_UNSUPPORTED: no manager to be reached. */
int systemd_show(const struct gateway *g, struct unit_state *out,
                 struct error *e);
/* "start", "restart", "stop --no-block", ...: verb and options, then the
 * unit. */
int systemd_verb(const struct gateway *g, const char *const *words,
                 int64_t timeout_ms, struct error *e);
int systemd_reload(const struct gateway *g, struct error *e);
/* The last lines the unit wrote to the journal, in one; "" when unknown. */
void systemd_last_words(const struct gateway *g, char *out, size_t cap);
/* Write or remove a drop-in of the unit; persistent ones stand beside the
 * unit, others live until the next boot. *changed (may be NULL) tells whether
 * something was done. Does not reload. */
int systemd_dropin(const struct gateway *g, const char *name, bool persistent,
                   const char *text, bool *changed, struct error *e);

/* ---- cli.c ---- */

/* An environment for OpenClaw's CLI or for configured commands. */
struct cli_env {
    char **items; /* "KEY=value", NULL-ended */
    size_t count;
};
void cli_env_openclaw(const struct gateway *g, struct cli_env *out);
/* Ours without what belongs to our own service; `quiet`: with the skip
 * variables. */
void cli_env_command(const struct gateway *g, bool quiet, struct cli_env *out);
/* As cli_env_command, with the folder of `node` before the PATH: npm is a
 * script that asks for it. */
void cli_env_npm(const struct gateway *g, const char *node,
                 struct cli_env *out);
void cli_env_fini(struct cli_env *v);

#define CLI_MAX_WORDS 16
/* argv of `openclaw words...` (NULL-ended), with `runuser` before it when
 * needed. Strings are borrowed from `g` and `words`. */
void cli_argv(const struct gateway *g, const char *const *words,
              const char *out[CLI_MAX_WORDS + 8]);
/* Run a configured command through /bin/sh -c. */
int cli_command(const struct gateway *g, const char *command, bool quiet,
                bool detaches, int64_t timeout_ms, struct error *e);

/* ---- guard.c ---- */

/* OCM_E_DENIED with the reason while guard or fence is set. */
int guard_check(const struct gateway *g, struct error *e);

/* ---- times that tests shorten ---- */

extern int64_t health_alive_ms; /* how long a ready gateway must live on */
/* How long one ended by signal must stay down: nothing may bring it back. */
extern int64_t gateway_stay_down_ms;

#endif
