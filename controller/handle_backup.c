/* SPDX-License-Identifier: MIT */
/* BackupRequest + known ids -> parcels: decompress, hash, store -> Commit:
 * flush (durable), closure whole and owned? -> snapshot -> Committed.
 * A hole in the closure: CommitRefused, once; the agent sends all again. A
 * blob that is not what its id says, or any broken message, ends the
 * conversation; nothing of it is referenced. */
#include "controller/handle_backup.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/envelope.h"
#include "controller/controller_conf.h"
#include "controller/repo/repo.h"

#define KNOWN_FRAME_IDS (64 * 1024)  /* 512 KiB of prefixes a frame */
#define KNOWN_MAX (4u * 1024 * 1024) /* what an agent accepts */

struct backup {
    struct controller *c;
    struct stream *s;
    const struct node *node;
    const struct backup_order *order;
    struct job *j;
    struct repo_writer *w;
    struct zstream *z;
    struct buf plain;
    struct buf frame; /* known ids being filled */
    int64_t began_ns;
    uint64_t known_left;
    uint64_t received; /* stored bytes */
    unsigned refusals;
    struct backup_outcome *out;
    struct error *e;
};

/* ---- request ---- */

static int add_known(void *arg, const struct id *id)
{
    struct backup *b = arg;

    if (b->known_left == 0)
        return 0;
    if (!b->frame.data)
        stream_data_begin(&b->frame);
    buf_add(&b->frame, id->b, 8);
    b->known_left--;
    if (stream_data_len(&b->frame) >= KNOWN_FRAME_IDS * 8)
        return stream_send_data(b->s, &b->frame, b->e);
    return 0;
}

static int send_request(struct backup *b)
{
    const struct backup_order *o = b->order;
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__BackupRequest req = OCM__BACKUP_REQUEST__INIT;
    uint64_t known = repo_owned_count(b->c->repo, b->node->id);
    struct id root;
    int rc;

    if (known > KNOWN_MAX)
        known = KNOWN_MAX;
    req.job = (char *)o->job;
    req.sections = (char **)o->sections;
    req.n_sections = o->section_count;
    req.no_data = o->no_data;
    req.reread = o->reread;
    req.known_count = known;
    req.chunk_seed.data = (uint8_t *)repo_chunk_seed(b->c->repo);
    req.chunk_seed.len = 32;
    if (id_parse(b->node->last_root, &root)) {
        req.last_root.data = root.b;
        req.last_root.len = ID_LEN;
    }
    m.body_case = OCM__ENVELOPE__BODY_BACKUP_REQUEST;
    m.backup_request = &req;
    rc = stream_send(b->s, &m, b->e);
    if (rc < 0 || known == 0)
        return rc;
    b->known_left = known;
    rc = repo_owned_each(b->c->repo, b->node->id, add_known, b, b->e);
    if (rc == 0 && b->known_left)
        /* fewer than counted: an id of zeros is nobody's */
        while (rc == 0 && b->known_left)
            rc = add_known(b, &(struct id){{0}});
    if (rc == 0 && b->frame.data && stream_data_len(&b->frame))
        rc = stream_send_data(b->s, &b->frame, b->e);
    return rc;
}

/* ---- blobs ---- */

static int take_parcel(struct backup *b, const struct buf *data)
{
    size_t off = 0;
    struct blob blob;
    int rc;

    while ((rc = parcel_next(data->data, data->len, &off, &blob, b->e)) == 1) {
        const uint8_t *plain;

        rc = zstream_open(b->z, &blob, &b->plain, &plain, b->e);
        if (rc == 0)
            rc = repo_writer_put(b->w, &blob, b->e);
        if (rc < 0)
            return rc;
        b->received += blob.stored_len;
    }
    return rc;
}

/* ---- commit ---- */

/* Some sections only, as it was asked for. */
static bool is_selection(const struct backup *b)
{
    return b->order->section_count > 0 || b->order->no_data;
}

static const char *state_of(const struct backup *b, const Ocm__Commit *c)
{
    return c->partial ? "partial" : is_selection(b) ? "selected" : "complete";
}

static json_t *report(const struct backup *b, const Ocm__Commit *c)
{
    json_t *sections = json_array(), *problems = json_array();
    char hex[ID_HEX_LEN + 1];

    for (size_t i = 0; i < c->n_sections; i++) {
        const Ocm__SectionReport *s = c->sections[i];

        json_array_append_new(sections,
                              json_pack("{s:s,s:s,s:s,s:I,s:I}", "name",
                                        s->name, "area", s->area, "state",
                                        s->state, "files", (json_int_t)s->files,
                                        "bytes", (json_int_t)s->bytes));
    }
    for (size_t i = 0; i < c->n_problems; i++) {
        const Ocm__Problem *p = c->problems[i];

        json_array_append_new(problems,
                              json_pack("{s:s,s:s,s:s}", "section", p->section,
                                        "path", p->path, "reason", p->reason));
    }
    id_hex(&b->out->snapshot, hex);
    return json_pack(
        "{s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "node",
        b->node->name, "snapshot", hex, "state", state_of(b, c), "sections",
        sections, "problems", problems, "problem_count",
        (json_int_t)c->problem_count, "files", (json_int_t)c->files, "bytes",
        (json_int_t)c->bytes, "bytes_read", (json_int_t)c->bytes_read,
        "bytes_sent", (json_int_t)c->bytes_sent, "files_checked",
        (json_int_t)c->files_checked, "bytes_checked",
        (json_int_t)c->bytes_checked, "silent_changes",
        (json_int_t)c->silent_changes, "bytes_stored",
        (json_int_t)repo_writer_bytes(b->w), "seconds",
        (double)(clock_now_ns() - b->began_ns) / 1e9);
}

static int save_snapshot(struct backup *b, const Ocm__Commit *c)
{
    char node_tag[64], job_tag[64], *tags[6];
    struct snapshot snap = {
        .tree = b->out->root,
        .time_ns = b->began_ns,
        .hostname = (char *)b->node->name,
        .username = (char *)"ocm",
        .paths = c->paths,
        .path_count = c->n_paths,
        .tags = tags,
        .program_version = (char *)"ocm " OCM_VERSION,
    };
    int rc;

    snprintf(node_tag, sizeof(node_tag), "node=%s", b->node->id);
    snprintf(job_tag, sizeof(job_tag), "job=%s", b->order->job);
    tags[snap.tag_count++] = (char *)"ocm";
    tags[snap.tag_count++] = node_tag;
    tags[snap.tag_count++] = job_tag;
    if (c->partial)
        tags[snap.tag_count++] = (char *)"partial";
    if (is_selection(b))
        tags[snap.tag_count++] = (char *)"selected";
    if (b->order->tag)
        tags[snap.tag_count++] = (char *)b->order->tag;
    rc = repo_snapshot_save(b->c->repo, &snap, b->e);
    b->out->snapshot = snap.id;
    return rc;
}

static int refuse(struct backup *b, uint64_t missing, const struct id *first)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__CommitRefused r = OCM__COMMIT_REFUSED__INIT;

    if (b->refusals++)
        return error_set(b->e, OCM_E_MISSING,
                         "the backup names %llu blobs that were not sent",
                         (unsigned long long)missing);
    log_warn("node=%s job=%s %llu blobs missing, asking for all", b->node->name,
             b->order->job, (unsigned long long)missing);
    r.missing_count = missing;
    r.first_missing.data = (uint8_t *)first->b;
    r.first_missing.len = ID_LEN;
    m.body_case = OCM__ENVELOPE__BODY_COMMIT_REFUSED;
    m.commit_refused = &r;
    return stream_send(b->s, &m, b->e);
}

/* 1: committed; 0: refused, go on receiving. */
static int commit(struct backup *b, const Ocm__Commit *c)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Committed done = OCM__COMMITTED__INIT;
    char snap_hex[ID_HEX_LEN + 1], root_hex[ID_HEX_LEN + 1];
    struct repo_stats stats = {0};
    struct error unheard = {0};
    uint64_t missing = 0;
    struct id first;
    int rc;

    if (c->root.len != ID_LEN)
        return error_set(b->e, OCM_E_PROTOCOL, "commit without a root");
    memcpy(b->out->root.b, c->root.data, ID_LEN);
    if (b->j)
        job_step(b->j, "commit");
    rc = repo_writer_flush(b->w, b->e);
    if (rc < 0)
        return rc;
    rc = repo_closure(b->c->repo, b->node->id, &b->out->root, &stats, &missing,
                      &first, b->e);
    if (rc == OCM_E_MISSING)
        return refuse(b, missing, &first);
    if (rc == 0)
        rc = save_snapshot(b, c);
    if (rc < 0)
        return rc;
    /* from here on it is a backup, whatever else may fail */
    b->out->partial = c->partial;
    b->out->report = report(b, c);
    id_hex(&b->out->snapshot, snap_hex);
    id_hex(&b->out->root, root_hex);
    /* A selection protects nobody: what is said of the node stays as it is.
     * The agent keeps its cache of unchanged files for whole backups only,
     * too. */
    if (!is_selection(b))
        rc = catalog_node_backup(b->c->catalog, b->node->id, b->began_ns,
                                 c->partial ? "partial" : "complete", snap_hex,
                                 root_hex, b->e);
    for (size_t i = 0; rc == 0 && i < c->n_facts; i++) {
        if (strcmp(c->facts[i]->key, "openclaw.version") == 0)
            rc = catalog_node_openclaw(b->c->catalog, b->node->id,
                                       c->facts[i]->value, b->e);
    }
    if (rc < 0)
        /* the snapshot stands; the catalog is made of it again */
        log_warn("node=%s catalog not updated: %s", b->node->name,
                 b->e ? b->e->text : error_text(rc));
    done.snapshot.data = b->out->snapshot.b;
    done.snapshot.len = ID_LEN;
    m.body_case = OCM__ENVELOPE__BODY_COMMITTED;
    m.committed = &done;
    /* An agent that did not hear of it reads everything again next time. */
    if (stream_send(b->s, &m, &unheard) < 0)
        log_warn("node=%s job=%s the agent was not told of its snapshot: %s",
                 b->node->name, b->order->job, unheard.text);
    log_info("node=%s job=%s snapshot=%.8s %s files=%llu bytes=%llu",
             b->node->name, b->order->job, snap_hex, state_of(b, c),
             (unsigned long long)stats.files, (unsigned long long)stats.bytes);
    return 1;
}

/* ---- receiving ---- */

static void tell(struct backup *b, const Ocm__Envelope *m)
{
    if (!b->j)
        return;
    if (m->body_case == OCM__ENVELOPE__BODY_PROGRESS)
        job_progress(b->j, m->progress->files_done, m->progress->files_total,
                     m->progress->bytes_done, m->progress->bytes_total,
                     m->progress->current);
    else
        job_log(b->j, m->log_line->level, "%s", m->log_line->text);
}

static int receive(struct backup *b)
{
    for (;;) {
        struct stream_item item;
        int wait_ms = (int)b->c->conf->silence_ms;
        int rc = stream_recv(b->s, wait_ms, &item, b->e);

        if (rc == OCM_E_TIMEOUT)
            return error_set(b->e, rc, "the agent has said nothing for %d s",
                             wait_ms / 1000);
        if (rc < 0)
            return rc;
        if (item.kind == STREAM_DATA) {
            rc = take_parcel(b, &item.data);
        } else if (item.kind == STREAM_END) {
            rc = error_set(b->e, OCM_E_PROTOCOL,
                           "the agent ended the backup without a commit");
        } else {
            switch (item.message->body_case) {
            case OCM__ENVELOPE__BODY_PROGRESS:
            case OCM__ENVELOPE__BODY_LOG_LINE:
                tell(b, item.message);
                break;
            case OCM__ENVELOPE__BODY_COMMIT:
                rc = commit(b, item.message->commit);
                break;
            default:
                rc = error_set(b->e, OCM_E_PROTOCOL,
                               "the agent sent %s in the middle of a backup",
                               envelope_name(item.message->body_case));
            }
        }
        stream_item_free(&item);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
}

int handle_backup(struct controller *c, struct stream *s,
                  const struct node *node, const struct backup_order *order,
                  struct job *j, struct backup_outcome *out, struct error *e)
{
    struct error local = {0};
    struct backup b = {
        .c = c,
        .s = s,
        .node = node,
        .order = order,
        .j = j,
        .began_ns = clock_now_ns(),
        .out = out,
        .e = e ? e : &local,
    };
    int rc;

    *out = (struct backup_outcome){0};
    b.w = repo_writer_new(c->repo, node->id);
    b.z = zstream_new(0);
    if (j)
        job_step(j, "capture");
    rc = send_request(&b);
    if (rc == 0)
        rc = receive(&b);
    if (rc < 0) {
        /* keep what came: the next try need not send it again */
        repo_writer_flush(b.w, NULL);
        catalog_node_backup(c->catalog, node->id, node->last_backup_ns,
                            "failed", node->last_snapshot, node->last_root,
                            NULL);
    }
    repo_writer_free(b.w);
    zstream_free(b.z);
    buf_wipe(&b.plain);
    buf_free(&b.frame);
    return rc;
}
