/* SPDX-License-Identifier: MIT */
/* The state database (state/openclaw.sqlite): what its tables mean to an
 * adaptation, and the rows of a copy edited for the target. Measured on
 * schema 18 of OpenClaw 2026.9.6; a table or column that is not there is
 * passed over. */
#ifndef AGENT_ADAPT_STATE_DB_H
#define AGENT_ADAPT_STATE_DB_H

#include "agent/adapt/adapt_internal.h"
#include "agent/adapt/staged_db.h"

/* Rows of users' own cron jobs; the others are made again at each start. */
#define USER_JOBS "declaration_key IS NULL"
/* Keys of config_machine_state that go along to another node, and those of
 * them that are logins. */
#define LOGIN_KEYS                                                             \
    "state_key IN ('authProfiles.store','authProfiles.state',"                 \
    "'auth.sharedStore')"
#define MACHINE_KEYS                                                           \
    "state_key IN ('authProfiles.store','authProfiles.state',"                 \
    "'auth.sharedStore','voicewake.triggers','voicewake.routing',"             \
    "'tts.prefsPath','hooks.internal.installs','cron.store')"

struct state_work {
    struct work w;
    struct staged_db db;
    bool merge;         /* only rows that are brought over are looked at */
    json_t *own_socket; /* of the target's approvals, or NULL */
};

/* Edit the rows of s->db for the target. */
int state_rows_adapt(struct state_work *s);

struct merge {
    struct state_work src;
    struct staged_db own; /* the copy of the target's */
};

struct merge_table {
    const char *section; /* whose rows they are */
    const char *table;
    const char *where; /* rows that are replaced; NULL: all */
    bool replace;      /* false: rows of the target stay beside */
    bool alone;        /* only when its section comes alone */
};

/* How rows of `table` are brought over; NULL: they stay where they are. */
const struct merge_table *state_brings(const struct adapt *a,
                                       const char *table);
/* The columns that both have, in the target's order, quoted and divided by
 * ", ". NULL with *why set when the target demands one the source lacks.
 * Caller frees both. */
char *state_common_columns(struct merge *m, const char *table, int *count,
                           char **why);
/* Cron jobs one by one: only what differs is put, replaced or deleted, so
 * that the others keep the state of their runs. */
int state_merge_jobs(struct merge *m, const struct merge_table *t);

/* Edit the staged database for the target; with `own`, a copy of the target's
 * beside it, bring its rows over into that. Opens what strangers made: only
 * through database_do. */
int state_db_edit(struct adapt *a, const struct adapt_file *f, const char *own,
                  struct error *e);

/* Copy the target's live database, which may be in use and is not written. */
int state_copy_live(const char *live, const char *to, const char *name,
                    struct error *e);
/* `own`, a copy of the target's database, gets the rows of the staged one. */
int state_merge(struct adapt *a, const struct adapt_file *f, const char *own,
                struct error *e);

/* Hex SHA-256 of a workspace's path: its key. */
void workspace_key(const char *path, char out[65]);

#endif
