/* SPDX-License-Identifier: MIT */
/* The agent's side of an upgrade: manifest judged -> "send" -> the binary ->
 * in place, on trial -> "restarting" -> the loop ends and main executes it.
 * Whatever fails before that leaves the agent that runs as it was. */
#include <string.h>

#include "agent/job.h"
#include "agent/upgrade/upgrade.h"
#include "agent/build.h"
#include "common/base/log.h"

#define UPGRADE_RECV_MS 60000 /* without a byte of the binary */

static int reply(struct agent *a, struct stream *s, const char *state,
                 struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__UpgradeReply r = OCM__UPGRADE_REPLY__INIT;

    r.state = (char *)state;
    r.version = (char *)agent_version;
    r.wait_ms = (uint32_t)a->conf.upgrade_wait_ms;
    m.body_case = OCM__ENVELOPE__BODY_UPGRADE_REPLY;
    m.upgrade_reply = &r;
    return stream_send(s, &m, e);
}

static int receive(struct stream *s, struct upgrade_stage *stage,
                   struct error *e)
{
    struct stream_item item;
    bool ended = false;
    int rc = 0;

    while (rc == 0 && !ended) {
        rc = stream_recv(s, UPGRADE_RECV_MS, &item, e);
        if (rc < 0)
            break;
        if (item.kind == STREAM_DATA)
            rc = upgrade_stage_write(stage, item.data.data, item.data.len, e);
        else if (item.kind == STREAM_END)
            ended = true;
        else
            rc = error_set(e, OCM_E_PROTOCOL, "a message within a binary");
        stream_item_free(&item);
    }
    return rc;
}

static int take_in(struct agent *a, struct stream *s,
                   const Ocm__UpgradeRequest *req, bool *current,
                   struct error *e)
{
    struct upgrade_offer offer = {
        .manifest = req->manifest.data,
        .manifest_len = req->manifest.len,
        .allow_downgrade = req->allow_downgrade,
        .protocol = a->protocol,
    };
    struct upgrade_stage *stage;
    int rc = upgrade_stage_open(a->conf.state_dir, &offer, &stage, current, e);

    if (rc < 0 || *current)
        return rc;
    rc = reply(a, s, "send", e);
    if (rc == 0)
        rc = receive(s, stage, e);
    if (rc == 0)
        rc = upgrade_stage_finish(stage, e);
    upgrade_stage_free(stage);
    return rc;
}

int job_upgrade(struct agent *a, struct stream *s,
                const Ocm__UpgradeRequest *req, struct error *e)
{
    bool current = false;
    int rc;

    if (!agent_claim(a, "upgrade"))
        return error_set(e, OCM_E_BUSY, "another job runs on this node");
    rc = take_in(a, s, req, &current, e);
    if (rc < 0 || current) {
        agent_release(a);
        return rc < 0 ? rc : reply(a, s, "current", e);
    }
    /* The claim stays: nothing may begin any more. From here on the new agent
     * comes, whether our word arrives or not. */
    reply(a, s, "restarting", NULL);
    agent_leave(a, AGENT_RESTARTS);
    return 0;
}
