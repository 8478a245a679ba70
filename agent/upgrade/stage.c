/* SPDX-License-Identifier: MIT */
/* Taking a new agent in.
 *
 * Happy path: manifest judged -> bin/incoming made with its whole room ->
 * bytes -> size and hash right -> fsync -> `--version` says what the manifest
 * says -> renamed to its own name -> upgrade.conf names it, on trial.
 * Ended anywhere before the last step the former agent goes on and what was
 * left in bin is removed by the next one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#include "agent/build.h"
#include "agent/upgrade/upgrade_internal.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/text.h"

#define TRY_MS 20000
#define TRY_BUSY 20 /* times, a tenth of a second each */

struct upgrade_stage {
    char *state_dir;
    char *path; /* of the incoming file */
    struct manifest m;
    struct digest digest;
    uint64_t len;
    int fd; /* -1: put in place */
};

/* ---- judging ---- */

static int verify(const struct upgrade_offer *o, struct manifest *m,
                  struct error *e)
{
    uint8_t key[RELEASE_KEY_LEN];
    int rc;

    if (o->manifest_len > MANIFEST_MAX)
        return error_set(e, OCM_E_LIMIT, "a manifest of %zu bytes",
                         o->manifest_len);
    if (!hex_decode(agent_release_key, strlen(agent_release_key), key,
                    sizeof(key)))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "this agent was built without a release key");
    rc = manifest_verify(o->manifest, o->manifest_len, key, e);
    return rc < 0 ? rc : manifest_parse(o->manifest, o->manifest_len, m, e);
}

static int judge(const struct upgrade_offer *o, const struct manifest *m,
                 bool *current, struct error *e)
{
    int order = version_compare(m->version, agent_version);
    struct utsname u;
    struct id own;
    int rc;

    uname(&u);
    if (strcmp(m->arch, u.machine) != 0)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "this machine is %s, the package is for %s", u.machine,
                         m->arch);
    if (o->protocol < m->protocol_min || o->protocol > m->protocol_max)
        return error_set(e, OCM_E_VERSION,
                         "agent %s speaks protocol %u to %u, this controller "
                         "%u: upgrade the controller first",
                         m->version, m->protocol_min, m->protocol_max,
                         o->protocol);
    if (order == 0) {
        rc = upgrade_hash("/proc/self/exe", &own, e);
        if (rc < 0)
            return rc;
        *current = id_equal(&own, &m->sha256);
    }
    if (order > 0 || *current || o->allow_downgrade)
        return 0;
    return error_set(e, OCM_E_VERSION,
                     "%s runs here and %s is %s; to have it all the same say "
                     "--allow-downgrade",
                     agent_version, m->version,
                     order < 0 ? "older" : "another build of it");
}

/* ---- the folder of copies ---- */

/* Only what upgrade.conf names stays. */
static void remove_others(const char *state_dir)
{
    char *dir = upgrade_path(state_dir, "");
    char *self = upgrade_own_name(state_dir);
    struct upgrade_state s;
    struct dirent *d;
    DIR *list;

    if (upgrade_state_load(state_dir, &s, NULL) == 0 &&
        (list = opendir(dir)) != NULL) {
        while ((d = readdir(list)) != NULL) {
            if (d->d_name[0] != '.' && strcmp(d->d_name, s.current) != 0 &&
                strcmp(d->d_name, s.previous) != 0 &&
                strcmp(d->d_name, self) != 0)
                unlinkat(dirfd(list), d->d_name, 0);
        }
        closedir(list);
    }
    upgrade_state_fini(&s);
    free(self);
    free(dir);
}

static int make_room(struct upgrade_stage *s, struct error *e)
{
    int rc;

    s->fd = open(s->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    if (s->fd < 0)
        return error_errno(e, "%s", s->path);
    rc = posix_fallocate(s->fd, 0, (off_t)s->m.size);
    if (rc == ENOSPC || rc == EDQUOT || rc == EFBIG)
        return error_set(e, OCM_E_SPACE,
                         "no room for %llu bytes in %s/bin: free some there",
                         (unsigned long long)s->m.size, s->state_dir);
    if (rc) {
        errno = rc;
        return error_errno(e, "%s", s->path);
    }
    return 0;
}

int upgrade_stage_open(const char *state_dir, const struct upgrade_offer *o,
                       struct upgrade_stage **out, bool *current,
                       struct error *e)
{
    struct upgrade_stage *s;
    struct manifest m;
    char *dir;
    int rc = verify(o, &m, e);

    *out = NULL;
    *current = false;
    if (rc == 0)
        rc = judge(o, &m, current, e);
    if (rc < 0 || *current)
        return rc;
    s = mem_zalloc(sizeof(*s));
    s->m = m;
    s->fd = -1;
    s->state_dir = mem_strdup(state_dir);
    s->path = upgrade_path(state_dir, UPGRADE_INCOMING);
    digest_init(&s->digest);
    dir = upgrade_path(state_dir, "");
    rc = dir_make(dir, 0700, e);
    free(dir);
    if (rc == 0) {
        remove_others(state_dir);
        rc = make_room(s, e);
    }
    if (rc < 0)
        upgrade_stage_free(s);
    else
        *out = s;
    return rc;
}

int upgrade_stage_write(struct upgrade_stage *s, const void *p, size_t len,
                        struct error *e)
{
    int rc;

    if (len > s->m.size - s->len)
        return error_set(e, OCM_E_DAMAGED,
                         "the binary is longer than its manifest says");
    rc = fd_write_all(s->fd, p, len);
    if (rc < 0) {
        errno = -rc;
        return error_errno(e, "%s", s->path);
    }
    digest_add(&s->digest, p, len);
    s->len += len;
    return 0;
}

/* ---- finishing ---- */

static int check_bytes(struct upgrade_stage *s, struct error *e)
{
    struct id sum = digest_end(&s->digest);

    if (s->len != s->m.size)
        return error_set(e, OCM_E_DAMAGED, "%llu bytes came instead of %llu",
                         (unsigned long long)s->len,
                         (unsigned long long)s->m.size);
    if (!id_equal(&sum, &s->m.sha256))
        return error_set(e, OCM_E_DAMAGED,
                         "the binary is not the one that was signed");
    if (fsync(s->fd) < 0)
        return error_errno(e, "%s", s->path);
    return 0;
}

/* Does it run here at all? A file system without exec, a library that is
 * missing, a processor of another kind: better known now. */
static int try_it(struct upgrade_stage *s, struct error *e)
{
    const char *argv[] = {s->path, "--version", NULL};
    struct process_job job = {
        .argv = argv, .timeout_ms = TRY_MS, .max_output = 4096};
    char *want = mem_printf("ocm-agent %s\n", s->m.version);
    int rc = process_run(&job, 1, NULL, e);

    /* a program that another thread just starts may still have our
     * descriptor for writing, for the moment until it is executed */
    for (int i = 0; rc == -ETXTBSY && i < TRY_BUSY; i++) {
        uv_sleep(100);
        process_job_fini(&job);
        rc = process_run(&job, 1, NULL, e);
    }

    if (rc == 0 && (job.exit_code != 0 || job.out.len != strlen(want) ||
                    memcmp(job.out.data, want, job.out.len) != 0)) {
        char text[200];

        process_job_text(&job, text, sizeof(text));
        rc = error_set(e, OCM_E_UNSUPPORTED,
                       "the new agent does not run here: exit %d, %s",
                       job.exit_code, text);
    }
    process_job_fini(&job);
    free(want);
    return rc;
}

/* What runs now becomes the one to go back to. */
static int write_trial(struct upgrade_stage *s, const char *name,
                       struct error *e)
{
    char hex[ID_HEX_LEN + 1];
    struct upgrade_state st;
    char *self = upgrade_own_name(s->state_dir);
    int rc = upgrade_state_load(s->state_dir, &st, e);

    if (rc == 0) {
        id_hex(&s->m.sha256, hex);
        /* a copy that runs is the current one, with its hash */
        upgrade_state_set(&st.previous, self);
        upgrade_state_set(&st.previous_version, *self ? agent_version : "");
        upgrade_state_set(&st.previous_sha256, *self ? st.sha256 : "");
        if (!*self)
            upgrade_state_set(&st.installed_version, agent_version);
        upgrade_state_set(&st.current, name);
        upgrade_state_set(&st.version, s->m.version);
        upgrade_state_set(&st.sha256, hex);
        upgrade_state_set(&st.undone, "");
        st.trial = true;
        st.attempts = 0;
        rc = upgrade_state_save(s->state_dir, &st, e);
    }
    upgrade_state_fini(&st);
    free(self);
    return rc;
}

int upgrade_stage_finish(struct upgrade_stage *s, struct error *e)
{
    char hex[ID_HEX_LEN + 1];
    char *name = NULL, *path = NULL;
    int rc = check_bytes(s, e);

    if (rc == 0 && close(s->fd) < 0)
        rc = error_errno(e, "%s", s->path);
    if (rc < 0)
        return rc;
    s->fd = -1;
    rc = try_it(s, e);
    if (rc < 0)
        return rc;
    id_hex(&s->m.sha256, hex);
    name = mem_printf("ocm-agent-%s-%.8s", s->m.version, hex);
    path = upgrade_path(s->state_dir, name);
    if (rename(s->path, path) < 0)
        rc = error_errno(e, "%s", path);
    if (rc == 0)
        rc = dir_sync_of(path, e);
    if (rc == 0)
        rc = write_trial(s, name, e);
    free(name);
    free(path);
    return rc;
}

void upgrade_stage_free(struct upgrade_stage *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    unlink(s->path); /* gone already when it was put in place */
    free(s->path);
    free(s->state_dir);
    free(s);
}
