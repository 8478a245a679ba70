/* SPDX-License-Identifier: MIT */
/* What reading and writing systemd units share. */
#ifndef AGENT_ADAPT_DOCS_UNIT_INTERNAL_H
#define AGENT_ADAPT_DOCS_UNIT_INTERNAL_H

#include "agent/adapt/docs/doc_internal.h"

/* A value without its continuations, and where its bytes come from. */
struct logical {
    struct buf text;
    uint32_t *from; /* offset of each byte */
    size_t cap;
    size_t next;  /* the line behind it */
    bool goes_on; /* the source ended before it did */
};

enum words { WORDS_NONE, WORDS_EXEC, WORDS_ENV, WORDS_PATHS };

/* How the value of a key is divided. */
enum words unit_words(const char *key);
/* Signs before a command or path that are not part of it: they stay out of
 * the span. `index` is that of the word. */
size_t unit_sign_len(enum words kind, const char *p, size_t index);
/* The section or key at `at`, and where the next line begins; false for empty
 * lines and comments. l->from and l->text are the caller's to free. */
bool unit_read_entry(const struct doc *d, size_t at, struct logical *l);

int unit_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                struct error *e);
int unit_insert(struct doc *d, struct edit *ed, struct doc **json,
                struct error *e);
int unit_may_remove(struct doc *d, uint32_t id, struct error *e);
int unit_lay_out(struct render *r, uint32_t container, struct error *e);

#endif
