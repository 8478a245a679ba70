/* SPDX-License-Identifier: MIT */
/* Checking. The whole repository: the index is read anew (the cache is not
 * asked), every pack compared with it, every snapshot walked, and with
 * read_data every byte opened. One snapshot: every blob it reaches. Findings
 * go to the report, and then the files that they cost; nothing is changed. */
#include "controller/repo/check.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define CHECK_PACK_MAX (512u * 1024 * 1024) /* read into memory at once */
#define CHECK_STEP_BYTES (8u * 1024 * 1024)

static void on_lost(void *arg, const struct id *pack)
{
    char hex[ID_HEX_LEN + 1];

    id_hex(pack, hex);
    check_line(arg, false, "pack %.12s: in an index, but not there", hex);
}

static int load_index(struct checker *c, struct error *e)
{
    struct id *ids;
    size_t count;
    int rc = object_list(c->r, "index", &ids, &count, e);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct error why = {0};
        int bad = index_take_in(c->r, c->ix, &ids[i], on_lost, c, &why);

        if (bad == OCM_E_DAMAGED)
            check_line(c, false, "index: %s", why.text);
        else if (bad < 0 && bad != OCM_E_NOTFOUND)
            rc = error_set(e, bad, "%s", why.text);
    }
    free(ids);
    return rc;
}

/* Open one blob of a pack that lies in memory. */
static int open_blob(struct checker *c, struct zstream *z, uint8_t *pack,
                     const struct pack_entry *x, struct buf *room,
                     struct error *e)
{
    uint8_t *at = pack + x->offset;
    uint32_t max = x->type == BLOB_TREE ? BLOB_TREE_MAX : BLOB_DATA_MAX;
    struct blob b = {.id = x->id, .type = x->type};
    const uint8_t *plain;

    if (seal_open(&c->r->seal, at, x->length) < 0)
        return error_set(e, OCM_E_DAMAGED, "its bytes were changed");
    b.stored = at + SEAL_NONCE_LEN;
    b.stored_len = x->length - SEAL_OVERHEAD;
    b.encoding = x->raw ? BLOB_ZSTD : BLOB_PLAIN;
    b.raw_len = x->raw ? x->raw : b.stored_len;
    if (b.raw_len > max)
        return error_set(e, OCM_E_DAMAGED, "it is larger than a blob can be");
    return zstream_open(z, &b, room, &plain, e);
}

static bool same_entry(const struct pack_entry *a, const struct pack_entry *b)
{
    return a->offset == b->offset && a->length == b->length &&
           a->raw == b->raw && a->type == b->type && id_equal(&a->id, &b->id);
}

/* Every blob that the index finds in this pack must be in its header. Both
 * are in order of offset. */
static void compare_header(struct checker *c, const char *hex,
                           const struct pack_entry *index, size_t index_count,
                           const struct pack_entry *header, size_t count)
{
    size_t j = 0;

    for (size_t i = 0; i < index_count; i++) {
        while (j < count && header[j].offset < index[i].offset)
            j++;
        if (j < count && same_entry(&index[i], &header[j]))
            continue;
        check_bad(c, &index[i].id, index[i].type);
        check_line(c, false,
                   "pack %.12s: the index says otherwise than the "
                   "pack at byte %u",
                   hex, index[i].offset);
    }
}

static void check_pack_bytes(struct checker *c, const char *hex,
                             const struct id *pack, struct buf *data,
                             const struct pack_entry *index, size_t count)
{
    struct pack_entry *header = NULL;
    struct id found = digest_of(data->data, data->len);
    struct zstream *z = zstream_take(c->r);
    struct buf room = {0};
    struct error why = {0};
    size_t header_count = 0;

    if (!id_equal(&found, pack))
        check_line(c, false, "pack %.12s: its bytes were changed", hex);
    if (pack_header_open(c->r, data->data, data->len, data->len, &header,
                         &header_count, &why) < 0)
        check_line(c, false, "pack %.12s: %s", hex, why.text);
    else
        compare_header(c, hex, index, count, header, header_count);
    for (size_t i = 0; i < count; i++) {
        char id[ID_HEX_LEN + 1];
        uint64_t end = (uint64_t)index[i].offset + index[i].length;

        id_hex(&index[i].id, id);
        why = (struct error){0};
        if (end > data->len)
            error_set(&why, OCM_E_DAMAGED, "the pack is cut short");
        else if (i > 0 && (uint64_t)index[i - 1].offset + index[i - 1].length >
                              index[i].offset)
            error_set(&why, OCM_E_DAMAGED, "it overlaps the one before");
        else
            open_blob(c, z, data->data, &index[i], &room, &why);
        if (why.code) {
            check_bad(c, &index[i].id, index[i].type);
            check_line(c, false, "blob %.12s in pack %.12s: %s", id, hex,
                       why.text);
        }
    }
    zstream_give(c->r, z);
    buf_free(&room);
    free(header);
}

static int check_pack(struct checker *c, const struct id *pack, bool read_data,
                      struct error *e)
{
    char hex[ID_HEX_LEN + 1], name[PACK_NAME_MAX + 1];
    struct pack_entry *entries;
    struct buf data = {0};
    struct error why = {0};
    size_t count;
    uint64_t size = 0, need = PACK_TRAILER_LEN + SEAL_OVERHEAD;
    int rc = blob_index_pack_entries(c->ix, pack, &entries, &count, e);
    int bad;

    if (rc < 0)
        return rc;
    id_hex(pack, hex);
    pack_name(pack, name);
    bad = store_size(c->r->store, name, &size, &why);
    for (size_t i = 0; i < count; i++)
        need += entries[i].length;
    if (bad == 0 && size < need)
        bad = error_set(&why, OCM_E_DAMAGED, "%llu bytes, the index needs %llu",
                        (unsigned long long)size, (unsigned long long)need);
    if (bad == 0 && read_data)
        bad = store_get(c->r->store, name, CHECK_PACK_MAX, &data, &why);
    if (bad == 0 && read_data) {
        check_pack_bytes(c, hex, pack, &data, entries, count);
    } else if (bad < 0) {
        check_line(c, false, "pack %.12s: %s", hex, why.text);
        for (size_t i = 0; i < count; i++)
            check_bad(c, &entries[i].id, entries[i].type);
    }
    c->at.packs_done++;
    c->at.bytes_done += size;
    c->report->bytes += size;
    free(entries);
    buf_free(&data);
    return check_step(c, e);
}

/* The sizes of packs are summed up first, so that progress has a total. */
static int check_packs(struct checker *c, bool read_data, struct error *e)
{
    struct id *known = NULL, *there = NULL;
    size_t known_count = 0, there_count = 0, j = 0, extra = 0;
    int rc = object_list(c->r, "data", &there, &there_count, e);

    if (rc == 0)
        rc = blob_index_packs(c->ix, &known, &known_count, e);
    for (size_t i = 0; rc == 0 && i < there_count; i++) {
        char name[PACK_NAME_MAX + 1];
        uint64_t size;

        while (j < known_count && id_compare(&known[j], &there[i]) < 0)
            j++;
        extra += j == known_count || !id_equal(&known[j], &there[i]);
        pack_name(&there[i], name);
        if (store_size(c->r->store, name, &size, NULL) == 0)
            c->at.bytes_total += size;
    }
    c->at.packs_total = c->report->packs = known_count;
    if (extra)
        check_line(c, true,
                   "%zu packs are in no index (left over; restic "
                   "prune removes them)",
                   extra);
    for (size_t i = 0; rc == 0 && i < known_count; i++)
        rc = check_pack(c, &known[i], read_data, e);
    free(known);
    free(there);
    return rc;
}

static int name_snapshot(struct checker *c, const struct snapshot *s,
                         struct error *e)
{
    char hex[ID_HEX_LEN + 1], *name;
    int rc;

    id_hex(&s->id, hex);
    name = mem_printf("snapshot %.8s of %s", hex, s->hostname);
    rc = check_name_files(c, name, &s->tree, e);
    free(name);
    return rc;
}

static int check_snapshots(struct checker *c, const struct id *ids,
                           size_t count, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct snapshot s;
        struct error why = {0};
        int bad = snapshot_load(c->r, &ids[i], &s, &why);

        if (bad == OCM_E_NOTFOUND)
            continue; /* forgotten while we looked */
        c->report->snapshots++;
        if (bad < 0) {
            check_line(c, false, "snapshot: %s", why.text);
            continue;
        }
        rc = check_trees(c, &s.tree, e);
        if (rc == 0)
            rc = name_snapshot(c, &s, e);
        snapshot_fini(&s);
    }
    return rc;
}

/* Snapshots are listed before the index: what a backup that runs beside us
 * adds meanwhile is in neither, or in the index. */
int repo_check(struct repo *r, bool read_data,
               bool (*progress)(void *arg, const struct repo_check_progress *),
               void *arg, struct repo_check_report *report, struct error *e)
{
    struct checker c = {
        .r = r, .report = report, .progress = progress, .arg = arg};
    struct id *snapshots = NULL;
    size_t count = 0;
    int rc = object_list(r, "snapshots", &snapshots, &count, e);

    if (rc == 0)
        rc = blob_index_open(NULL, r->id, &c.ix, e);
    if (rc == 0)
        rc = load_index(&c, e);
    if (rc == 0) {
        report->blobs = blob_index_count(c.ix);
        rc = check_packs(&c, read_data, e);
    }
    if (rc == 0)
        rc = check_snapshots(&c, snapshots, count, e);
    free(snapshots);
    blob_index_close(c.ix);
    check_fini(&c);
    return rc;
}

/* ---- one snapshot ---- */

struct wanted {
    struct id id;
    enum blob_type type;
    struct blob_place place;
};

static int by_place(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    int c = id_compare(&x->place.pack, &y->place.pack);

    if (c)
        return c;
    return (x->place.offset > y->place.offset) -
           (x->place.offset < y->place.offset);
}

/* What was reached, in the order in which it lies on the disk. */
static int gather(struct checker *c, struct wanted **out, size_t *count,
                  struct error *e)
{
    struct wanted *list = mem_array(c->seen.count + 1, sizeof(*list));
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; rc >= 0 && i < c->seen.cap; i++) {
        const struct id_entry *s = &c->seen.slots[i];

        if (s->type > BLOB_TREE)
            continue;
        list[n].id = s->id;
        list[n].type = (enum blob_type)s->type;
        rc = blob_index_find(c->ix, &s->id, list[n].type, &list[n].place, e);
        if (rc == 1)
            c->at.bytes_total += list[n++].place.length;
    }
    qsort(list, n, sizeof(*list), by_place);
    *out = list;
    *count = n;
    return rc < 0 ? rc : 0;
}

static void verify_one(struct checker *c, struct zstream *z,
                       const struct wanted *w, struct buf *stored,
                       struct buf *room)
{
    struct error why = {0};
    const uint8_t *plain;
    char hex[ID_HEX_LEN + 1];
    struct blob b;
    int rc = read_place(c->r, &w->id, w->type, &w->place, stored, &b, &why);

    if (rc == 0)
        rc = zstream_open(z, &b, room, &plain, &why);
    if (rc == 0 || id_table_find(&c->bad, &w->id, w->type))
        return;
    id_hex(&w->id, hex);
    check_bad(c, &w->id, w->type);
    check_line(c, false, "blob %.12s: %s", hex, why.text);
}

static int verify_all(struct checker *c, struct error *e)
{
    struct buf stored = {0}, room = {0};
    struct zstream *z = zstream_take(c->r);
    struct wanted *list = NULL;
    uint64_t told = 0;
    size_t count = 0;
    int rc = gather(c, &list, &count, e);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool next = i + 1 == count ||
                    !id_equal(&list[i].place.pack, &list[i + 1].place.pack);

        verify_one(c, z, &list[i], &stored, &room);
        c->at.packs_done += next;
        c->at.bytes_done += list[i].place.length;
        if (c->at.bytes_done - told >= CHECK_STEP_BYTES || i + 1 == count) {
            told = c->at.bytes_done;
            rc = check_step(c, e);
        }
    }
    c->report->packs = c->at.packs_done;
    c->report->blobs = count;
    c->report->bytes = c->at.bytes_done;
    zstream_give(c->r, z);
    buf_free(&stored);
    buf_free(&room);
    free(list);
    return rc;
}

int repo_verify_snapshot(struct repo *r, const struct id *root,
                         bool (*progress)(void *arg,
                                          const struct repo_check_progress *),
                         void *arg, struct repo_check_report *report,
                         struct error *e)
{
    struct checker c = {.r = r,
                        .ix = r->index,
                        .report = report,
                        .progress = progress,
                        .arg = arg};
    int rc;

    report->snapshots = 1;
    rc = check_trees(&c, root, e);
    if (rc == 0)
        rc = verify_all(&c, e);
    if (rc == 0)
        rc = check_name_files(&c, "backup", root, e);
    check_fini(&c);
    return rc;
}
