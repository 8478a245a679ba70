/* SPDX-License-Identifier: MIT */
/* Joining: with a one-use token the agent proves the controller (the token
 * carries the CA's fingerprint), sends a CSR for a key made here, and keeps
 * certificate, CA and identity in its state folder. */
#ifndef AGENT_JOIN_H
#define AGENT_JOIN_H

#include "agent/agent_conf.h"

#define JOIN_PORT_DEFAULT 7702

struct join_options {
    const char *state_dir;
    const char *host; /* of the controller */
    int64_t port;     /* its join port */
    const char *token;
    const char *name; /* wanted node name, "" leaves it to the controller */
};

/* Runs a loop of its own until joined or failed (bounded by 30 s). Nothing is
 * written unless all of it succeeded. */
int join_run(const struct join_options *o, struct error *e);

#endif
