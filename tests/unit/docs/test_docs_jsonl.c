/* SPDX-License-Identifier: MIT */
/* JSON Lines as streams: edited line by line in flat memory. */
#include "docs_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/files.h"

/* Without it the sanitizer keeps freed blocks, and flat looks steep. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1";
}

static int memory_file(const void *p, size_t len)
{
    int fd = memfd_create("docs", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, p, len), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void expect_content(int fd, const void *p, size_t len)
{
    char *got = malloc(len + 1);

    assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)len);
    assert_int_equal(fd_pread_all(fd, got, len, 0), 0);
    assert_memory_equal(got, p, len);
    free(got);
}

static int set_cwd(void *arg, struct doc *d, const struct doc_value *v)
{
    (void)arg;
    if (doc_pattern_match("[].cwd", v->path))
        return doc_set_string(d, v, "/srv/new", 8, NULL);
    return 0;
}

static int edit_line(void *arg, struct doc *d, struct error *e)
{
    (void)e;
    return doc_each(d, set_cwd, arg);
}

static bool has_cwd(void *arg, const char *line, size_t len)
{
    (*(int *)arg)++;
    return memmem(line, len, "cwd", 3) != NULL;
}

static void lines_are_edited_and_the_rest_is_kept(void **state)
{
    static const char source[] = "{\"cwd\": \"/home/jo\", \"n\": 1}\r\n"
                                 "\n"
                                 "not json\n"
                                 "{\"x\":\"cwd\"}\n"
                                 "[{\"cwd\":1}]\n"
                                 "{\"cwd\":\"/home/jo\"}\n"
                                 "{\"cwd\":\"/home/j";
    static const char want[] = "{\"cwd\": \"/srv/new\", \"n\": 1}\r\n"
                               "\n"
                               "not json\n"
                               "{\"x\":\"cwd\"}\n"
                               "[{\"cwd\":1}]\n"
                               "{\"cwd\":\"/srv/new\"}\n"
                               "{\"cwd\":\"/home/j";
    int asked = 0;
    struct doc_jsonl s = {
        .on_line = edit_line, .wants = has_cwd, .arg = &asked};
    struct error e = {0};

    (void)state;
    s.fd_in = memory_file(source, sizeof(source) - 1);
    s.fd_out = memory_file("", 0);
    assert_int_equal(doc_jsonl_stream(&s, &e), 0);
    expect_content(s.fd_out, want, sizeof(want) - 1);
    assert_int_equal(s.lines, 7);
    assert_int_equal(asked, 7);
    assert_int_equal(s.edited, 2);
    assert_int_equal(s.broken, 1); /* "not json" was not wanted */
    assert_int_equal(s.first_broken, 7);
    close(s.fd_in);
    close(s.fd_out);
}

static int expect_path(void *arg, struct doc *d, struct error *e)
{
    struct doc_value v;
    int *count = arg;

    (void)e;
    (*count)++;
    /* blank and broken lines count too */
    assert_true(doc_find(d, *count == 1 ? "[0].a" : "[3].a", &v));
    assert_int_equal(v.line, *count == 1 ? 1 : 4);
    return *count == 2 ? -77 : 0;
}

static void lines_know_their_number_and_can_end_the_work(void **state)
{
    static const char source[] = "{\"a\":1}\n\n{\n{\"a\":2}\n{\"a\":3}\n";
    int count = 0;
    struct doc_jsonl s = {.on_line = expect_path, .fd_out = -1, .arg = &count};

    (void)state;
    s.fd_in = memory_file(source, sizeof(source) - 1);
    assert_int_equal(doc_jsonl_stream(&s, NULL), -77);
    assert_int_equal(count, 2);
    assert_int_equal(s.first_broken, 3);
    close(s.fd_in);
}

static int never(void *arg, struct doc *d, struct error *e)
{
    (void)arg;
    (void)d;
    (void)e;
    fail_msg("a line beyond the limit was parsed");
    return 0;
}

static void overlong_lines_pass_unread(void **state)
{
    size_t len = DOC_LINE_MAX_BYTES + 1024 * 1024;
    char *source = malloc(len);
    struct doc_jsonl s = {.on_line = never};

    (void)state;
    memset(source, 'x', len);
    source[len - 1] = '\n';
    s.fd_in = memory_file(source, len);
    s.fd_out = memory_file("", 0);
    assert_int_equal(doc_jsonl_stream(&s, NULL), 0);
    assert_int_equal(s.lines, 1);
    assert_int_equal(s.broken, 1);
    expect_content(s.fd_out, source, len);
    close(s.fd_in);
    close(s.fd_out);
    free(source);
}

static long peak_kib(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* 16 MiB through a pipe, which can be neither mapped nor sought. */
static void memory_stays_flat(void **state)
{
    struct doc_jsonl s = {.on_line = edit_line, .fd_out = -1};
    long before = peak_kib();
    FILE *pipe = popen("yes '{\"cwd\":\"/home/jo\",\"text\":\"0123456789 "
                       "0123456789 0123456789 0123456789 0123456789\"}'"
                       " | head -c 16777216",
                       "r");

    (void)state;
    assert_non_null(pipe);
    s.fd_in = fileno(pipe);
    assert_int_equal(doc_jsonl_stream(&s, NULL), 0);
    pclose(pipe);
    assert_true(s.edited > 100000);
    assert_true(peak_kib() - before < 12 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_stays_flat),
        cmocka_unit_test(lines_are_edited_and_the_rest_is_kept),
        cmocka_unit_test(lines_know_their_number_and_can_end_the_work),
        cmocka_unit_test(overlong_lines_pass_unread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
