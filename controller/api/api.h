/* SPDX-License-Identifier: MIT */
/* The HTTP API of the controller, on its sockets. libmicrohttpd runs inside
 * the loop (its epoll descriptor in a uv_poll); handlers run on workers while
 * their connection is suspended. */
#ifndef CONTROLLER_API_API_H
#define CONTROLLER_API_API_H

#include "common/base/error.h"
#include "common/data/digest.h"
#include "controller/controller.h"

struct api_server;

#define API_MAX_CONNECTIONS 256
#define API_BODY_MAX (1024 * 1024)
#define API_IDLE_S 30

/* A socket file that nobody answers on is replaced. */
struct api_listener {
    const char *socket; /* path of a unix socket */
    const char *group;  /* its members may use it; "": root and ourselves */
    const char *const *hosts; /* what Host may say, without a port, NULL at the
                                 end; it must live as long as the server.
                                 NULL: localhost, ocm */
};

/* Listen on all of `listeners` (copied), or on none: OCM_E_LOCKED when another
 * controller answers there, OCM_E_EXISTS. Of `c` the loop, conf, catalog, repo,
 * jobs and nodes must be set. `ca` is the fingerprint that join tokens carry
 * (copied). */
int api_start(struct controller *c, const struct id *ca,
              const struct api_listener *listeners, size_t count,
              struct api_server **out, struct error *e);

/* No new connections; streams end, requests that work on are waited for, then
 * all is closed and freed. `on_stopped` runs once from the loop, never within
 * this call. Stop jobs first: job streams then end by themselves. */
void api_stop(struct api_server *a, void (*on_stopped)(void *arg), void *arg);

#endif
