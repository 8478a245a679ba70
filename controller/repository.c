/* SPDX-License-Identifier: MIT */
#include "controller/repository.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define PASSWORD_LEN 40 /* of [a-z2-7]: 200 bits */
#define PASSWORD_MAX 4096

/* The first line of the password file; made when it is missing and `make`. */
static int read_password(const char *path, bool make, char **out,
                         struct error *e)
{
    char fresh[PASSWORD_LEN + 2];
    struct buf b = {0};
    int rc = file_read(path, PASSWORD_MAX, &b, e);

    if (rc == -ENOENT && make) {
        secret_random_text(fresh, PASSWORD_LEN);
        strcat(fresh, "\n");
        rc = file_write(path, fresh, strlen(fresh), 0600, e);
        buf_add_str(&b, fresh);
        secret_wipe(fresh, sizeof(fresh));
    } else if (rc == -ENOENT) {
        error_set(e, rc,
                  "%s: the repository's password is not there; put it back "
                  "from your emergency kit",
                  path);
    }
    if (rc == 0) {
        buf_str(&b)[strcspn(buf_str(&b), "\r\n")] = 0;
        *out = mem_strdup(buf_str(&b));
        if (!**out)
            rc = error_set(e, OCM_E_INVALID, "%s: empty", path);
    }
    buf_wipe(&b);
    return rc;
}

/* Which repository we had: an empty mount point must not pass for a new one. */
static int remember(const char *mark, struct repo *repo, struct error *e)
{
    char id[ID_HEX_LEN + 2];

    repo_id(repo, id);
    strcat(id, "\n");
    return file_write(mark, id, strlen(id), 0600, e);
}

static int same_as_before(const char *mark, struct repo *repo, const char *dir,
                          struct error *e)
{
    char id[ID_HEX_LEN + 1];
    struct buf b = {0};
    int rc = file_read(mark, PASSWORD_MAX, &b, e);

    repo_id(repo, id);
    if (rc == 0 && strncmp(buf_str(&b), id, ID_HEX_LEN) != 0)
        rc = error_set(e, OCM_E_CHANGED,
                       "%s is another repository (%.8s) than this controller "
                       "has worked with (%.8s); if that is wanted remove %s",
                       dir, id, buf_str(&b), mark);
    buf_free(&b);
    return rc;
}

int repository_open(const struct controller_conf *conf, struct repo **out,
                    struct error *e)
{
    char *cache = path_join(conf->state_dir, "cache");
    char *mark = path_join(conf->state_dir, "repository.id");
    bool known = file_exists(mark);
    char *password = NULL;
    struct repo_options o = {
        .dir = conf->repository,
        .cache_dir = cache,
        .free_floor = conf->free_floor,
    };
    int rc = read_password(conf->password_file, !known, &password, e);

    if (rc == 0)
        rc = dir_make(cache, 0700, e);
    if (rc < 0)
        goto out;
    o.password = password;
    rc = repo_open(&o, out, e);
    if (rc == OCM_E_NOTFOUND && !known) {
        rc = repo_init(&o, e);
        if (rc == 0)
            log_info("made a new repository in %s; print its emergency kit "
                     "with: ocmctl kit",
                     conf->repository);
        if (rc == 0)
            rc = repo_open(&o, out, e);
    } else if (rc == OCM_E_NOTFOUND) {
        error_set(e, rc,
                  "%s: the repository is gone; is its disk mounted? Nothing "
                  "new is made in its place",
                  conf->repository);
    }
    if (rc == 0)
        rc = known ? same_as_before(mark, *out, conf->repository, e)
                   : remember(mark, *out, e);
out:
    secret_free_str(password);
    free(cache);
    free(mark);
    return rc;
}
