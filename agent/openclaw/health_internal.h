/* SPDX-License-Identifier: MIT */
/* What the files of the acceptance test share: health.c runs it, health_ready
 * waits, health_cli asks OpenClaw's CLI, health_files looks at files. */
#ifndef AGENT_OPENCLAW_HEALTH_INTERNAL_H
#define AGENT_OPENCLAW_HEALTH_INTERNAL_H

#include "agent/openclaw/gateway_internal.h"

#define HEALTH_CLI_MS 60000 /* one CLI call: Node needs seconds to start */
#define HEALTH_RPC_MS "5000"
#define HEALTH_LOOK_MS 200 /* between two looks */

struct health {
    struct gateway *g;
    const struct gateway_expect *expect;
    const atomic_bool *cancelled;
    struct gateway_check *checks;
    size_t count, max;
    bool failed;
    struct openclaw now; /* the node as it is now: its config may be new */
    struct buf notes;
    struct proc proc; /* its process, once seen */
};

/* Add a check; beyond `max` it only counts as passed or failed. */
void health_add(struct health *h, const char *name, bool ok, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));
bool health_cancelled(const struct health *h);
void health_pause(int64_t ms);

/* ---- health_files.c ---- */

void health_offline(struct health *h);     /* all that files can tell */
void health_config_file(struct health *h); /* it parses */
void health_workspaces(struct health *h);  /* those of the config exist */
/* The number against what was expected; `how` follows it in the text. */
void health_agent_count(struct health *h, int64_t n, const char *how);
void health_cron_count(struct health *h, int64_t n, const char *how);

/* ---- health_ready.c ---- */

/* 1 ready, 0 not (a check says why), or OCM_E_CANCELLED. */
int health_wait_ready(struct health *h, int port, int64_t wait_ms);

/* ---- health_cli.c ---- */

/* Run one CLI call; true when it ended with 0. The caller gives `job` back. */
bool health_run_cli(struct health *h, const char *const *words,
                    int64_t timeout_ms, struct process_job *job);
void health_config_alone(struct health *h); /* without a gateway */
/* config, rpc, agents, workspaces, cron. 0 or OCM_E_CANCELLED. */
int health_by_cli(struct health *h);

#endif
