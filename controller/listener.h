/* SPDX-License-Identifier: MIT */
/* The two ports of the controller: agents (certificate required) and joining
 * (none, few connections). Loop thread. */
#ifndef CONTROLLER_LISTENER_H
#define CONTROLLER_LISTENER_H

#include "common/base/error.h"
#include "controller/controller.h"

#define LISTENER_MAX_AGENTS 20000
#define LISTENER_MAX_JOINS 64

struct listener;

/* Binds and listens at the addresses of c->conf. */
struct listener *listener_new(struct controller *c, struct error *e);

/* Close the ports and every session; `on_stopped` when nothing is left. */
void listener_stop(struct listener *l, void (*on_stopped)(void *arg),
                   void *arg);
void listener_free(struct listener *l);

#endif
