/* SPDX-License-Identifier: MIT */
/* The nodes that are connected now: from a name or id to a conversation with
 * its agent. Any thread. */
#ifndef CONTROLLER_NODES_H
#define CONTROLLER_NODES_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/net/channel.h"

struct nodes;

struct nodes *nodes_new(void);
void nodes_free(struct nodes *n);

/* What a node said of itself in Hello. */
struct node_link {
    uint64_t serial; /* of the connection, set by nodes_add: never twice */
    bool can_upgrade, can_uninstall; /* features */
    char agent_version[32];
    char upgrade_undone[600]; /* why its upgrade was put back, or "" */
};

/* A new connection of a node replaces (and closes) the old one. */
void nodes_add(struct nodes *n, const char *node_id, struct channel *ch,
               const struct node_link *link);
/* Of the connection that is there now; false: there is none. */
bool nodes_link(struct nodes *n, const char *node_id, struct node_link *out);
void nodes_remove(struct nodes *n, const char *node_id, struct channel *ch);
bool nodes_connected(struct nodes *n, const char *node_id);
/* OCM_E_OFFLINE when it is not connected. */
struct stream *nodes_open_stream(struct nodes *n, const char *node_id,
                                 struct error *e);
/* Loop thread: end a node's connection (revoked). */
void nodes_close(struct nodes *n, const char *node_id, const char *why);

#endif
