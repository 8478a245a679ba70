/* SPDX-License-Identifier: MIT */
/* verify/SHA256SUMS, in the format of sha256sum: `cd <restored> && sha256sum
 * -c verify/SHA256SUMS`. The lines collect in a file of their own, so that
 * memory stays flat. */
#include "agent/capture/capture_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/text.h"

#define SUMS_BLOCK 65536
#define SUMS_NAME "SHA256SUMS"

int sums_open(struct capture *c, struct error *e)
{
    char *path = path_join(c->temp, SUMS_NAME);
    int rc = 0;

    c->sums_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (c->sums_fd < 0)
        rc = error_errno(e, "%s", path);
    free(path);
    return rc;
}

static int flush(struct capture *c, struct error *e)
{
    int rc = fd_write_all(c->sums_fd, c->sums.data, c->sums.len);

    buf_clear(&c->sums);
    if (rc == 0)
        return 0;
    errno = -rc;
    return error_errno(e, "writing to %s", c->temp);
}

/* sha256sum marks a line with '\' when its name is escaped. */
static void add_name(struct buf *out, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (name[i]) {
        case '\\':
            buf_add_str(out, "\\\\");
            break;
        case '\n':
            buf_add_str(out, "\\n");
            break;
        case '\r':
            buf_add_str(out, "\\r");
            break;
        default:
            buf_add_byte(out, (uint8_t)name[i]);
        }
    }
}

int sums_add(struct capture *c, const struct id *sum, struct error *e)
{
    const char *name = (const char *)c->path.data;
    bool plain = strcspn(name, "\\\n\r") == c->path.len;
    char hex[ID_HEX_LEN + 1];

    id_hex(sum, hex);
    if (!plain)
        buf_add_byte(&c->sums, '\\');
    buf_add(&c->sums, hex, ID_HEX_LEN);
    buf_add_str(&c->sums, "  ");
    if (plain)
        buf_add(&c->sums, name, c->path.len);
    else
        add_name(&c->sums, name, c->path.len);
    buf_add_byte(&c->sums, '\n');
    return c->sums.len >= SUMS_BLOCK ? flush(c, e) : 0;
}

int sums_end(struct capture *c, struct content *out, struct error *e)
{
    char *path = path_join(c->temp, SUMS_NAME);
    int rc = flush(c, e);

    if (rc == 0)
        rc = read_own_file(c, path, out, e);
    free(path);
    return rc;
}
