/* SPDX-License-Identifier: MIT */
/* common/base: text, paths, config files, durable files, time, backoff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <cmocka.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/conf.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/worker.h"

static void numbers_have_bounds(void **state)
{
    int64_t v;

    (void)state;
    assert_true(text_to_i64("42", 0, 100, &v));
    assert_int_equal(v, 42);
    assert_false(text_to_i64("101", 0, 100, &v));
    assert_false(text_to_i64("4x", 0, 100, &v));
    assert_false(text_to_i64("", 0, 100, &v));
    assert_false(text_to_i64("99999999999999999999", 0, INT64_MAX, &v));
    assert_true(text_to_ms("15m", &v));
    assert_int_equal(v, 900000);
    assert_true(text_to_bytes("16M", &v));
    assert_int_equal(v, 16 << 20);
    assert_false(text_to_bytes("16X", &v));
    assert_false(text_to_bytes("9999999999999T", &v));
}

static void names_are_strict(void **state)
{
    (void)state;
    assert_true(name_is_valid("node-1"));
    assert_false(name_is_valid("-node"));
    assert_false(name_is_valid("node/1"));
    assert_false(name_is_valid(""));
    assert_false(name_is_valid("../etc"));
    assert_false(name_is_valid("abcdefghijabcdefghijabcdefghijabcdefghijx"));
}

static void paths_end_on_boundaries(void **state)
{
    char *p;

    (void)state;
    assert_true(path_is_below("/home/jo/.openclaw/x", "/home/jo/.openclaw"));
    assert_true(path_is_below("/home/jo/.openclaw", "/home/jo/.openclaw"));
    assert_false(
        path_is_below("/home/jo/.openclaw-work", "/home/jo/.openclaw"));
    p = path_clean("/a//b/./c/../d/");
    assert_string_equal(p, "/a/b/d");
    free(p);
    p = path_clean("/../..");
    assert_string_equal(p, "/");
    free(p);
    assert_null(path_clean("a/b"));
    assert_true(path_is_safe("a/b", 3));
    assert_false(path_is_safe("a/../b", 6));
    assert_false(path_is_safe("/a", 2));
    assert_false(path_is_safe("a/", 2));
    assert_false(path_is_safe("", 0));
}

static void utf8_is_checked(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("日本語", 9));
    assert_false(utf8_is_valid("\xc0\x80", 2));
    assert_false(utf8_is_valid("\xed\xa0\x80", 3));
    assert_false(utf8_is_valid("a\0b", 3));
    assert_false(utf8_is_valid("\xe3\x81", 2));
}

struct sample {
    char *name;
    int64_t size;
    bool on;
    struct conf_list list;
};
static const struct conf_key keys[] = {
    {"", "name", CONF_STRING, offsetof(struct sample, name), "x", 0, 0, ""},
    {"disk", "size", CONF_BYTES, offsetof(struct sample, size), "1K", 0, 0, ""},
    {"disk", "on", CONF_BOOL, offsetof(struct sample, on), NULL, 0, 0, ""},
    {"disk", "path", CONF_LIST, offsetof(struct sample, list), NULL, 0, 0, ""},
};

static int parse(const char *text, struct sample *s, struct error *e)
{
    return conf_parse("t.conf", text, strlen(text), keys, ARRAY_LEN(keys), s,
                      e);
}

/* What is shown, sent or logged is UTF-8 and drives no terminal. */
static void texts_are_clean(void **state)
{
    struct error e = {0};
    struct buf b = {0};
    char wide[ERROR_TEXT_MAX + 64] = "a";

    (void)state;
    for (size_t i = 1; i + 3 < sizeof(wide); i += 2)
        memcpy(wide + i, "\xc3\xa9", 3);
    error_set(&e, OCM_E_INVALID, "%s", wide); /* cut within a character */
    assert_true(strlen(e.text) > ERROR_TEXT_MAX - 4);
    assert_true(utf8_is_valid(e.text, strlen(e.text)));
    error_prefix(&e, "b");
    assert_true(utf8_is_valid(e.text, strlen(e.text)));
    error_set(&e, OCM_E_INVALID,
              "not \xff\xc3(, a\x1b[31m, \u202ebad"
              "\xc2\x85");
    assert_string_equal(e.text, "not ?"
                                "?(, a?[31m, ???bad??");
    error_set(&e, OCM_E_INVALID, "\u00e9\u200f\u4e2d\U0001f980");
    assert_string_equal(e.text, "\u00e9\u200f\u4e2d\U0001f980");
    text_escape(&b,
                "\u202e\u2066x\u00a0"
                "\xc2\x9b",
                11);
    assert_string_equal(buf_str(&b),
                        "\\xe2\\x80\\xae\\xe2\\x81\\xa6x\u00a0\\xc2\\x9b");
    buf_free(&b);
}

static void config_is_strict(void **state)
{
    struct sample s = {0};
    struct error e = {0};

    (void)state;
    assert_int_equal(parse("# c\nname = a b \n[disk]\nsize=2M\non = yes\n"
                           "path = /a\npath = /b\n",
                           &s, &e),
                     0);
    assert_string_equal(s.name, "a b");
    assert_int_equal(s.size, 2 << 20);
    assert_true(s.on);
    assert_int_equal(s.list.count, 2);
    conf_free(keys, ARRAY_LEN(keys), &s);

    s = (struct sample){0};
    assert_int_equal(parse("name = a\nnmae = b\n", &s, &e), OCM_E_INVALID);
    assert_string_equal(e.text, "t.conf:2: unknown key 'nmae'");
    conf_free(keys, ARRAY_LEN(keys), &s);
    s = (struct sample){0};
    assert_int_equal(parse("name=a\nname=b\n", &s, &e), OCM_E_INVALID);
    assert_string_equal(e.text, "t.conf:2: 'name' stands twice");
    conf_free(keys, ARRAY_LEN(keys), &s);
    s = (struct sample){0};
    assert_int_equal(parse("[disk]\nsize = many\n", &s, &e), OCM_E_INVALID);
    assert_string_equal(
        e.text, "t.conf:2: 'size' is 'many', expected a size such as 512M");
    conf_free(keys, ARRAY_LEN(keys), &s);
    s = (struct sample){0};
    assert_int_equal(parse("[dsik]\n", &s, &e), OCM_E_INVALID);
    conf_free(keys, ARRAY_LEN(keys), &s);
}

static void files_are_replaced_whole(void **state)
{
    char dir[] = "/tmp/ocm-base-XXXXXX";
    struct buf b = {0};
    struct error e = {0};
    struct stat st;
    static const struct {
        const char *rel;
        int flags, rc;
    } refused[] = {
        {"a/link", O_RDONLY, -ELOOP},
        {"a/link", O_PATH, -ELOOP},
        {"a/link", O_PATH | O_DIRECTORY, -ELOOP},
        {"a/link", O_WRONLY | O_CREAT, -ELOOP},
        {"a/link/passwd", O_RDONLY, -ELOOP},
        {"a/b/file", O_RDONLY, -ELOOP},
        {"a/b/file/x", O_RDONLY, -ELOOP},
        {"../x", O_RDONLY, -EXDEV},
        {"/etc/passwd", O_RDONLY, -EXDEV},
        {"f/x", O_RDONLY, -ENOTDIR},
        {"f", O_RDONLY | O_DIRECTORY, -ENOTDIR},
        {"a/none", O_RDONLY, -ENOENT},
        {"none/x", O_RDONLY, -ENOENT},
        {"", O_RDONLY, -ENOENT},
    };
    char *path, *deep, *link;
    int root, fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = path_join(dir, "f");
    assert_int_equal(file_write(path, "one", 3, 0600, &e), 0);
    assert_int_equal(file_write(path, "two!", 4, 0640, &e), 0);
    assert_int_equal(file_read(path, 100, &b, &e), 0);
    assert_string_equal(buf_str(&b), "two!");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    buf_free(&b);
    assert_int_equal(file_read(path, 3, &b, &e), OCM_E_LIMIT);
    buf_free(&b);

    deep = path_join(dir, "a/b/c");
    assert_int_equal(dir_make(deep, 0700, &e), 0);
    link = path_join(dir, "a/link");
    assert_int_equal(symlink("/etc", link), 0);
    free(link);
    link = path_join(dir, "a/b/file");
    assert_int_equal(symlink("../../f", link), 0);
    free(link);
    root = open(dir, O_RDONLY | O_DIRECTORY);
    fd = open_beneath(root, "f", O_RDONLY, 0);
    assert_true(fd >= 0);
    close(fd);
    fd = open_beneath(root, "a/b/c/new", O_RDWR | O_CREAT | O_EXCL, 0640);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    fd = open_beneath(root, "a/b", O_PATH | O_DIRECTORY, 0);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        fd = open_beneath(root, refused[i].rel, refused[i].flags, 0600);
        if (fd != refused[i].rc)
            fail_msg("%s: %d", refused[i].rel, fd);
    }
    close(root);
    assert_int_equal(chmod(deep, 0500), 0);
    assert_int_equal(tree_remove(dir, &e), 0);
    assert_false(file_exists(dir));
    assert_true(file_exists("/etc/passwd"));
    free(path);
    free(deep);
}

static void time_round_trips(void **state)
{
    char s[CLOCK_TEXT_MAX];
    int64_t ns;

    (void)state;
    clock_format(1700000000120000000LL, s);
    assert_string_equal(s, "2023-11-14T22:13:20.12Z");
    assert_true(clock_parse(s, &ns));
    assert_int_equal(ns, 1700000000120000000LL);
    assert_true(clock_parse("2023-11-15T07:13:20+09:00", &ns));
    assert_int_equal(ns, 1700000000000000000LL);
    assert_false(clock_parse("yesterday", &ns));
    assert_false(clock_parse("", &ns));
    assert_false(clock_parse("2023-11-15T07:13:20", &ns));
    assert_false(clock_parse("2023-11-15T07:13:2", &ns));
    assert_false(clock_parse("2023-11-15T07:13:20+", &ns));
    assert_false(clock_parse("2023-11-15T07:13:20+09:0", &ns));
    assert_false(clock_parse("2023-11-15T07:13:20+09:00Z", &ns));
    assert_false(clock_parse("2023-11-15T07:13:-1Z", &ns));
    assert_false(clock_parse("2023-13-15T07:13:20Z", &ns));
    clock_format(-1, s);
    assert_string_equal(s, "1969-12-31T23:59:59.999999999Z");
}

static uint32_t highest(void *arg)
{
    (void)arg;
    return UINT32_MAX;
}

static void backoff_grows_to_its_ceiling(void **state)
{
    struct backoff b = {.base_ms = 500, .max_ms = 4000, .random = highest};

    (void)state;
    assert_int_equal(backoff_next_ms(&b), 500);
    assert_int_equal(backoff_next_ms(&b), 1000);
    assert_int_equal(backoff_next_ms(&b), 2000);
    assert_int_equal(backoff_next_ms(&b), 4000);
    assert_int_equal(backoff_next_ms(&b), 4000);
    backoff_reset(&b);
    assert_int_equal(backoff_next_ms(&b), 500);
}

struct job {
    uv_thread_t ran_on, done_on;
    int done;
};

static void job_run(void *arg)
{
    ((struct job *)arg)->ran_on = uv_thread_self();
}

static void job_done(void *arg)
{
    ((struct job *)arg)->done_on = uv_thread_self();
    ((struct job *)arg)->done++;
}

static void worker_reports_on_the_loop(void **state)
{
    struct job job = {0};
    uv_thread_t self = uv_thread_self();
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(worker_start(&loop, job_run, job_done, &job), 0);
    assert_int_equal(job.done, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(job.done, 1);
    assert_true(uv_thread_equal(&job.done_on, &self));
    assert_false(uv_thread_equal(&job.ran_on, &self));
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* libuv does not know every code of the system, and would leak for those. */
static void every_code_has_a_text(void **state)
{
    (void)state;
    assert_string_equal(error_text(-ENOENT), "no such file or directory");
    assert_string_equal(error_name(-ENOENT), "ENOENT");
    assert_string_equal(error_text(-EBADMSG), strerror(EBADMSG));
    assert_true(error_name(-EBADMSG)[0] == 'E');
    assert_true(error_text(-99999)[0] != 0);
    assert_string_equal(error_name(OCM_E_BUSY), "busy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_text),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(names_are_strict),
        cmocka_unit_test(paths_end_on_boundaries),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(texts_are_clean),
        cmocka_unit_test(config_is_strict),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(time_round_trips),
        cmocka_unit_test(backoff_grows_to_its_ceiling),
        cmocka_unit_test(worker_reports_on_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
