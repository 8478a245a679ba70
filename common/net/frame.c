/* SPDX-License-Identifier: MIT */
/* Encoding, checking and collecting frames. */
#include "common/net/frame.h"

#include "common/base/mem.h"

static const struct {
    const char *name;
    uint32_t min_len, max_len;
    bool on_zero;    /* allowed on stream 0 */
    bool on_streams; /* allowed on every other stream */
} rules[] = {
    [FRAME_CONTROL] = {"control", 0, FRAME_MAX_CONTROL, true, true},
    [FRAME_DATA] = {"data", 1, FRAME_MAX_DATA, false, true},
    [FRAME_CREDIT] = {"credit", FRAME_CREDIT_LEN, FRAME_CREDIT_LEN, false,
                      true},
    [FRAME_END] = {"end", 0, 0, false, true},
    [FRAME_CANCEL] = {"cancel", 0, 0, false, true},
    [FRAME_PING] = {"ping", FRAME_PING_LEN, FRAME_PING_LEN, true, false},
    [FRAME_PONG] = {"pong", FRAME_PING_LEN, FRAME_PING_LEN, true, false},
};

void frame_encode(uint8_t out[FRAME_HEAD_LEN], const struct frame_head *h)
{
    write_u32be(out, h->len);
    out[4] = (uint8_t)h->kind;
    out[5] = 0;
    write_u16be(out + 6, 0);
    write_u32be(out + 8, h->stream);
}

int frame_decode(const uint8_t p[FRAME_HEAD_LEN], struct frame_head *out,
                 struct error *e)
{
    uint32_t len = read_u32be(p);
    uint32_t stream = read_u32be(p + 8);
    uint8_t kind = p[4];

    if (kind < FRAME_CONTROL || kind > FRAME_PONG)
        return error_set(e, OCM_E_PROTOCOL, "frame of unknown kind %u", kind);
    if (p[5] != 0 || read_u16be(p + 6) != 0)
        return error_set(e, OCM_E_PROTOCOL, "%s frame with unknown flags",
                         rules[kind].name);
    if (stream == 0 ? !rules[kind].on_zero : !rules[kind].on_streams)
        return error_set(e, OCM_E_PROTOCOL, "%s frame on stream %u",
                         rules[kind].name, stream);
    if (len > rules[kind].max_len)
        return error_set(e, OCM_E_LIMIT,
                         "%s frame of %u bytes: the limit is %u",
                         rules[kind].name, len, rules[kind].max_len);
    if (len < rules[kind].min_len)
        return error_set(e, OCM_E_PROTOCOL, "%s frame of only %u bytes",
                         rules[kind].name, len);
    out->len = len;
    out->kind = (enum frame_kind)kind;
    out->stream = stream;
    return 0;
}

uint8_t *frame_reader_room(struct frame_reader *r, size_t *len)
{
    if (r->complete) {
        buf_free(&r->payload);
        r->raw_len = 0;
        r->complete = false;
    }
    if (r->raw_len < FRAME_HEAD_LEN) {
        *len = FRAME_HEAD_LEN - r->raw_len;
        return r->raw + r->raw_len;
    }
    if (!r->payload.data) {
        /* exactly, not the power of two that buf_reserve would take; one
         * more so that buf_str needs no move */
        r->payload.data = mem_alloc((size_t)r->head.len + 1);
        r->payload.cap = (size_t)r->head.len + 1;
    }
    *len = r->head.len - r->payload.len;
    return r->payload.data + r->payload.len;
}

int frame_reader_put(struct frame_reader *r, size_t n, struct error *e)
{
    int rc;

    if (r->raw_len < FRAME_HEAD_LEN) {
        r->raw_len += n;
        if (r->raw_len < FRAME_HEAD_LEN)
            return FRAME_MORE;
        rc = frame_decode(r->raw, &r->head, e);
        if (rc < 0)
            return rc;
        r->complete = r->head.len == 0;
        return FRAME_HEAD_READY;
    }
    r->payload.len += n;
    r->complete = r->payload.len == r->head.len;
    return r->complete ? FRAME_DONE : FRAME_MORE;
}

void frame_reader_fini(struct frame_reader *r)
{
    buf_free(&r->payload);
    r->raw_len = 0;
}
