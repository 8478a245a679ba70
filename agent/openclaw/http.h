/* SPDX-License-Identifier: MIT */
/* One GET to 127.0.0.1, blocking and bounded: for health probes. */
#ifndef AGENT_OPENCLAW_HTTP_H
#define AGENT_OPENCLAW_HTTP_H

#include <stdint.h>

#include "common/base/buf.h"

#define HTTP_BODY_MAX (256u * 1024)

/* Status code with the body (as sent, at most HTTP_BODY_MAX) appended to
 * `body`; -1 when there was no answer within `timeout_ms`. */
int http_get(int port, const char *path, int64_t timeout_ms, struct buf *body);

#endif
