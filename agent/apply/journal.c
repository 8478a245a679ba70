/* SPDX-License-Identifier: MIT */
/* Append, sync, read back. */
#include "agent/apply/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/data/digest.h"

#define HEAD "{\"sum\":\""
#define MIDDLE "\",\"e\":"
#define SUM_HEX 16
#define HEAD_LEN (sizeof(HEAD) - 1 + SUM_HEX + sizeof(MIDDLE) - 1)

struct journal {
    char *path;
    int fd;
};

json_t *journal_path(const char *path)
{
    struct buf b = {0};
    json_t *j;

    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        if (*p <= 0x20 || *p >= 0x7f || *p == '%')
            buf_printf(&b, "%%%02X", *p);
        else
            buf_add_byte(&b, *p);
    }
    j = json_string(buf_str(&b));
    buf_free(&b);
    return j;
}

char *journal_path_of(const json_t *text)
{
    const char *s = json_string_value(text);
    struct buf b = {0};

    if (!s)
        return NULL;
    for (; *s; s++) {
        uint8_t byte = (uint8_t)*s;

        if (*s == '%') {
            if (!s[1] || !hex_decode(s + 1, 2, &byte, 1) || byte == 0) {
                buf_free(&b);
                return NULL;
            }
            s += 2;
        }
        buf_add_byte(&b, byte);
    }
    return buf_str(&b);
}

static void sum_of(const char *p, size_t len, char out[SUM_HEX + 1])
{
    struct id id = digest_of(p, len);

    hex_encode(id.b, SUM_HEX / 2, out);
}

int journal_create(const char *work_dir, const char *job, struct journal **out,
                   struct error *e)
{
    char *path = mem_printf("%s/apply-%s.journal", work_dir, job);
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    int rc = 0;

    if (fd < 0) {
        rc = errno == EEXIST
                 ? error_set(e, OCM_E_EXISTS,
                             "%s is there already: this job was begun before",
                             path)
                 : error_errno(e, "%s", path);
        free(path);
        return rc;
    }
    *out = mem_zalloc(sizeof(**out));
    **out = (struct journal){.path = path, .fd = fd};
    rc = dir_sync_of(path, e);
    if (rc < 0) {
        unlink(path);
        journal_close(*out);
        *out = NULL;
    }
    return rc;
}

/* One whole line without its newline; NULL when it is not as written. */
static json_t *line_of(const char *p, size_t len)
{
    char sum[SUM_HEX + 1];

    if (len < HEAD_LEN + 3 || memcmp(p, HEAD, sizeof(HEAD) - 1) != 0 ||
        memcmp(p + sizeof(HEAD) - 1 + SUM_HEX, MIDDLE, sizeof(MIDDLE) - 1) !=
            0 ||
        p[len - 1] != '}')
        return NULL;
    sum_of(p + HEAD_LEN, len - HEAD_LEN - 1, sum);
    if (memcmp(p + sizeof(HEAD) - 1, sum, SUM_HEX) != 0)
        return NULL;
    return json_loadb(p + HEAD_LEN, len - HEAD_LEN - 1, JSON_REJECT_DUPLICATES,
                      NULL);
}

/* Cut a torn last line off, so that the next one stands alone. */
static int reopen(const char *path, size_t good, int *fd, struct error *e)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (*fd < 0)
        return error_errno(e, "%s", path);
    if (ftruncate(*fd, (off_t)good) < 0 || fdatasync(*fd) < 0) {
        close(*fd);
        return error_errno(e, "%s", path);
    }
    return 0;
}

int journal_open(const char *path,
                 int (*on_line)(void *arg, const json_t *line, struct error *e),
                 void *arg, struct journal **out, struct error *e)
{
    struct buf text = {0};
    size_t off = 0;
    int rc = file_read(path, JOURNAL_MAX_BYTES, &text, e), fd = -1;

    while (rc == 0 && off < text.len) {
        const char *p = (const char *)text.data + off;
        const char *end = memchr(p, '\n', text.len - off);
        json_t *line = end ? line_of(p, (size_t)(end - p)) : NULL;

        if (!line) {
            if (end && end + 1 < (const char *)text.data + text.len)
                rc = error_set(e, OCM_E_DAMAGED,
                               "%s: damaged at byte %zu: keep it, the stage "
                               "and the kept folder, and ask for help",
                               path, off);
            break;
        }
        rc = on_line(arg, line, e);
        json_decref(line);
        off += (size_t)(end - p) + 1;
    }
    if (rc == 0)
        rc = reopen(path, off, &fd, e);
    buf_free(&text);
    if (rc < 0)
        return rc;
    *out = mem_zalloc(sizeof(**out));
    **out = (struct journal){.path = mem_strdup(path), .fd = fd};
    return 0;
}

int journal_add(struct journal *j, json_t *line, bool sync, struct error *e)
{
    char *text = json_dumps(line, JSON_COMPACT), sum[SUM_HEX + 1];
    struct buf b = {0};
    int rc = 0;

    json_decref(line);
    if (!text)
        return error_set(e, OCM_E_FAILED, "%s: a line could not be built",
                         j->path);
    sum_of(text, strlen(text), sum);
    buf_printf(&b, HEAD "%s" MIDDLE "%s}\n", sum, text);
    rc = fd_write_all(j->fd, b.data, b.len);
    if (rc == 0)
        apply_point();
    if (rc == 0 && sync && fdatasync(j->fd) < 0)
        rc = -errno;
    if (rc < 0) {
        errno = -rc;
        error_errno(e, "%s", j->path);
    }
    if (sync)
        apply_point();
    free(text);
    buf_free(&b);
    return rc;
}

int journal_remove(struct journal *j, struct error *e)
{
    int rc = 0;

    if (unlink(j->path) < 0 && errno != ENOENT)
        rc = error_errno(e, "%s", j->path);
    if (rc == 0)
        rc = dir_sync_of(j->path, e);
    apply_point();
    return rc;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    close(j->fd);
    free(j->path);
    free(j);
}
