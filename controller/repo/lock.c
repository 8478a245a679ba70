/* SPDX-License-Identifier: MIT */
/* restic's locks. Taking one: look for others (stale ones are removed), write
 * ours, look again: of two who came at once, at least one sees the other and
 * withdraws. restic waits 200 ms before the second look, for stores whose
 * listings lag behind; a directory shows a new name at once, so that the one
 * who wrote later sees the earlier, with or without the wait. While held, a
 * thread writes a new lock file every few minutes and removes the old one.
 * Source: restic doc/design.rst, "Locks". */
#include "controller/repo/repo_internal.h"

#include <errno.h>
#include <jansson.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define LOCK_STALE_S (30 * 60)
#define LOCK_REFRESH_S 150
#define LOCK_RETRY_S 15          /* after a refresh that failed */
#define LOCK_TRUSTED_S (25 * 60) /* without a refresh; then it is lost */

struct lock_facts {
    int64_t time_ns;
    bool exclusive;
    char host[LOCK_HOST_MAX];
    char user[LOCK_USER_MAX];
    json_int_t pid;
};

/* Seconds that go on while the host sleeps. */
static int64_t boot_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec;
}

void host_name(char out[LOCK_HOST_MAX])
{
    memset(out, 0, LOCK_HOST_MAX);
    gethostname(out, LOCK_HOST_MAX - 1);
}

void user_name(char out[LOCK_USER_MAX])
{
    struct passwd entry, *found = NULL;
    char room[4096];

    if (getpwuid_r(geteuid(), &entry, room, sizeof(room), &found) == 0 && found)
        snprintf(out, LOCK_USER_MAX, "%s", found->pw_name);
    else
        snprintf(out, LOCK_USER_MAX, "%u", geteuid());
}

static int write_lock(struct repo *r, bool exclusive, struct id *id,
                      struct error *e)
{
    char now[CLOCK_TEXT_MAX], host[LOCK_HOST_MAX], user[LOCK_USER_MAX], *text;
    json_t *j;
    int rc;

    clock_format(clock_now_ns(), now);
    host_name(host);
    user_name(user);
    j = json_pack("{s:s,s:b,s:s,s:s,s:i,s:I,s:I}", "time", now, "exclusive",
                  exclusive, "hostname", host, "username", user, "pid",
                  (int)getpid(), "uid", (json_int_t)getuid(), "gid",
                  (json_int_t)getgid());
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    if (!text)
        return error_set(e, OCM_E_FAILED,
                         "the host's or the user's name is not UTF-8");
    rc = object_save(r, "locks", text, strlen(text), id, e);
    free(text);
    return rc;
}

static void remove_lock(struct repo *r, const struct id *id)
{
    char name[REPO_NAME_MAX + 1];
    struct error e = {0};
    int rc;

    object_name("locks", id, name);
    rc = store_delete(r->store, name, &e);
    if (rc < 0 && rc != OCM_E_NOTFOUND)
        log_warn("repository: a lock stays behind: %s", e.text);
}

static int parse_lock(const struct buf *plain, struct lock_facts *out)
{
    json_t *j = json_loadb((char *)plain->data, plain->len, 0, NULL);
    const char *time = json_string_value(json_object_get(j, "time"));
    const char *host = json_string_value(json_object_get(j, "hostname"));
    const char *user = json_string_value(json_object_get(j, "username"));
    bool ok = time && clock_parse(time, &out->time_ns);

    out->exclusive = json_is_true(json_object_get(j, "exclusive"));
    out->pid = json_integer_value(json_object_get(j, "pid"));
    snprintf(out->host, sizeof(out->host), "%s", host ? host : "");
    snprintf(out->user, sizeof(out->user), "%s", user ? user : "");
    json_decref(j);
    return ok ? 0 : OCM_E_DAMAGED;
}

static bool is_stale(const struct lock_facts *f)
{
    char host[LOCK_HOST_MAX];

    if (clock_now_ns() - f->time_ns > LOCK_STALE_S * 1000000000ll)
        return true;
    host_name(host);
    return strcmp(host, f->host) == 0 && f->pid > 0 && f->pid <= INT32_MAX &&
           kill((pid_t)f->pid, 0) < 0 && errno == ESRCH;
}

static int blocked(const struct lock_facts *f, struct error *e)
{
    char since[CLOCK_TEXT_MAX];

    clock_format(f->time_ns, since);
    return error_set(e, OCM_E_LOCKED,
                     "the repository is locked%s by %s on %s, process %lld, "
                     "since %s",
                     f->exclusive ? " exclusively" : "", f->user, f->host,
                     (long long)f->pid, since);
}

/* One lock file of somebody else. */
static int look_at(struct repo *r, const struct id *id, bool exclusive,
                   struct error *e)
{
    struct lock_facts f = {0};
    struct buf plain = {0};
    struct error why = {0};
    char name[REPO_NAME_MAX + 1];
    int rc = object_load(r, "locks", id, REPO_SMALL_MAX, &plain, &why);

    object_name("locks", id, name);
    if (rc == 0)
        rc = parse_lock(&plain, &f);
    buf_free(&plain);
    if (rc == OCM_E_NOTFOUND)
        return 0; /* released while we looked */
    if (rc < 0 && store_age_s(r->store, name) > LOCK_STALE_S) {
        log_warn("repository: removing %s, unreadable and old", name);
        remove_lock(r, id); /* a living lock is never that old */
        return 0;
    }
    if (rc < 0)
        return error_set(e, OCM_E_LOCKED,
                         "%s/%s cannot be read: if no other program works on "
                         "the repository, run restic unlock --remove-all",
                         store_place(r->store), name);
    if (is_stale(&f)) {
        log_info("repository: removing a stale lock of %s on %s, process %lld",
                 f.user, f.host, (long long)f.pid);
        remove_lock(r, id);
        return 0;
    }
    return exclusive || f.exclusive ? blocked(&f, e) : 0;
}

static int look_for_others(struct repo *r, bool exclusive,
                           const struct id *mine, struct error *e)
{
    struct id *ids;
    size_t count;
    int rc = object_list(r, "locks", &ids, &count, e);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!mine || !id_equal(&ids[i], mine))
            rc = look_at(r, &ids[i], exclusive, e);
    }
    if (rc < 0 && count == 0)
        return rc;
    free(ids);
    return rc;
}

static int acquire(struct repo *r, bool exclusive, struct id *mine,
                   struct error *e)
{
    int rc = look_for_others(r, exclusive, NULL, e);

    if (rc < 0)
        return rc;
    rc = write_lock(r, exclusive, mine, e);
    if (rc < 0)
        return rc;
    rc = look_for_others(r, exclusive, mine, e);
    if (rc < 0)
        remove_lock(r, mine);
    return rc;
}

/* Too old, or taken away: somebody else may have come in meanwhile. Stays so
 * until all who hold it have gone. */
static bool is_lost(struct repo *r)
{
    struct repo_lock_state *l = &r->lock;
    char name[REPO_NAME_MAX + 1];
    uint64_t size;

    object_name("locks", &l->file, name);
    if (!l->lost &&
        (boot_s() - l->refreshed_s > LOCK_TRUSTED_S ||
         store_size(r->store, name, &size, NULL) == OCM_E_NOTFOUND)) {
        l->lost = true;
        log_warn("repository: our lock was lost meanwhile (did the host sleep? "
                 "was it removed?): backups that run must start again");
    }
    return l->lost;
}

/* The new file first: there is never a moment without one. It keeps others
 * out from now on, but does not make good what a gap before it let in. */
static int refresh(struct repo *r)
{
    struct id fresh, old = r->lock.file;
    struct error e = {0};
    int rc;

    is_lost(r);
    rc = write_lock(r, r->lock.exclusive, &fresh, &e);
    if (rc < 0) {
        log_warn("repository: the lock could not be refreshed: %s", e.text);
        return rc;
    }
    r->lock.file = fresh;
    r->lock.refreshed_s = boot_s();
    remove_lock(r, &old);
    return 0;
}

static void *refresher(void *arg)
{
    struct repo *r = arg;
    int wait_s = LOCK_REFRESH_S;

    pthread_mutex_lock(&r->lock_mu);
    while (!r->lock.stop) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += wait_s;
        if (pthread_cond_timedwait(&r->lock.cond, &r->lock_mu, &until) ==
                ETIMEDOUT &&
            !r->lock.stop)
            wait_s = refresh(r) == 0 ? LOCK_REFRESH_S : LOCK_RETRY_S;
    }
    pthread_mutex_unlock(&r->lock_mu);
    return NULL;
}

static int start_refresher(struct repo *r, struct error *e)
{
    sigset_t all, old;
    int err;

    r->lock.stop = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&r->lock.thread, NULL, refresher, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err ? error_set(e, -err, "cannot start a thread for the lock") : 0;
}

/* Another thread is taking the last release to its end: wait for it. */
static void wait_ending(struct repo *r)
{
    while (r->lock.ending)
        pthread_cond_wait(&r->lock.cond, &r->lock_mu);
}

int repo_lock(struct repo *r, bool exclusive, struct error *e)
{
    struct repo_lock_state *l = &r->lock;
    int rc = 0;

    pthread_mutex_lock(&r->lock_mu);
    wait_ending(r);
    if (l->count > 0 && (exclusive || l->exclusive)) {
        rc = error_set(e, OCM_E_LOCKED,
                       "the repository is in use by another job here");
    } else if (l->count > 0 && is_lost(r)) {
        rc = error_set(e, OCM_E_LOCKED,
                       "our lock on the repository was lost meanwhile: try "
                       "again when the jobs that run now have ended");
    } else if (l->count > 0) {
        l->count++;
    } else {
        rc = acquire(r, exclusive, &l->file, e);
        if (rc == 0) {
            l->exclusive = exclusive;
            l->lost = false;
            l->refreshed_s = boot_s();
            rc = start_refresher(r, e);
            if (rc < 0)
                remove_lock(r, &l->file);
        }
        l->count = rc == 0;
    }
    pthread_mutex_unlock(&r->lock_mu);
    return rc;
}

/* The last one out stops the refresher, which needs lock_mu to end: it is
 * given up meanwhile, with `ending` keeping others out. */
static void release(struct repo *r)
{
    struct repo_lock_state *l = &r->lock;

    l->stop = l->ending = true;
    pthread_cond_broadcast(&l->cond);
    pthread_mutex_unlock(&r->lock_mu);
    pthread_join(l->thread, NULL);
    pthread_mutex_lock(&r->lock_mu);
    remove_lock(r, &l->file);
    l->count = 0;
    l->ending = false;
    pthread_cond_broadcast(&l->cond);
}

void repo_unlock(struct repo *r)
{
    pthread_mutex_lock(&r->lock_mu);
    wait_ending(r);
    if (r->lock.count > 1)
        r->lock.count--;
    else if (r->lock.count == 1)
        release(r);
    pthread_mutex_unlock(&r->lock_mu);
}

int lock_still_held(struct repo *r, struct error *e)
{
    int rc = 0;

    pthread_mutex_lock(&r->lock_mu);
    if (r->lock.count > 0 && is_lost(r))
        rc = error_set(e, OCM_E_LOCKED,
                       "our lock on the repository was lost meanwhile: "
                       "start the job again");
    pthread_mutex_unlock(&r->lock_mu);
    return rc;
}

void lock_fini(struct repo *r)
{
    pthread_mutex_lock(&r->lock_mu);
    if (r->lock.count > 0)
        release(r);
    pthread_mutex_unlock(&r->lock_mu);
}
