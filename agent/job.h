/* SPDX-License-Identifier: MIT */
/* The agent's side of every conversation: one worker thread each. */
#ifndef AGENT_JOB_H
#define AGENT_JOB_H

#include "agent/agent.h"
#include "agent/openclaw/openclaw.h"
#include "common/net/protocol.h"
#include "common/net/stream.h"

/* Serve what the controller opened with `first`. A failure is told to it by
 * the caller. */
int job_serve(struct agent *a, struct stream *s, const Ocm__Envelope *first,
              struct error *e);

/* One per message; same words as controller/handle_*.c. */
int job_backup(struct agent *a, struct stream *s, const Ocm__BackupRequest *req,
               struct error *e);
int job_facts(struct agent *a, struct stream *s, const Ocm__FactsRequest *req,
              struct error *e);
int job_plan(struct agent *a, struct stream *s, const Ocm__PlanRequest *req,
             struct error *e);
int job_apply(struct agent *a, struct stream *s, const Ocm__ApplyRequest *req,
              struct error *e);
int job_gateway(struct agent *a, struct stream *s,
                const Ocm__GatewayRequest *req, struct error *e);
int job_upgrade(struct agent *a, struct stream *s,
                const Ocm__UpgradeRequest *req, struct error *e);
int job_uninstall(struct agent *a, struct stream *s,
                  const Ocm__UninstallRequest *req, struct error *e);

/* We open these. */
int job_renew(struct agent *a, struct stream *s, struct error *e);
/* A backup asked for by us, in the middle of `job`; the snapshot's id. */
int job_safety(struct agent *a, const char *job, struct id *snapshot,
               struct error *e);

/* The facts as they go over the wire: secrets as fingerprints. The array and
 * its strings are freed with job_facts_free. */
Ocm__Fact **job_facts_pack(const struct agent *a, const struct facts *f,
                           size_t *count);
void job_facts_free(Ocm__Fact **facts, size_t count);

#endif
