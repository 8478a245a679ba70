/* SPDX-License-Identifier: MIT */
/* Archives out and in. An upload goes to a private file first; the job reads
 * it from there and removes it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/api/handlers.h"
#include "controller/api/shapes.h"
#include "controller/controller_conf.h"
#include "controller/jobs/archive_export.h"
#include "controller/jobs/archive_import.h"
#include "controller/jobs/job.h"
#include "controller/packages.h"

#define UPLOAD_BLOCK (256 * 1024)
#define UPLOAD_CHECK_BYTES (64 * 1024 * 1024) /* between looks at the disk */

/* ---- export ---- */

struct export_order {
    struct repo *r;
    struct id root;
};

static int sink_to_flow(void *arg, const void *p, size_t len, struct error *e)
{
    return flow_put(arg, p, len, e);
}

static int produce_export(void *arg, struct flow *out, struct error *e)
{
    struct export_order *o = arg;
    int rc = repo_lock(o->r, false, e);

    if (rc < 0)
        return rc;
    rc = archive_export(o->r, &o->root, sink_to_flow, out, e);
    repo_unlock(o->r);
    return rc;
}

int get_export(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    struct export_order *o;
    struct snapshot s;
    char hex[ID_HEX_LEN + 1];
    char *name;
    int rc = find_snapshot(rq, request_param(rq, 0), &s, e);

    if (rc < 0)
        return rc;
    o = mem_zalloc(sizeof(*o));
    o->r = c->repo;
    o->root = s.tree;
    id_hex(&s.id, hex);
    name = mem_printf("%s-%.8s.tar.zst", s.hostname ? s.hostname : "snapshot",
                      hex);
    if (s.hostname)
        request_about_node(rq, s.hostname);
    rc = request_stream(rq, "application/zstd", name, -1, produce_export, o,
                        free);
    free(name);
    snapshot_fini(&s);
    return rc;
}

/* ---- import ---- */

static int check_space(const char *dir, int64_t floor, struct error *e)
{
    int64_t left = disk_free(dir);

    if (left >= 0 && left < floor)
        return error_set(e, OCM_E_SPACE, "too little free space in %s", dir);
    return 0;
}

/* The body of `rq`, at most `max` bytes, into `fd`, a file in `dir`. */
static int receive(struct request *rq, int fd, const char *dir, uint64_t max,
                   struct error *e)
{
    int64_t floor = request_controller(rq)->conf->free_floor;
    uint8_t *block = mem_alloc(UPLOAD_BLOCK);
    uint64_t unchecked = UPLOAD_CHECK_BYTES;
    ssize_t n = 0;
    int rc = 0;

    while (rc == 0 && (n = request_upload(rq, block, UPLOAD_BLOCK, e)) > 0) {
        unchecked += (uint64_t)n;
        if ((uint64_t)n > max)
            rc = error_set(e, OCM_E_LIMIT, "more than may be sent here");
        max -= (uint64_t)n;
        if (rc == 0 && unchecked >= UPLOAD_CHECK_BYTES) {
            unchecked = 0;
            rc = check_space(dir, floor, e);
        }
        if (rc == 0 && (rc = fd_write_all(fd, block, (size_t)n)) < 0) {
            errno = -rc;
            rc = error_errno(e, "writing to %s", dir);
        }
    }
    free(block);
    return rc < 0 ? rc : (int)n;
}

static int start_import(struct request *rq, const struct node *node,
                        const char *path, struct error *e)
{
    json_t *params = json_pack("{s:s,s:s,s:s}", "node", node->name, "node_id",
                               node->id, "file", path);
    char id[24];
    int rc = jobs_start(request_controller(rq)->jobs, "import", node->name,
                        request_owner(rq), params, id, e);

    if (rc == 0)
        rc = request_reply(rq, 202, json_pack("{s:s}", "job", id));
    return rc;
}

int post_imports(struct request *rq, struct error *e)
{
    struct controller *c = request_controller(rq);
    const char *name = request_query(rq, "node");
    char *dir, *path;
    struct node node;
    int fd, rc = 0;

    if (!name)
        return error_set(e, OCM_E_INVALID,
                         "'node' is missing: whose backup "
                         "is it?");
    rc = catalog_node_get(c->catalog, name, &node, e);
    if (rc < 0)
        return rc;
    request_about_node(rq, node.name);
    dir = path_of_imports(c->conf->state_dir);
    rc = dir_make(dir, 0700, e);
    if (rc < 0) {
        free(dir);
        return rc;
    }
    path = mem_printf("%s/import-XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        rc = error_errno(e, "%s", path);
    } else {
        rc = receive(rq, fd, dir, UINT64_MAX, e);
        if (close(fd) < 0 && rc == 0)
            rc = error_errno(e, "%s", path);
        if (rc == 0)
            rc = start_import(rq, &node, path, e);
        if (rc < 0)
            unlink(path);
    }
    free(path);
    free(dir);
    return rc;
}

/* ---- packages of the agent ---- */

int post_packages(struct request *rq, struct error *e)
{
    const char *state_dir = request_controller(rq)->conf->state_dir;
    char *dir = packages_dir(state_dir);
    char *path = mem_printf("%s/.upload-XXXXXX", dir);
    struct package p = {0};
    int fd = -1, rc = dir_make(dir, 0700, e);

    if (rc == 0) {
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
            rc = error_errno(e, "%s", path);
    }
    if (rc == 0) {
        rc = receive(rq, fd, dir, PACKAGE_MAX_BYTES, e);
        if (rc == 0 && fsync(fd) < 0)
            rc = error_errno(e, "%s", path);
        close(fd);
        if (rc == 0)
            rc = package_take(state_dir, path, &p, e);
        if (rc < 0)
            unlink(path);
    }
    if (rc == 0)
        rc = request_reply(rq, 201,
                           json_pack("{s:s,s:s,s:s}", "package", p.id,
                                     "version", p.m.version, "arch", p.m.arch));
    package_fini(&p);
    free(path);
    free(dir);
    return rc;
}
