/* SPDX-License-Identifier: MIT */
/* A unix socket that is never open wider than it is meant to be. */
#include "controller/api/port.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"

#define PORT_BACKLOG 64

static const char *const local_hosts[] = {"localhost", "ocm", NULL};

/* A socket file that is left over has nobody behind it. */
static int clear_socket(const struct sockaddr_un *addr, struct error *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return error_errno(e, "socket");
    if (lstat(addr->sun_path, &st) < 0) {
        rc = errno == ENOENT ? 0 : error_errno(e, "%s", addr->sun_path);
    } else if (!S_ISSOCK(st.st_mode)) {
        rc = error_set(e, OCM_E_EXISTS, "%s exists and is no socket",
                       addr->sun_path);
    } else if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0) {
        rc = error_set(e, OCM_E_LOCKED, "another controller answers on %s",
                       addr->sun_path);
    } else if (errno != ECONNREFUSED) {
        rc = error_errno(e, "%s", addr->sun_path);
    } else if (unlink(addr->sun_path) < 0) {
        rc = error_errno(e, "%s", addr->sun_path);
    }
    close(fd);
    return rc;
}

/* Never open wider than it is meant to be, not even between two calls. */
static int give_to_group(const char *path, const char *group, struct error *e)
{
    struct group *g = group[0] ? getgrnam(group) : NULL;

    if (group[0] && !g)
        return error_set(e, OCM_E_NOTFOUND, "group '%s' does not exist", group);
    if (g && chown(path, (uid_t)-1, g->gr_gid) < 0)
        return error_errno(e, "giving %s to group %s", path, group);
    if (chmod(path, 0660) < 0)
        return error_errno(e, "%s", path);
    return 0;
}

int port_open(struct api_port *p, const struct api_listener *l, struct error *e)
{
    const char *path = l->socket;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd, rc;

    p->fd = -1;
    if (strlen(path) >= sizeof(addr.sun_path))
        return error_set(e, OCM_E_LIMIT, "%s is too long for a socket", path);
    strcpy(addr.sun_path, path);
    rc = clear_socket(&addr, e);
    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(e, "socket");
    if (fchmod(fd, 0600) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(fd, PORT_BACKLOG) < 0) {
        rc = error_errno(e, "listening on %s", path);
    } else {
        rc = give_to_group(path, l->group, e);
        if (rc < 0)
            unlink(path);
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    p->fd = fd;
    p->socket = mem_strdup(path);
    p->group = mem_strdup(l->group);
    p->rules.hosts = l->hosts ? l->hosts : local_hosts;
    return 0;
}

void port_shut(struct api_port *p)
{
    if (p->socket)
        unlink(p->socket);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

void port_fini(struct api_port *p)
{
    free(p->socket);
    free(p->group);
}

bool port_admit(const struct api_port *p, int fd, struct peer *out)
{
    return peer_of_socket(fd, p->group, out);
}
