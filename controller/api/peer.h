/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a unix socket, by the kernel's word. */
#ifndef CONTROLLER_API_PEER_H
#define CONTROLLER_API_PEER_H

#include <stdbool.h>
#include <sys/types.h>

struct peer {
    uid_t uid;
    bool allowed;   /* root, ourselves, or a member of the group */
    char owner[64]; /* "uid 0 (root)" */
};

/* `group` may be "" (nobody by membership); a group that does not exist
 * admits nobody. False when the kernel does not tell. */
bool peer_of_socket(int fd, const char *group, struct peer *out);

#endif
