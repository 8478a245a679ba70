/* SPDX-License-Identifier: MIT */
/* One place where the API listens: its socket, and who may use it. */
#ifndef CONTROLLER_API_PORT_H
#define CONTROLLER_API_PORT_H

#include <microhttpd.h>
#include <uv.h>

#include "controller/api/api.h"
#include "controller/api/guard.h"
#include "controller/api/peer.h"

struct api_port {
    struct api_server *api;
    int fd; /* listening; -1: shut */
    char *socket, *group;
    struct guard_rules rules;
    struct MHD_Daemon *mhd; /* the library's half; NULL: stopped */
    int epoll_fd;           /* of the library */
    uv_poll_t poll;         /* watches it */
};

/* Bind and listen; sets fd, socket, group and rules. */
int port_open(struct api_port *p, const struct api_listener *l,
              struct error *e);
/* Who has connected; false when that cannot be known. */
bool port_admit(const struct api_port *p, int fd, struct peer *out);
/* No new connections; the socket file goes. */
void port_shut(struct api_port *p);
void port_fini(struct api_port *p);

#endif
