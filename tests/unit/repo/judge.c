/* SPDX-License-Identifier: MIT */
#include "tests/unit/repo/judge.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define JUDGE_ARGS_MAX 64

int bench_setup_empty(void **state)
{
    struct bench *b = mem_zalloc(sizeof(*b));
    char dir[] = "/tmp/ocm-repo-XXXXXX";

    if (!mkdtemp(dir))
        return -1;
    b->dir = mem_strdup(dir);
    b->repo = path_join(dir, "repo");
    b->cache = path_join(dir, "cache");
    b->o = (struct repo_options){
        .dir = b->repo, .cache_dir = b->cache, .password = JUDGE_PASSWORD};
    *state = b;
    return 0;
}

int bench_setup(void **state)
{
    struct bench *b;
    struct error e = {0};

    if (bench_setup_empty(state) != 0)
        return -1;
    b = *state;
    if (repo_init(&b->o, &e) != 0) {
        print_error("init: %s\n", e.text);
        return -1;
    }
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *b = *state;
    struct error e = {0};
    int rc = tree_remove(b->dir, &e);

    if (rc)
        print_error("%s\n", e.text);
    free(b->dir);
    free(b->repo);
    free(b->cache);
    free(b);
    return rc;
}

void ok(int rc, const struct error *e)
{
    if (rc != 0)
        fail_msg("%s: %s", error_name(rc), e->text);
}

struct repo *bench_open(struct bench *b)
{
    struct repo *r = NULL;

    OK(repo_open(&b->o, &r, e));
    return r;
}

void bench_drop_cache(struct bench *b)
{
    OK(tree_remove(b->cache, e));
}

char *bench_path(struct bench *b, const char *name)
{
    return path_join(b->dir, name);
}

/* Run argv with stdout and stderr into a file of the bench. */
static int run(struct bench *b, char **argv, struct buf *out)
{
    char *home = mem_printf("HOME=%s", b->dir), *log = bench_path(b, "log");
    char *path = mem_printf("PATH=%s", getenv("PATH") ? getenv("PATH") : "");
    char *env[] = {home, path, "RESTIC_PASSWORD=" JUDGE_PASSWORD, "TZ=UTC",
                   NULL};
    posix_spawn_file_actions_t fa;
    int status = -1;
    pid_t pid;

    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, log, O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&fa, 1, 2);
    if (posix_spawnp(&pid, argv[0], &fa, NULL, argv, env) == 0)
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&fa);
    if (out) {
        buf_clear(out);
        file_read(log, 64u << 20, out, NULL);
    }
    free(home);
    free(log);
    free(path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int restic_v(struct bench *b, struct buf *out, const char *args,
                    va_list ap)
{
    char *argv[JUDGE_ARGS_MAX] = {"restic", "--no-cache", "-q", "-r", b->repo};
    char text[4096], *save = NULL;
    size_t n = 5;

    vsnprintf(text, sizeof(text), args, ap);
    for (char *w = strtok_r(text, " ", &save); w && n < JUDGE_ARGS_MAX - 1;
         w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    return run(b, argv, out);
}

int restic(struct bench *b, struct buf *out, const char *args, ...)
{
    va_list ap;
    int rc;

    va_start(ap, args);
    rc = restic_v(b, out, args, ap);
    va_end(ap);
    return rc;
}

void restic_ok(struct bench *b, const char *args, ...)
{
    struct buf out = {0};
    va_list ap;
    int rc;

    va_start(ap, args);
    rc = restic_v(b, &out, args, ap);
    va_end(ap);
    if (rc != 0)
        print_error("restic %s: exit %d\n%s\n", args, rc, buf_str(&out));
    buf_free(&out);
    assert_int_equal(rc, 0);
}

void shell_ok(struct bench *b, const char *command, ...)
{
    char text[4096], *line;
    struct buf out = {0};
    va_list ap;
    int rc;

    va_start(ap, command);
    vsnprintf(text, sizeof(text), command, ap);
    va_end(ap);
    line = mem_printf("cd '%s' && %s", b->dir, text);
    rc = run(b, (char *[]){"/bin/sh", "-c", line, NULL}, &out);
    if (rc != 0)
        print_error("%s: exit %d\n%s\n", text, rc, buf_str(&out));
    buf_free(&out);
    free(line);
    assert_int_equal(rc, 0);
}

void sample_bytes(unsigned seed, uint8_t *out, size_t len)
{
    uint64_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)x;
    }
}

struct id put_sample(struct repo_writer *w, unsigned seed, size_t len)
{
    uint8_t *bytes = mem_alloc(len + 1);
    struct tree_node n = {.name = "file",
                          .name_len = 4,
                          .type = TREE_FILE,
                          .mode = 0640,
                          .mtime_ns = 1700000000000000000,
                          .user = "",
                          .group = "",
                          .size = len,
                          .links = 1,
                          .content_count = 1};
    struct buf tree = {0};
    struct id content, root;

    sample_bytes(seed, bytes, len);
    OK(repo_writer_add(w, BLOB_DATA, bytes, len, &content, e));
    n.content = &content;
    tree_begin(&tree);
    tree_add(&tree, &n);
    tree_end(&tree);
    OK(repo_writer_add(w, BLOB_TREE, tree.data, tree.len, &root, e));
    buf_free(&tree);
    free(bytes);
    return root;
}

struct id save_snapshot(struct repo *r, const char *node, const struct id *root)
{
    char *tag = mem_printf("node=%s", node), *paths[] = {"/"};
    char *tags[] = {tag, "safety"};
    struct snapshot s = {.tree = *root,
                         .hostname = (char *)node,
                         .username = "test",
                         .paths = paths,
                         .path_count = 1,
                         .tags = tags,
                         .tag_count = 2,
                         .program_version = "ocm test"};

    OK(repo_snapshot_save(r, &s, e));
    free(tag);
    return s.id;
}

struct id backup_sample(struct repo *r, const char *node, unsigned seed,
                        size_t len)
{
    struct repo_writer *w = repo_writer_new(r, node);
    struct repo_stats stats;
    struct id root = put_sample(w, seed, len), first;
    uint64_t missing;

    OK(repo_writer_flush(w, e));
    OK(repo_closure(r, node, &root, &stats, &missing, &first, e));
    assert_int_equal(stats.files, 1);
    assert_int_equal(stats.bytes, len);
    repo_writer_free(w);
    return save_snapshot(r, node, &root);
}
