/* SPDX-License-Identifier: MIT */
/* What a killed process left: whole packs that no index file names. The cache
 * remembers which they are and who sent them (it is told before they get
 * their names), their own headers say what is in them. Only ours are taken
 * up: a pack without an index may also belong to a restic that runs now. */
#include "controller/repo/repo_internal.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"

struct found_pack {
    const struct written_pack *pack;
    struct pack_entry *entries;
    size_t count;
};

int recover_open(struct repo *r, struct error *e)
{
    return blob_index_written(r->index, &r->left, &r->left_count, e);
}

int pack_header_open(const struct repo *r, uint8_t *p, size_t len,
                     uint64_t pack_len, struct pack_entry **out, size_t *count,
                     struct error *e)
{
    uint32_t head;

    if (len < PACK_TRAILER_LEN + SEAL_OVERHEAD)
        return error_set(e, OCM_E_DAMAGED, "it is cut short");
    head = read_u32le(p + len - PACK_TRAILER_LEN);
    if (head > PACK_HEADER_MAX || head > len - PACK_TRAILER_LEN)
        return error_set(e, OCM_E_DAMAGED, "its header is broken");
    p += len - PACK_TRAILER_LEN - head;
    if (seal_open(&r->seal, p, head) < 0)
        return error_set(e, OCM_E_DAMAGED, "its header was changed");
    return pack_header_parse(p + SEAL_NONCE_LEN, head - SEAL_OVERHEAD,
                             pack_len - PACK_TRAILER_LEN - head, out, count, e);
}

static int read_header(struct repo *r, const struct id *pack,
                       struct pack_entry **out, size_t *count, struct error *e)
{
    char name[PACK_NAME_MAX + 1];
    uint8_t trailer[PACK_TRAILER_LEN], *tail = NULL;
    struct store_handle *h;
    uint64_t size, len;
    int rc;

    pack_name(pack, name);
    rc = store_handle_open(r->store, name, &h, e);
    if (rc < 0)
        return rc;
    size = store_handle_size(h);
    rc = size < sizeof(trailer) ? error_set(e, OCM_E_DAMAGED, "it is cut short")
                                : store_handle_read(h, trailer, sizeof(trailer),
                                                    size - sizeof(trailer), e);
    if (rc < 0)
        goto out;
    len = (uint64_t)read_u32le(trailer) + sizeof(trailer);
    if (len > size || len > PACK_HEADER_MAX) {
        rc = error_set(e, OCM_E_DAMAGED, "its header is broken");
        goto out;
    }
    tail = mem_alloc((size_t)len);
    rc = store_handle_read(h, tail, (size_t)len, size - len, e);
    if (rc == 0)
        rc = pack_header_open(r, tail, (size_t)len, size, out, count, e);
out:
    store_handle_close(h);
    free(tail);
    return rc;
}

/* One that never got its name, or that a prune took, or that is broken (then
 * it stays for a person to look at) is forgotten. */
static int find(struct repo *r, const struct written_pack *p,
                struct found_pack *out, struct error *e)
{
    struct error why = {0};
    char hex[ID_HEX_LEN + 1];
    int rc = OCM_E_NOTFOUND;

    *out = (struct found_pack){.pack = p};
    if (pack_exists(r, &p->id))
        rc = read_header(r, &p->id, &out->entries, &out->count, &why);
    if (rc == 0)
        return 0;
    if (rc != OCM_E_NOTFOUND && rc != OCM_E_MISSING && rc != OCM_E_DAMAGED)
        return error_set(e, rc, "%s", why.text);
    id_hex(&p->id, hex);
    if (rc == OCM_E_DAMAGED)
        log_warn("repository: pack %s was left without an index: %s", hex,
                 why.text);
    return blob_index_forget_written(r->index, &p->id, e);
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

/* An index file of those that none names; how many they are. */
static int save_index(struct repo *r, const struct found_pack *packs,
                      size_t count, struct id *file, struct error *e)
{
    struct buf json = {0};
    struct id *known = NULL;
    size_t known_count = 0;
    int fresh = 0, rc = blob_index_packs(r->index, &known, &known_count, e);

    index_begin(&json);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct id *id = &packs[i].pack->id;

        if (known_count > 0 &&
            bsearch(id, known, known_count, sizeof(*known), compare_ids))
            continue; /* a person had restic rebuild the index */
        index_add_pack(&json, id, packs[i].entries, packs[i].count);
        fresh++;
    }
    index_end(&json);
    if (rc == 0 && fresh > 0)
        rc = object_save(r, "index", json.data, json.len, file, e);
    buf_free(&json);
    free(known);
    return rc < 0 ? rc : fresh;
}

static int take_in(struct repo *r, const struct found_pack *packs, size_t count,
                   const struct id *file, struct error *e)
{
    int rc = blob_index_begin(r->index, e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = blob_index_add_pack(r->index, &packs[i].pack->id, packs[i].entries,
                                 packs[i].count, packs[i].pack->node, e);
    if (rc == 0 && file)
        rc = blob_index_add_file(r->index, file, e);
    if (rc == 0)
        return blob_index_commit(r->index, e);
    blob_index_rollback(r->index);
    return rc;
}

int recover_packs(struct repo *r, struct error *e)
{
    struct found_pack *packs = mem_array(r->left_count, sizeof(*packs));
    struct id file;
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < r->left_count; i++) {
        rc = find(r, &r->left[i], &packs[count], e);
        count += packs[count].count > 0;
    }
    if (rc == 0)
        rc = save_index(r, packs, count, &file, e);
    if (rc > 0)
        log_info("repository: %d packs of an interrupted backup are used", rc);
    if (rc >= 0)
        rc = take_in(r, packs, count, rc > 0 ? &file : NULL, e);
    if (rc == 0) {
        free(r->left);
        r->left = NULL;
        r->left_count = 0;
    }
    for (size_t i = 0; i < count; i++)
        free(packs[i].entries);
    free(packs);
    return rc;
}
