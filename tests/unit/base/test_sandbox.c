/* SPDX-License-Identifier: MIT */
/* common/base/sandbox: what a process may still do when it is locked in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/sandbox.h"
#include "common/base/text.h"

#define MEMORY (64u * 1024 * 1024)
#define FILE_MOST 8192

static char dir[] = "/tmp/ocm-sandbox-XXXXXX";

/* What a probe says in a child that is locked in; true: it could do it. */
static bool can(bool (*probe)(void))
{
    struct sandbox s = {.dir = dir,
                        .memory_bytes = MEMORY,
                        .file_bytes = FILE_MOST,
                        .cpu_s = 20};
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct error e = {0};

        if (sandbox_enter(&s, &e) < 0) {
            fprintf(stderr, "%s\n", e.text);
            _exit(2);
        }
        _exit(probe() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 0, 1);
    return WEXITSTATUS(status) == 0;
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    return fd >= 0 && close(fd) == 0;
}

static bool write_inside(void)
{
    char path[64], text[4] = "";
    int fd;

    snprintf(path, sizeof(path), "%s/file", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && pwrite(fd, "abc", 4, 0) == 4 &&
           pread(fd, text, 4, 0) == 4 && strcmp(text, "abc") == 0 &&
           fsync(fd) == 0 && ftruncate(fd, 0) == 0 && close(fd) == 0 &&
           unlink(path) == 0;
}

static bool read_outside(void)
{
    return opens("/etc/passwd", O_RDONLY);
}

static bool write_outside(void)
{
    return opens("/tmp/ocm-sandbox-outside", O_WRONLY | O_CREAT);
}

static bool use_network(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ||
           socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool run_program(void)
{
    char *const argv[] = {(char *)(uintptr_t) "/bin/true", NULL};

    return fork() >= 0 || execv(argv[0], argv) == 0;
}

static bool signal_parent(void)
{
    return kill(getppid(), 0) == 0 || syscall(SYS_kill, getppid(), 0) == 0;
}

static bool map(size_t len)
{
    return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0) != MAP_FAILED;
}

static bool map_little(void)
{
    return map(MEMORY / 4);
}

static bool map_much(void)
{
    return map(2 * (size_t)MEMORY);
}

static bool write_at(off_t at)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "%s/large", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && pwrite(fd, "x", 1, at) == 1;
}

static bool write_small(void)
{
    return write_at(FILE_MOST - 1);
}

static bool write_large(void)
{
    return write_at(FILE_MOST);
}

static void only_its_folder_is_reached(void **state)
{
    (void)state;
    assert_true(can(write_inside));
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1u) < 1) {
        print_message("this kernel has no Landlock\n");
        return;
    }
    assert_false(can(read_outside));
    assert_false(can(write_outside));
    assert_false(file_exists("/tmp/ocm-sandbox-outside"));
}

static void nobody_else_is_reached(void **state)
{
    (void)state;
    assert_false(can(use_network));
    assert_false(can(run_program));
    assert_false(can(signal_parent));
}

static void memory_and_files_are_bounded(void **state)
{
    (void)state;
    assert_true(can(map_little));
    assert_false(can(map_much));
    assert_true(can(write_small));
    assert_false(can(write_large));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_folder_is_reached),
        cmocka_unit_test(nobody_else_is_reached),
        cmocka_unit_test(memory_and_files_are_bounded),
    };
    int failed;

    if (!mkdtemp(dir))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    tree_remove(dir, NULL);
    return failed;
}
