/* SPDX-License-Identifier: MIT */
/* A strict JSON reader that pulls: the caller asks for what must come next.
 * Nothing is allocated for what is skipped, so memory is bounded by what the
 * caller keeps. For trees and indexes, where a document of 64 MiB may come
 * from foreign hands; small documents go through jansson.
 *
 * The first error sticks: every later call fails, so that a caller may check
 * once, at the end. RFC 8259; numbers are unsigned integers only, other
 * numbers can be skipped. */
#ifndef COMMON_DATA_JSON_SCAN_H
#define COMMON_DATA_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

#define JSON_SCAN_DEPTH_MAX 63
#define JSON_SCAN_KEY_MAX 64 /* longer keys are cut: they match nothing */

struct json_scan {
    const uint8_t *start, *p, *end; /* borrowed */
    const char *bad;                /* what is wrong; NULL: nothing yet */
    int depth;
    uint64_t begun; /* bit n: level n has had an element */
    char key[JSON_SCAN_KEY_MAX + 1];
};

void scan_init(struct json_scan *s, const void *p, size_t len);

/* '{', then keys one by one: NULL at '}' or on an error. The key is borrowed
 * until the next one. After each key its value must be taken or skipped. */
void scan_object(struct json_scan *s);
const char *scan_key(struct json_scan *s);

/* '[', then: is there one more element? */
void scan_array(struct json_scan *s);
bool scan_item(struct json_scan *s);

/* Append the decoded string (UTF-8, may hold NUL) to `out`. */
void scan_string(struct json_scan *s, struct buf *out);
uint64_t scan_u64(struct json_scan *s);
bool scan_null(struct json_scan *s); /* true: null stood there, taken */
void scan_skip(struct json_scan *s); /* any value */

/* Only white space may follow. 0, or OCM_E_DAMAGED with what and where. */
int scan_end(struct json_scan *s, struct error *e);

/* The caller found the content wrong: sticks as an error of this place. */
void scan_bad(struct json_scan *s, const char *what);

#endif
