/* SPDX-License-Identifier: MIT */
/* /meta.json of a backup: when, which node, facts, sections with their roots
 * and states, problems. Written by job_backup, read by apply and by people.
 *
 * {"format":1,"time":"...","node":{"name","id","hostname","platform"},
 *  "agent":"0.1.0","openclaw":"2026.9.6","era":"sqlite","facts":{...},
 *  "sections":[{"name","area","state","files","bytes",
 *               "roots":[{"at","path"}]}],
 *  "problems":[{"section","path","reason"}],"problem_count":0} */
#ifndef AGENT_META_H
#define AGENT_META_H

#include "agent/agent.h"
#include "agent/openclaw/openclaw.h"

#define META_FORMAT 1

int meta_write(const struct agent *a, const struct openclaw *o,
               const struct capture_result *so_far, int64_t time_ns,
               struct buf *out, struct error *e);

const char *meta_state_name(enum capture_state s);

#endif
