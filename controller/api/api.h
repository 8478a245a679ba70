/* SPDX-License-Identifier: MIT */
/* The HTTP API of the controller, on its unix socket. libmicrohttpd runs
 * inside the loop (its epoll descriptor in a uv_poll); handlers run on workers
 * while their connection is suspended. */
#ifndef CONTROLLER_API_API_H
#define CONTROLLER_API_API_H

#include "common/base/error.h"
#include "common/data/digest.h"
#include "controller/controller.h"

struct api_server;

#define API_MAX_CONNECTIONS 256
#define API_BODY_MAX (1024 * 1024)
#define API_IDLE_S 30

/* Listen on c->conf->socket: a socket file that nobody answers on is
 * replaced; OCM_E_LOCKED when another controller answers. Of `c` the loop,
 * conf, catalog, repo, jobs and nodes must be set. `ca` is the fingerprint
 * that join tokens carry (copied). */
int api_start(struct controller *c, const struct id *ca,
              struct api_server **out, struct error *e);

/* No new connections; streams end, requests that work on are waited for, then
 * all is closed and freed. `on_stopped` runs once from the loop, never within
 * this call. Stop jobs first: job streams then end by themselves. */
void api_stop(struct api_server *a, void (*on_stopped)(void *arg), void *arg);

#endif
