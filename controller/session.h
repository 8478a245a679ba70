/* SPDX-License-Identifier: MIT */
/* A session: one agent's connection. It checks who the peer is before a byte
 * of it is believed, welcomes it, and gives what it opens to workers. Also the
 * short life of a connection on the join port. Loop thread. */
#ifndef CONTROLLER_SESSION_H
#define CONTROLLER_SESSION_H

#include "common/net/channel.h"
#include "controller/controller.h"

#define SESSION_HELLO_MS 10000 /* from TLS to Hello, or to Join */

struct session;

/* Own a fresh connection. `on_gone` runs exactly once, when the connection
 * and all of its workers have ended. */
struct session *session_new(struct controller *c, struct tls_stream *tls,
                            bool joining, void (*on_gone)(void *arg),
                            void *arg);

/* Ask a session to end; on_gone follows. */
void session_close(struct session *s);

#endif
