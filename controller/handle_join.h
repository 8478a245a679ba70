/* SPDX-License-Identifier: MIT */
/* Joining and renewal: the two ways to a certificate. */
#ifndef CONTROLLER_HANDLE_JOIN_H
#define CONTROLLER_HANDLE_JOIN_H

#include "common/net/stream.h"
#include "controller/catalog/catalog.h"
#include "controller/controller.h"

/* A Join on the join port (loop thread; a token and a signature are quick):
 * checks and takes the token, makes the node, signs its key. The answer is in
 * `out`; its byte fields and strings point into `room` and `node`. */
struct join_answer {
    struct node node;
    struct buf certificate;
};
int handle_join(struct controller *c, const Ocm__Join *join,
                struct join_answer *out, struct error *e);
void join_answer_fini(struct join_answer *a);

/* A Renew over a live connection (worker thread): a new certificate for the
 * same node; the old one stays valid until it expires. */
int handle_renew(struct controller *c, struct stream *s,
                 const struct node *node, const Ocm__Renew *renew,
                 struct error *e);

#endif
