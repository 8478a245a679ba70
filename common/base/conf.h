/* SPDX-License-Identifier: MIT */
/* Config files: `key = value` lines in `[sections]`, strict. A table of keys
 * says what exists; an unknown or repeated key, or a value out of bounds, is
 * an error that names file and line. `#` starts a comment line. */
#ifndef COMMON_BASE_CONF_H
#define COMMON_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum conf_type {
    CONF_STRING, /* char * */
    CONF_PATH,   /* char *, absolute */
    CONF_BOOL,   /* bool: yes, no, true, false */
    CONF_INT,    /* int64_t in [min, max] */
    CONF_BYTES,  /* int64_t: 64K, 16M, 2G */
    CONF_TIME,   /* int64_t milliseconds: 90, 15m, 2h, 7d */
    CONF_LIST,   /* struct conf_list: the key may stand several times */
};

struct conf_list {
    char **items;
    size_t count;
};

/* One key. `offset` is where the value goes in the caller's struct. */
struct conf_key {
    const char *section; /* "" before any [section] */
    const char *key;
    enum conf_type type;
    size_t offset;
    const char *fallback; /* parsed like a value; NULL: zero */
    int64_t min, max;     /* CONF_INT, CONF_BYTES, CONF_TIME; 0,0: no bounds */
    const char *help;     /* one line, for the example file and man page */
};

/* Fill `out` (zeroed by the caller) with the fallbacks, then with the file.
 * Strings are allocated; conf_free releases them. A missing file is -ENOENT
 * with the fallbacks in place. */
int conf_load(const char *path, const struct conf_key *keys, size_t count,
              void *out, struct error *e);
/* The same from text already read; `name` stands in messages. */
int conf_parse(const char *name, const char *text, size_t len,
               const struct conf_key *keys, size_t count, void *out,
               struct error *e);
void conf_free(const struct conf_key *keys, size_t count, void *out);

#endif
