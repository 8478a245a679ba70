/* SPDX-License-Identifier: MIT */
/* Making, opening and closing a repository. */
#include "controller/repo/repo_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/secret.h"

#define REPO_DIR_MODE 0700

static const char *const folders[] = {"data",  "index",     "keys",
                                      "locks", "snapshots", "ocm"};

static int on_any(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return 1;
}

/* Files of 64 digits below `folder`? A folder that is not there has none. */
static int has_objects(struct store *s, const char *folder, bool deep)
{
    return store_exists(s, folder)
               ? store_list(s, folder, deep, on_any, NULL, NULL)
               : 0;
}

static int on_stale_key(void *arg, const char *name)
{
    struct id id;
    char path[REPO_NAME_MAX + 1];

    id_parse(name, &id); /* store_list gives nothing else */
    object_name("keys", &id, path);
    return store_delete(arg, path, NULL);
}

/* Nothing but what an init that was killed leaves: our folders, a key that
 * guards nothing. Then the remains go, and init starts over. */
static int check_empty(struct store *s, struct error *e)
{
    const char *place = store_place(s);
    struct dirent *d;
    DIR *dir;
    bool foreign = false;

    if (store_exists(s, "config"))
        return error_set(e, OCM_E_EXISTS, "%s already is a repository", place);
    dir = opendir(place);
    if (!dir)
        return error_errno(e, "%s", place);
    while ((d = readdir(dir)) != NULL && !foreign) {
        foreign = strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
        for (size_t i = 0; foreign && i < ARRAY_LEN(folders); i++)
            foreign = strcmp(d->d_name, folders[i]) != 0;
    }
    closedir(dir);
    if (foreign || has_objects(s, "data", true) != 0 ||
        has_objects(s, "index", false) != 0 ||
        has_objects(s, "snapshots", false) != 0)
        return error_set(e, OCM_E_EXISTS,
                         "%s is not empty: a repository needs a folder of its "
                         "own",
                         place);
    if (has_objects(s, "keys", false) != 0 &&
        store_list(s, "keys", false, on_stale_key, s, NULL) < 0)
        return error_set(e, OCM_E_FAILED,
                         "%s/keys: cannot remove what an earlier init left",
                         place);
    return 0;
}

static int make_folders(const char *dir, struct error *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(folders); i++) {
        char *path = path_join(dir, folders[i]);

        rc = dir_make(path, REPO_DIR_MODE, e);
        free(path);
    }
    for (int i = 0; rc == 0 && i < 256; i++) {
        char *path = mem_printf("%s/data/%02x", dir, (unsigned)i);

        rc = dir_make(path, REPO_DIR_MODE, e);
        free(path);
    }
    if (rc == 0) {
        char *data = path_join(dir, "data");

        rc = dir_sync(data, e);
        free(data);
    }
    return rc < 0 ? rc : dir_sync(dir, e);
}

/* The config comes last: with it there, the repository is whole. */
int repo_init(const struct repo_options *o, struct error *e)
{
    struct seal_secret master = {0};
    struct repo r = {0};
    int rc;

    if (sodium_init() < 0)
        return error_set(e, OCM_E_FAILED, "no source of randomness");
    if (!o->password || !*o->password)
        return error_set(e, OCM_E_INVALID, "a repository needs a password");
    rc = dir_make(o->dir, REPO_DIR_MODE, e);
    if (rc == 0)
        rc = store_open(o->dir, o->free_floor, &r.store, e);
    if (rc == 0)
        rc = check_empty(r.store, e);
    if (rc == 0)
        rc = make_folders(o->dir, e);
    if (rc == 0)
        rc = store_prepare(r.store, e);
    if (rc == 0)
        rc = key_create(r.store, o->password, &master, e);
    if (rc == 0) {
        seal_init(&r.seal, &master);
        rc = facts_create(&r, e);
    }
    if (rc == 0)
        rc = config_create(&r, e);
    if (rc == 0)
        rc = dir_sync_of(o->dir, e);
    store_close(r.store);
    secret_wipe(&master, sizeof(master));
    secret_wipe(&r, sizeof(r));
    return rc;
}

static int open_store(struct repo *r, const struct repo_options *o,
                      struct error *e)
{
    struct seal_secret master = {0};
    int rc = store_open(o->dir, o->free_floor, &r->store, e);

    if (rc < 0)
        return rc;
    if (!store_exists(r->store, "config")) {
        if (has_objects(r->store, "keys", false) == 0 &&
            has_objects(r->store, "data", true) == 0)
            return error_set(e, OCM_E_NOTFOUND,
                             "no repository at %s: make one with init", o->dir);
        return error_set(e, OCM_E_DAMAGED,
                         "%s/config is missing, though there is a repository "
                         "around it: put it back from a copy",
                         o->dir);
    }
    rc = key_open(r->store, o->password, &master, e);
    if (rc == 0) {
        seal_init(&r->seal, &master);
        rc = config_load(r, e);
    }
    secret_wipe(&master, sizeof(master));
    return rc;
}

/* One process per cache folder: its index may not change under us. */
static int lock_cache(struct repo *r, const char *dir, struct error *e)
{
    char *path;
    int rc = dir_make(dir, REPO_DIR_MODE, e);

    if (rc < 0)
        return rc;
    path = path_join(dir, "lock");
    r->cache_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (r->cache_fd < 0)
        rc = error_errno(e, "%s", path);
    else if (flock(r->cache_fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? error_set(e, OCM_E_LOCKED,
                             "%s is in use by another process of ours", dir)
                 : error_errno(e, "%s", path);
    free(path);
    return rc;
}

static int open_cache(struct repo *r, const struct repo_options *o,
                      struct error *e)
{
    char known[sizeof(r->marker)], *path;
    int rc = lock_cache(r, o->cache_dir, e);

    if (rc < 0)
        return rc;
    path = path_join(o->cache_dir, "blobs.db");
    rc = blob_index_open(path, r->id, &r->index, e);
    free(path);
    if (rc < 0)
        return rc;
    blob_index_marker(r->index, known, sizeof(known));
    rc = facts_load(r, known, e);
    return rc < 0 ? rc : blob_index_set_marker(r->index, r->marker, e);
}

int repo_open(const struct repo_options *o, struct repo **out, struct error *e)
{
    struct repo *r;
    int rc;

    if (sodium_init() < 0)
        return error_set(e, OCM_E_FAILED, "no source of randomness");
    r = mem_zalloc(sizeof(*r));
    r->cache_fd = -1;
    pthread_mutex_init(&r->lock_mu, NULL);
    pthread_mutex_init(&r->owned_mu, NULL);
    pthread_mutex_init(&r->files_mu, NULL);
    pthread_mutex_init(&r->read_mu, NULL);
    pthread_cond_init(&r->lock.cond, NULL);
    rc = open_store(r, o, e);
    if (rc == 0)
        rc = store_prepare(r->store, e);
    if (rc == 0)
        rc = open_cache(r, o, e);
    if (rc == 0)
        rc = recover_open(r, e);
    if (rc == 0)
        rc = repo_refresh(r, e);
    if (rc < 0) {
        repo_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

void repo_close(struct repo *r)
{
    if (!r)
        return;
    lock_fini(r);
    read_fini(r);
    blob_index_close(r->index);
    store_close(r->store);
    if (r->cache_fd >= 0)
        close(r->cache_fd);
    pthread_cond_destroy(&r->lock.cond);
    pthread_mutex_destroy(&r->lock_mu);
    pthread_mutex_destroy(&r->owned_mu);
    pthread_mutex_destroy(&r->files_mu);
    pthread_mutex_destroy(&r->read_mu);
    secret_wipe(&r->seal, sizeof(r->seal));
    free(r->left);
    free(r);
}

void repo_id(const struct repo *r, char out[ID_HEX_LEN + 1])
{
    memcpy(out, r->id, ID_HEX_LEN + 1);
}

const uint8_t *repo_chunk_seed(const struct repo *r)
{
    return r->seed;
}
