/* SPDX-License-Identifier: MIT */
/* old_kernel COMMAND...: runs it as Linux 4.18 would, which lacks every system
 * call from 5.1 on (they are numbered from 424 on every architecture). statx()
 * is taken away as well: there is no other way to hide the mount's identity,
 * which it knows since 5.8. A filter says ENOSYS for all of these. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_NEW_CALL 424u
#define FAIL SECCOMP_RET_ERRNO | (ENOSYS & SECCOMP_RET_DATA)

int main(int argc, char **argv)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_NEW_CALL, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_statx, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, FAIL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(rules) / sizeof(*rules), rules};

    if (argc < 2) {
        fprintf(stderr, "Usage: old_kernel COMMAND...\n");
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        fprintf(stderr, "old_kernel: no filter: %s\n", strerror(errno));
        return 1;
    }
    if (syscall(SYS_openat2, -1, "", NULL, 0) == 0 || errno != ENOSYS) {
        fprintf(stderr, "old_kernel: openat2 is still there\n");
        return 1;
    }
    execvp(argv[1], argv + 1);
    fprintf(stderr, "old_kernel: %s: %s\n", argv[1], strerror(errno));
    return 1;
}
