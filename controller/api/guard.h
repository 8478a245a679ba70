/* SPDX-License-Identifier: MIT */
/* What a request must be before any handler sees it. libmicrohttpd is lax:
 * the guard looks at the undecoded target and at every header. */
#ifndef CONTROLLER_API_GUARD_H
#define CONTROLLER_API_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define GUARD_MAX_TARGET 8192
#define GUARD_MAX_HEADERS 64

struct guard_header {
    const char *name, *value;
};

/* A listener's policy. */
struct guard_rules {
    const char *const *hosts; /* allowed in Host, without a port; NULL ends */
};

struct guard_request {
    const char *method, *target, *version;
    const struct guard_header *headers;
    size_t header_count;
};

/* 0, or the HTTP status to refuse with and one line why. The connection must
 * be closed after a refusal. */
int guard_check(const struct guard_rules *rules, const struct guard_request *r,
                const char **why);

/* Decode %XX of a target's part into `out` (cap bytes with NUL). False for a
 * broken escape, a NUL, or when it does not fit. */
bool guard_decode(const char *s, size_t len, char *out, size_t cap);

#endif
