/* SPDX-License-Identifier: MIT */
/* Errors: a negative code, and one clear line of text for a person. */
#ifndef COMMON_BASE_ERROR_H
#define COMMON_BASE_ERROR_H

#include <stdarg.h>

/* Functions return 0 or a negative code. Codes of the system are -errno (the
 * same numbers libuv uses on Linux); ours start far below them. The name is
 * stable: it crosses the wire and stands in JSON (`"code": "locked"`). */
#define OCM_ERRORS(X)                                                          \
    X(OCM_E_INVALID, "invalid", "invalid input")                               \
    X(OCM_E_PROTOCOL, "protocol", "the peer broke the protocol")               \
    X(OCM_E_LIMIT, "limit", "a limit was exceeded")                            \
    X(OCM_E_CLOSED, "closed", "the connection closed")                         \
    X(OCM_E_CANCELLED, "cancelled", "cancelled")                               \
    X(OCM_E_TIMEOUT, "timeout", "timed out")                                   \
    X(OCM_E_BUSY, "busy", "busy, try again later")                             \
    X(OCM_E_LOCKED, "locked", "locked by another process")                     \
    X(OCM_E_NOTFOUND, "notfound", "not found")                                 \
    X(OCM_E_EXISTS, "exists", "exists already")                                \
    X(OCM_E_DAMAGED, "damaged", "damaged data")                                \
    X(OCM_E_DENIED, "denied", "not allowed")                                   \
    X(OCM_E_AUTH, "auth", "authentication failed")                             \
    X(OCM_E_TLS, "tls", "TLS failed")                                          \
    X(OCM_E_VERSION, "version", "versions do not fit")                         \
    X(OCM_E_SPACE, "space", "not enough free space")                           \
    X(OCM_E_CHANGED, "changed", "changed since it was looked at")              \
    X(OCM_E_UNHEALTHY, "unhealthy", "the gateway is not healthy")              \
    X(OCM_E_PARTIAL, "partial", "only a part could be done")                   \
    X(OCM_E_MISSING, "missing", "data is missing")                             \
    X(OCM_E_UNSUPPORTED, "unsupported", "not supported here")                  \
    X(OCM_E_OFFLINE, "offline", "the node is not connected")                   \
    X(OCM_E_FAILED, "failed", "failed")

enum {
    OCM_E_BASE = -20000,
#define X(code, name, text) code,
    OCM_ERRORS(X)
#undef X
};

#define ERROR_TEXT_MAX 512

/* What went wrong, for a person. Callers put one on the stack, zeroed, and
 * pass it down; every function accepts NULL for it. */
struct error {
    int code;                  /* 0: none */
    char text[ERROR_TEXT_MAX]; /* one line, no final full stop */
};

/* Set `e` (may be NULL) and return `code`, so that a failure is one line:
 * `return error_set(e, OCM_E_LIMIT, "frame of %zu bytes", n);`
 * What text_clean does not let through is replaced. */
int error_set(struct error *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a system call that just failed: the code is -errno and the
 * text gets ": " and the system's words. */
int error_errno(struct error *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "what: " before the text of `e`; returns its code. */
int error_prefix(struct error *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The stable name of a code ("locked", "ENOENT"); never NULL. */
const char *error_name(int code);

/* The code of a stable name of ours; OCM_E_FAILED when unknown. */
int error_code_of_name(const char *name);

/* A general sentence for a code; never NULL. */
const char *error_text(int code);

#endif
