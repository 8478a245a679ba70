/* SPDX-License-Identifier: MIT */
/* What the agent's parts share: configuration, identity, keys. Set up by
 * main before the loop runs, read-only afterwards (but for the marked). */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <uv.h>

#include "agent/agent_conf.h"

#define AGENT_KEY_LEN 32
#define AGENT_MACHINE_LEN 16

struct agent {
    uv_loop_t *loop;
    struct agent_conf conf;
    struct identity identity;
    uint8_t key[AGENT_KEY_LEN];         /* fingerprints of secrets */
    uint8_t machine[AGENT_MACHINE_LEN]; /* random, one per installation */
    struct link *link;

    uv_mutex_t busy; /* guards the next two */
    bool changing;   /* an apply or a backup runs: one at a time */
    char job[32];    /* its id, told in Hello */
};

/* A folder or file of the agent's own state. Caller frees. */
char *agent_path(const struct agent *a, const char *name);

/* Take the one place for a job that reads or changes the whole state; false
 * when another has it. Any thread. */
bool agent_claim(struct agent *a, const char *job);
void agent_release(struct agent *a);

#endif
