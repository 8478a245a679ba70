/* SPDX-License-Identifier: MIT */
#include "controller/handle_join.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "controller/ca.h"
#include "controller/controller_conf.h"

#define CSR_MAX 4096

/* A host name made into a node name: lower case, what is odd becomes '-'. */
static void name_of_host(const char *hostname, char out[NAME_MAX_LEN + 1])
{
    size_t len = 0;

    for (const char *p = hostname; *p && *p != '.' && len < NAME_MAX_LEN; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (good || len > 0)
            out[len++] = good ? c : '-';
    }
    while (len > 0 && out[len - 1] == '-')
        len--;
    out[len] = 0;
    if (!name_is_valid(out))
        memcpy(out, "node", 5);
}

int handle_join(struct controller *c, const Ocm__Join *join,
                struct join_answer *out, struct error *e)
{
    char bound[64] = "", name[NAME_MAX_LEN + 1];
    struct id fingerprint;
    int64_t not_after;
    int rc;

    *out = (struct join_answer){0};
    if (join->csr.len == 0 || join->csr.len > CSR_MAX)
        return error_set(e, OCM_E_PROTOCOL, "a CSR of %zu bytes",
                         join->csr.len);
    if (*join->name && !name_is_valid(join->name))
        return error_set(e, OCM_E_INVALID,
                         "node names are of a-z, 0-9 and '-', at most 40");
    /* the request must be good before the token is spent */
    rc = ca_issue(c->ca, "check", join->csr.data, join->csr.len, 1,
                  &out->certificate, &fingerprint, &not_after, e);
    buf_clear(&out->certificate);
    if (rc < 0)
        return rc;
    rc = catalog_token_take(c->catalog, join->secret, clock_now_ns(), bound, e);
    if (rc < 0) {
        log_warn("join refused: %s", e->text);
        return error_set(e, OCM_E_AUTH,
                         "the join token is not valid (wrong, expired or used "
                         "already); make a new one with: ocmctl node token");
    }
    if (*bound)
        snprintf(name, sizeof(name), "%.40s", bound);
    else if (*join->name)
        snprintf(name, sizeof(name), "%.40s", join->name);
    else
        name_of_host(join->hostname, name);
    rc = catalog_node_add(c->catalog, name, join->hostname, &out->node, e);
    if (rc == 0)
        rc = ca_issue(c->ca, out->node.id, join->csr.data, join->csr.len,
                      c->conf->cert_days, &out->certificate, &fingerprint,
                      &not_after, e);
    if (rc == 0)
        rc = catalog_cert_add(c->catalog, out->node.id, &fingerprint, not_after,
                              e);
    if (rc == 0) {
        catalog_audit(c->catalog, "join", "node joined", out->node.name, "ok",
                      NULL);
        log_info("node=%s joined id=%s", out->node.name, out->node.id);
    }
    return rc;
}

void join_answer_fini(struct join_answer *a)
{
    buf_free(&a->certificate);
}

int handle_renew(struct controller *c, struct stream *s,
                 const struct node *node, const Ocm__Renew *renew,
                 struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Renewed renewed = OCM__RENEWED__INIT;
    struct buf cert = {0};
    struct id fingerprint;
    int64_t not_after;
    int rc;

    if (renew->csr.len == 0 || renew->csr.len > CSR_MAX)
        return error_set(e, OCM_E_PROTOCOL, "a CSR of %zu bytes",
                         renew->csr.len);
    rc = ca_issue(c->ca, node->id, renew->csr.data, renew->csr.len,
                  c->conf->cert_days, &cert, &fingerprint, &not_after, e);
    if (rc == 0)
        rc = catalog_cert_add(c->catalog, node->id, &fingerprint, not_after, e);
    if (rc == 0) {
        renewed.certificate.data = cert.data;
        renewed.certificate.len = cert.len;
        m.body_case = OCM__ENVELOPE__BODY_RENEWED;
        m.renewed = &renewed;
        rc = stream_send(s, &m, e);
        log_info("node=%s certificate renewed", node->name);
    }
    buf_free(&cert);
    return rc;
}
