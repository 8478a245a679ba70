/* SPDX-License-Identifier: MIT */
/* Backup, the agent's end. Ladder (PROTOCOL.md, "Backup"):
 *   BackupRequest, ids this node owns (DATA)      <-
 *   detect -> capture: parcels of blobs (DATA), Progress, LogLine  ->
 *   Commit                                        ->
 *   Committed (cache becomes valid) | CommitRefused (once more, from nothing)
 * A failure or a cut anywhere leaves the old cache; nothing on the node has
 * changed. */
#include "agent/job.h"

#include <stdlib.h>
#include <string.h>

#include "agent/capture/capture.h"
#include "agent/link.h"
#include "agent/meta.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define BACKUP_KNOWN_MAX (4u * 1024 * 1024) /* prefixes: 64 MiB of memory */
#define BACKUP_KNOWN_MS 60000
#define BACKUP_COMMIT_MS (30 * 60 * 1000) /* the controller walks the tree */
#define BACKUP_PARCEL_BYTES (256u * 1024)
#define BACKUP_ZSTD_LEVEL 3

struct backup {
    struct agent *agent;
    struct stream *stream;
    const Ocm__BackupRequest *req;
    struct openclaw openclaw;
    struct idset known;
    struct buf parcel; /* a DATA frame being filled */
    bool safety;       /* before a restore: there may be nothing yet */
    int64_t began_ns;
    struct id snapshot; /* set when committed */
    atomic_bool cancelled;
    char *cache, *temp;
};

static int flush_parcel(struct backup *b, struct error *e)
{
    if (!b->parcel.data || stream_data_len(&b->parcel) == 0)
        return 0;
    return stream_send_data(b->stream, &b->parcel, e);
}

static int put(void *arg, const struct blob *blob, struct error *e)
{
    struct backup *b = arg;
    int rc = 0;

    if (b->parcel.data &&
        stream_data_len(&b->parcel) + PARCEL_HEAD_LEN + blob->stored_len >
            BACKUP_PARCEL_BYTES)
        rc = flush_parcel(b, e);
    if (!b->parcel.data)
        stream_data_begin(&b->parcel);
    if (rc == 0)
        parcel_add(&b->parcel, blob);
    return rc;
}

static void on_progress(void *arg, const struct capture_progress *p)
{
    struct backup *b = arg;
    Ocm__Progress m = OCM__PROGRESS__INIT;
    struct buf current = {0};

    if (stream_cancelled(b->stream))
        atomic_store(&b->cancelled, true);
    text_escape(&current, p->current, strlen(p->current));
    m.step = (char *)"capture";
    m.files_done = p->files;
    m.bytes_done = p->bytes;
    m.current = buf_str(&current);
    stream_send_progress(b->stream, &m);
    buf_free(&current);
}

static int make_meta(void *arg, const struct capture_result *so_far,
                     struct buf *out, struct error *e)
{
    struct backup *b = arg;

    return meta_write(b->agent, &b->openclaw, so_far, b->began_ns, out, e);
}

/* The ids this node owns, 8 bytes each, as announced. */
static int receive_known(struct backup *b, struct error *e)
{
    uint64_t left = b->req->known_count;

    if (left > BACKUP_KNOWN_MAX)
        return error_set(e, OCM_E_LIMIT, "%llu known ids",
                         (unsigned long long)left);
    while (left > 0) {
        struct stream_item item;
        int rc = stream_recv(b->stream, BACKUP_KNOWN_MS, &item, e);

        if (rc < 0)
            return rc;
        if (item.kind != STREAM_DATA || item.data.len % 8 != 0 ||
            item.data.len / 8 > left) {
            stream_item_free(&item);
            return error_set(e, OCM_E_PROTOCOL, "known ids expected");
        }
        for (size_t i = 0; i < item.data.len; i += 8)
            idset_add_prefix(&b->known, read_u64le(item.data.data + i));
        left -= item.data.len / 8;
        stream_item_free(&item);
    }
    return 0;
}

/* ---- commit ---- */

static void pack_sections(const struct backup *b,
                          const struct capture_result *r, Ocm__Commit *c)
{
    c->n_sections = r->section_count;
    c->sections = mem_array(r->section_count, sizeof(*c->sections));
    for (size_t i = 0; i < r->section_count; i++) {
        Ocm__SectionReport *s = mem_alloc(sizeof(*s));

        ocm__section_report__init(s);
        s->name = (char *)b->openclaw.sections[i].name;
        s->area = (char *)b->openclaw.sections[i].area;
        s->state = (char *)meta_state_name(r->sections[i].state);
        s->files = r->sections[i].files;
        s->bytes = r->sections[i].bytes;
        c->sections[i] = s;
    }
}

static char *escaped(const char *s)
{
    struct buf b = {0};

    text_escape(&b, s, strlen(s));
    return buf_str(&b);
}

static void pack_problems(const struct capture_result *r, Ocm__Commit *c)
{
    c->n_problems = r->problem_count;
    c->problems = mem_array(r->problem_count, sizeof(*c->problems));
    for (size_t i = 0; i < r->problem_count; i++) {
        Ocm__Problem *p = mem_alloc(sizeof(*p));

        ocm__problem__init(p);
        p->section = r->problems[i].section;
        p->path = escaped(r->problems[i].path);
        p->reason = escaped(r->problems[i].reason);
        c->problems[i] = p;
    }
    c->problem_count = r->problems_total;
}

static void pack_paths(const struct backup *b, Ocm__Commit *c)
{
    size_t count = 0;

    for (size_t i = 0; i < b->openclaw.section_count; i++)
        count += b->openclaw.sections[i].root_count;
    c->paths = mem_array(count, sizeof(*c->paths));
    for (size_t i = 0; i < b->openclaw.section_count; i++) {
        const struct capture_section *s = &b->openclaw.sections[i];

        for (size_t k = 0; k < s->root_count && !s->skipped; k++) {
            char *path = escaped(s->roots[k].path);
            bool seen = false;

            for (size_t n = 0; n < c->n_paths && !seen; n++)
                seen = strcmp(c->paths[n], path) == 0;
            if (seen)
                free(path);
            else
                c->paths[c->n_paths++] = path;
        }
    }
}

static int send_commit(struct backup *b, const struct capture_result *r,
                       struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Commit c = OCM__COMMIT__INIT;
    int rc;

    c.root.data = (uint8_t *)r->root.b;
    c.root.len = ID_LEN;
    c.files = r->files;
    c.bytes = r->bytes;
    c.bytes_read = r->bytes_read;
    c.bytes_sent = r->bytes_sent;
    c.files_checked = r->files_checked;
    c.bytes_checked = r->bytes_checked;
    c.silent_changes = r->silent_changes;
    c.partial = r->partial;
    c.time_ns = b->began_ns;
    pack_sections(b, r, &c);
    pack_problems(r, &c);
    pack_paths(b, &c);
    c.facts = job_facts_pack(b->agent, &b->openclaw.facts, &c.n_facts);
    m.body_case = OCM__ENVELOPE__BODY_COMMIT;
    m.commit = &c;
    rc = stream_send(b->stream, &m, e);
    for (size_t i = 0; i < c.n_sections; i++)
        free(c.sections[i]);
    for (size_t i = 0; i < c.n_problems; i++) {
        free(c.problems[i]->path);
        free(c.problems[i]->reason);
        free(c.problems[i]);
    }
    for (size_t i = 0; i < c.n_paths; i++)
        free(c.paths[i]);
    job_facts_free(c.facts, c.n_facts);
    free(c.sections);
    free(c.problems);
    free(c.paths);
    return rc;
}

/* 1: committed, 0: refused, send all again. */
static int await_verdict(struct backup *b, const struct capture_result *r,
                         struct error *e)
{
    for (;;) {
        struct stream_item item;
        char key[ID_HEX_LEN + 1];
        int rc = stream_recv(b->stream, BACKUP_COMMIT_MS, &item, e);

        if (rc < 0)
            return rc;
        if (item.kind == STREAM_MESSAGE)
            rc = (int)item.message->body_case;
        if (rc == OCM__ENVELOPE__BODY_COMMITTED &&
            item.message->committed->snapshot.len == ID_LEN)
            memcpy(b->snapshot.b, item.message->committed->snapshot.data,
                   ID_LEN);
        stream_item_free(&item);
        switch (rc) {
        case OCM__ENVELOPE__BODY_PROGRESS:
            continue;
        case OCM__ENVELOPE__BODY_COMMITTED:
            /* of a part of the node it would forget the rest */
            if (b->req->n_sections || b->req->no_data)
                return 1;
            id_hex(&r->root, key);
            rc = capture_cache_commit(b->cache, key, e);
            if (rc < 0)
                log_warn("cache not kept: %s", e->text);
            return 1;
        case OCM__ENVELOPE__BODY_COMMIT_REFUSED:
            return 0;
        default:
            return error_set(e, OCM_E_PROTOCOL, "no verdict on the commit");
        }
    }
}

/* One capture and its commit. */
static int attempt(struct backup *b, bool reread, struct error *e)
{
    char key[ID_HEX_LEN + 1] = "";
    struct capture_options o = {
        .sections = b->openclaw.sections,
        .section_count = b->openclaw.section_count,
        .cache_path = b->cache,
        .cache_key = key,
        .temp_dir = b->temp,
        .chunk_seed = b->req->chunk_seed.data,
        .known = &b->known,
        .reread = reread,
        .recheck = !b->req->n_sections && !b->req->no_data,
        .zstd_level = BACKUP_ZSTD_LEVEL,
        .database_ms = b->agent->conf.database_ms,
        .wal_growth = b->agent->conf.wal_growth,
        .make_meta = make_meta,
        .put = put,
        .on_progress = on_progress,
        .arg = b,
        .cancelled = &b->cancelled,
    };
    struct capture_result r = {0};
    int rc;

    if (b->req->last_root.len == ID_LEN)
        hex_encode(b->req->last_root.data, ID_LEN, key);
    rc = capture_run(&o, &r, e);
    if (rc == 0)
        rc = flush_parcel(b, e);
    if (rc == 0 && r.silent_changes)
        stream_send_log(b->stream, "warn",
                        "%llu files held something else than their size and "
                        "times say; the agent's log names them",
                        (unsigned long long)r.silent_changes);
    if (rc == 0)
        rc = send_commit(b, &r, e);
    if (rc == 0)
        rc = await_verdict(b, &r, e);
    capture_result_fini(&r);
    return rc;
}

static int run(struct backup *b, struct error *e)
{
    struct openclaw_conf conf = agent_conf_openclaw(&b->agent->conf);
    struct buf notes = {0};
    int rc;

    if (b->req->chunk_seed.len != CHUNKER_SEED_LEN)
        return error_set(e, OCM_E_PROTOCOL, "chunk seed of %zu bytes",
                         b->req->chunk_seed.len);
    rc = receive_known(b, e);
    if (rc < 0)
        return rc;
    b->began_ns = clock_now_ns();
    rc = openclaw_detect(&conf, &b->openclaw, &notes, e);
    if (rc < 0)
        goto out;
    if (notes.len)
        stream_send_log(b->stream, "warn", "%s", buf_str(&notes));
    /* a disk that is not mounted must not look like an empty node */
    if (b->openclaw.era == ERA_NONE && !b->safety) {
        rc = error_set(e, OCM_E_NOTFOUND,
                       "there is no OpenClaw in %s: if it was there before, "
                       "look whether its disk is mounted; if it is elsewhere, "
                       "set [openclaw] state_dir in agent.conf",
                       b->openclaw.state_dir);
        goto out;
    }
    rc = openclaw_choose(&b->openclaw, b->req->sections, b->req->n_sections,
                         b->req->no_data, e);
    if (rc < 0)
        goto out;
    rc = attempt(b, b->req->reread, e);
    if (rc == 0) {
        stream_send_log(b->stream, "warn",
                        "the repository lacks blobs of earlier backups; "
                        "everything is sent again");
        idset_free(&b->known);
        rc = attempt(b, true, e);
        if (rc == 0)
            rc = error_set(e, OCM_E_MISSING,
                           "the controller refused the backup twice");
    }
out:
    openclaw_fini(&b->openclaw);
    buf_free(&notes);
    return rc < 0 ? rc : 0;
}

static int backup(struct agent *a, struct stream *s,
                  const Ocm__BackupRequest *req, bool safety,
                  struct id *snapshot, struct error *e)
{
    struct backup b = {.agent = a, .stream = s, .req = req, .safety = safety};
    int rc;

    b.cache = agent_path(a, "capture.cache");
    b.temp = agent_path(a, "tmp");
    /* copies of databases that a killed run left behind */
    rc = tree_remove(b.temp, e);
    if (rc == 0)
        rc = dir_make(b.temp, 0700, e);
    if (rc == 0)
        rc = run(&b, e);
    *snapshot = b.snapshot;
    tree_remove(b.temp, NULL);
    idset_free(&b.known);
    buf_free(&b.parcel);
    free(b.cache);
    free(b.temp);
    return rc;
}

int job_backup(struct agent *a, struct stream *s, const Ocm__BackupRequest *req,
               struct error *e)
{
    struct id snapshot;
    int rc;

    if (!agent_claim(a, req->job))
        return error_set(e, OCM_E_BUSY, "another job runs on this node");
    rc = backup(a, s, req, false, &snapshot, e);
    agent_release(a);
    return rc;
}

/* The caller has claimed the agent already. */
int job_safety(struct agent *a, const char *job, struct id *snapshot,
               struct error *e)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *req = NULL;
    Ocm__BackupOffer offer = OCM__BACKUP_OFFER__INIT;
    struct stream *s = link_open_stream(a->link, e);
    int rc;

    if (!s)
        return e ? e->code : OCM_E_OFFLINE;
    offer.reason = (char *)"safety";
    offer.job = (char *)job;
    m.body_case = OCM__ENVELOPE__BODY_BACKUP_OFFER;
    m.backup_offer = &offer;
    rc = stream_send(s, &m, e);
    if (rc == 0)
        rc = stream_expect(s, OCM__ENVELOPE__BODY_BACKUP_REQUEST,
                           BACKUP_KNOWN_MS, &req, e);
    if (rc == 0)
        rc = backup(a, s, req->backup_request, true, snapshot, e);
    if (rc < 0)
        stream_send_error(s, e);
    stream_end(s, NULL);
    stream_message_free(req);
    stream_close(s);
    return rc;
}
