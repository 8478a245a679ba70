/* SPDX-License-Identifier: MIT */
/* Writer: a thread that creates the staged files while the caller fetches.
 * A bounded queue of pieces lies between the two; the pieces of one file
 * follow one another. The first failure (disk full, ...) ends the writing and
 * is what writer_end and the next call return. */
#ifndef AGENT_APPLY_WRITER_H
#define AGENT_APPLY_WRITER_H

#include "agent/apply/internal.h"

struct writer;

struct writer *writer_new(const struct apply *a);

/* A folder for the files that follow; takes the descriptor over. */
int writer_dir(struct writer *w, int fd, struct error *e);
/* A whole file; `p` is copied, or taken over with `take` (also on failure). */
int writer_file(struct writer *w, uint32_t entry, uint8_t *p, size_t len,
                bool take, struct error *e);
/* Begin the file of an entry; its pieces, copied; its end. With `keep` false
 * the file is removed again. At most one file is open. */
int writer_begin(struct writer *w, uint32_t entry, struct error *e);
int writer_data(struct writer *w, const void *p, size_t len, struct error *e);
int writer_finish(struct writer *w, bool keep, struct error *e);

/* Wait until all is written; frees the writer, also after failures. */
int writer_end(struct writer *w, struct error *e);

#endif
