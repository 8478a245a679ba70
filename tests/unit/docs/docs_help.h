/* SPDX-License-Identifier: MIT */
/* Shared by the tests of agent/adapt/docs. Failures end the test. */
#ifndef TESTS_UNIT_DOCS_DOCS_HELP_H
#define TESTS_UNIT_DOCS_DOCS_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/adapt/docs/doc.h"

struct doc *docs_parse(enum doc_format format, const char *text);
/* Rendered without edits it must be the source; with them, `want`. */
void docs_expect(struct doc *d, const char *want);

/* One edit, its result checked to be 0. */
void docs_set(struct doc *d, const char *path, const char *text);
void docs_raw(struct doc *d, const char *path, const char *raw);
void docs_key(struct doc *d, const char *path, const char *key);
void docs_insert(struct doc *d, const char *path, const char *key,
                 const char *json);
void docs_remove(struct doc *d, const char *path);
/* The decoded text at `path` is `text`. */
void docs_text(struct doc *d, const char *path, const char *text);

/* Parsing fails with `code` and a text that holds `part`. */
void docs_refused(enum doc_format format, const void *bytes, size_t len,
                  int code, const char *part);

/* Every file of tests/data/docs, with the format its folder is named for. */
typedef void docs_file_fn(enum doc_format format, const char *path,
                          const struct buf *bytes);
void docs_each_file(docs_file_fn *fn);

#endif
