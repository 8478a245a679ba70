/* SPDX-License-Identifier: MIT */
#include "agent/agent.h"

#include <stdio.h>

#include "common/base/text.h"

/* A job is over for the controller when it has our last word; what we still
 * have to put away then is no reason to refuse its next one. */
#define AGENT_CLAIM_NS (10ull * 1000 * 1000 * 1000)

char *agent_path(const struct agent *a, const char *name)
{
    return path_join(a->conf.state_dir, name);
}

bool agent_claim(struct agent *a, const char *job)
{
    uint64_t until = uv_hrtime() + AGENT_CLAIM_NS, now;
    bool got;

    uv_mutex_lock(&a->busy);
    while (a->changing && (now = uv_hrtime()) < until)
        uv_cond_timedwait(&a->idle, &a->busy, until - now);
    got = !a->changing;
    if (got) {
        a->changing = true;
        snprintf(a->job, sizeof(a->job), "%s", job);
    }
    uv_mutex_unlock(&a->busy);
    return got;
}

void agent_release(struct agent *a)
{
    uv_mutex_lock(&a->busy);
    a->changing = false;
    a->job[0] = 0;
    uv_cond_signal(&a->idle);
    uv_mutex_unlock(&a->busy);
}

void agent_leave(struct agent *a, enum agent_leave how)
{
    atomic_store(&a->leaving, how);
    uv_async_send(&a->leave);
}
