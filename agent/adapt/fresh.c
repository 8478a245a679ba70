/* SPDX-License-Identifier: MIT */
/* Values made anew for a node: deterministic, so that the deed is the plan. */
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/adapt_internal.h"
#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/data/digest.h"

/* OpenClaw derives ports up to base + 110; nodes stand 120 apart. */
#define PORT_STEP 120
#define PORT_LAST 65000
#define SEED_LEN 16
#define NODE_KEY_LEN 32

void fresh_token(const struct adapt *a, const char *purpose, char out[49])
{
    struct buf b = {0};
    struct id id;

    buf_add(&b, a->o.seed, SEED_LEN);
    buf_add_str(&b, purpose);
    id = digest_hmac(a->o.node_key, NODE_KEY_LEN, b.data, b.len);
    hex_encode(id.b, 24, out);
    buf_wipe(&b);
}

static bool is_free(const struct adapt *a, int port)
{
    /* the gateway itself and its browser control */
    return a->o.port_is_free(a->o.arg, port) &&
           a->o.port_is_free(a->o.arg, port + 2);
}

int fresh_port(const struct adapt *a)
{
    for (int port = a->source_port; port <= PORT_LAST; port += PORT_STEP)
        if (is_free(a, port))
            return port;
    for (int port = PORT_DEFAULT; port < a->source_port; port += PORT_STEP)
        if (is_free(a, port))
            return port;
    return 0;
}
