/* SPDX-License-Identifier: MIT */
/* Live databases: consistent copies, nothing written beside them, rows. */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/capture/cache.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static enum capture_choice databases(void *arg, const char *rel, bool is_dir)
{
    (void)arg;
    if (!is_dir && text_has_suffix(rel, ".db"))
        return CAPTURE_MAYBE_DATABASE;
    return !is_dir && text_has_suffix(rel, ".sqlite") ? CAPTURE_DATABASE
                                                      : CAPTURE_TAKE;
}

static int setup(void **state)
{
    world_setup(state);
    ((struct world *)*state)->roots[0].choose = databases;
    return 0;
}

static sqlite3 *open_db(struct world *w, const char *rel)
{
    char *path = world_path(w, rel);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    free(path);
    return db;
}

static void sql(sqlite3 *db, const char *text)
{
    char *why = NULL;

    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", text, why);
}

/* A database with `rows` rows of about 1 KB. */
static void fill(sqlite3 *db, const char *mode, int rows)
{
    char *text = mem_printf(
        "PRAGMA journal_mode=%s; PRAGMA wal_autocheckpoint=0;"
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
        "CREATE TABLE n(k TEXT, a INT);"
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE "
        "i<%d) INSERT INTO t SELECT i, randomblob(1000) FROM c;"
        "INSERT INTO n VALUES('rows',%d)",
        mode, rows, rows);

    sql(db, text);
    free(text);
}

/* The stored copy of `path` as a file that SQLite opens. */
static sqlite3 *open_stored(struct world *w, const char *path)
{
    char *file = mem_printf("%s/restored", w->dir);
    size_t len;
    uint8_t *data = world_content(w, path, &len);
    sqlite3 *db;
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_non_null(data);
    assert_int_equal(fd_write_all(fd, data, len), 0);
    close(fd);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    free(data);
    free(file);
    return db;
}

static int64_t number(sqlite3 *db, const char *text)
{
    sqlite3_stmt *st;
    int64_t v;

    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static void assert_whole(sqlite3 *db)
{
    sqlite3_stmt *st;

    assert_int_equal(
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(st, 0), "ok");
    sqlite3_finalize(st);
}

/* Names, inodes and sizes in src, and the bytes of all but -shm. */
static struct id picture(struct world *w)
{
    struct dirent **list;
    int n = scandir(w->src, &list, NULL, alphasort);
    struct buf b = {0};
    struct id id;

    for (int i = 0; i < n; i++) {
        char *path = world_path(w, list[i]->d_name);
        struct stat st;

        assert_int_equal(lstat(path, &st), 0);
        buf_printf(&b, "%s %lu\n", list[i]->d_name, (unsigned long)st.st_ino);
        if (S_ISREG(st.st_mode) && !text_has_suffix(list[i]->d_name, "-shm"))
            assert_int_equal(file_read(path, 1 << 28, &b, NULL), 0);
        free(path);
        free(list[i]);
    }
    free(list);
    id = digest_of(b.data, b.len);
    buf_free(&b);
    return id;
}

static void assert_stored(struct world *w, const char *path, int64_t rows)
{
    sqlite3 *db = open_stored(w, path);
    char *wal = mem_printf("%s/restored-wal", w->dir);

    assert_whole(db);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), rows);
    sqlite3_close(db);
    unlink(wal);
    free(wal);
}

static void assert_no_companions(struct world *w)
{
    struct tree t;

    world_tree(w, "data/home", &t);
    for (size_t i = 0; i < t.count; i++) {
        assert_false(text_has_suffix(t.nodes[i].name, "-wal"));
        assert_false(text_has_suffix(t.nodes[i].name, "-shm"));
        assert_false(text_has_suffix(t.nodes[i].name, "-journal"));
    }
    tree_free(&t);
}

/* Committed rows that stand in the -wal only. */
static void wal_of_a_running_owner(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite"), *reader;
    char *path = world_path(w, "a.sqlite"), *wal = mem_printf("%s-wal", path);
    struct stat st, main_st;
    struct tree_node n;
    struct id before, after;

    fill(db, "wal", 500);
    assert_int_equal(chmod(path, 0640), 0);
    before = picture(w);
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/home/a.sqlite", 500);
    assert_no_companions(w);
    assert_true(world_node(w, "data/home/a.sqlite", &n));
    assert_int_equal(n.mode, 0640);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(stat(path, &main_st), 0);
    assert_true(n.mtime_ns ==
                (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    assert_true(n.inode == main_st.st_ino);
    world_assert_sums(w);
    /* nothing changed: nothing copied */
    world_backup(w);
    assert_true(w->r.bytes_read < 2000);
    assert_stored(w, "data/home/a.sqlite", 500);
    /* nor after somebody else read it */
    reader = open_db(w, "a.sqlite");
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 500);
    world_backup(w);
    assert_true(w->r.bytes_read < 2000);
    sqlite3_close(reader);
    after = picture(w);
    assert_true(id_equal(&before, &after));
    /* a commit that touches only the -wal */
    sql(db, "INSERT INTO t(v) VALUES('one more')");
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_mtim.tv_nsec == main_st.st_mtim.tv_nsec);
    world_backup(w);
    assert_stored(w, "data/home/a.sqlite", 501);
    sqlite3_close(db);
    free(path);
    free(wal);
}

static void nothing_is_written_beside(void **state, const char *mode,
                                      bool running, bool with_wal)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    char *shm = world_path(w, "a.sqlite-shm");
    struct id before, after;

    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, with_wal, NULL);
    fill(db, mode, 300);
    if (!running) {
        sqlite3_close(db);
        if (with_wal)
            unlink(shm); /* as after a copy or a reboot */
    }
    before = picture(w);
    world_backup(w);
    after = picture(w);
    assert_true(id_equal(&before, &after));
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/home/a.sqlite", 300);
    assert_no_companions(w);
    if (running)
        sqlite3_close(db);
    free(shm);
}

static void beside_wal_running(void **state)
{
    nothing_is_written_beside(state, "wal", true, true);
}

static void beside_wal_left_over(void **state)
{
    nothing_is_written_beside(state, "wal", false, true);
}

static void beside_wal_closed(void **state)
{
    nothing_is_written_beside(state, "wal", false, false);
}

static void beside_rollback_running(void **state)
{
    nothing_is_written_beside(state, "delete", true, false);
}

static void beside_rollback_closed(void **state)
{
    nothing_is_written_beside(state, "persist", false, false);
}

/* Commits two rows at a time, so that an odd count would be half of one. */
static void write_for_ever(const char *path, int ready)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        _exit(1);
    sqlite3_busy_timeout(db, 10000);
    for (int i = 0;; i++) {
        if (sqlite3_exec(db,
                         "BEGIN IMMEDIATE;"
                         "INSERT INTO t(v) VALUES(randomblob(3000));"
                         "INSERT INTO t(v) VALUES(randomblob(3000));"
                         "UPDATE n SET a=a+2; COMMIT",
                         NULL, NULL, NULL) != SQLITE_OK)
            _exit(2);
        if (i == 10 && write(ready, "r", 1) != 1)
            _exit(3);
        nanosleep(&pause, NULL);
    }
}

static pid_t start_writer(struct world *w, const char *rel)
{
    char *path = world_path(w, rel), byte;
    int pipe_fd[2];
    pid_t pid;

    assert_int_equal(pipe(pipe_fd), 0);
    pid = fork();
    if (pid == 0)
        write_for_ever(path, pipe_fd[1]);
    close(pipe_fd[1]);
    assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
    close(pipe_fd[0]);
    free(path);
    return pid;
}

static void stop_writer(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* it never failed by itself */
}

static void while_others_commit(void **state, const char *mode)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    int64_t last = 0;
    pid_t pid;

    fill(db, mode, 8000);
    sqlite3_close(db);
    pid = start_writer(w, "a.sqlite");
    for (int i = 0; i < 3; i++) {
        int64_t count;

        world_backup(w);
        assert_int_equal(w->r.problems_total, 0);
        db = open_stored(w, "data/home/a.sqlite");
        assert_whole(db);
        count = number(db, "SELECT count(*) FROM t");
        assert_int_equal(count % 2, 0);
        assert_int_equal(number(db, "SELECT a FROM n"), count);
        assert_true(count > last);
        last = count;
        sqlite3_close(db);
    }
    stop_writer(pid);
}

static void while_others_commit_wal(void **state)
{
    while_others_commit(state, "wal");
}

static void while_others_commit_rollback(void **state)
{
    while_others_commit(state, "delete");
}

static void log_growth_is_limited(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    struct tree_node n;
    pid_t pid;

    fill(db, "wal", 40000);
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    world_write(w, "plain", "stays");
    pid = start_writer(w, "a.sqlite");
    w->o.wal_growth = 1;
    world_backup(w);
    stop_writer(pid);
    assert_true(world_has_problem(w, "data/home/a.sqlite", "grew"));
    assert_false(world_node(w, "data/home/a.sqlite", &n));
    assert_int_equal(w->r.sections[0].state, CAPTURE_PARTIAL);
    assert_no_companions(w);
    world_assert_text(w, "data/home/plain", "stays");
    sqlite3_close(db);
}

static void time_is_limited(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    struct tree_node n;

    fill(db, "delete", 100);
    sql(db, "BEGIN EXCLUSIVE; INSERT INTO t(v) VALUES('x')");
    world_write(w, "plain", "stays");
    w->o.database_ms = 100;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 1);
    assert_true(world_has_problem(w, "data/home/a.sqlite", "locked"));
    assert_false(world_node(w, "data/home/a.sqlite", &n));
    world_assert_text(w, "data/home/plain", "stays");
    assert_no_companions(w);
    sql(db, "COMMIT");
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/home/a.sqlite", 101);
    sqlite3_close(db);
}

/* WAL with its index in the owner's memory: no -shm, but an exclusive lock. */
static void exclusive_wal_owner(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    struct tree_node n;
    int status;
    pid_t pid;
    char *path = world_path(w, "a.sqlite");
    int ready[2], stop[2];
    char byte;

    fill(db, "wal", 100);
    sqlite3_close(db);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(stop), 0);
    pid = fork();
    if (pid == 0) {
        sqlite3_open(path, &db);
        sqlite3_exec(db,
                     "PRAGMA locking_mode=EXCLUSIVE;"
                     "INSERT INTO t(v) VALUES('x')",
                     NULL, NULL, NULL);
        close(stop[1]);
        (void)!write(ready[1], "r", 1);
        (void)!read(stop[0], &byte, 1);
        sqlite3_close(db);
        _exit(0);
    }
    close(stop[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    w->o.database_ms = 200;
    world_backup(w);
    assert_true(world_has_problem(w, "data/home/a.sqlite", "locked"));
    assert_false(world_node(w, "data/home/a.sqlite", &n));
    close(stop[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ready[0]);
    close(ready[1]);
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/home/a.sqlite", 101);
    free(path);
}

/* A crash in a transaction: the journal is played back in the copy only. */
static void hot_journal(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    char *path = world_path(w, "a.sqlite");
    struct id before, after;
    int status;
    pid_t pid;

    fill(db, "delete", 400);
    sqlite3_close(db);
    pid = fork();
    if (pid == 0) {
        sqlite3_open(path, &db);
        sqlite3_exec(db,
                     "PRAGMA cache_size=2; BEGIN; DELETE FROM t;"
                     "INSERT INTO t(v) VALUES(randomblob(900000))",
                     NULL, NULL, NULL);
        _exit(0); /* without a rollback */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    before = picture(w);
    world_backup(w);
    after = picture(w);
    assert_true(id_equal(&before, &after));
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/home/a.sqlite", 400);
    assert_no_companions(w);
    free(path);
}

static void octet(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    (void)n;
    sqlite3_result_int(ctx, sqlite3_value_bytes(v[0]));
}

/* A schema that calls what the library may lack, as OpenClaw's does. */
static void schema_of_a_newer_library(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");

    sqlite3_create_function(db, "octet_length", 1,
                            SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, octet,
                            NULL, NULL);
    sql(db, "CREATE TABLE t(v TEXT CHECK(octet_length(v) < 100), j TEXT"
            " CHECK(json_valid(j) AND json_type(j, '$.a') = 'integer'));"
            "CREATE INDEX i ON t(j ->> '$.a');"
            "INSERT INTO t VALUES('x', '{\"a\":7}')");
    sqlite3_close(db);
    w->rows[0] =
        (struct capture_rows){.at = "data/rows.jsonl",
                              .database = world_path(w, "a.sqlite"),
                              .sql = "SELECT octet_length(v) AS l,"
                                     " json_extract(j, '$.a') AS a FROM t"};
    w->sections[0].row_count = 1;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    world_assert_text(w, "data/rows.jsonl", "{\"l\":1,\"a\":7}\n");
    free((char *)w->rows[0].database);
}

/* A virtual table of a module that this library lacks. */
static void schema_with_a_missing_module(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");

    fill(db, "wal", 20);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
    sql(db, "PRAGMA writable_schema=ON;"
            "INSERT INTO sqlite_master VALUES('table','v','v',0,"
            "'CREATE VIRTUAL TABLE v USING vec0(e float[3])')");
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/home/a.sqlite", 20);
    sqlite3_close(db);
}

/* A function that an older library does not call harmless. */
static void schema_beyond_the_library(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");

    fill(db, "wal", 20);
    sql(db, "CREATE TABLE j(v TEXT CHECK(json_patch(v, '{}') IS NOT NULL))");
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/home/a.sqlite", 20);
    sqlite3_close(db);
}

/* Many programs name their files "*.db": only one that must be a database is
 * missed when it is none. */
static void other_files_named_so_are_files(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "live.db");

    fill(db, "wal", 50);
    world_write(w, "Thumbs.db", "pictures of another program");
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_false(w->r.partial);
    world_assert_text(w, "data/home/Thumbs.db", "pictures of another program");
    assert_stored(w, "data/home/live.db", 50);
    world_write(w, "own.sqlite", "no database any more");
    world_backup(w);
    assert_true(world_has_problem(w, "data/home/own.sqlite", "no SQLite"));
    world_assert_text(w, "data/home/own.sqlite", "no database any more");
    sqlite3_close(db);
}

static enum capture_choice cancel_here(void *arg, const char *rel, bool is_dir)
{
    struct world *w = arg;

    (void)is_dir;
    if (strcmp(rel, "a.sqlite") == 0)
        atomic_store(&w->cancelled, true);
    return CAPTURE_DATABASE;
}

static void cancelled_in_a_copy(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    struct id before, after;

    fill(db, "wal", 3000);
    before = picture(w);
    w->roots[0].choose = cancel_here;
    w->roots[0].arg = w;
    assert_int_equal(world_run(w), OCM_E_CANCELLED);
    after = picture(w);
    assert_true(id_equal(&before, &after));
    sqlite3_close(db);
}

/* No room for the copy ends the capture: the next files would need it too. */
static void no_room_for_a_copy(void **state)
{
    static const char *const modes[] = {"wal", "delete"};
    struct world *w = *state;

    assert_int_equal(mkdir(w->temp, 0700), 0);
    if (mount("none", w->temp, "tmpfs", 0, "size=256k") < 0)
        skip(); /* needs root */
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        sqlite3 *db = open_db(w, "a.sqlite");

        fill(db, modes[i], 3000);
        assert_int_equal(world_run(w), OCM_E_SPACE);
        sqlite3_close(db);
        assert_non_null(strstr(w->e.text, "a.sqlite"));
        world_write(w, "a.sqlite", "");
    }
    assert_int_equal(umount(w->temp), 0);
}

static void damage_is_a_problem(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    char *path = world_path(w, "a.sqlite");
    struct tree_node n;
    int fd;

    fill(db, "delete", 200);
    sqlite3_close(db);
    fd = open(path, O_WRONLY);
    for (off_t at = 4096; at < 60000; at += 4096)
        assert_int_equal(pwrite(fd, "garbage garbage", 15, at), 15);
    close(fd);
    world_backup(w);
    assert_true(world_has_problem(w, "data/home/a.sqlite", "damaged"));
    assert_false(world_node(w, "data/home/a.sqlite", &n));
    free(path);
}

static void no_database_is_a_plain_file(void **state)
{
    struct world *w = *state;

    world_write(w, "a.sqlite", "this is no database");
    world_write(w, "a.sqlite-wal", "nor this a log");
    world_write(w, "empty.sqlite", "");
    for (int i = 0; i < 2; i++) { /* the second time as well */
        world_backup(w);
        assert_int_equal(w->r.problems_total, 1);
        assert_true(world_has_problem(w, "data/home/a.sqlite", "no SQLite"));
        assert_int_equal(w->r.sections[0].state, CAPTURE_PARTIAL);
        world_assert_same(w, "data/home", w->src);
    }
}

/* Nobody chose it, but it has a -wal. */
static void databases_are_recognised(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "unknown.db");

    w->roots[0].choose = NULL;
    world_write(w, "x-wal", "an own file");
    world_write(w, "y", "y");
    world_write(w, "y-journal", "of a diary");
    fill(db, "wal", 50);
    for (int i = 0; i < 2; i++) {
        struct tree_node n;

        world_backup(w);
        assert_int_equal(w->r.problems_total, 0);
        assert_stored(w, "data/home/unknown.db", 50);
        assert_false(world_node(w, "data/home/unknown.db-wal", &n));
        assert_false(world_node(w, "data/home/unknown.db-shm", &n));
        world_assert_text(w, "data/home/x-wal", "an own file");
        world_assert_text(w, "data/home/y-journal", "of a diary");
    }
    assert_true(w->r.bytes_read < 2000);
    sqlite3_close(db);
}

static void single_database_root(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "unknown.db");
    char *path = world_path(w, "unknown.db");

    fill(db, "wal", 50);
    w->roots[0] = (struct capture_root){.at = "data/x.sqlite", .path = path};
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_stored(w, "data/x.sqlite", 50);
    sqlite3_close(db);
    free(path);
}

/* --- rows */

static void rows_are_canonical(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    char *path = world_path(w, "a.sqlite");

    sql(db, "PRAGMA journal_mode=wal; CREATE TABLE r(id INTEGER, v);"
            "INSERT INTO r VALUES(1,9223372036854775807),(2,0.1),(3,1.0),"
            "(4,'{\"a\": 1}'),(5,x'00ff10'),(6,NULL),(7,9e999),"
            "(8,'t\xc3\xa4g' || char(10,9,34,92)),(9,CAST(x'ff41' AS TEXT)),"
            "(10,-1e-300)");
    w->rows[0] = (struct capture_rows){
        .at = "data/home/rows/r.jsonl",
        .database = path,
        .sql = "SELECT id, v AS \"the value\" FROM r ORDER BY id"};
    w->rows[1] = (struct capture_rows){.at = "data/home/rows/none.jsonl",
                                       .database = path,
                                       .sql = "SELECT * FROM missing"};
    w->sections[0].row_count = 2;
    for (int i = 0; i < 2; i++) {
        struct tree_node n, d;

        world_backup(w);
        assert_int_equal(w->r.problems_total, 0);
        world_assert_text(
            w, "data/home/rows/r.jsonl",
            "{\"id\":1,\"the value\":9223372036854775807}\n"
            "{\"id\":2,\"the value\":0.10000000000000001}\n"
            "{\"id\":3,\"the value\":1.0}\n"
            "{\"id\":4,\"the value\":\"{\\\"a\\\": 1}\"}\n"
            "{\"id\":5,\"the value\":{\"$blob\":\"AP8Q\"}}\n"
            "{\"id\":6,\"the value\":null}\n"
            "{\"id\":7,\"the value\":{\"$real\":\"inf\"}}\n"
            "{\"id\":8,\"the value\":\"t\xc3\xa4g\\n\\u0009\\\"\\\\\"}\n"
            "{\"id\":9,\"the value\":{\"$text\":\"/0E=\"}}\n"
            "{\"id\":10,\"the value\":-1e-300}\n");
        assert_false(world_node(w, "data/home/rows/none.jsonl", &n));
        assert_true(world_node(w, "data/home/rows/r.jsonl", &n));
        assert_true(world_node(w, "data/home/a.sqlite", &d));
        assert_int_equal(n.mode, 0600);
        assert_true(n.mtime_ns == d.mtime_ns);
        world_assert_sums(w);
    }
    sqlite3_close(db);
    free(path);
}

static void count_puts(struct world *w, uint64_t n)
{
    (void)n;
    if (w->hook)
        sql(w->hook, "INSERT INTO t(v) VALUES('late'); UPDATE n SET a=a+1");
}

/* Rows come before their database in the walk, and after: one point in time
 * all the same, even with commits in between. */
static void rows_fit_their_database(void **state)
{
    static const char *const places[] = {"data/a/rows.jsonl",
                                         "data/z/rows.jsonl"};
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    char *path = world_path(w, "a.sqlite");

    fill(db, "wal", 10);
    world_write(w, "0", "sent first");
    w->sections[0].row_count = 1;
    w->on_put = count_puts;
    for (size_t i = 0; i < 4; i++) {
        sqlite3 *stored;
        char *rows, *want;

        w->rows[0] = (struct capture_rows){
            .at = places[i % 2], .database = path, .sql = "SELECT a FROM n"};
        w->hook = db;
        world_backup(w);
        w->hook = NULL;
        assert_int_equal(w->r.problems_total, 0);
        stored = open_stored(w, "data/home/a.sqlite");
        rows = (char *)world_content(w, places[i % 2], NULL);
        want = mem_printf("{\"a\":%lld}\n",
                          (long long)number(stored, "SELECT count(*) FROM t"));
        assert_string_equal(rows, want);
        free(rows);
        free(want);
        sqlite3_close(stored);
    }
    /* unchanged: both are kept; another query: read again */
    world_backup(w);
    world_backup(w);
    assert_true(w->r.bytes_read < 2000);
    w->rows[0].sql = "SELECT 7 AS seven";
    world_backup(w);
    world_assert_text(w, places[1], "{\"seven\":7}\n");
    sqlite3_close(db);
    free(path);
}

static void rows_alone(void **state)
{
    struct world *w = *state;
    sqlite3 *db = open_db(w, "a.sqlite");
    char *path = world_path(w, "a.sqlite");
    struct tree_node n;

    fill(db, "wal", 10);
    w->sections[0].root_count = 0;
    w->sections[0].row_count = 2;
    w->rows[0] = (struct capture_rows){.at = "config/cron/rows.jsonl",
                                       .database = path,
                                       .sql = "SELECT a FROM n"};
    w->rows[1] = (struct capture_rows){.at = "config/cron/gone.jsonl",
                                       .database = "/nonexistent/x.sqlite",
                                       .sql = "SELECT 1"};
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    world_assert_text(w, "config/cron/rows.jsonl", "{\"a\":10}\n");
    assert_false(world_node(w, "config/cron/gone.jsonl", &n));
    w->rows[0].sql = "SELECT nonsense FROM n";
    world_backup(w);
    assert_true(world_has_problem(w, "config/cron/rows.jsonl", "nonsense"));
    sqlite3_close(db);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)
        T(wal_of_a_running_owner),
        T(beside_wal_running),
        T(beside_wal_left_over),
        T(beside_wal_closed),
        T(beside_rollback_running),
        T(beside_rollback_closed),
        T(while_others_commit_wal),
        T(while_others_commit_rollback),
        T(log_growth_is_limited),
        T(time_is_limited),
        T(exclusive_wal_owner),
        T(hot_journal),
        T(schema_of_a_newer_library),
        T(schema_with_a_missing_module),
        T(schema_beyond_the_library),
        T(cancelled_in_a_copy),
        T(other_files_named_so_are_files),
        T(no_room_for_a_copy),
        T(damage_is_a_problem),
        T(no_database_is_a_plain_file),
        T(databases_are_recognised),
        T(single_database_root),
        T(rows_are_canonical),
        T(rows_fit_their_database),
        T(rows_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
