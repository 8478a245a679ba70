/* SPDX-License-Identifier: MIT */
/* Upgrade agents over their connections.
 *
 * Happy path: canaries one by one, then waves of some at once. Of each node:
 * manifest sent -> "send" -> binary -> "restarting" -> gone -> back with the
 * new version -> answers with its facts. A wave in which one failed is the
 * last: the agents that did not come back have gone back to the former one by
 * themselves, the others go on with the new one.
 * The controller's end in the middle changes nothing of that: an agent needs
 * nobody to finish or to go back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/controller_conf.h"
#include "controller/jobs/kinds.h"
#include "controller/nodes.h"
#include "controller/packages.h"

#define WAVE_MAX 8              /* nodes at once, the canaries behind us */
#define ANSWER_MS 90000         /* of an agent that checks and writes */
#define DATA_BYTES (256 * 1024) /* of a frame */
#define RETURN_MS                                                              \
    120000 /* beyond the agent's own bound: the longest
                                   wait of one that was put back to dial */
#define RETURN_POLL_MS 100
#define AGENT_WAIT_MAX_MS (15 * 60 * 1000) /* of what it says it waits */
#define PLATFORM_PREFIX "linux-"

enum outcome {
    NOT_REACHED, /* stopped before its turn */
    UPGRADED,
    CURRENT, /* nothing to do */
    AWAY,
    TOO_OLD,    /* an agent from before upgrades */
    NO_PACKAGE, /* for its machine */
    PUT_BACK,
    FAILED,
};

static const char *const outcome_names[] = {
    [NOT_REACHED] = "not-reached", [UPGRADED] = "upgraded",
    [CURRENT] = "current",         [AWAY] = "away",
    [TOO_OLD] = "too-old",         [NO_PACKAGE] = "no-package",
    [PUT_BACK] = "put-back",       [FAILED] = "failed",
};

struct target {
    struct job *j;
    uv_mutex_t *lock;      /* the wave's: guards `stream` */
    struct stream *stream; /* to be cancelled with the job; or NULL */
    bool allow_downgrade;
    struct node node;
    struct node_link link; /* of the connection that is upgraded */
    struct package package;
    bool ready; /* worth trying */
    enum outcome outcome;
    int rc; /* of FAILED and PUT_BACK */
    struct error e;
    uv_thread_t thread;
};

/* ---- one node ---- */

/* The conversation that goes on now; NULL before it is closed. */
static void set_stream(struct target *t, struct stream *s)
{
    uv_mutex_lock(t->lock);
    t->stream = s;
    if (s && atomic_load(job_cancelled(t->j)))
        stream_cancel(s);
    uv_mutex_unlock(t->lock);
}

static void close_stream(struct target *t, struct stream *s)
{
    set_stream(t, NULL);
    stream_close(s);
}

static int send_request(struct target *t, struct stream *s, struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__UpgradeRequest req = OCM__UPGRADE_REQUEST__INIT;

    req.job = (char *)job_id(t->j);
    req.manifest.data = t->package.manifest.data;
    req.manifest.len = t->package.manifest.len;
    req.allow_downgrade = t->allow_downgrade;
    m.body_case = OCM__ENVELOPE__BODY_UPGRADE_REQUEST;
    m.upgrade_request = &req;
    return stream_send(s, &m, e);
}

static int send_binary(struct target *t, struct stream *s, struct error *e)
{
    int fd = open(t->package.path, O_RDONLY | O_CLOEXEC), rc = 0;
    uint64_t done = 0;

    if (fd < 0)
        return error_errno(e, "%s", t->package.path);
    while (rc == 0 && done < t->package.m.size) {
        uint64_t left = t->package.m.size - done;
        size_t len = left < DATA_BYTES ? (size_t)left : DATA_BYTES;
        struct buf b = {0};

        if (atomic_load(job_cancelled(t->j))) {
            rc = error_set(e, OCM_E_CANCELLED, "cancelled");
            break;
        }
        stream_data_begin(&b);
        rc = fd_pread_all(fd, buf_reserve(&b, len), len,
                          (off_t)(t->package.manifest.len + done));
        if (rc < 0) {
            buf_free(&b);
            rc = error_set(e, rc, "%s: %s", t->package.path, error_text(rc));
            break;
        }
        b.len += len;
        done += len;
        rc = stream_send_data(s, &b, e);
    }
    close(fd);
    return rc;
}

/* Until the agent has all of it. *sent: it wanted it; then *wait_ms is what
 * it gives the new one. */
static int hand_over(struct target *t, struct stream *s, bool *sent,
                     int64_t *wait_ms, struct error *e)
{
    Ocm__Envelope *reply = NULL;
    int rc = send_request(t, s, e);

    if (rc == 0)
        rc = stream_expect(s, OCM__ENVELOPE__BODY_UPGRADE_REPLY, ANSWER_MS,
                           &reply, e);
    if (rc == 0) {
        *sent = strcmp(reply->upgrade_reply->state, "send") == 0;
        *wait_ms = reply->upgrade_reply->wait_ms;
        if (*wait_ms > AGENT_WAIT_MAX_MS)
            *wait_ms = AGENT_WAIT_MAX_MS;
    }
    stream_message_free(reply);
    if (rc < 0 || !*sent)
        return rc;
    rc = send_binary(t, s, e);
    if (rc == 0)
        rc = stream_end(s, e);
    if (rc < 0)
        return rc;
    rc = stream_expect(s, OCM__ENVELOPE__BODY_UPGRADE_REPLY, ANSWER_MS, &reply,
                       e);
    if (rc == 0)
        stream_message_free(reply);
    /* its last word may be lost with the connection: its return tells */
    return rc == OCM_E_CLOSED || rc == OCM_E_CANCELLED ? 0 : rc;
}

static int ask_facts(struct target *t, struct error *e)
{
    struct controller *c = job_context(t->j);
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *reply = NULL;
    Ocm__FactsRequest req = OCM__FACTS_REQUEST__INIT;
    struct stream *s = nodes_open_stream(c->nodes, t->node.id, e);
    int rc;

    if (!s)
        return e->code;
    set_stream(t, s);
    m.body_case = OCM__ENVELOPE__BODY_FACTS_REQUEST;
    m.facts_request = &req;
    rc = stream_send(s, &m, e);
    if (rc == 0)
        rc = stream_expect(s, OCM__ENVELOPE__BODY_FACTS, ANSWER_MS, &reply, e);
    stream_message_free(reply);
    stream_end(s, NULL);
    close_stream(t, s);
    return rc;
}

/* A connection that came after the upgrade: is all well with it? A further
 * one may follow, when the new agent ends again. */
static enum outcome judge(struct target *t, const struct node_link *l,
                          struct error *e)
{
    if (l->upgrade_undone[0]) {
        error_set(e, OCM_E_FAILED, "put back to %s: %s", l->agent_version,
                  l->upgrade_undone);
        return PUT_BACK;
    }
    if (strcmp(l->agent_version, t->package.m.version) != 0) {
        error_set(e, OCM_E_FAILED, "came back as %s", l->agent_version);
        return FAILED;
    }
    switch (ask_facts(t, e)) {
    case 0:
        return UPGRADED;
    case OCM_E_CLOSED:
    case OCM_E_OFFLINE:
    case OCM_E_CANCELLED:
        return NOT_REACHED;
    default:
        error_prefix(e, "%s runs but is not well", l->agent_version);
        return FAILED;
    }
}

static enum outcome wait_for_return(struct target *t, int64_t wait_ms,
                                    struct error *e)
{
    struct controller *c = job_context(t->j);
    int64_t until = clock_monotonic_ms() + wait_ms + RETURN_MS;
    struct node_link l;

    while (clock_monotonic_ms() < until) {
        enum outcome o = NOT_REACHED;

        if (atomic_load(job_cancelled(t->j))) {
            error_set(e, OCM_E_CANCELLED,
                      "cancelled; its agent goes on by itself");
            return FAILED;
        }
        if (nodes_link(c->nodes, t->node.id, &l) &&
            l.serial != t->link.serial) {
            t->link.serial = l.serial;
            o = judge(t, &l, e);
        }
        if (o != NOT_REACHED)
            return o;
        uv_sleep(RETURN_POLL_MS);
    }
    error_set(e, OCM_E_TIMEOUT,
              "its agent did not come back, neither the new one nor the "
              "former: look at it on the node, or bring it there again with "
              "ocmctl node add");
    return FAILED;
}

static void upgrade_node(void *arg)
{
    struct target *t = arg;
    struct controller *c = job_context(t->j);
    struct stream *s;
    bool sent = false;
    int64_t wait_ms = 0;
    int rc;

    if (!nodes_link(c->nodes, t->node.id, &t->link) ||
        !(s = nodes_open_stream(c->nodes, t->node.id, &t->e))) {
        t->outcome = AWAY;
        return;
    }
    set_stream(t, s);
    rc = hand_over(t, s, &sent, &wait_ms, &t->e);
    if (rc < 0)
        stream_cancel(s);
    else
        stream_end(s, NULL);
    close_stream(t, s);
    if (rc < 0)
        t->outcome = FAILED;
    else if (!sent)
        t->outcome = CURRENT;
    else
        t->outcome = wait_for_return(t, wait_ms, &t->e);
    t->rc = t->outcome == FAILED || t->outcome == PUT_BACK ? t->e.code : 0;
    if (t->rc == 0)
        t->e = (struct error){0}; /* of a connection that had to end */
    if (t->rc < 0)
        job_log(t->j, "error", "%s: %s", t->node.name, t->e.text);
    else
        job_log(t->j, "info", "%s: %s, agent %s", t->node.name,
                outcome_names[t->outcome], t->package.m.version);
    catalog_audit(c->catalog, job_owner(t->j), "agent upgrade", t->node.name,
                  t->rc < 0 ? t->e.text : t->package.m.version, NULL);
}

/* ---- all of them ---- */

/* The newest of those that were named, else of those that are kept. */
static int choose_package(struct target *t, const json_t *ids, struct error *e)
{
    struct controller *c = job_context(t->j);
    const char *dir = c->conf->state_dir, *arch = t->node.platform;
    struct package *p = &t->package;

    if (text_has_prefix(arch, PLATFORM_PREFIX))
        arch += strlen(PLATFORM_PREFIX);
    if (json_array_size(ids) == 0)
        return package_newest(dir, arch, p, e);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        struct package one;
        int rc = package_open(dir, json_string_value(json_array_get(ids, i)),
                              &one, e);

        if (rc < 0)
            return rc;
        if (strcmp(one.m.arch, arch) == 0 &&
            version_compare(one.m.version, p->m.version) > 0) {
            package_fini(p);
            *p = one;
        } else {
            package_fini(&one);
        }
    }
    if (p->path)
        return 0;
    return error_set(e, OCM_E_NOTFOUND, "no package for %s was given", arch);
}

static int prepare(struct target *t, const char *name, const json_t *ids,
                   struct error *e)
{
    struct controller *c = job_context(t->j);
    int rc = catalog_node_get(c->catalog, name, &t->node, e);

    if (rc < 0)
        return rc;
    if (!nodes_link(c->nodes, t->node.id, &t->link)) {
        t->outcome = AWAY;
        error_set(&t->e, OCM_E_OFFLINE,
                  "not connected: try again when it is, or ocmctl node add");
    } else if (!t->link.can_upgrade) {
        t->outcome = TOO_OLD;
        error_set(&t->e, OCM_E_UNSUPPORTED,
                  "agent %s cannot be upgraded over its connection: ocmctl "
                  "node add once more, or put the new one there by hand",
                  t->link.agent_version);
    } else if (choose_package(t, ids, &t->e) < 0) {
        t->outcome = NO_PACKAGE;
    } else if (strcmp(t->link.agent_version, t->package.m.version) == 0 &&
               !t->allow_downgrade) {
        t->outcome = CURRENT;
    } else {
        t->ready = true;
    }
    return 0;
}

/* Nodes that are upgraded side by side. */
struct wave {
    uv_mutex_t lock;
    struct target *list[WAVE_MAX];
    const char *names[WAVE_MAX];
    size_t count;
};

static void cancel_wave(void *arg)
{
    struct wave *w = arg;

    uv_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->count; i++) {
        if (w->list[i]->stream)
            stream_cancel(w->list[i]->stream);
    }
    uv_mutex_unlock(&w->lock);
}

static int run_threads(struct job *j, struct wave *w, struct error *e)
{
    size_t started = 0;
    int rc = 0;

    for (; started < w->count; started++) {
        struct target *t = w->list[started];

        job_log(j, "info", "%s: agent %s to %s", t->node.name,
                t->link.agent_version, t->package.m.version);
        t->lock = &w->lock;
        if (uv_thread_create(&t->thread, upgrade_node, t))
            break;
    }
    for (size_t i = 0; i < started; i++) {
        struct target *t = w->list[i];

        uv_thread_join(&t->thread);
        if (rc == 0 && t->rc < 0)
            rc = error_set(e, t->rc, "%s: %s", t->node.name, t->e.text);
    }
    if (rc == 0 && started < w->count)
        rc = error_set(e, OCM_E_FAILED, "no thread for %s", w->names[started]);
    return rc;
}

/* From `begin` on, at most `size` that are ready. *end is behind the last. */
static int run_wave(struct job *j, struct target *list, size_t count,
                    size_t begin, size_t size, size_t *end, struct error *e)
{
    struct wave w = {.count = 0};
    int rc;

    for (*end = begin; *end < count && w.count < size; (*end)++) {
        if (!list[*end].ready)
            continue;
        w.list[w.count] = &list[*end];
        w.names[w.count++] = list[*end].node.name;
    }
    if (w.count == 0)
        return 0;
    rc = job_claim_nodes(j, w.names, w.count, e);
    if (rc < 0)
        return rc;
    uv_mutex_init(&w.lock);
    job_on_cancel(j, cancel_wave, &w);
    rc = run_threads(j, &w, e);
    job_on_cancel(j, NULL, NULL);
    uv_mutex_destroy(&w.lock);
    job_release_nodes(j);
    return rc;
}

static int run_all(struct job *j, struct target *list, size_t count,
                   size_t canaries, struct error *e)
{
    size_t done = 0, waves = 0;
    int rc = 0;

    while (rc == 0 && done < count) {
        bool canary = waves++ < canaries;

        job_step(j, canary ? "canary" : "wave");
        rc = run_wave(j, list, count, done, canary ? 1 : WAVE_MAX, &done, e);
        if (rc == 0 && atomic_load(job_cancelled(j)))
            rc = error_set(e, OCM_E_CANCELLED, "cancelled");
    }
    return rc;
}

static json_t *text(const char *s)
{
    json_t *v = json_string(s);

    return v ? v : json_string("(not UTF-8)"); /* cut by us */
}

static void report(const struct target *list, size_t count, json_t *result,
                   size_t *left)
{
    json_t *nodes = json_array();

    *left = 0;
    for (size_t i = 0; i < count; i++) {
        const struct target *t = &list[i];

        json_array_append_new(
            nodes, json_pack("{s:s,s:s,s:o,s:s,s:o}", "node", t->node.name,
                             "state", outcome_names[t->outcome], "from",
                             text(t->link.agent_version), "to",
                             t->package.m.version, "text", text(t->e.text)));
        if (t->outcome == AWAY || t->outcome == TOO_OLD ||
            t->outcome == NO_PACKAGE)
            (*left)++;
    }
    json_object_set_new(result, "nodes", nodes);
}

static int run(struct job *j, const json_t *params, json_t *result,
               struct error *e)
{
    const json_t *names = json_object_get(params, "nodes");
    const json_t *canary = json_object_get(params, "canary");
    size_t count = json_array_size(names), left;
    struct target *list = mem_array(count, sizeof(*list));
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        list[i].j = j;
        list[i].allow_downgrade =
            json_is_true(json_object_get(params, "allow_downgrade"));
        rc = prepare(&list[i], json_string_value(json_array_get(names, i)),
                     json_object_get(params, "packages"), e);
    }
    if (rc == 0)
        rc = run_all(j, list, count,
                     canary ? (size_t)json_integer_value(canary) : 1, e);
    report(list, count, result, &left);
    if (rc == 0 && left > 0)
        rc = error_set(e, OCM_E_PARTIAL, "%zu of %zu could not be upgraded",
                       left, count);
    for (size_t i = 0; i < count; i++)
        package_fini(&list[i].package);
    free(list);
    return rc;
}

const struct job_kind job_upgrade = {.name = "upgrade", .run = run};
