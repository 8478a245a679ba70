/* SPDX-License-Identifier: MIT */
/* Online backup under limits, or a copy of files nobody uses; then
 * quick_check. */
#include "agent/capture/database_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/capture/attr.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/data/sqlite_guard.h"

#define HEADER_LEN 100
#define STEP_PAGES 256
#define BUSY_MS 5000 /* how long to wait for a lock */
#define BUSY_STEP_MS 5
#define CHECK_OPS 10000 /* instructions between looks at the limits */
#define COPY_BLOCK 65536
#define COPY_TRIES 3
#define LOCK_START 0x40000000 /* SQLite's pending byte and what follows */
#define LOCK_LEN 512

struct job {
    const char *live, *copy;
    const struct database_limits *limits;
    struct database_look *seen;
    int64_t deadline_ms; /* 0: none */
    int64_t busy_since_ms;
    int64_t wal_before; /* bytes; -1: its growth does not matter (now) */
    char *wal_path;
};

/* 0, or why the copy must end. */
static int look_at_limits(struct job *j, struct error *e)
{
    const struct database_limits *l = j->limits;
    struct stat st;

    if (l->cancelled && atomic_load(l->cancelled))
        return error_set(e, OCM_E_CANCELLED, "the capture was cancelled");
    if (j->deadline_ms && clock_monotonic_ms() > j->deadline_ms)
        return error_set(e, OCM_E_TIMEOUT,
                         "database copy took longer than %lld ms",
                         (long long)l->time_ms);
    if (l->wal_growth > 0 && j->wal_before >= 0 &&
        stat(j->wal_path, &st) == 0 &&
        st.st_size - j->wal_before > l->wal_growth)
        return error_set(e, OCM_E_LIMIT,
                         "database log grew by more than %lld bytes while "
                         "it was copied",
                         (long long)l->wal_growth);
    return 0;
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};

    nanosleep(&t, NULL);
}

static int on_busy(void *arg, int count)
{
    struct job *j = arg;
    int64_t now = clock_monotonic_ms();

    if (count == 0)
        j->busy_since_ms = now;
    if (now - j->busy_since_ms > BUSY_MS || look_at_limits(j, NULL) < 0)
        return 0;
    pause_ms(BUSY_STEP_MS);
    return 1;
}

static int on_progress(void *arg)
{
    return look_at_limits(arg, NULL) < 0;
}

static int sqlite_error(sqlite3 *db, int rc, struct error *e)
{
    const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(e, OCM_E_LOCKED,
                         "database is locked by another process");
    case SQLITE_FULL:
        return error_set(e, OCM_E_SPACE, "no room for a database copy");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(e, OCM_E_DAMAGED, "damaged database: %s", text);
    default:
        return error_set(e, OCM_E_FAILED, "database: %s", text);
    }
}

int database_kind(int dir_fd, const char *name)
{
    static const char magic[16] = "SQLite format 3";
    uint8_t head[HEADER_LEN];
    int fd = openat(dir_fd, name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    int rc;

    if (fd < 0)
        return -errno;
    rc = fd_pread_all(fd, head, sizeof(head), 0);
    close(fd);
    if (rc == OCM_E_DAMAGED || (rc == 0 && memcmp(head, magic, 16) != 0))
        return DATABASE_NONE;
    if (rc < 0)
        return rc;
    return head[18] == 2 || head[19] == 2 ? DATABASE_WAL : DATABASE_ROLLBACK;
}

int database_look(const char *live, struct database_look *out)
{
    char *wal = mem_printf("%s-wal", live);
    struct stat st;
    int rc = 0;

    *out = (struct database_look){.has_wal = false};
    if (lstat(wal, &st) == 0 && S_ISREG(st.st_mode)) {
        out->has_wal = true;
        out->wal = attr_of(&st);
    }
    free(wal);
    if (lstat(live, &st) < 0)
        rc = -errno;
    else if (!S_ISREG(st.st_mode))
        rc = -EINVAL;
    else
        out->main = attr_of(&st);
    return rc;
}

static int take_look(struct job *j, struct error *e)
{
    int rc = database_look(j->live, j->seen);

    return rc == 0
               ? 0
               : error_set(e, rc, "database cannot be read: %s", strerror(-rc));
}

/* --- online backup */

static int source_exec(sqlite3 *src, const char *sql, struct error *e)
{
    int rc = sqlite3_exec(src, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sqlite_error(src, rc, e);
}

/* user_version reads the header only, so a transaction begins without parsing
 * a schema that a newer SQLite may have written. The first read opens the
 * -wal, and SQLite run by root touches its ctime then (fchown): the look is
 * taken after that and before the transaction whose content is copied. */
static int open_source(struct job *j, sqlite3 **out, struct error *e)
{
    int rc = sqlite3_open_v2(j->live, out,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_PRIVATECACHE,
                             NULL);

    if (rc != SQLITE_OK)
        return sqlite_error(*out, rc, e);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_busy_handler(*out, on_busy, j);
    rc = source_exec(*out,
                     "PRAGMA query_only=1; PRAGMA mmap_size=0;"
                     "PRAGMA cache_size=-1024; PRAGMA user_version",
                     e);
    if (rc == 0)
        rc = take_look(j, e);
    if (rc == 0)
        rc = source_exec(*out, "BEGIN; PRAGMA user_version", e);
    return rc;
}

static int run_steps(struct job *j, sqlite3_backup *b, sqlite3 *dst,
                     struct error *e)
{
    int64_t busy_since = 0;

    for (;;) {
        int rc = sqlite3_backup_step(b, STEP_PAGES), limit;

        if (rc == SQLITE_DONE)
            return 0;
        limit = look_at_limits(j, e);
        if (limit < 0)
            return limit;
        if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
            int64_t now = clock_monotonic_ms();

            busy_since = busy_since ? busy_since : now;
            if (now - busy_since > BUSY_MS)
                return sqlite_error(dst, rc, e);
            pause_ms(BUSY_STEP_MS);
            continue;
        }
        busy_since = 0;
        if (rc != SQLITE_OK)
            return sqlite_error(NULL, rc, e);
    }
}

static int copy_online(struct job *j, bool *hot, struct error *e)
{
    sqlite3 *src = NULL, *dst = NULL;
    sqlite3_backup *b = NULL;
    struct stat st;
    int rc;

    j->wal_before = stat(j->wal_path, &st) == 0 ? st.st_size : 0;
    rc = open_source(j, &src, e);
    if (rc < 0) {
        int why = sqlite3_extended_errcode(src);

        *hot =
            why == SQLITE_READONLY_ROLLBACK || why == SQLITE_READONLY_RECOVERY;
        goto out;
    }
    rc = sqlite3_open_v2(j->copy, &dst,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                             SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                         NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(dst,
                          "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                          "PRAGMA cache_size=-1024",
                          NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        rc = sqlite_error(dst, rc, e);
        goto out;
    }
    b = sqlite3_backup_init(dst, "main", src, "main");
    if (!b) {
        rc = sqlite_error(dst, sqlite3_errcode(dst), e);
        goto out;
    }
    rc = run_steps(j, b, dst, e);
    if (sqlite3_backup_finish(b) != SQLITE_OK && rc == 0)
        rc = sqlite_error(dst, sqlite3_errcode(dst), e);
out:
    sqlite3_close(dst);
    sqlite3_close(src);
    j->wal_before = -1;
    return rc;
}

/* --- files nobody uses */

static const char *const parts[] = {"", "-wal", "-journal"};

static bool is_locked(int fd)
{
    struct flock lock = {.l_type = F_RDLCK,
                         .l_whence = SEEK_SET,
                         .l_start = LOCK_START,
                         .l_len = LOCK_LEN};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int copy_bytes(struct job *j, int from, int to, struct error *e)
{
    uint8_t *block = mem_alloc(COPY_BLOCK);
    int rc = 0;

    while (rc == 0) {
        ssize_t n = read(from, block, COPY_BLOCK);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = error_errno(e, "database cannot be read");
        if (n <= 0)
            break;
        rc = fd_write_all(to, block, (size_t)n);
        if (rc == -ENOSPC || rc == -EDQUOT)
            rc = error_set(e, OCM_E_SPACE, "no room for a database copy");
        else if (rc < 0)
            rc = error_set(e, rc, "database copy: %s", strerror(-rc));
        if (rc == 0)
            rc = look_at_limits(j, e);
    }
    free(block);
    return rc;
}

/* One file of the set; a missing one is fine but for the first. */
static int copy_part(struct job *j, size_t part, struct error *e)
{
    char *from = mem_printf("%s%s", j->live, parts[part]);
    char *to = mem_printf("%s%s", j->copy, parts[part]);
    int in = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int out = -1, rc = 0;

    if (in < 0 && errno == ENOENT && part > 0)
        goto done;
    if (in < 0) {
        rc = error_errno(e, "database cannot be read");
        goto done;
    }
    if (part == 0 && is_locked(in)) {
        rc =
            error_set(e, OCM_E_LOCKED, "database is locked by another process");
        goto done;
    }
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) {
        rc = error_errno(e, "%s", to);
        goto done;
    }
    rc = copy_bytes(j, in, out, e);
    if (close(out) < 0 && rc == 0)
        rc = error_errno(e, "%s", to);
done:
    if (in >= 0)
        close(in);
    free(from);
    free(to);
    return rc;
}

static void look_at_parts(const struct job *j, struct attr out[])
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char *path = mem_printf("%s%s", j->live, parts[i]);
        struct stat st;

        out[i] =
            lstat(path, &st) == 0 ? attr_of(&st) : (struct attr){.mode = 0};
        free(path);
    }
}

static void remove_copy(const char *copy)
{
    static const char *const all[] = {"", "-wal", "-shm", "-journal"};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char *path = mem_printf("%s%s", copy, all[i]);

        unlink(path);
        free(path);
    }
}

/* In the copy: play back the journal, or bring the WAL into the file. */
static int recover_copy(const char *copy, struct error *e)
{
    sqlite3 *db = NULL;
    int rc = database_open_copy(copy, &db, e);

    if (rc == 0) {
        rc = sqlite3_exec(db,
                          "PRAGMA synchronous=OFF; PRAGMA user_version;"
                          "PRAGMA wal_checkpoint(TRUNCATE)",
                          NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            rc = sqlite_error(db, rc, e);
    }
    sqlite3_close(db);
    return rc;
}

static int copy_files(struct job *j, struct error *e)
{
    struct attr before[ARRAY_LEN(parts)], after[ARRAY_LEN(parts)];

    for (int i = 0; i < COPY_TRIES; i++) {
        bool still = true;
        int rc = 0;

        if (i > 0)
            pause_ms(10L << i);
        remove_copy(j->copy);
        look_at_parts(j, before);
        rc = take_look(j, e);
        for (size_t p = 0; p < ARRAY_LEN(parts) && rc == 0; p++)
            rc = copy_part(j, p, e);
        if (rc < 0)
            return rc;
        look_at_parts(j, after);
        for (size_t p = 0; p < ARRAY_LEN(parts); p++)
            still = still && attr_same(&before[p], &after[p]);
        if (still)
            return recover_copy(j->copy, e);
    }
    return error_set(e, OCM_E_CHANGED, "database changed while read");
}

/* --- the copy */

int database_open_copy(const char *copy, sqlite3 **out, struct error *e)
{
    int rc = sqlite3_open_v2(copy, out,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_PRIVATECACHE,
                             NULL);

    if (rc != SQLITE_OK)
        return sqlite_error(*out, rc, e);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_exec(*out, "PRAGMA cache_size=-1024; PRAGMA mmap_size=0", NULL,
                 NULL, NULL);
    sqlite_guard_functions(*out);
    return 0;
}

/* A schema that this SQLite cannot judge (a module or function it lacks, or
 * does not call harmless) is no damage: the copy is by pages and whole; it is
 * only left unchecked. */
static bool is_beyond_us(sqlite3 *db, int rc)
{
    return rc == SQLITE_ERROR ||
           (rc == SQLITE_CORRUPT &&
            strstr(sqlite3_errmsg(db), "unsafe use of") != NULL);
}

static int check_copy(struct job *j, struct error *e)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int rc = database_open_copy(j->copy, &db, e);

    if (rc < 0)
        goto out;
    sqlite3_progress_handler(db, CHECK_OPS, on_progress, j);
    rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);

        rc = text && strcmp(text, "ok") == 0
                 ? 0
                 : error_set(e, OCM_E_DAMAGED, "damaged database: %s",
                             text ? text : "no verdict");
    } else if (rc == SQLITE_INTERRUPT) {
        rc = look_at_limits(j, e);
        rc = rc < 0 ? rc : error_set(e, OCM_E_FAILED, "check interrupted");
    } else if (is_beyond_us(db, rc)) {
        log_warn("database=%s copied, but not checked: %s", j->live,
                 sqlite3_errmsg(db));
        rc = 0;
    } else {
        rc = sqlite_error(db, rc, e);
    }
out:
    sqlite3_finalize(st);
    sqlite3_close(db);
    return rc;
}

int database_copy(const char *live, const char *copy,
                  const struct database_limits *limits,
                  struct database_look *seen, struct error *e)
{
    struct job j = {.live = live,
                    .copy = copy,
                    .limits = limits,
                    .seen = seen,
                    .wal_before = -1};
    int kind = database_kind(AT_FDCWD, live), rc;
    char *shm = mem_printf("%s-shm", live);
    bool hot = false;

    j.wal_path = mem_printf("%s-wal", live);
    if (limits->time_ms > 0)
        j.deadline_ms = clock_monotonic_ms() + limits->time_ms;
    if (kind < 0)
        rc = error_set(e, kind, "database cannot be read: %s", strerror(-kind));
    else if (kind == DATABASE_NONE)
        rc = error_set(e, OCM_E_INVALID, "not a SQLite database");
    else if (kind == DATABASE_WAL && !file_exists(shm))
        rc = copy_files(&j, e);
    else
        rc = copy_online(&j, &hot, e);
    if (hot)
        rc = copy_files(&j, e);
    if (rc == 0)
        rc = check_copy(&j, e);
    if (rc < 0)
        remove_copy(copy);
    free(j.wal_path);
    free(shm);
    return rc;
}
