/* SPDX-License-Identifier: MIT */
/* resolve -> dial the join port -> TLS (CA pinned by the token) -> Join ->
 * Joined -> save. When a connection fails the next address is tried; any other
 * failure, or the last of these, ends the loop with its reason. */
#include "agent/join.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/build.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/net/channel.h"
#include "common/net/token.h"
#include "common/net/x509.h"

#define JOIN_TIMEOUT_MS 30000

struct join {
    const struct join_options *o;
    struct token token;
    struct buf key_pem, csr;
    uv_loop_t loop;
    uv_timer_t timeout;
    struct addrinfo *addresses;  /* of the controller */
    const struct addrinfo *next; /* to be dialed when this one fails */
    struct tls_context *tls;
    struct channel *ch;
    bool joined;
    struct error e;
};

static void finish(struct join *j)
{
    if (!uv_is_closing((uv_handle_t *)&j->timeout))
        uv_close((uv_handle_t *)&j->timeout, NULL);
}

static void on_open(struct channel *ch, void *arg)
{
    struct join *j = arg;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Join join = OCM__JOIN__INIT;
    char host[UV_MAXHOSTNAMESIZE] = "";
    size_t len = sizeof(host);

    uv_os_gethostname(host, &len);
    join.secret = j->token.secret;
    join.csr.data = j->csr.data;
    join.csr.len = j->csr.len;
    join.name = (char *)j->o->name;
    join.hostname = host;
    join.agent_version = (char *)agent_version;
    m.body_case = OCM__ENVELOPE__BODY_JOIN;
    m.join = &join;
    channel_send_control(ch, &m);
}

static int save(struct join *j, const Ocm__Joined *r)
{
    char *node = path_join(j->o->state_dir, "node.pem");
    char *ca = path_join(j->o->state_dir, "ca.pem");
    struct buf der = {0}, pem = {0};
    struct x509_info info;
    struct identity id = {
        .node_id = r->node_id,
        .node_name = r->node_name,
        .host = (char *)j->o->host,
        .port = r->agent_port,
        .controller = r->controller_name,
    };
    int rc;

    buf_add(&der, r->ca_certificate.data, r->ca_certificate.len);
    rc = x509_inspect(der.data, der.len, &info, &j->e);
    if (rc == 0 && !id_equal(&info.fingerprint, &j->token.ca))
        rc = error_set(&j->e, OCM_E_AUTH,
                       "the controller sent another CA than the token names");
    if (rc < 0)
        goto out;
    x509_to_pem(&der, &pem);
    rc = file_write(ca, pem.data, pem.len, 0600, &j->e);
    if (rc < 0)
        goto out;
    buf_clear(&der);
    buf_clear(&pem);
    buf_add(&der, r->certificate.data, r->certificate.len);
    rc = x509_fits(&j->key_pem, &der, &j->e);
    if (rc < 0)
        goto out;
    x509_to_pem(&der, &pem);
    buf_add(&j->key_pem, pem.data, pem.len);
    rc = file_write(node, j->key_pem.data, j->key_pem.len, 0600, &j->e);
    if (rc == 0)
        /* last: an identity says that the rest is there */
        rc = identity_save(j->o->state_dir, &id, &j->e);
    if (rc == 0)
        log_info("joined %s as %s (%s)", r->controller_name, r->node_name,
                 r->node_id);
out:
    buf_free(&der);
    buf_free(&pem);
    free(node);
    free(ca);
    return rc;
}

static void on_control(struct channel *ch, const Ocm__Envelope *m, void *arg)
{
    struct join *j = arg;

    if (m->body_case == OCM__ENVELOPE__BODY_JOINED)
        j->joined = save(j, m->joined) == 0;
    else if (m->body_case == OCM__ENVELOPE__BODY_ERROR)
        error_set(&j->e, error_code_of_name(m->error->code), "%s",
                  m->error->text);
    else
        error_set(&j->e, OCM_E_PROTOCOL, "unexpected answer to Join");
    channel_close(ch, 0, NULL);
}

static void on_stream(struct channel *ch, struct stream *s,
                      Ocm__Envelope *first, void *arg)
{
    (void)arg;
    stream_message_free(first);
    stream_close(s);
    channel_close(ch, OCM_E_PROTOCOL, "no streams while joining");
}

static int dial(struct join *j);

static void on_closed(struct channel *ch, int status, const char *why,
                      void *arg)
{
    struct join *j = arg;

    bool again = !j->joined && j->e.code == 0 && j->next;

    if (!j->joined && j->e.code == 0 && !again)
        error_set(&j->e, status ? status : OCM_E_CLOSED, "%s:%lld: %s",
                  j->o->host, (long long)j->o->port,
                  why ? why : "the connection ended");
    channel_unref(ch);
    if (!again || dial(j) < 0)
        finish(j);
}

static const struct channel_handler handler = {
    .on_open = on_open,
    .on_control = on_control,
    .on_stream = on_stream,
    .on_closed = on_closed,
};

static void on_timeout(uv_timer_t *t)
{
    struct join *j = t->data;

    if (!j->next)
        error_set(&j->e, OCM_E_TIMEOUT, "%s:%lld: no answer within %d s",
                  j->o->host, (long long)j->o->port, JOIN_TIMEOUT_MS / 1000);
    channel_close(j->ch, OCM_E_TIMEOUT, NULL);
}

/* The next address; each has its time. */
static int dial(struct join *j)
{
    const struct sockaddr *to = j->next->ai_addr;
    struct tls_stream *tls;
    int rc;

    j->next = j->next->ai_next;
    tls = tls_stream_dial(&j->loop, j->tls, to, NULL, NULL, NULL, &rc);
    if (!tls)
        return error_set(&j->e, rc, "%s:%lld: %s", j->o->host,
                         (long long)j->o->port, error_text(rc));
    j->ch = channel_new(tls, false, &handler, j);
    uv_timer_start(&j->timeout, on_timeout, JOIN_TIMEOUT_MS, 0);
    return 0;
}

static int start(struct join *j)
{
    struct tls_files files = {.ca_fingerprint = &j->token.ca};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    uv_getaddrinfo_t req;
    char port[8];
    int rc;

    snprintf(port, sizeof(port), "%u", (uint16_t)j->o->port);
    rc = uv_getaddrinfo(&j->loop, &req, NULL, j->o->host, port, &hints);
    if (rc < 0)
        return error_set(&j->e, rc, "%s: %s", j->o->host, error_text(rc));
    j->addresses = req.addrinfo;
    j->next = req.addrinfo;
    j->tls = tls_context_new(TLS_JOIN_CLIENT, &files, &j->e);
    if (!j->tls)
        return j->e.code;
    return dial(j);
}

int join_run(const struct join_options *o, struct error *e)
{
    struct join j = {.o = o};
    int rc;

    if (!token_parse(o->token, &j.token))
        return error_set(e, OCM_E_INVALID,
                         "that is no join token; make one with: ocmctl node "
                         "token");
    rc = dir_make(o->state_dir, 0700, e);
    if (rc == 0)
        rc = x509_key_new(&j.key_pem, e);
    if (rc == 0)
        rc = x509_request(&j.key_pem, &j.csr, e);
    if (rc < 0)
        goto out;
    uv_loop_init(&j.loop);
    uv_timer_init(&j.loop, &j.timeout);
    j.timeout.data = &j;
    if (start(&j) < 0)
        finish(&j);
    uv_run(&j.loop, UV_RUN_DEFAULT);
    uv_loop_close(&j.loop);
    if (j.tls)
        tls_context_unref(j.tls);
    uv_freeaddrinfo(j.addresses);
    if (!j.joined) {
        if (e)
            *e = j.e;
        rc = j.e.code ? j.e.code : OCM_E_FAILED;
    }
out:
    buf_wipe(&j.key_pem);
    buf_free(&j.csr);
    explicit_bzero(&j.token, sizeof(j.token));
    return rc;
}
