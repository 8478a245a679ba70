/* SPDX-License-Identifier: MIT */
/* All handlers of the route table. */
#ifndef CONTROLLER_API_HANDLERS_H
#define CONTROLLER_API_HANDLERS_H

#include "controller/api/request.h"

/* handle_status.c */
request_handler get_status, get_kit, get_openapi;
/* handle_nodes.c */
request_handler get_nodes, get_node, post_node_token, post_node_rename,
    post_node_single, delete_node;
/* handle_connections.c */
request_handler get_connections, get_connection, post_connection;
/* handle_snapshots.c */
request_handler get_snapshots, get_snapshot, get_files, get_file;
/* handle_diff.c */
request_handler get_diff;
/* handle_jobs.c */
request_handler get_jobs, get_job, get_job_events, post_job_cancel,
    post_backups, post_plans, post_migrations, post_restores, post_verify,
    post_gateway, post_upgrades, post_uninstall;
/* handle_transfer.c */
request_handler get_export, post_imports, post_packages;

/* handle_nodes.c: where agents join, "host:port": what is configured, or this
 * machine's name when we listen on all addresses; false then: it is a guess. */
bool join_address(const struct controller *c, char *out, size_t cap);

/* handle_snapshots.c: by id, unique prefix, "latest" or "latest:NODE". */
struct snapshot;
int find_snapshot(struct request *rq, const char *ref, struct snapshot *out,
                  struct error *e);
/* A path of the query below the root: "" or path_is_safe; final slashes are
 * taken off. Caller frees. */
int query_path(struct request *rq, char **out, struct error *e);

#endif
