/* SPDX-License-Identifier: MIT */
/* Rows of the state and agent databases that are kept beside them as JSON, so
 * that jobs, approvals and logins can be compared and shown alone. */
#ifndef AGENT_OPENCLAW_ROWS_H
#define AGENT_OPENCLAW_ROWS_H

#include "agent/openclaw/agents.h"
#include "agent/openclaw/openclaw.h"

struct rows_list {
    struct capture_rows *items; /* owned, with their strings */
    size_t count, cap;
};

/* Fill `lists` (one per section of the table) for the tables that exist in
 * the databases as they are now. Columns that change by themselves (run
 * state, times of the last use) are left out: they would show as drift. */
void rows_collect(const struct openclaw *o, const struct agents *agents,
                  struct rows_list *lists, struct buf *notes);
void rows_fini(struct rows_list *list);

#endif
