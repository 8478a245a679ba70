/* SPDX-License-Identifier: MIT */
/* Keeping packages of the agent. */
#include "controller/packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define HASH_BLOCK (256 * 1024)

char *packages_dir(const char *state_dir)
{
    return path_join(state_dir, "packages");
}

void package_fini(struct package *p)
{
    buf_free(&p->manifest);
    free(p->path);
    *p = (struct package){0};
}

/* The head of an open package. */
static int read_head(int fd, const char *path, struct package *out,
                     struct error *e)
{
    uint8_t *head = buf_reserve(&out->manifest, MANIFEST_MAX);
    ssize_t n = pread(fd, head, MANIFEST_MAX, 0);
    struct stat st;
    char hex[ID_HEX_LEN + 1];
    int rc;

    if (n < 0 || fstat(fd, &st) < 0)
        return error_errno(e, "%s", path);
    out->manifest.len = manifest_length(head, (size_t)n);
    if (out->manifest.len == 0)
        return error_set(e, OCM_E_INVALID,
                         "that is no package of ocm-release-sign");
    rc = manifest_parse(head, out->manifest.len, &out->m, e);
    if (rc < 0)
        return rc;
    if ((uint64_t)st.st_size != out->manifest.len + out->m.size)
        return error_set(e, OCM_E_DAMAGED,
                         "the package is not whole: its binary has %lld bytes "
                         "instead of %llu",
                         (long long)st.st_size - (long long)out->manifest.len,
                         (unsigned long long)out->m.size);
    id_hex(&out->m.sha256, hex);
    snprintf(out->id, sizeof(out->id), "%s-%s-%.8s", out->m.version,
             out->m.arch, hex);
    out->path = mem_strdup(path);
    return 0;
}

static int open_at(const char *path, struct package *out, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;

    *out = (struct package){0};
    if (fd < 0)
        return error_errno(e, "%s", path);
    rc = read_head(fd, path, out, e);
    close(fd);
    if (rc < 0)
        package_fini(out);
    return rc;
}

static int check_sum(const struct package *p, struct error *e)
{
    uint8_t *block = mem_alloc(HASH_BLOCK);
    int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    off_t at = (off_t)p->manifest.len;
    struct digest d;
    struct id sum;
    ssize_t n = -1;

    digest_init(&d);
    while (fd >= 0 && (n = pread(fd, block, HASH_BLOCK, at)) > 0) {
        digest_add(&d, block, (size_t)n);
        at += n;
    }
    sum = digest_end(&d);
    free(block);
    if (n < 0) {
        int rc = error_errno(e, "%s", p->path);

        if (fd >= 0)
            close(fd);
        return rc;
    }
    close(fd);
    return id_equal(&sum, &p->m.sha256)
               ? 0
               : error_set(e, OCM_E_DAMAGED,
                           "the package is damaged: its binary is not the one "
                           "of its manifest");
}

int package_take(const char *state_dir, const char *path, struct package *out,
                 struct error *e)
{
    char *dir = packages_dir(state_dir), *place;
    int rc = open_at(path, out, e);

    if (rc == 0) {
        rc = check_sum(out, e);
        place = path_join(dir, out->id);
        if (rc == 0 && rename(path, place) < 0)
            rc = error_errno(e, "%s", place);
        free(out->path);
        out->path = place;
        if (rc < 0)
            package_fini(out);
        else
            files_keep_newest(place, PACKAGES_KEPT);
    }
    free(dir);
    return rc;
}

/* What a file here may be called: nothing that leaves the folder. */
static bool id_is_safe(const char *id)
{
    size_t len = strlen(id);

    return len > 0 && len < sizeof(((struct package *)0)->id) &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == len &&
           id[0] != '.';
}

int package_open(const char *state_dir, const char *id, struct package *out,
                 struct error *e)
{
    char *dir = packages_dir(state_dir), *path = path_join(dir, id);
    int rc = id_is_safe(id) ? open_at(path, out, e) : -ENOENT;

    if (rc == -ENOENT)
        rc = error_set(e, OCM_E_NOTFOUND, "no package '%s'", id);
    free(path);
    free(dir);
    return rc;
}

int package_newest(const char *state_dir, const char *arch, struct package *out,
                   struct error *e)
{
    char *path = packages_dir(state_dir);
    DIR *dir = opendir(path);
    struct dirent *d;
    struct package p;
    bool found = false;

    while (dir && (d = readdir(dir)) != NULL) {
        if (package_open(state_dir, d->d_name, &p, NULL) < 0)
            continue;
        if (strcmp(p.m.arch, arch) == 0 &&
            (!found || version_compare(p.m.version, out->m.version) > 0)) {
            if (found)
                package_fini(out);
            *out = p;
            found = true;
        } else {
            package_fini(&p);
        }
    }
    if (dir)
        closedir(dir);
    free(path);
    return found
               ? 0
               : error_set(e, OCM_E_NOTFOUND,
                           "no package of the agent for %s: give --from", arch);
}
