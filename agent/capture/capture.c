/* SPDX-License-Identifier: MIT */
/* One capture from start to end.
 *
 * layout of all roots -> private temp folder -> last backup's entry list ->
 * walk (config, data: files, databases, rows; then meta.json from what was
 * found; then the sums) -> all sent -> the new entry list stands beside the
 * old. Any failure: the uploader drops what waits, temp files and the new
 * list go, and only a code comes back. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture/database.h"
#include "agent/capture/walk.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"

#define FORMAT "ocm capture 1" /* raise when cached ids would be others */

/* What else a cached id depends on. */
static struct id fingerprint_of(const struct capture_options *o)
{
    struct digest d;

    digest_init(&d);
    digest_add(&d, FORMAT, sizeof(FORMAT));
    digest_add(&d, o->chunk_seed, CHUNKER_SEED_LEN);
    return digest_end(&d);
}

static struct attr own_file(const struct capture *c)
{
    return (struct attr){.mode = S_IFREG | 0600,
                         .uid = getuid(),
                         .gid = getgid(),
                         .links = 1,
                         .mtime_ns = c->start_ns,
                         .ctime_ns = c->start_ns};
}

/* By way of a private file, so that one reader does all the chunking. */
static int store_bytes(struct capture *c, const struct buf *bytes,
                       struct content *out, struct error *e)
{
    char *path = temp_path(c, "own");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : fd_write_all(fd, bytes->data, bytes->len);

    if (fd >= 0)
        close(fd);
    if (rc < 0)
        rc = error_set(e, rc, "%s: %s", path, strerror(-rc));
    else
        rc = read_own_file(c, path, out, e);
    unlink(path);
    free(path);
    return rc;
}

int capture_meta(struct capture *c, struct entry *out, struct error *e)
{
    struct content content = {0};
    struct buf meta = {0};
    int rc;

    capture_sum_up(c);
    rc = c->o->make_meta(c->o->arg, c->r, &meta, e);
    if (rc == 0)
        rc = store_bytes(c, &meta, &content, e);
    if (rc == 0) {
        out->kind = CACHE_FILE;
        out->ours = true;
        out->attr = own_file(c);
        entry_content(out, &content);
        capture_count_file(c, content.size);
        rc = sums_add(c, &content.sum, e);
    }
    content_free(&content);
    buf_free(&meta);
    return rc;
}

int capture_sums(struct capture *c, struct entry *out, struct error *e)
{
    struct content content = {0};
    int rc = sums_end(c, &content, e);

    if (rc == 0) {
        out->kind = CACHE_FILE;
        out->ours = true;
        out->attr = own_file(c);
        entry_content(out, &content);
        capture_count_file(c, content.size);
    }
    content_free(&content);
    return rc;
}

static void report_gaps(struct capture *c)
{
    for (size_t i = 0; i < c->o->section_count; i++) {
        const struct capture_section *s = &c->o->sections[i];
        size_t before = capture_push(c, s->area, strlen(s->area));

        capture_push(c, s->name, strlen(s->name));
        c->section = (int)i;
        for (size_t k = 0; k < s->gap_count && !s->skipped; k++)
            capture_problem(c, "%s", s->gaps[k]);
        c->section = -1;
        capture_pop(c, before);
    }
}

static int open_all(struct capture *c, struct error *e)
{
    const struct capture_options *o = c->o;
    struct id fingerprint = fingerprint_of(o);
    int rc = layout_build(o->sections, o->section_count, &c->layout, e);

    if (rc == 0 && access("/proc/self/fd", X_OK) < 0)
        rc = error_set(e, OCM_E_UNSUPPORTED,
                       "/proc is not mounted: extended attributes cannot be "
                       "read without it");
    if (rc == 0)
        rc = temp_open(c, e);
    if (rc == 0)
        rc = sums_open(c, e);
    if (rc < 0)
        return rc;
    c->up = upload_new(o->zstd_level, o->put, o->arg, e);
    if (!c->up)
        return e && e->code ? e->code : OCM_E_FAILED;
    if (o->cache_path) {
        char *fresh = mem_printf("%s.new", o->cache_path);

        c->old = o->cache_key ? cache_open(o->cache_path, o->cache_key,
                                           &fingerprint, &c->old_start_ns)
                              : NULL;
        c->fresh = cache_create(fresh, &fingerprint, c->start_ns);
        free(fresh);
    }
    recheck_begin(c);
    sources_open(c);
    return 0;
}

static void close_all(struct capture *c, bool keep_cache)
{
    ahead_free(c->ahead);
    upload_free(c->up);
    cache_close(c->old);
    cache_finish(c->fresh, keep_cache);
    sources_close(c);
    if (c->sums_fd >= 0)
        close(c->sums_fd);
    temp_close(c);
    layout_free(c->layout);
    links_free(c->links);
    owner_names_free(&c->users);
    owner_names_free(&c->groups);
    idset_free(&c->own_known);
    buf_free(&c->path);
    buf_free(&c->tree);
    buf_free(&c->scratch);
    buf_free(&c->list);
    buf_free(&c->sums);
    buf_free(&c->recheck.turn.after);
    free(c->window);
    free(c->seen);
    free(c->troubles);
}

int capture_run(const struct capture_options *o, struct capture_result *out,
                struct error *e)
{
    struct capture c = {.o = o,
                        .r = out,
                        .section = -1,
                        .temp_lock = -1,
                        .sums_fd = -1,
                        .start_ns = clock_now_ns()};
    int rc;

    *out = (struct capture_result){.section_count = o->section_count};
    out->sections = mem_array(o->section_count, sizeof(*out->sections));
    c.seen = mem_array(o->section_count, sizeof(*c.seen));
    c.troubles = mem_array(o->section_count, sizeof(*c.troubles));
    c.known = o->known ? o->known : &c.own_known;
    chunker_init(&c.chunker, o->chunk_seed);
    buf_str(&c.path);
    rc = open_all(&c, e);
    if (rc == 0)
        report_gaps(&c);
    if (rc == 0)
        rc = walk_all(&c, &out->root, e);
    if (rc == 0)
        rc = upload_drain(c.up, e);
    if (rc == 0)
        rc = capture_check(&c, e);
    if (rc == 0) {
        out->bytes_sent = upload_bytes(c.up);
        recheck_end(&c);
        capture_sum_up(&c);
    }
    close_all(&c, rc == 0);
    return rc;
}
