/* SPDX-License-Identifier: MIT */
/* Control of the gateway: is it up, stop and prove it down, start, health,
 * start guard and fence. Blocking, from a worker thread. A gateway is started
 * only by systemd or by a configured command, never as our own child. */
#ifndef AGENT_OPENCLAW_GATEWAY_H
#define AGENT_OPENCLAW_GATEWAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/openclaw/openclaw.h"

enum gateway_state {
    GATEWAY_STOPPED,
    GATEWAY_RUNNING,
    GATEWAY_ABSENT,
    GATEWAY_MANUAL
};

struct gateway;

/* How this node's gateway is controlled. Copies what it needs. */
struct gateway *gateway_new(const struct openclaw_conf *conf,
                            const struct openclaw *o);
void gateway_free(struct gateway *g);

enum gateway_state gateway_status(struct gateway *g, struct buf *text);

/* Stop it (it may take minutes when a channel hangs: TERM, then KILL after
 * `bound_ms`) and prove it: no process of the lock file, port closed, nobody
 * holds a database of the state directory open. */
int gateway_stop(struct gateway *g, int64_t bound_ms, struct error *e);

/* Has this node what its way of control needs to start the gateway, quietly
 * too? Nothing is started. */
int gateway_check_start(struct gateway *g, struct error *e);

/* `quiet`: without channels and cron (OpenClaw's skip variables), for the
 * first health check. */
int gateway_start(struct gateway *g, bool quiet, struct error *e);

/* The start guard: while it is set the gateway cannot start, across reboots:
 * a drop-in with ConditionPathExists=!<guard file> for units, the guard file
 * itself for `exec`. A fence is the same, set for good by a move. */
int gateway_guard(struct gateway *g, bool on, struct error *e);
int gateway_fence(struct gateway *g, bool on, const char *why, struct error *e);
bool gateway_fenced(struct gateway *g, struct buf *why);

struct gateway_check {
    char name[40];
    bool ok;
    char text[200];
};
struct gateway_expect {
    int64_t agents;    /* -1: any */
    int64_t cron_jobs; /* user jobs; -1: any */
    bool running;      /* false: only what can be checked without it */
};
/* The acceptance test: config valid, ready and still alive seconds later, RPC
 * health, agents, workspaces exist, number of user cron jobs. 0 when all
 * checks passed, OCM_E_UNHEALTHY otherwise; checks are filled either way. */
int gateway_health(struct gateway *g, const struct gateway_expect *expect,
                   int64_t wait_ms, const atomic_bool *cancelled,
                   struct gateway_check *checks, size_t *count, size_t max,
                   struct error *e);

#endif
