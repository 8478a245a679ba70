/* SPDX-License-Identifier: MIT */
/* The lock-in, in this order: limits, folder, system calls. */
#include "common/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"

/* ---- limits ---- */

static uint64_t mapped_now(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;

    if (f) {
        if (fscanf(f, "%llu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int limit(int what, uint64_t most, struct error *e)
{
    struct rlimit r = {0};

    getrlimit(what, &r);
    if (r.rlim_max == RLIM_INFINITY || r.rlim_max > most)
        r.rlim_max = most;
    r.rlim_cur = r.rlim_max;
    return setrlimit(what, &r) == 0 ? 0 : error_errno(e, "a resource limit");
}

static int set_limits(const struct sandbox *s, struct error *e)
{
    int rc = limit(RLIMIT_CORE, 0, e);

    if (rc == 0)
        rc = limit(RLIMIT_NPROC, 0, e);
    if (rc == 0)
        rc = limit(RLIMIT_CPU, s->cpu_s, e);
    signal(SIGXFSZ, SIG_IGN); /* then it is an error of the write */
    if (rc == 0)
        rc = limit(RLIMIT_FSIZE, s->file_bytes, e);
    if (rc == 0)
        rc = limit(RLIMIT_AS, mapped_now() + s->memory_bytes, e);
    return rc;
}

/* ---- one folder ---- */

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ull << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif
#define ALL_OF_VERSION_1 ((1ull << 13) - 1)
#define WANTED                                                                 \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |            \
     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |            \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Best effort: an older kernel, or a service's own filter, may refuse it. */
static void keep_to_folder(const char *dir)
{
#ifdef SYS_landlock_create_ruleset
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr all = {
        .handled_access_fs = ALL_OF_VERSION_1 |
                             (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
                             (version >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0)};
    struct landlock_path_beneath_attr rule = {
        .allowed_access = WANTED & all.handled_access_fs};
    int set;

    if (version < 1)
        return;
    set = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    rule.parent_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (set >= 0 && rule.parent_fd >= 0 &&
        syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule,
                0) == 0)
        syscall(SYS_landlock_restrict_self, set, 0);
    if (rule.parent_fd >= 0)
        close(rule.parent_fd);
    if (set >= 0)
        close(set);
#else
    (void)dir;
#endif
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef NATIVE_ARCH

/* Files that are named or open, memory, time, the own end. */
static const uint32_t allowed[] = {
#ifdef SYS_open /* not on every machine */
    SYS_open,           SYS_stat,          SYS_lstat,
    SYS_access,         SYS_readlink,      SYS_unlink,
    SYS_time,
#endif
    SYS_openat,         SYS_newfstatat,    SYS_fstat,
    SYS_statx,          SYS_faccessat,     SYS_readlinkat,
    SYS_unlinkat,       SYS_getcwd,        SYS_read,
    SYS_write,          SYS_readv,         SYS_writev,
    SYS_pread64,        SYS_pwrite64,      SYS_lseek,
    SYS_ftruncate,      SYS_fallocate,     SYS_fsync,
    SYS_fdatasync,      SYS_fchmod,        SYS_fchown,
    SYS_fcntl,          SYS_close,         SYS_mmap,
    SYS_munmap,         SYS_mprotect,      SYS_mremap,
    SYS_madvise,        SYS_brk,           SYS_futex,
    SYS_getrandom,      SYS_clock_gettime, SYS_clock_nanosleep,
    SYS_nanosleep,      SYS_gettimeofday,  SYS_sched_yield,
    SYS_sysinfo,        SYS_getpid,        SYS_gettid,
    SYS_getuid,         SYS_geteuid,       SYS_rt_sigaction,
    SYS_rt_sigprocmask, SYS_rt_sigreturn,  SYS_sigaltstack,
    SYS_exit,           SYS_exit_group,
};

static int filter_calls(struct error *e)
{
    enum { HEAD = 4, COUNT = ARRAY_LEN(allowed) };
    struct sock_filter code[HEAD + COUNT + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

    for (uint8_t i = 0; i < COUNT; i++)
        code[HEAD + i] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, allowed[i], (uint8_t)(COUNT - i), 0);
    code[HEAD + COUNT] = (struct sock_filter)BPF_STMT(
        BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    code[HEAD + COUNT + 1] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    /* EINVAL: a kernel, or an emulator of one, without filters */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 &&
        errno != EINVAL)
        return error_errno(e, "the filter of system calls");
    return 0;
}

#else

static int filter_calls(struct error *e)
{
    (void)e;
    return 0;
}

#endif

int sandbox_enter(const struct sandbox *s, struct error *e)
{
    int rc;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(e, "no new privileges");
    rc = set_limits(s, e);
    if (rc < 0)
        return rc;
    keep_to_folder(s->dir);
    return filter_calls(e);
}
