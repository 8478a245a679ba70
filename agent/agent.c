/* SPDX-License-Identifier: MIT */
#include "agent/agent.h"

#include <stdio.h>

#include "common/base/text.h"

char *agent_path(const struct agent *a, const char *name)
{
    return path_join(a->conf.state_dir, name);
}

bool agent_claim(struct agent *a, const char *job)
{
    bool got;

    uv_mutex_lock(&a->busy);
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
    uv_mutex_unlock(&a->busy);
}

void agent_leave(struct agent *a, enum agent_leave how)
{
    atomic_store(&a->leaving, how);
    uv_async_send(&a->leave);
}
