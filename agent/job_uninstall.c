/* SPDX-License-Identifier: MIT */
/* The agent's side of an uninstallation: remove, tell, end. */
#include <stdlib.h>

#include "agent/job.h"
#include "agent/uninstall.h"
#include "common/base/log.h"

int job_uninstall(struct agent *a, struct stream *s,
                  const Ocm__UninstallRequest *req, struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__UninstallReply reply = OCM__UNINSTALL_REPLY__INIT;
    struct uninstall_report report = {0};
    int rc;

    (void)req;
    if (!agent_claim(a, "uninstall"))
        return error_set(e, OCM_E_BUSY, "another job runs on this node");
    rc = uninstall(&a->conf, a->config, &report, e);
    if (rc < 0) {
        agent_release(a);
    } else {
        reply.removed = report.removed.lines;
        reply.n_removed = report.removed.count;
        reply.left = report.left.lines;
        reply.n_left = report.left.count;
        m.body_case = OCM__ENVELOPE__BODY_UNINSTALL_REPLY;
        m.uninstall_reply = &reply;
        stream_send(s, &m, NULL);
        log_info("uninstalled as the controller asked");
        agent_leave(a, AGENT_UNINSTALLED);
    }
    uninstall_report_fini(&report);
    return rc;
}
