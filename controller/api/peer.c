/* SPDX-License-Identifier: MIT */
/* SO_PEERCRED for the user, SO_PEERGROUPS for the groups it had when it
 * connected. */
#include "controller/api/peer.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"

#define PEER_MAX_GROUPS 4096
#define NSS_BUFFER 16384

static bool group_id(const char *name, gid_t *gid)
{
    char room[NSS_BUFFER];
    struct group g, *found = NULL;

    if (getgrnam_r(name, &g, room, sizeof(room), &found) != 0 || !found)
        return false;
    *gid = found->gr_gid;
    return true;
}

static bool is_member(int fd, gid_t primary, gid_t wanted)
{
    gid_t *groups;
    socklen_t len = PEER_MAX_GROUPS * sizeof(*groups);
    bool found = primary == wanted;

    groups = mem_array(PEER_MAX_GROUPS, sizeof(*groups));
    if (!found &&
        getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0) {
        for (size_t i = 0; i < len / sizeof(*groups); i++)
            found = found || groups[i] == wanted;
    }
    free(groups);
    return found;
}

bool peer_of_socket(int fd, const char *group, struct peer *out)
{
    struct passwd pw, *found = NULL;
    char room[NSS_BUFFER];
    struct ucred cred;
    socklen_t len = sizeof(cred);
    gid_t gid;

    memset(out, 0, sizeof(*out));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
        len != sizeof(cred))
        return false;
    out->uid = cred.uid;
    getpwuid_r(cred.uid, &pw, room, sizeof(room), &found);
    if (found)
        snprintf(out->owner, sizeof(out->owner), "uid %u (%.40s)", cred.uid,
                 found->pw_name);
    else
        snprintf(out->owner, sizeof(out->owner), "uid %u", cred.uid);
    out->allowed =
        cred.uid == 0 || cred.uid == geteuid() ||
        (group[0] && group_id(group, &gid) && is_member(fd, cred.gid, gid));
    return true;
}
