/* SPDX-License-Identifier: MIT */
/* What one detection gathers: openclaw.c finds it, detect_facts.c says it. */
#ifndef AGENT_OPENCLAW_DETECT_INTERNAL_H
#define AGENT_OPENCLAW_DETECT_INTERNAL_H

#include "agent/openclaw/agents.h"
#include "agent/openclaw/install.h"
#include "agent/openclaw/openclaw.h"
#include "agent/openclaw/proc.h"
#include "agent/openclaw/unit.h"

struct looking {
    const struct openclaw_conf *conf;
    struct openclaw *o;
    struct buf *notes;
    struct unit unit;
    bool has_unit;
    struct proc gateway;
    bool running;
    struct config config;
    struct agents agents;
    struct install install;
};

/* All facts but cron.jobs and state.version. */
void detect_facts(struct looking *l);
void detect_set_number(struct facts *f, const char *key, int64_t n);

#endif
