/* SPDX-License-Identifier: MIT */
/* The blob index follows index/ and data/: new index files are taken in; when
 * some are gone (restic pruned), it is made anew; packs that are gone take
 * their blobs with them, so that nodes send those again. */
#include "controller/repo/repo_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

struct taker {
    struct blob_index *ix;
    struct error *e;
};

static int on_pack(void *arg, const struct id *pack,
                   const struct pack_entry *entries, size_t count)
{
    struct taker *t = arg;

    return blob_index_add_pack(t->ix, pack, entries, count, 0, t->e);
}

int index_take_in(struct repo *r, struct blob_index *ix, const struct id *id,
                  struct error *e)
{
    struct taker t = {ix, e};
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
    if (rc == 0)
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

/* A broken index file costs only the blobs that it alone names: nodes send
 * them again. It is reported here and by repo_check. */
static int on_new(void *arg, const struct id *id)
{
    struct follow *f = arg;
    struct error e = {0};
    int rc = index_take_in(f->r, f->r->index, id, &e);

    f->count += rc == 0;
    if (rc == OCM_E_DAMAGED || rc == OCM_E_NOTFOUND) {
        log_error("repository: %s", e.text);
        return 0;
    }
    return rc < 0 ? error_set(f->e, rc, "%s", e.text) : 0;
}

static int follow_index(struct repo *r, struct error *e)
{
    struct id *there = NULL, *known = NULL;
    size_t there_count = 0, known_count = 0;
    struct follow gone = {r, e, 0}, fresh = {r, e, 0};
    int rc = object_list(r, "index", &there, &there_count, e);

    if (rc == 0)
        rc = blob_index_files(r->index, &known, &known_count, e);
    if (rc < 0)
        goto out;
    each_missing(known, known_count, there, there_count, on_gone, &gone);
    if (gone.count) {
        log_info("repository: %zu index files are gone, the blob index is "
                 "made anew",
                 gone.count);
        rc = blob_index_clear(r->index, e);
        known_count = 0;
    }
    if (rc == 0)
        rc = each_missing(there, there_count, known, known_count, on_new,
                          &fresh);
    if (rc == 0 && fresh.count)
        log_debug("repository: %zu index files taken in", fresh.count);
out:
    free(there);
    free(known);
    return rc;
}

static int on_lost_pack(void *arg, const struct id *id)
{
    struct follow *f = arg;
    char hex[ID_HEX_LEN + 1];

    id_hex(id, hex);
    log_error("repository: pack %s is missing in %s/data, its blobs count as "
              "not there",
              hex, store_place(f->r->store));
    f->count++;
    return blob_index_drop_pack(f->r->index, id, f->e);
}

static int follow_packs(struct repo *r, struct error *e)
{
    struct id *there = NULL, *known = NULL;
    size_t there_count = 0, known_count = 0;
    struct follow lost = {r, e, 0};
    int rc = object_list(r, "data", &there, &there_count, e);

    if (rc == 0)
        rc = blob_index_packs(r->index, &known, &known_count, e);
    if (rc == 0)
        rc = blob_index_begin(r->index, e);
    if (rc < 0)
        goto out;
    rc = each_missing(known, known_count, there, there_count, on_lost_pack,
                      &lost);
    if (rc == 0)
        rc = blob_index_commit(r->index, e);
    else
        blob_index_rollback(r->index);
out:
    free(there);
    free(known);
    return rc;
}

int repo_refresh(struct repo *r, struct error *e)
{
    int rc;

    pthread_mutex_lock(&r->files_mu);
    rc = follow_index(r, e);
    if (rc == 0)
        rc = follow_packs(r, e);
    pthread_mutex_unlock(&r->files_mu);
    return rc;
}
