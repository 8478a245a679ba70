/* SPDX-License-Identifier: MIT */
/* The journal of an apply. Each line of the input that begins with '{' gets
 * the checksum it needs to be looked into; others stand as they are. What was
 * read is read again, to the same end. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/apply/swap.h"
#include "common/base/files.h"
#include "common/base/text.h"
#include "common/data/digest.h"

#define SUM_HEX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/ocm-fuzz-journal-XXXXXX";
static bool made;

static void remove_file(void)
{
    unlink(path);
}

static void write_journal(const struct buf *text)
{
    int fd;

    if (!made) {
        fd = mkstemp(path);
        atexit(remove_file);
        made = true;
    } else {
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    }
    if (fd < 0 || fd_write_all(fd, text->data, text->len) != 0)
        abort();
    close(fd);
}

static void add_line(struct buf *out, const char *p, size_t len)
{
    char sum[2 * ID_LEN + 1];
    struct id id = digest_of(p, len);

    if (len == 0 || p[0] != '{') {
        buf_add(out, p, len);
        return;
    }
    hex_encode(id.b, SUM_HEX / 2, sum);
    buf_printf(out, "{\"sum\":\"%s\",\"e\":", sum);
    buf_add(out, p, len);
    buf_add_byte(out, '}');
}

static int read_journal(struct swap *s)
{
    struct error e = {0};
    int rc = journal_open(path, swap_on_line, s, &s->journal, &e);

    if (rc < 0 && !e.text[0])
        abort(); /* a refusal says why */
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    struct swap once = {0}, again = {0};
    struct buf text = {0};

    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((nl ? nl : end) - at);

        add_line(&text, at, len);
        if (nl)
            buf_add_byte(&text, '\n');
        at += len + 1;
    }
    write_journal(&text);
    if (read_journal(&once) == 0 &&
        (read_journal(&again) != 0 || once.op_count != again.op_count ||
         once.place_count != again.place_count || once.begun != again.begun ||
         once.committed != again.committed))
        abort();
    for (size_t i = 0; i < once.op_count; i++) {
        if (once.ops[i].kind != SWAP_MKDIR &&
            once.ops[i].place >= once.place_count)
            abort();
    }
    swap_fini(&once);
    swap_fini(&again);
    buf_free(&text);
    return 0;
}
