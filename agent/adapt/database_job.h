/* SPDX-License-Identifier: MIT */
/* The adaptation of one database, as work that a process of its own can do:
 * foreign databases are not opened by the agent, which holds keys and a
 * connection. The agent runs itself once more (DATABASE_HELPER_WORD as the
 * only argument, an empty environment), gives it what is to be done on its
 * stdin and reads edits and warnings from its stdout. The helper locks itself
 * in (common/base/sandbox.h) before it opens a file.
 *
 * The request holds paths, ports and the user's rules, of the facts only
 * those that are no secrets, and in place of the node's key one derived from
 * it. What comes back is believed as far as it can be harmless: an edit or a
 * warning of the file that was asked about, with a rule and a code that
 * databases have; the bytes of the staged file itself are checked by nobody
 * but SQLite, here and in OpenClaw. */
#ifndef AGENT_ADAPT_DATABASE_JOB_H
#define AGENT_ADAPT_DATABASE_JOB_H

#include "agent/adapt/adapt_internal.h"

/* Check the staged database, edit its rows, or bring them into `own`: a copy
 * of the target's database that stands beside the staged one (NULL: none).
 * The state database by the rules of state_db.h; of any other one only that
 * it is sound. In this process; opens what strangers made. */
int database_work(struct adapt *a, const struct adapt_file *f, const char *own,
                  struct error *e);

/* The same by the helper `a->o.helper`, or in this process when that is NULL.
 * A helper that crashes or overruns is OCM_E_DAMAGED, in one line. */
int database_do(struct adapt *a, const struct adapt_file *f, const char *own,
                struct error *e);

/* ---- database_pack.c: what goes between the two, and back ---- */

void database_request_pack(const struct adapt *a, const struct adapt_file *f,
                           const char *own, struct buf *out);

/* A request as the helper has it; borrows from the bytes it was read from. */
struct database_request {
    struct adapt a; /* without a plan */
    struct adapt_file f;
    const char *own;
    struct facts source, target;
};
int database_request_unpack(const struct buf *b, struct database_request *out,
                            struct error *e);
void database_request_fini(struct database_request *r);

void database_answer_pack(int rc, const struct error *e, const struct plan *p,
                          struct buf *out);
/* Adds the edits and warnings to the plan; returns what the helper returned,
 * with its words. */
int database_answer_unpack(const struct buf *b, const struct adapt_file *f,
                           struct plan *p, struct error *e);

/* ---- times that tests shorten ---- */

extern int64_t database_helper_ms;

#endif
