/* SPDX-License-Identifier: MIT */
/* Writing blobs. Happy path: put -> seal into the open pack of its type ->
 * pack full: header, to the sink (fsync, rename, fsync) -> durable ->
 * some packs together: index file -> blob index, owned set. flush does all of
 * it for what is left. Any failure sticks: the writer does nothing more, no
 * index names what is not durable, and the packs without one are leftovers
 * that restic prunes. */
#include "controller/repo/repo_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/repo/id_table.h"
#include "controller/repo/pack_sink.h"

#define WRITER_CHUNK (256u * 1024) /* gathered before it goes to the disk */
#define WRITER_INDEX_BLOBS 40000   /* durable ones that make an index file */
#define WRITER_INDEX_PACKS 32
#define WRITER_CLAIMS 4096 /* known blobs gathered for the owned set */
#define WRITER_LEVEL 3

struct open_pack {
    struct store_file *file; /* NULL: none open */
    struct digest sha;       /* of all bytes so far */
    struct buf out;          /* sealed, not yet appended */
    uint64_t len;            /* of the pack so far, `out` included */
    struct pack_entry *entries;
    size_t count, cap;
};

struct repo_writer {
    struct repo *r; /* borrowed; outlives us */
    char *node_id;
    int64_t node;             /* its number; 0: not asked for yet */
    struct open_pack open[2]; /* by blob type */
    struct pack_sink *sink;
    struct full_pack *durable; /* durable, in no index yet */
    size_t durable_packs, durable_blobs;
    struct id_table pending; /* put, not yet in the blob index */
    int64_t *claims;         /* known blobs that the node sent again */
    size_t claim_count;
    uint64_t claim_generation; /* of the numbers in `claims` */
    struct zstream *z;         /* for repo_writer_add */
    struct buf room;
    uint64_t bytes;
    struct error failed; /* the first failure; code 0: none */
};

struct repo_writer *repo_writer_new(struct repo *r, const char *node_id)
{
    struct repo_writer *w = mem_zalloc(sizeof(*w));

    w->r = r;
    w->node_id = mem_strdup(node_id);
    w->sink = pack_sink_new();
    w->claims = mem_array(WRITER_CLAIMS, sizeof(*w->claims));
    return w;
}

static void open_pack_reset(struct open_pack *p)
{
    buf_clear(&p->out);
    p->file = NULL;
    p->entries = NULL;
    p->len = p->count = p->cap = 0;
}

static void free_durable(struct repo_writer *w)
{
    while (w->durable) {
        struct full_pack *next = w->durable->next;

        full_pack_free(w->durable);
        w->durable = next;
    }
    w->durable_packs = w->durable_blobs = 0;
}

void repo_writer_free(struct repo_writer *w)
{
    if (!w)
        return;
    pack_sink_free(w->sink);
    free_durable(w);
    for (size_t i = 0; i < ARRAY_LEN(w->open); i++) {
        store_abort(w->open[i].file);
        free(w->open[i].entries);
        buf_free(&w->open[i].out);
    }
    id_table_free(&w->pending);
    free(w->claims);
    zstream_free(w->z);
    buf_free(&w->room);
    free(w->node_id);
    free(w);
}

uint64_t repo_writer_bytes(const struct repo_writer *w)
{
    return w->bytes;
}

/* Remember the first failure, and give it again ever after. */
static int stick(struct repo_writer *w, int rc, struct error *e)
{
    if (rc < 0 && !w->failed.code) {
        if (e)
            w->failed = *e;
        w->failed.code = rc;
    }
    return rc;
}

static int begin(struct repo_writer *w, struct error *e)
{
    if (w->failed.code)
        return error_set(e, w->failed.code, "%s",
                         *w->failed.text ? w->failed.text
                                         : error_text(w->failed.code));
    if (w->node > 0)
        return 0;
    if (w->r->version < 2)
        return error_set(e, OCM_E_VERSION,
                         "%s is of repository format 1, which is only read: "
                         "run restic migrate upgrade_repo_v2",
                         store_place(w->r->store));
    return owned_ready(w->r, w->node_id, &w->node, e);
}

static int write_out(struct open_pack *p, struct error *e)
{
    int rc;

    digest_add(&p->sha, p->out.data, p->out.len);
    rc = store_append(p->file, p->out.data, p->out.len, e);
    buf_clear(&p->out);
    return rc;
}

/* Put header and trailer behind the blobs and hand the pack to the sink. */
static int finish_pack(struct repo_writer *w, struct open_pack *p,
                       struct error *e)
{
    struct full_pack *full;
    struct buf header = {0};
    int rc;

    if (!p->file)
        return 0;
    for (size_t i = 0; i < p->count; i++)
        pack_header_add(&header, &p->entries[i]);
    seal_add(&w->r->seal, &p->out, header.data, header.len);
    buf_add_u32le(&p->out, (uint32_t)(header.len + SEAL_OVERHEAD));
    buf_free(&header);
    rc = write_out(p, e);
    if (rc < 0)
        return rc;
    full = mem_zalloc(sizeof(*full));
    full->id = digest_end(&p->sha);
    full->file = p->file;
    full->entries = p->entries;
    full->count = p->count;
    open_pack_reset(p);
    rc = blob_index_pack_written(w->r->index, &full->id, w->node, e);
    if (rc < 0) {
        full_pack_free(full);
        return rc;
    }
    return pack_sink_give(w->sink, full, e);
}

static int add_to_pack(struct repo_writer *w, const struct blob *b,
                       struct error *e)
{
    struct open_pack *p = &w->open[b->type];
    struct pack_entry *x;
    int rc = 0;

    if (!p->file) {
        rc = store_begin(w->r->store, &p->file, e);
        if (rc < 0)
            return rc;
        digest_init(&p->sha);
    }
    p->entries = mem_grow(p->entries, &p->cap, p->count + 1, sizeof(*x));
    x = &p->entries[p->count++];
    *x = (struct pack_entry){
        .id = b->id,
        .type = b->type,
        .offset = (uint32_t)p->len,
        .length = b->stored_len + SEAL_OVERHEAD,
        .raw = b->encoding == BLOB_ZSTD ? b->raw_len : 0,
    };
    seal_add(&w->r->seal, &p->out, b->stored, b->stored_len);
    p->len += x->length;
    w->bytes += x->length;
    if (p->len >= PACK_TARGET_LEN || p->count >= PACK_ENTRIES_MAX)
        return finish_pack(w, p, e);
    return p->out.len >= WRITER_CHUNK ? write_out(p, e) : 0;
}

/* What is pending after an index was written: all that no index names yet,
 * which is what lies in open packs (the sink is asked before). */
static void rebuild_pending(struct repo_writer *w)
{
    bool fresh;

    id_table_clear(&w->pending);
    for (size_t k = 0; k < ARRAY_LEN(w->open); k++) {
        const struct open_pack *p = &w->open[k];

        for (size_t i = 0; i < p->count; i++)
            id_table_add(&w->pending, &p->entries[i].id, p->entries[i].type,
                         &fresh);
    }
}

static int store_index(struct repo_writer *w, struct error *e)
{
    struct buf json = {0};
    struct id id;
    int rc;

    index_begin(&json);
    for (struct full_pack *p = w->durable; p; p = p->next)
        index_add_pack(&json, &p->id, p->entries, p->count);
    index_end(&json);
    pthread_mutex_lock(&w->r->files_mu);
    rc = object_save(w->r, "index", json.data, json.len, &id, e);
    buf_free(&json);
    if (rc == 0)
        rc = blob_index_begin(w->r->index, e);
    if (rc < 0)
        goto out;
    for (struct full_pack *p = w->durable; rc == 0 && p; p = p->next)
        rc = blob_index_add_pack(w->r->index, &p->id, p->entries, p->count,
                                 w->node, e);
    if (rc == 0)
        rc = blob_index_add_file(w->r->index, &id, e);
    if (rc == 0)
        rc = blob_index_commit(w->r->index, e);
    else
        blob_index_rollback(w->r->index);
out:
    pthread_mutex_unlock(&w->r->files_mu);
    return rc;
}

/* Claims whose numbers may mean other blobs by now are dropped: the node is
 * asked for those again at COMMIT. */
static int save_claims(struct repo_writer *w, struct error *e)
{
    int rc;

    if (w->claim_count == 0)
        return 0;
    rc = blob_index_begin(w->r->index, e);
    if (rc < 0)
        return rc;
    if (w->claim_generation != blob_index_generation(w->r->index))
        w->claim_count = 0;
    for (size_t i = 0; rc == 0 && i < w->claim_count; i++)
        rc = owned_add(w->r->index, w->node, w->claims[i], e);
    w->claim_count = 0;
    if (rc == 0)
        return blob_index_commit(w->r->index, e);
    blob_index_rollback(w->r->index);
    return rc;
}

/* Take what the sink has done; write an index when it is worth one, or when
 * `all` is wanted. */
static int collect(struct repo_writer *w, bool all, struct error *e)
{
    struct full_pack *list;
    int rc = pack_sink_take(w->sink, all, &list, e);

    if (rc < 0)
        return rc;
    while (list) {
        struct full_pack *p = list;

        list = p->next;
        p->next = w->durable;
        w->durable = p;
        w->durable_packs++;
        w->durable_blobs += p->count;
    }
    if (w->durable_packs == 0 ||
        (!all && w->durable_packs < WRITER_INDEX_PACKS &&
         w->durable_blobs < WRITER_INDEX_BLOBS))
        return 0;
    if (!all)
        return collect(w, true, e); /* then only open packs are pending */
    rc = store_index(w, e);
    if (rc < 0)
        return rc;
    free_durable(w);
    rebuild_pending(w);
    return 0;
}

static int put(struct repo_writer *w, const struct blob *b, struct error *e)
{
    struct blob_place place;
    struct blob empty = *b;
    uint64_t generation;
    bool fresh;
    int rc = begin(w, e);

    if (rc < 0)
        return rc;
    if (b->stored_len > BLOB_STORED_MAX ||
        (b->type != BLOB_DATA && b->type != BLOB_TREE))
        return error_set(e, OCM_E_LIMIT, "blob of %u bytes is over the limit",
                         b->stored_len);
    if (b->raw_len == 0) { /* length 0 means "not compressed" in a pack */
        empty.encoding = BLOB_PLAIN;
        empty.stored_len = 0;
        b = &empty;
    }
    generation = blob_index_generation(w->r->index);
    rc = blob_index_find(w->r->index, &b->id, b->type, &place, e);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        if (w->claim_count == 0)
            w->claim_generation = generation;
        w->claims[w->claim_count++] = place.num;
        return w->claim_count == WRITER_CLAIMS ? save_claims(w, e) : 0;
    }
    id_table_add(&w->pending, &b->id, b->type, &fresh);
    if (!fresh)
        return 0;
    rc = add_to_pack(w, b, e);
    return rc < 0 || w->open[b->type].file ? rc : collect(w, false, e);
}

int repo_writer_put(struct repo_writer *w, const struct blob *b,
                    struct error *e)
{
    struct error mine = {0};

    if (!e)
        e = &mine;
    return stick(w, put(w, b, e), e);
}

int repo_writer_add(struct repo_writer *w, enum blob_type type, const void *p,
                    size_t len, struct id *out, struct error *e)
{
    struct blob b = {.type = type};
    size_t max = type == BLOB_TREE ? BLOB_TREE_MAX : BLOB_DATA_MAX;

    if (len > max)
        return error_set(e, OCM_E_LIMIT, "blob of %zu bytes, %zu are allowed",
                         len, max);
    if (!w->z)
        w->z = zstream_new(WRITER_LEVEL);
    zstream_pack(w->z, p, len, &w->room, &b);
    b.id = digest_of(p, len);
    *out = b.id;
    return repo_writer_put(w, &b, e);
}

static int flush(struct repo_writer *w, struct error *e)
{
    int rc = begin(w, e);

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(w->open); i++)
        rc = finish_pack(w, &w->open[i], e);
    if (rc == 0)
        rc = collect(w, true, e);
    return rc < 0 ? rc : save_claims(w, e);
}

int repo_writer_flush(struct repo_writer *w, struct error *e)
{
    struct error mine = {0};

    if (!e)
        e = &mine;
    return stick(w, flush(w, e), e);
}
