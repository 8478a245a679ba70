/* SPDX-License-Identifier: MIT */
/* What the agent's parts share: configuration, identity, keys. Set up by
 * main before the loop runs, read-only afterwards (but for the marked). */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdatomic.h>
#include <uv.h>

#include "agent/agent_conf.h"

/* Why the loop is left; SIGTERM is AGENT_STOPS. */
enum agent_leave {
    AGENT_STOPS,
    AGENT_RESTARTS,    /* another agent is to run: upgrade_launch */
    AGENT_UNINSTALLED, /* nothing is left to run for */
};

#define AGENT_KEY_LEN 32
#define AGENT_INSTANCE_LEN 16

struct agent {
    uv_loop_t *loop;
    struct agent_conf conf;
    const char *config; /* its file; NULL: none */
    struct identity identity;
    uint8_t key[AGENT_KEY_LEN];           /* fingerprints of secrets */
    uint8_t instance[AGENT_INSTANCE_LEN]; /* random, one per process */
    struct link *link;
    uint32_t protocol; /* of the connection; set before a stream is served */

    uv_async_t leave;   /* for agent_leave; made and closed by main */
    atomic_int leaving; /* enum agent_leave */

    uv_mutex_t busy; /* guards the next two */
    uv_cond_t idle;  /* with it: `changing` has ended */
    bool changing;   /* an apply or a backup runs: one at a time */
    char job[32];    /* its id, told in Hello */
};

/* A folder or file of the agent's own state. Caller frees. */
char *agent_path(const struct agent *a, const char *name);

/* Take the one place for a job that reads or changes the whole state; false
 * when another has it and keeps it for 10 s. Any thread that may block. */
bool agent_claim(struct agent *a, const char *job);
void agent_release(struct agent *a);

/* From a worker of the link: close the connection, end the loop. */
void agent_leave(struct agent *a, enum agent_leave how);

#endif
