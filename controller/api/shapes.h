/* SPDX-License-Identifier: MIT */
/* Our structs as JSON, as openapi.json describes them. All return a new
 * object. */
#ifndef CONTROLLER_API_SHAPES_H
#define CONTROLLER_API_SHAPES_H

#include <jansson.h>

#include "controller/catalog/catalog.h"
#include "controller/controller.h"
#include "controller/repo/repo.h"

/* RFC 3339, or null for 0. */
json_t *shape_time(int64_t ns);
/* Bytes that may be no UTF-8, escaped where they are not. */
json_t *shape_bytes(const char *s, size_t len);

json_t *shape_node(struct controller *c, const struct node *n);
/* With params and result when `full`. */
json_t *shape_job(const struct job_row *j, bool full);
bool shape_has_tag(const struct snapshot *s, const char *tag);
json_t *shape_snapshot(const struct snapshot *s);
/* An entry of a tree; `path` is where it stands in the snapshot. */
json_t *shape_entry(const char *path, const struct tree_node *n);
const char *shape_type(enum tree_type t);

#endif
