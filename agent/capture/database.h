/* SPDX-License-Identifier: MIT */
/* Databases and rows as entries of the snapshot. */
#ifndef AGENT_CAPTURE_DATABASE_H
#define AGENT_CAPTURE_DATABASE_H

#include "agent/capture/entry.h"

/* The databases that rows are taken of: looked at once at the start, so that
 * a database and its rows come from one copy whichever is met first. */
void sources_open(struct capture *c);
void sources_close(struct capture *c); /* removes the copies */

/* The database `live` (absolute; attributes `a` as just seen), at the current
 * path: reuse, or copy and store. Companions are the walk's business. STEP_*
 * or a negative code. */
int database_capture(struct capture *c, const char *live, const struct attr *a,
                     const struct cache_record *rec, struct entry *out,
                     struct error *e);

/* The rows of `rows` as a file at the current path: one JSON object a line,
 * keys in column order; integers exact; reals as %.17g, with ".0" when that
 * looks like an integer, and infinities as {"$real":"inf"}; blobs as
 * {"$blob":"base64"}; text as it is, but {"$text":"base64"} when it is no
 * UTF-8. A missing database or table means no file. */
int rows_capture(struct capture *c, const struct capture_rows *rows,
                 struct entry *out, struct error *e);

/* rows.c: run the query on an open copy and write the lines to `path`. */
int rows_write(const char *copy, const char *sql, const char *path,
               const atomic_bool *cancelled, struct error *e);

#endif
