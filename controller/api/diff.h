/* SPDX-License-Identifier: MIT */
/* Two versions of one file, for people: by key for JSON and JSON5, by line
 * for text. Secrets are never in the result. */
#ifndef CONTROLLER_API_DIFF_H
#define CONTROLLER_API_DIFF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define DIFF_MAX_LINES 2000 /* given out, per file */
#define DIFF_MAX_KEYS 2000
#define DIFF_MAX_EDITS 1000 /* lines that differ; more: not shown */

/* [{"key":"gateway.port","change":"changed","old":...,"new":...}] with
 * "secret":true in the place of values; NULL when one of them is no JSON5
 * document. New reference. */
json_t *diff_json(const char *a, size_t a_len, const char *b, size_t b_len);

/* [{"op":" ","text":"..."}] with op " ", "-", "+", and "@" between places;
 * NULL when they differ too much to be shown. */
json_t *diff_text(const char *a, size_t a_len, const char *b, size_t b_len);

/* JSON5 as JSON: comments, unquoted keys, single quotes, trailing commas, odd
 * numbers (they become text). Caller frees with json_decref; NULL when it
 * does not parse. */
json_t *diff_parse_json5(const char *p, size_t len);

#endif
