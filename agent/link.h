/* SPDX-License-Identifier: MIT */
/* The link: the agent's one connection to its controller, kept open. It
 * dials, says Hello, dispatches what the controller opens to a worker each,
 * and comes back with full jitter when it breaks. Loop thread only, but
 * link_open_stream. */
#ifndef AGENT_LINK_H
#define AGENT_LINK_H

#include "agent/agent.h"
#include "common/net/channel.h"

struct link;

/* NULL with `e` when key or certificates cannot be used. */
struct link *link_new(struct agent *a, struct error *e);
void link_start(struct link *l);

/* Close, cancel what runs, call `on_stopped` once nothing is left. */
void link_stop(struct link *l, void (*on_stopped)(void *arg), void *arg);
void link_free(struct link *l);

/* Any thread: a stream of ours to the controller; OCM_E_OFFLINE when there is
 * no connection now. */
struct stream *link_open_stream(struct link *l, struct error *e);

#endif
