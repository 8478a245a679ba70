/* SPDX-License-Identifier: MIT */
/* Routing of conversations, and those of one question and one answer. */
#include "agent/job.h"

#include <stdlib.h>
#include <string.h>

#include "agent/build.h"
#include "agent/openclaw/gateway.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/net/x509.h"

#define RENEW_TIMEOUT_MS 30000

/* What this build does not name in Hello it does not do. */
static bool has_feature(const char *name)
{
    for (size_t i = 0; agent_features[i]; i++) {
        if (strcmp(agent_features[i], name) == 0)
            return true;
    }
    return false;
}

int job_serve(struct agent *a, struct stream *s, const Ocm__Envelope *first,
              struct error *e)
{
    switch (first->body_case) {
    case OCM__ENVELOPE__BODY_FACTS_REQUEST:
        return job_facts(a, s, first->facts_request, e);
    case OCM__ENVELOPE__BODY_BACKUP_REQUEST:
        return job_backup(a, s, first->backup_request, e);
    case OCM__ENVELOPE__BODY_PLAN_REQUEST:
        return job_plan(a, s, first->plan_request, e);
    case OCM__ENVELOPE__BODY_APPLY_REQUEST:
        return job_apply(a, s, first->apply_request, e);
    case OCM__ENVELOPE__BODY_GATEWAY_REQUEST:
        return job_gateway(a, s, first->gateway_request, e);
    case OCM__ENVELOPE__BODY_UPGRADE_REQUEST:
        if (has_feature("upgrade"))
            return job_upgrade(a, s, first->upgrade_request, e);
        break;
    case OCM__ENVELOPE__BODY_UNINSTALL_REQUEST:
        if (has_feature("uninstall"))
            return job_uninstall(a, s, first->uninstall_request, e);
        break;
    default:
        break;
    }
    return error_set(e, OCM_E_UNSUPPORTED,
                     "this agent does not know message %d", first->body_case);
}

/* ---- facts ---- */

Ocm__Fact **job_facts_pack(const struct agent *a, const struct facts *f,
                           size_t *count)
{
    Ocm__Fact **list = mem_array(f->count, sizeof(*list));

    for (size_t i = 0; i < f->count; i++) {
        Ocm__Fact *p = mem_alloc(sizeof(*p));

        ocm__fact__init(p);
        p->key = mem_strdup(f->items[i].key);
        p->secret = f->items[i].secret;
        p->value = p->secret ? facts_fingerprint(f->items[i].value, a->key)
                             : mem_strdup(f->items[i].value);
        list[i] = p;
    }
    *count = f->count;
    return list;
}

void job_facts_free(Ocm__Fact **facts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(facts[i]->key);
        free(facts[i]->value);
        free(facts[i]);
    }
    free(facts);
}

int job_facts(struct agent *a, struct stream *s, const Ocm__FactsRequest *req,
              struct error *e)
{
    struct openclaw_conf conf = agent_conf_openclaw(&a->conf);
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Facts out = OCM__FACTS__INIT;
    struct buf notes = {0};
    struct openclaw o;
    struct id digest;
    int rc;

    (void)req;
    rc = openclaw_detect(&conf, &o, &notes, e);
    if (rc < 0)
        goto out;
    out.facts = job_facts_pack(a, &o.facts, &out.n_facts);
    digest = facts_digest(&o.facts);
    out.digest.data = digest.b;
    out.digest.len = ID_LEN;
    m.body_case = OCM__ENVELOPE__BODY_FACTS;
    m.facts = &out;
    rc = stream_send(s, &m, e);
    job_facts_free(out.facts, out.n_facts);
    openclaw_fini(&o);
out:
    buf_free(&notes);
    return rc;
}

/* ---- gateway ---- */

static int gateway_verb(struct gateway *g, const struct agent *a,
                        const char *verb, struct error *e)
{
    if (strcmp(verb, "status") == 0)
        return 0;
    if (strcmp(verb, "stop") == 0)
        return gateway_stop(g, a->conf.stop_bound_ms, e);
    if (strcmp(verb, "start") == 0)
        return gateway_start(g, false, e);
    if (strcmp(verb, "fence") == 0) {
        int rc = gateway_fence(g, true, "moved to another node by OCM", e);

        return rc < 0 ? rc : gateway_stop(g, a->conf.stop_bound_ms, e);
    }
    if (strcmp(verb, "unfence") == 0)
        return gateway_fence(g, false, "", e);
    return error_set(e, OCM_E_UNSUPPORTED, "gateway verb '%s'", verb);
}

int job_gateway(struct agent *a, struct stream *s,
                const Ocm__GatewayRequest *req, struct error *e)
{
    static const char *const names[] = {
        [GATEWAY_STOPPED] = "stopped",
        [GATEWAY_RUNNING] = "running",
        [GATEWAY_ABSENT] = "absent",
        [GATEWAY_MANUAL] = "manual",
    };
    struct openclaw_conf conf = agent_conf_openclaw(&a->conf);
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__GatewayReply reply = OCM__GATEWAY_REPLY__INIT;
    struct buf text = {0}, why = {0}, notes = {0};
    struct gateway *g = NULL;
    struct openclaw o = {0};
    bool changes = strcmp(req->verb, "status") != 0;
    int rc;

    if (changes && !agent_claim(a, "gateway"))
        return error_set(e, OCM_E_BUSY, "another job runs on this node");
    rc = openclaw_detect(&conf, &o, &notes, e);
    if (rc < 0)
        goto out;
    g = gateway_new(&conf, &o);
    rc = gateway_verb(g, a, req->verb, e);
    if (rc < 0)
        goto out;
    reply.state = (char *)names[gateway_status(g, &text)];
    reply.fenced = gateway_fenced(g, &why);
    reply.text = buf_str(reply.fenced ? &why : &text);
    m.body_case = OCM__ENVELOPE__BODY_GATEWAY_REPLY;
    m.gateway_reply = &reply;
    rc = stream_send(s, &m, e);
out:
    if (changes)
        agent_release(a);
    gateway_free(g);
    openclaw_fini(&o);
    buf_free(&text);
    buf_free(&why);
    buf_free(&notes);
    return rc;
}

/* ---- renewal ---- */

int job_renew(struct agent *a, struct stream *s, struct error *e)
{
    struct buf pem = {0}, csr = {0}, cert = {0}, cert_pem = {0};
    char *path = agent_path(a, "node.pem");
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *reply = NULL;
    Ocm__Renew renew = OCM__RENEW__INIT;
    int rc;

    rc = x509_key_new(&pem, e);
    if (rc == 0)
        rc = x509_request(&pem, &csr, e);
    if (rc < 0)
        goto out;
    renew.csr.data = csr.data;
    renew.csr.len = csr.len;
    m.body_case = OCM__ENVELOPE__BODY_RENEW;
    m.renew = &renew;
    rc = stream_send(s, &m, e);
    if (rc == 0)
        rc = stream_expect(s, OCM__ENVELOPE__BODY_RENEWED, RENEW_TIMEOUT_MS,
                           &reply, e);
    if (rc < 0)
        goto out;
    buf_add(&cert, reply->renewed->certificate.data,
            reply->renewed->certificate.len);
    /* with another one we could not come back */
    rc = x509_fits(&pem, &cert, e);
    if (rc < 0)
        goto out;
    /* key and certificate in one file: replaced as one */
    x509_to_pem(&cert, &cert_pem);
    buf_add(&pem, cert_pem.data, cert_pem.len);
    rc = file_write(path, pem.data, pem.len, 0600, e);
out:
    stream_end(s, NULL);
    stream_message_free(reply);
    stream_close(s);
    buf_wipe(&pem);
    buf_free(&csr);
    buf_free(&cert);
    buf_free(&cert_pem);
    free(path);
    return rc;
}
