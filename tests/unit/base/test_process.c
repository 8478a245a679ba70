/* SPDX-License-Identifier: MIT */
/* common/base/process: output, exit codes, limits, groups, side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/process.h"
#include "common/base/text.h"

#define SH(script) ((const char *const[]){"/bin/sh", "-c", script, NULL})

static void output_and_exit_code_come_back(void **state)
{
    static const char *const env[] = {"GREETING=hello", "PATH=/usr/bin:/bin",
                                      NULL};
    struct process_job job = {
        .argv = SH("echo $GREETING; echo \"bad  thing\" >&2; cat; exit 3"),
        .env = env,
        .timeout_ms = 20000,
    };
    struct error e = {0};
    char text[9];

    (void)state;
    assert_int_equal(process_run(&job, 1, NULL, &e), 0);
    assert_int_equal(job.exit_code, 3);
    assert_string_equal(buf_str(&job.out), "hello\n");
    assert_string_equal(buf_str(&job.err), "bad  thing\n");
    process_job_text(&job, text, sizeof(text));
    assert_string_equal(text, "d thing");
    process_job_fini(&job);
}

static void input_is_given_whole(void **state)
{
    size_t len = 3 * 1024 * 1024; /* no pipe holds that */
    char *input = calloc(1, len);
    struct process_job job = {.argv = SH("cat"),
                              .input = input,
                              .input_len = len,
                              .timeout_ms = 20000};

    (void)state;
    input[len - 1] = 'x';
    assert_int_equal(process_run(&job, 1, NULL, NULL), 0);
    assert_int_equal(job.out.len, len);
    assert_memory_equal(job.out.data, input, len);
    process_job_fini(&job);
    free(input);
}

static void missing_program_is_an_error(void **state)
{
    static const char *const argv[] = {"/nonexistent/x", NULL};
    struct process_job job = {.argv = argv, .timeout_ms = 1000};
    struct error e = {0};

    (void)state;
    assert_int_equal(process_run(&job, 1, NULL, &e), -ENOENT);
    assert_int_equal(job.exit_code, -1);
    assert_non_null(strstr(e.text, "/nonexistent/x"));
    process_job_fini(&job);
}

static void a_stuck_group_is_killed(void **state)
{
    /* neither the shell nor its child hears TERM; the child's pid is printed */
    struct process_job job = {
        .argv = SH("trap '' TERM; sleep 600 & echo $!; wait; wait; sleep 600"),
        .timeout_ms = 200,
    };
    struct error e = {0};
    int64_t start = clock_monotonic_ms(), pid;
    char path[64];

    (void)state;
    assert_int_equal(process_run(&job, 1, NULL, &e), OCM_E_TIMEOUT);
    assert_true(clock_monotonic_ms() - start < 20000);
    assert_int_equal(job.exit_code, 128 + SIGKILL);
    buf_str(&job.out)[strcspn(buf_str(&job.out), "\n")] = 0;
    assert_true(text_to_i64((char *)job.out.data, 2, 1 << 30, &pid));
    for (int i = 0; i < 500 && kill((pid_t)pid, 0) == 0; i++) {
        struct buf stat = {0};
        bool zombie;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        zombie = file_read(path, 4096, &stat, NULL) != 0 ||
                 strstr(buf_str(&stat), ") Z");
        buf_free(&stat);
        if (zombie)
            break;
        usleep(10000);
        assert_int_not_equal(i, 499);
    }
    process_job_fini(&job);
}

static void too_much_output_ends_it(void **state)
{
    struct process_job job = {
        .argv = SH("yes"), .timeout_ms = 60000, .max_output = 10000};
    struct error e = {0};

    (void)state;
    assert_int_equal(process_run(&job, 1, NULL, &e), OCM_E_LIMIT);
    assert_int_equal(job.out.len, 10000);
    process_job_fini(&job);
}

static void cancel_ends_it(void **state)
{
    struct process_job job = {.argv = SH("sleep 600"), .timeout_ms = 60000};
    atomic_bool cancelled = true;
    struct error e = {0};

    (void)state;
    assert_int_equal(process_run(&job, 1, &cancelled, &e), OCM_E_CANCELLED);
    process_job_fini(&job);
}

/* A program that ends but leaves a child with its pipes open is done. */
static void what_stays_behind_is_not_waited_for(void **state)
{
    struct process_job job = {.argv = SH("sleep 600 & echo $!"),
                              .timeout_ms = 60000};
    int64_t start = clock_monotonic_ms(), pid;
    struct error e = {0};

    (void)state;
    assert_int_equal(process_run(&job, 1, NULL, &e), 0);
    assert_true(clock_monotonic_ms() - start < 20000);
    assert_int_equal(job.exit_code, 0);
    buf_str(&job.out)[strcspn(buf_str(&job.out), "\n")] = 0;
    assert_true(text_to_i64((char *)job.out.data, 2, 1 << 30, &pid));
    assert_int_equal(kill((pid_t)pid, 0), 0); /* it was left alone */
    kill((pid_t)pid, SIGKILL);
    process_job_fini(&job);
}

/* The second can only end because the first runs at the same time. */
static void jobs_run_side_by_side(void **state)
{
    char dir[] = "/tmp/ocm-test-XXXXXX", a[128], b[128];
    struct process_job jobs[2] = {0};
    const char *argv_a[] = {"/bin/sh", "-c", a, NULL};
    const char *argv_b[] = {"/bin/sh", "-c", b, NULL};
    struct error e = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(a, sizeof(a), "mkfifo %s/p; echo x > %s/p", dir, dir);
    snprintf(b, sizeof(b), "until test -p %s/p; do :; done; cat %s/p", dir,
             dir);
    jobs[0] = (struct process_job){.argv = argv_b, .timeout_ms = 30000};
    jobs[1] = (struct process_job){.argv = argv_a, .timeout_ms = 30000};
    assert_int_equal(process_run(jobs, 2, NULL, &e), 0);
    assert_string_equal(buf_str(&jobs[0].out), "x\n");
    process_job_fini(&jobs[0]);
    process_job_fini(&jobs[1]);
    tree_remove(dir, NULL);
}

static void our_descriptors_stay_ours(void **state)
{
    int fd = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */
    struct process_job job = {.argv = SH("ls /proc/self/fd | wc -l"),
                              .timeout_ms = 20000};
    struct error e = {0};

    (void)state;
    assert_int_equal(process_run(&job, 1, NULL, &e), 0);
    assert_string_equal(buf_str(&job.out), "4\n"); /* 0 1 2 and the folder */
    close(fd);
    process_job_fini(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_come_back),
        cmocka_unit_test(input_is_given_whole),
        cmocka_unit_test(missing_program_is_an_error),
        cmocka_unit_test(a_stuck_group_is_killed),
        cmocka_unit_test(too_much_output_ends_it),
        cmocka_unit_test(cancel_ends_it),
        cmocka_unit_test(what_stays_behind_is_not_waited_for),
        cmocka_unit_test(jobs_run_side_by_side),
        cmocka_unit_test(our_descriptors_stay_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
