/* SPDX-License-Identifier: MIT */
/* What OCM writes, restic reads; what restic writes, OCM reads. */
#include "tests/unit/repo/judge.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static void an_empty_repository_is_restics(void **state)
{
    struct bench *b = *state;
    struct buf out = {0};
    struct repo *r = bench_open(b);
    char id[ID_HEX_LEN + 1];

    restic_ok(b, "check --read-data");
    assert_int_equal(restic(b, &out, "cat config"), 0);
    repo_id(r, id);
    assert_non_null(strstr(buf_str(&out), id));
    assert_non_null(strstr(buf_str(&out), "\"version\": 2"));
    buf_free(&out);
    repo_close(r);
}

static void a_backup_restores_with_restic(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    uint8_t want[100000];
    struct buf out = {0};
    char hex[ID_HEX_LEN + 1], *path = bench_path(b, "restored/file");
    struct id id = backup_sample(r, "n1", 7, sizeof(want));

    restic_ok(b, "check --read-data");
    id_hex(&id, hex);
    restic_ok(b, "restore %s --target %s/restored", hex, b->dir);
    OK(file_read(path, 1 << 20, &out, e));
    sample_bytes(7, want, sizeof(want));
    assert_int_equal(out.len, sizeof(want));
    assert_memory_equal(out.data, want, sizeof(want));
    assert_int_equal(restic(b, &out, "snapshots --json"), 0);
    assert_non_null(strstr(buf_str(&out), "\"hostname\":\"n1\""));
    assert_non_null(strstr(buf_str(&out), "\"node=n1\""));
    assert_int_equal(restic(b, &out, "ls %s", hex), 0);
    assert_non_null(strstr(buf_str(&out), "/file"));
    buf_free(&out);
    free(path);
    repo_close(r);
}

/* ---- golden: the trees of one folder, by restic and by tree.c ---- */

static void add_xattrs(const char *path, struct tree_node *n,
                       struct tree_xattr xattrs[8], char names[1024])
{
    ssize_t len = llistxattr(path, names, 1024);

    n->xattrs = xattrs;
    for (char *at = names; at < names + len; at += strlen(at) + 1) {
        struct tree_xattr *x = &xattrs[n->xattr_count++];
        static uint8_t values[8][256];
        uint8_t *value = values[n->xattr_count - 1];

        x->name = at;
        x->value = value;
        x->value_len = (size_t)lgetxattr(path, at, value, 256);
    }
}

static enum tree_type type_of(mode_t mode)
{
    return S_ISREG(mode)    ? TREE_FILE
           : S_ISDIR(mode)  ? TREE_DIR
           : S_ISLNK(mode)  ? TREE_SYMLINK
           : S_ISBLK(mode)  ? TREE_DEV
           : S_ISCHR(mode)  ? TREE_CHARDEV
           : S_ISFIFO(mode) ? TREE_FIFO
                            : TREE_SOCKET;
}

static int64_t ns_of(struct timespec t)
{
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static struct id golden_tree(const char *dir);

static void golden_node(const char *dir, const char *name, struct buf *out)
{
    char *path = path_join(dir, name), target[1024] = "", names[1024];
    struct tree_xattr xattrs[8];
    struct buf content = {0};
    struct id id;
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    struct tree_node n = {
        .name = name,
        .name_len = strlen(name),
        .type = type_of(st.st_mode),
        .mode = st.st_mode & 07777,
        .mtime_ns = ns_of(st.st_mtim),
        .atime_ns = ns_of(st.st_mtim), /* without --with-atime */
        .ctime_ns = ns_of(st.st_ctim),
        .uid = st.st_uid,
        .gid = st.st_gid,
        .user = "root",
        .group = "root",
        .inode = st.st_ino,
        .device_id = st.st_dev,
    };
    if (getpwuid(st.st_uid) == NULL)
        n.user = "";
    else
        n.user = mem_strdup(getpwuid(st.st_uid)->pw_name);
    n.group = getgrgid(st.st_gid) ? getgrgid(st.st_gid)->gr_name : "";
    if (n.type != TREE_DIR && n.type != TREE_FIFO && n.type != TREE_SOCKET)
        n.links = st.st_nlink;
    if (n.type == TREE_DEV || n.type == TREE_CHARDEV)
        n.device = st.st_rdev;
    if (n.type == TREE_SYMLINK) {
        assert_true(readlink(path, target, sizeof(target) - 1) > 0);
        n.linktarget = target;
    }
    if (n.type == TREE_DIR)
        n.subtree = golden_tree(path);
    if (n.type == TREE_FILE && st.st_size > 0) {
        n.size = (uint64_t)st.st_size;
        OK(file_read(path, 1 << 19, &content, e));
        id = digest_of(content.data, content.len);
        n.content = &id;
        n.content_count = 1;
    }
    add_xattrs(path, &n, xattrs, names);
    tree_add(out, &n);
    if (*n.user)
        free((char *)n.user);
    buf_free(&content);
    free(path);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static struct id golden_tree(const char *dir)
{
    struct dirent **list;
    struct buf out = {0};
    struct id id;
    int n = scandir(dir, &list, NULL, by_bytes);

    tree_begin(&out);
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i]->d_name, ".") && strcmp(list[i]->d_name, ".."))
            golden_node(dir, list[i]->d_name, &out);
        free(list[i]);
    }
    free(list);
    tree_end(&out);
    id = digest_of(out.data, out.len);
    buf_free(&out);
    return id;
}

static void make_file(const char *dir, const char *name, const char *text,
                      mode_t mode)
{
    char *path = path_join(dir, name);

    OK(file_write(path, text, strlen(text), mode, e));
    free(path);
}

static void make_zoo(const char *dir)
{
    static const char *const names[] = {
        "plain",        "with space",   "quote\"d",
        "back\\slash",  "new\nline",    "bad\xff\xfe",
        "html<&>",      "t\tab",        "esc\033[1m",
        "\x7f",         "\xc3\xbc",     "\xc2\xad",
        "\xe2\x80\xa8", "\xef\xbb\xbf", "\xf0\x9f\xa6\x9e",
        "\xcd\xb8",     "\xee\x80\x80", "\xf3\xa0\x80\x81",
    };
    char *path, *link;

    OK(dir_make(dir, 0751, e));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        make_file(dir, names[i], names[i], 0644);
    make_file(dir, "empty", "", 0600);
    make_file(dir, "setuid", "x", 04755);
    make_file(dir, "setgid", "x", 02755);
    make_file(dir, "none", "x",
              geteuid() == 0 ? 0 : 0400); /* restic reads it */
    path = path_join(dir, "sub/deep/er");
    OK(dir_make(path, 01777, e));
    make_file(path, "f", "deep", 0644);
    free(path);
    path = path_join(dir, "plain");
    link = path_join(dir, "hard");
    assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, link, 0), 0);
    free(link);
    assert_int_equal(setxattr(path, "user.one", "1\0\xff", 3, 0), 0);
    assert_int_equal(setxattr(path, "user.<two>", "", 0, 0), 0);
    free(path);
    path = path_join(dir, "sub");
    assert_int_equal(setxattr(path, "user.dir", "d", 1, 0), 0);
    free(path);
    path = path_join(dir, "link");
    assert_int_equal(symlink("../a<b>&\"\\\n\xe2\x80\xa9", path), 0);
    free(path);
    path = path_join(dir, "fifo");
    assert_int_equal(mkfifo(path, 0622), 0);
    free(path);
    if (geteuid() == 0) { /* devices, and owners without a name */
        path = path_join(dir, "null");
        assert_int_equal(mknod(path, S_IFCHR | 0666, makedev(1, 3)), 0);
        assert_int_equal(lchown(path, 54321, 54322), 0);
        free(path);
        path = path_join(dir, "block");
        assert_int_equal(mknod(path, S_IFBLK | 0660, makedev(7, 0)), 0);
        free(path);
    }
}

static void trees_are_restics_byte_for_byte(void **state)
{
    struct bench *b = *state;
    char *zoo = bench_path(b, "zoo"), *rel = mem_printf("%s/zoo", b->dir + 1);
    const struct tree_node *n;
    struct snapshot s;
    struct tree holder;
    struct repo *r;
    struct id mine;

    make_zoo(zoo);
    restic_ok(b, "backup %s", zoo);
    mine = golden_tree(zoo);
    r = bench_open(b);
    OK(repo_snapshot_find(r, NULL, "latest", &s, e));
    OK(repo_lookup(r, &s.tree, rel, &holder, &n, e));
    if (!id_equal(&n->subtree, &mine)) {
        struct buf out = {0};

        repo_read(r, &n->subtree, BLOB_TREE, &out, NULL);
        fail_msg("restic wrote another tree: %s", buf_str(&out));
    }
    tree_free(&holder);
    snapshot_fini(&s);
    repo_close(r);
    free(zoo);
    free(rel);
}

/* ---- what restic wrote ---- */

static void check_restics_file(struct bench *b, struct repo *r,
                               const char *name, const struct buf *want)
{
    char *rel = mem_printf("%s/src/%s", b->dir + 1, name);
    struct repo_check_report report = {0};
    const struct tree_node *n;
    struct snapshot s;
    struct tree holder;
    struct buf got = {0};

    OK(repo_snapshot_find(r, NULL, "latest", &s, e));
    OK(repo_lookup(r, &s.tree, rel, &holder, &n, e));
    assert_true(n->content_count > 1);
    OK(repo_read_file(r, n, want->len, &got, e));
    assert_int_equal(got.len, want->len);
    assert_memory_equal(got.data, want->data, want->len);
    assert_int_equal(repo_read_file(r, n, want->len - 1, &got, NULL),
                     OCM_E_LIMIT);
    tree_free(&holder);
    OK(repo_verify_snapshot(r, &s.tree, NULL, NULL, &report, e));
    OK(repo_check(r, true, NULL, NULL, &report, e));
    assert_string_equal(buf_str(&report.text), "");
    assert_int_equal(report.errors, 0);
    assert_true(report.blobs > 1);
    buf_free(&report.text);
    buf_free(&got);
    snapshot_fini(&s);
    free(rel);
}

static void read_restics(struct bench *b, const char *version,
                         const char *compression)
{
    char *big = bench_path(b, "src/big");
    struct buf want = {0};
    struct repo *r;

    restic_ok(b, "init --repository-version %s", version);
    shell_ok(b, "mkdir src && seq 1 900000 > src/big && echo a > src/small");
    restic_ok(b, "backup %s %s/src", compression, b->dir);
    OK(file_read(big, 64 << 20, &want, e));
    r = bench_open(b);
    check_restics_file(b, r, "big", &want);
    repo_close(r);
    r = bench_open(b); /* with its marker now */
    repo_close(r);
    restic_ok(b, "check --read-data");
    buf_free(&want);
    free(big);
}

static void a_compressed_repository_of_restic_is_read(void **state)
{
    read_restics(*state, "2", "");
}

static void an_uncompressed_one_is_read(void **state)
{
    read_restics(*state, "2", "--compression off");
}

/* Format 1 is read; it is not written, and the error says what to do. */
static void format_1_is_read_only(void **state)
{
    struct bench *b = *state;
    struct repo_writer *w;
    struct error err = {0};
    struct repo *r;
    struct id id;

    read_restics(b, "1", "");
    r = bench_open(b);
    w = repo_writer_new(r, "n1");
    assert_int_equal(repo_writer_add(w, BLOB_DATA, "x", 1, &id, &err),
                     OCM_E_VERSION);
    assert_non_null(strstr(err.text, "upgrade_repo_v2"));
    repo_writer_free(w);
    repo_close(r);
}

static void any_of_several_keys_opens(void **state)
{
    struct bench *b = *state;
    struct repo_options other = b->o;
    struct error err = {0};
    struct repo *r;

    shell_ok(b, "printf second > pw && printf wrong > pw2");
    restic_ok(b, "key add --new-password-file %s/pw", b->dir);
    other.password = "second";
    OK(repo_open(&other, &r, e));
    repo_close(r);
    r = bench_open(b);
    repo_close(r);
    other.password = "wrong";
    assert_int_equal(repo_open(&other, &r, &err), OCM_E_AUTH);
    assert_non_null(strstr(err.text, "wrong password"));
}

static void restic_backs_up_into_ours(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct buf want = {0};
    char *big = bench_path(b, "src/big");

    backup_sample(r, "n1", 1, 70000);
    shell_ok(b, "mkdir src && seq 1 900000 > src/big");
    restic_ok(b, "backup %s/src", b->dir);
    OK(repo_refresh(r, e));
    OK(file_read(big, 64 << 20, &want, e));
    check_restics_file(b, r, "big", &want);
    backup_sample(r, "n1", 2, 70000);
    restic_ok(b, "check --read-data");
    buf_free(&want);
    free(big);
    repo_close(r);
}

/* ---- a prune between two of our backups ---- */

static void count_owned(struct repo *r, const char *node, uint64_t want)
{
    assert_int_equal(repo_owned_count(r, node), want);
}

static void a_prune_is_noticed(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_writer *w;
    uint8_t bytes[5000];
    char hex[ID_HEX_LEN + 1];
    struct id first = backup_sample(r, "n1", 1, sizeof(bytes)), data, root;

    backup_sample(r, "n1", 2, sizeof(bytes));
    backup_sample(r, "n2", 1, sizeof(bytes));
    backup_sample(r, "n2", 3, sizeof(bytes));
    count_owned(r, "n1", 4);
    sample_bytes(2, bytes, sizeof(bytes));
    data = digest_of(bytes, sizeof(bytes));
    assert_true(repo_has(r, &data, BLOB_DATA));
    assert_false(repo_has(r, &data, BLOB_TREE));

    /* n1 keeps its second; what its first had stays for n2 */
    id_hex(&first, hex);
    restic_ok(b, "forget %s", hex);
    restic_ok(b, "forget --host n2 --keep-last 1 --prune --max-unused 0");
    OK(repo_refresh(r, e));
    assert_true(repo_has(r, &data, BLOB_DATA));
    sample_bytes(1, bytes, sizeof(bytes));
    data = digest_of(bytes, sizeof(bytes));
    assert_false(repo_has(r, &data, BLOB_DATA));
    count_owned(r, "n1", 2);
    count_owned(r, "n2", 2);

    /* the next backup sends it again */
    w = repo_writer_new(r, "n1");
    root = put_sample(w, 1, sizeof(bytes));
    OK(repo_writer_flush(w, e));
    assert_true(repo_writer_bytes(w) > sizeof(bytes));
    repo_writer_free(w);
    save_snapshot(r, "n1", &root);
    count_owned(r, "n1", 4);
    restic_ok(b, "check --read-data");
    repo_close(r);
}

/* ---- locks ---- */

static size_t count_locks(struct bench *b)
{
    struct buf out = {0};
    size_t n = 0;

    assert_int_equal(restic(b, &out, "list locks --no-lock"), 0);
    for (size_t i = 0; i < out.len; i++)
        n += out.data[i] == '\n';
    buf_free(&out);
    return n;
}

static void restic_honours_our_locks(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct buf out = {0};

    signal(SIGHUP, SIG_IGN); /* restic asks a lock's owner by SIGHUP */
    backup_sample(r, "n1", 1, 1000);
    OK(repo_lock(r, false, e));
    OK(repo_lock(r, false, e)); /* counted */
    assert_int_equal(count_locks(b), 1);
    restic_ok(b, "snapshots");
    assert_int_not_equal(restic(b, &out, "prune"), 0);
    assert_non_null(strstr(buf_str(&out), "already locked"));
    assert_int_equal(repo_lock(r, true, NULL), OCM_E_LOCKED);
    repo_unlock(r);
    restic_ok(b, "unlock"); /* of stale locks: ours is none */
    assert_int_equal(count_locks(b), 1);
    repo_unlock(r);
    assert_int_equal(count_locks(b), 0);
    restic_ok(b, "prune");

    OK(repo_lock(r, true, e));
    assert_int_not_equal(restic(b, &out, "snapshots"), 0);
    assert_non_null(strstr(buf_str(&out), "locked exclusively"));
    assert_int_equal(repo_lock(r, false, NULL), OCM_E_LOCKED);
    repo_unlock(r);
    repo_unlock(r); /* once too often: nothing */
    restic_ok(b, "snapshots");
    buf_free(&out);
    repo_close(r);
}

/* Until `path` holds a file, at most ten seconds. */
static void wait_for_file(const char *path)
{
    struct timespec tick = {0, 10000000};

    for (int i = 0; i < 1000; i++) {
        struct dirent **list;
        int n = scandir(path, &list, NULL, NULL);

        for (int k = 0; k < n; k++)
            free(list[k]);
        free(list);
        if (n > 2)
            return;
        nanosleep(&tick, NULL);
    }
    fail_msg("no file in %s", path);
}

static void we_honour_restics_locks(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct error err = {0};
    char *locks = path_join(b->repo, "locks"), *command, c;
    int pipe_fd[2], status;
    pid_t pid;

    /* restic reads a backup from a pipe that stays open: it holds a lock */
    assert_int_equal(pipe(pipe_fd), 0);
    command = mem_printf("HOME=%s RESTIC_PASSWORD='%s' exec restic --no-cache "
                         "-q -r %s backup --stdin >/dev/null 2>&1",
                         b->dir, JUDGE_PASSWORD, b->repo);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(pipe_fd[0], 0);
        close(pipe_fd[1]);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(pipe_fd[0]);
    wait_for_file(locks);
    OK(repo_lock(r, false, e));
    repo_unlock(r);
    assert_int_equal(repo_lock(r, true, &err), OCM_E_LOCKED);
    assert_non_null(strstr(err.text, "locked by"));
    c = 'x';
    assert_int_equal(write(pipe_fd[1], &c, 1), 1);

    /* killed, it leaves its lock: stale, as its process is gone */
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(pipe_fd[1]);
    assert_int_equal(count_locks(b), 1);
    OK(repo_lock(r, true, e));
    assert_int_equal(count_locks(b), 1);
    repo_unlock(r);
    assert_int_equal(count_locks(b), 0);
    free(locks);
    free(command);
    repo_close(r);
}

/* Somebody removed our lock while the job ran: a prune may have come in. */
static void a_lost_lock_stops_the_snapshot(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_writer *w = repo_writer_new(r, "n1");
    struct error err = {0};
    struct snapshot s = {0};

    signal(SIGHUP, SIG_IGN);
    OK(repo_lock(r, false, e));
    s.tree = put_sample(w, 1, 1000);
    OK(repo_writer_flush(w, e));
    restic_ok(b, "unlock --remove-all");
    assert_int_equal(repo_snapshot_save(r, &s, &err), OCM_E_LOCKED);
    assert_non_null(strstr(err.text, "lost"));
    repo_unlock(r);
    OK(repo_lock(r, false, e));
    OK(repo_snapshot_save(r, &s, e));
    repo_unlock(r);
    repo_writer_free(w);
    repo_close(r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
#define T_EMPTY(f)                                                             \
    cmocka_unit_test_setup_teardown(f, bench_setup_empty, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_empty_repository_is_restics),
        T(a_backup_restores_with_restic),
        T(trees_are_restics_byte_for_byte),
        T_EMPTY(a_compressed_repository_of_restic_is_read),
        T_EMPTY(an_uncompressed_one_is_read),
        T_EMPTY(format_1_is_read_only),
        T(any_of_several_keys_opens),
        T(restic_backs_up_into_ours),
        T(a_prune_is_noticed),
        T(restic_honours_our_locks),
        T(we_honour_restics_locks),
        T(a_lost_lock_stops_the_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
