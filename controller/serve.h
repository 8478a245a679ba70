/* SPDX-License-Identifier: MIT */
/* Serving a snapshot's blobs to the agent of a plan or an apply. An agent may
 * get only what the conversation's snapshot reaches: the root is granted, and
 * what a served tree names becomes granted with it. */
#ifndef CONTROLLER_SERVE_H
#define CONTROLLER_SERVE_H

#include "common/data/digest.h"
#include "common/net/stream.h"
#include "controller/controller.h"

struct serve;

struct serve *serve_new(struct controller *c, struct stream *s,
                        const struct id *root);
void serve_free(struct serve *v);

/* Answer one Get with parcels. OCM_E_DENIED for an id that is not granted. */
int serve_get(struct serve *v, const Ocm__Get *get, struct error *e);
uint64_t serve_bytes(const struct serve *v);

#endif
