/* SPDX-License-Identifier: MIT */
/* What is asked of a target when it plans or applies: kept with the plan, so
 * that the deed is asked with the very same words. Worker thread. */
#ifndef CONTROLLER_JOBS_PLAN_REQUEST_H
#define CONTROLLER_JOBS_PLAN_REQUEST_H

#include <jansson.h>

#include "controller/catalog/catalog.h"
#include "controller/controller.h"
#include "controller/jobs/job.h"
#include "proto/ocm.pb-c.h"

#define PLAN_SEED_LEN 16

struct plan_request {
    char id[24]; /* of the plan: the job that made it */
    struct node source, target;
    Ocm__Intention intention;
    struct id snapshot, root;
    struct id digest; /* of the plan, when it is made */
    uint8_t seed[PLAN_SEED_LEN];
    bool source_fenced;
    bool told;       /* the target has been told to apply it */
    json_t *options; /* sections, no_data, rules, channels_on, skip_edits,
                        install_openclaw, upgrade_state */
};

/* From the parameters of a "plan" job; a fresh seed. */
int plan_request_from_params(struct controller *c, const char *id,
                             const json_t *params, struct plan_request *out,
                             struct error *e);
/* For keeping, and back. */
json_t *plan_request_to_json(const struct plan_request *p);
int plan_request_from_json(struct controller *c, const json_t *j,
                           struct plan_request *out, struct error *e);
void plan_request_fini(struct plan_request *p);

/* Ask the target for the plan, serving it the snapshot. `result` gets the
 * plan for people, p->digest its digest. */
int plan_request_ask(struct job *j, struct plan_request *p, json_t *result,
                     struct error *e);

/* Ask the target to do it. `result` gets the outcome; OCM_E_UNHEALTHY when
 * it rolled back, OCM_E_FAILED when it says that nothing was changed. A failure
 * with p->told false: it never heard of it. */
int plan_request_apply(struct job *j, struct plan_request *p,
                       const json_t *options, json_t *result, struct error *e);

#endif
