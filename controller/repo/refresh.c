/* SPDX-License-Identifier: MIT */
/* The blob index follows index/ and data/: new index files are taken in; when
 * some are gone (restic pruned), or packs are, it is made anew of what is
 * there. Blobs that are only in lost packs are then not known any more, and
 * nodes send them again. */
#include "controller/repo/repo_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

struct taker {
    struct repo *r;
    struct blob_index *ix;
    index_lost_cb *on_lost;
    void *arg;
    bool lost; /* a pack is */
    struct error *e;
};

static int on_pack(void *arg, const struct id *pack,
                   const struct pack_entry *entries, size_t count)
{
    struct taker *t = arg;

    if (!pack_exists(t->r, pack)) {
        t->lost = true;
        if (t->on_lost)
            t->on_lost(t->arg, pack);
        return 0;
    }
    return blob_index_add_pack(t->ix, pack, entries, count, 0, t->e);
}

int index_take_in(struct repo *r, struct blob_index *ix, const struct id *id,
                  index_lost_cb *on_lost, void *arg, struct error *e)
{
    struct taker t = {r, ix, on_lost, arg, false, e};
    struct buf plain = {0};
    char name[REPO_NAME_MAX + 1];
    int rc = object_load(r, "index", id, REPO_OBJECT_MAX, &plain, e);

    if (rc < 0)
        goto out;
    rc = blob_index_begin(ix, e);
    if (rc < 0)
        goto out;
    rc = index_parse(plain.data, plain.len, on_pack, &t, e);
    if (rc == OCM_E_DAMAGED) {
        object_name("index", id, name);
        error_prefix(e, "%s/%s", store_place(r->store), name);
    }
    /* else it is looked at again: what was moved away may come back */
    if (rc == 0 && !t.lost)
        rc = blob_index_add_file(ix, id, e);
    if (rc == 0)
        rc = blob_index_commit(ix, e);
    else
        blob_index_rollback(ix);
out:
    buf_free(&plain);
    return rc;
}

/* Ids of sorted `a` that sorted `b` lacks go to `fn`. */
static int each_missing(const struct id *a, size_t a_count, const struct id *b,
                        size_t b_count,
                        int (*fn)(void *arg, const struct id *id), void *arg)
{
    size_t j = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a_count; i++) {
        while (j < b_count && id_compare(&b[j], &a[i]) < 0)
            j++;
        if (j == b_count || !id_equal(&b[j], &a[i]))
            rc = fn(arg, &a[i]);
    }
    return rc;
}

struct follow {
    struct repo *r;
    struct error *e;
    size_t count;
};

static int on_gone(void *arg, const struct id *id)
{
    (void)id;
    ((struct follow *)arg)->count++;
    return 0;
}

static void on_lost(void *arg, const struct id *pack)
{
    struct repo *r = arg;
    char hex[ID_HEX_LEN + 1];

    id_hex(pack, hex);
    log_error("repository: pack %s is missing in %s/data: what only it holds "
              "counts as not there",
              hex, store_place(r->store));
}

/* A broken index file costs only the blobs that it alone names: nodes send
 * them again. It is reported here and by repo_check. */
static int on_new(void *arg, const struct id *id)
{
    struct follow *f = arg;
    struct error e = {0};
    int rc = index_take_in(f->r, f->r->index, id, on_lost, f->r, &e);

    f->count += rc == 0;
    if (rc == OCM_E_DAMAGED || rc == OCM_E_NOTFOUND) {
        log_error("repository: %s", e.text);
        return 0;
    }
    return rc < 0 ? error_set(f->e, rc, "%s", e.text) : 0;
}

/* The files of a folder, and those of them that the blob index knows. */
struct listing {
    struct id *there, *known; /* sorted */
    size_t there_count, known_count;
    size_t gone; /* known, but not there */
};

typedef int known_fn(struct blob_index *ix, struct id **ids, size_t *count,
                     struct error *e);

static int listing_make(struct repo *r, const char *folder, known_fn *known,
                        struct listing *l, struct error *e)
{
    struct follow gone = {r, e, 0};
    int rc = object_list(r, folder, &l->there, &l->there_count, e);

    if (rc == 0)
        rc = known(r->index, &l->known, &l->known_count, e);
    if (rc == 0)
        each_missing(l->known, l->known_count, l->there, l->there_count,
                     on_gone, &gone);
    l->gone = gone.count;
    return rc;
}

static void listing_free(struct listing *l)
{
    free(l->there);
    free(l->known);
}

static int follow(struct repo *r, struct error *e)
{
    struct listing index = {0}, packs = {0};
    struct follow fresh = {r, e, 0};
    int rc = facts_check(r, e);

    if (rc == 0)
        rc = listing_make(r, "index", blob_index_files, &index, e);
    if (rc == 0)
        rc = listing_make(r, "data", blob_index_packs, &packs, e);
    if (rc < 0)
        goto out;
    if (index.gone || packs.gone) {
        log_info("repository: %zu index files and %zu packs are gone, the "
                 "blob index is made anew",
                 index.gone, packs.gone);
        rc = blob_index_clear(r->index, e);
        index.known_count = 0;
    }
    if (rc == 0)
        rc = each_missing(index.there, index.there_count, index.known,
                          index.known_count, on_new, &fresh);
    if (rc == 0 && fresh.count)
        log_debug("repository: %zu index files taken in", fresh.count);
out:
    listing_free(&index);
    listing_free(&packs);
    return rc;
}

int repo_refresh(struct repo *r, struct error *e)
{
    struct error why = {0};
    bool locked;
    int rc;

    read_forget(r);
    pthread_mutex_lock(&r->lock_mu);
    locked = r->lock.count > 0;
    pthread_mutex_unlock(&r->lock_mu);
    pthread_mutex_lock(&r->files_mu);
    rc = follow(r, e);
    /* what is read from here does not need them */
    if (rc == 0 && locked && r->left_count && recover_packs(r, &why) < 0)
        log_warn("repository: packs without an index: %s", why.text);
    pthread_mutex_unlock(&r->files_mu);
    return rc;
}
