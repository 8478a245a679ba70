/* SPDX-License-Identifier: MIT */
/* Small work on text: numbers with bounds, hex, names, path boundaries. */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MAX_LEN 40 /* of a node, a label, a job's owner */

/* A decimal number in [min, max], nothing else in `s`; false otherwise. */
bool text_to_i64(const char *s, int64_t min, int64_t max, int64_t *out);

/* "90", "15m", "2h", "7d", "500ms" into milliseconds. */
bool text_to_ms(const char *s, int64_t *out_ms);

/* "4096", "64K", "16M", "2G" (powers of 1024) into bytes. */
bool text_to_bytes(const char *s, int64_t *out);

/* `out` holds 2 * len + 1 bytes. */
void hex_encode(const uint8_t *p, size_t len, char *out);
/* Exactly 2 * len digits, either case; false otherwise. */
bool hex_decode(const char *s, size_t len_of_s, uint8_t *out, size_t len);

/* ^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$ : names that peers and people give.
 * They are never used as paths without passing this. */
bool name_is_valid(const char *s);

/* Well-formed UTF-8 without NUL? */
bool utf8_is_valid(const void *p, size_t len);

/* Append bytes for people and JSON: well-formed UTF-8 as it is, broken UTF-8
 * and what drives a terminal or turns the direction of a line (control
 * characters, the bidirectional overrides and isolates) as \xNN. */
struct buf;
void text_escape(struct buf *out, const void *p, size_t len);
/* The same in place, for one line of text that may have been cut within a
 * character: a '?' for each such byte. It is well-formed UTF-8 afterwards. */
void text_clean(char *s);

bool text_has_prefix(const char *s, const char *prefix);
bool text_has_suffix(const char *s, const char *suffix);

/* Is `path` equal to `root` or below it, on a path boundary?
 * "/a/b" is below "/a", "/ab" is not. Neither ends in '/'. */
bool path_is_below(const char *path, const char *root);

/* "a/b" from "a" and "b"; an empty side gives the other. Caller frees. */
char *path_join(const char *dir, const char *name);

/* Lexical clean-up of an absolute path: no "//", "." or final '/'; ".." is
 * resolved by text. NULL when it is not absolute. Caller frees. */
char *path_clean(const char *path);

/* A relative path of plain names: no empty, "." or ".." part, not absolute,
 * no NUL. What peers send must pass this before it is used. */
bool path_is_safe(const char *path, size_t len);

/* "1.2 MiB" and the like, into `out`. */
void text_of_bytes(uint64_t bytes, char *out, size_t cap);

#endif
