/* SPDX-License-Identifier: MIT */
/* How long a capture takes and how much memory it needs:
 *   capture_bench FOLDER [CACHE [RUNS]]
 * sends nothing anywhere; with CACHE the runs after the first find the list
 * of the one before. `capture_bench --make FOLDER COUNT` makes COUNT small
 * files, 5,000 to a folder. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/capture/capture.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define FILES_PER_FOLDER 5000

static int put(void *arg, const struct blob *b, struct error *e)
{
    uint64_t *count = arg;

    (void)b;
    (void)e;
    ++*count;
    return 0;
}

static int meta(void *arg, const struct capture_result *r, struct buf *out,
                struct error *e)
{
    (void)arg;
    (void)e;
    buf_printf(out, "{\"files\":%llu}\n", (unsigned long long)r->files);
    return 0;
}

static int make_files(const char *dir, long count)
{
    for (long i = 0; i < count; i++) {
        char path[4096];
        int fd;

        snprintf(path, sizeof(path), "%s/%04ld", dir, i / FILES_PER_FOLDER);
        if (i % FILES_PER_FOLDER == 0 && dir_make(path, 0700, NULL) < 0)
            return 1;
        snprintf(path, sizeof(path), "%s/%04ld/session-%08ld.jsonl", dir,
                 i / FILES_PER_FOLDER, i);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dprintf(fd, "{\"n\":%ld}\n", i) < 0)
            return 1;
        close(fd);
    }
    return 0;
}

static double cpu_seconds(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static int run(const char *dir, const char *cache, struct idset *known)
{
    static const uint8_t seed[CHUNKER_SEED_LEN] = {1};
    struct capture_root root = {.at = "data/workspace", .path = dir};
    struct capture_section section = {
        .name = "workspace", .area = "data", .roots = &root, .root_count = 1};
    uint64_t count = 0;
    struct capture_options o = {.sections = &section,
                                .section_count = 1,
                                .cache_path = cache,
                                .cache_key = "bench",
                                .temp_dir = "/tmp/capture-bench-temp",
                                .chunk_seed = seed,
                                .known = known,
                                .zstd_level = 3,
                                .make_meta = meta,
                                .put = put,
                                .arg = &count};
    struct capture_result r;
    struct error e = {0};
    struct rusage before, after;
    struct timespec t0, t1;
    int rc;

    getrusage(RUSAGE_SELF, &before);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    rc = capture_run(&o, &r, &e);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    getrusage(RUSAGE_SELF, &after);
    if (rc < 0) {
        fprintf(stderr, "failed: %s\n", e.text);
        return 1;
    }
    printf("%.3f s wall, %.3f s cpu, peak %ld KiB: files %llu dirs %llu "
           "bytes %llu read %llu sent %llu blobs %llu problems %llu\n",
           (double)(t1.tv_sec - t0.tv_sec) +
               (double)(t1.tv_nsec - t0.tv_nsec) / 1e9,
           cpu_seconds(&after) - cpu_seconds(&before), after.ru_maxrss,
           (unsigned long long)r.files, (unsigned long long)r.dirs,
           (unsigned long long)r.bytes, (unsigned long long)r.bytes_read,
           (unsigned long long)r.bytes_sent, (unsigned long long)count,
           (unsigned long long)r.problems_total);
    capture_result_fini(&r);
    if (cache && capture_cache_commit(cache, "bench", &e) < 0) {
        fprintf(stderr, "failed: %s\n", e.text);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct idset known = {0};
    int runs, rc = 0;

    log_init("capture_bench", LOG_WARN);
    if (argc == 4 && strcmp(argv[1], "--make") == 0)
        return make_files(argv[2], strtol(argv[3], NULL, 10));
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: capture_bench FOLDER [CACHE [RUNS]]\n");
        return 2;
    }
    runs = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1;
    for (int i = 0; i < runs && rc == 0; i++)
        rc = run(argv[1], argc > 2 ? argv[2] : NULL, &known);
    idset_free(&known);
    return rc;
}
