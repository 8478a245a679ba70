/* SPDX-License-Identifier: MIT */
/* The list of unchanged files. The input is what stands behind its head, after
 * a byte that says whether an empty turn is put behind it; head and checksum
 * are made to fit. Every record that comes out is one that can
 * be written, and the order of paths is an order. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture/cache.h"
#include "common/base/buf.h"
#include "common/base/files.h"
#include "common/base/log.h"

#define KEY "key"
#define START 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/ocm-fuzz-cache-XXXXXX";
static bool made;

static void remove_file(void)
{
    unlink(path);
}

static void write_cache(const uint8_t *data, size_t size)
{
    struct id key = digest_of(KEY, strlen(KEY)), fingerprint = {{7}}, sum;
    static const uint8_t no_turn[8 + 8 + 4];
    struct buf b = {0};
    int fd;

    log_init("fuzz", LOG_ERROR); /* that one is not used is no news here */
    buf_add(&b, CACHE_MAGIC, CACHE_MAGIC_LEN);
    buf_add(&b, key.b, ID_LEN);
    buf_add(&b, fingerprint.b, ID_LEN);
    buf_add_u32le(&b, START);
    buf_add_u32le(&b, 0);
    if (size)
        buf_add(&b, data + 1, size - 1);
    if (size && (data[0] & 1))
        buf_add(&b, no_turn, sizeof(no_turn));
    sum = digest_of(b.data + CACHE_KEY_OFFSET + ID_LEN,
                    b.len - CACHE_KEY_OFFSET - ID_LEN);
    buf_add(&b, sum.b, ID_LEN);
    if (!made) {
        fd = mkstemp(path);
        atexit(remove_file);
        made = true;
    } else {
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    }
    if (fd < 0 || fd_write_all(fd, b.data, b.len) != 0)
        abort();
    close(fd);
    buf_free(&b);
}

static void look_up(const char *what)
{
    struct id fingerprint = {{7}};
    int64_t start = 0;
    struct cache_reader *r = cache_open(path, KEY, &fingerprint, &start);
    const struct cache_record *rec;

    if (!r)
        return;
    if (start != START)
        abort();
    rec = cache_find(r, what, strlen(what));
    if (rec && (rec->kind < CACHE_FILE || rec->kind > CACHE_ROWS ||
                rec->id_count > CACHE_IDS_MAX))
        abort();
    if (rec && rec->id_count)
        digest_of(rec->ids, rec->id_count * sizeof(*rec->ids)); /* all there */
    cache_find(r, "", 0); /* what comes last of all */
    cache_turn(r);
    cache_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"data/media/a.bin", "config", "a/b",
                                        ""};

    write_cache(data, size);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        look_up(paths[i]);
    for (size_t cut = 0; cut < size && cut < 64; cut++) {
        const char *p = (const char *)data;

        if (cache_order(p, cut, p + cut, size - cut) !=
            -cache_order(p + cut, size - cut, p, cut))
            abort();
    }
    return 0;
}
