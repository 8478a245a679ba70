/* SPDX-License-Identifier: MIT */
/* The private folder of one run below temp_dir. It is locked while in use:
 * what is not locked was left by a killed run, and holds secrets. */
#include "agent/capture/capture_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define TEMP_PREFIX "capture-"

static void remove_stale(const char *parent)
{
    DIR *dir = opendir(parent);
    struct dirent *d;

    while (dir && (d = readdir(dir)) != NULL) {
        char *path;
        int fd;

        if (!text_has_prefix(d->d_name, TEMP_PREFIX))
            continue;
        path = path_join(parent, d->d_name);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            log_info("removing left-over copies in %s", path);
            tree_remove(path, NULL);
        }
        if (fd >= 0)
            close(fd);
        free(path);
    }
    if (dir)
        closedir(dir);
}

int temp_open(struct capture *c, struct error *e)
{
    const char *parent = c->o->temp_dir;
    int rc = dir_make(parent, 0700, e);

    if (rc < 0)
        return rc;
    remove_stale(parent);
    c->temp = mem_printf("%s/" TEMP_PREFIX "XXXXXX", parent);
    if (!mkdtemp(c->temp)) {
        rc = error_errno(e, "no private folder below %s", parent);
        free(c->temp);
        c->temp = NULL;
        return rc;
    }
    c->temp_lock = open(c->temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->temp_lock < 0 || flock(c->temp_lock, LOCK_EX | LOCK_NB) < 0)
        return error_errno(e, "%s", c->temp);
    return 0;
}

void temp_close(struct capture *c)
{
    if (c->temp)
        tree_remove(c->temp, NULL);
    free(c->temp);
    c->temp = NULL;
    if (c->temp_lock >= 0)
        close(c->temp_lock);
    c->temp_lock = -1;
}

char *temp_path(struct capture *c, const char *what)
{
    return mem_printf("%s/%u-%s", c->temp, c->temp_count++, what);
}
