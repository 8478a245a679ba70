/* SPDX-License-Identifier: MIT */
/* Frames: the only unit on the wire (PROTOCOL.md, "Frames"). A 12-byte head,
 * then the payload:
 *    0  length  u32 big endian: payload bytes
 *    4  kind    u8
 *    5  flags   u8, zero
 *    6  zero    u16
 *    8  stream  u32 big endian; 0 is the connection itself
 * Every limit is checked on the head alone, before anything is allocated. */
#ifndef COMMON_NET_FRAME_H
#define COMMON_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

#define FRAME_HEAD_LEN 12
#define FRAME_MAX_CONTROL (1024u * 1024)
#define FRAME_MAX_DATA (16u * 1024 * 1024)
#define FRAME_CREDIT_LEN 4
#define FRAME_PING_LEN 8

enum frame_kind {
    FRAME_CONTROL = 1, /* one packed Envelope */
    FRAME_DATA = 2,    /* bytes, never empty */
    FRAME_CREDIT = 3,  /* u32 big endian: DATA bytes that may follow */
    FRAME_END = 4,     /* the sender has said all */
    FRAME_CANCEL = 5,  /* the conversation is broken off */
    FRAME_PING = 6,    /* 8 bytes, answered by */
    FRAME_PONG = 7,    /* the same 8 bytes */
};

struct frame_head {
    uint32_t len; /* payload bytes */
    enum frame_kind kind;
    uint32_t stream;
};

void frame_encode(uint8_t out[FRAME_HEAD_LEN], const struct frame_head *h);

/* OCM_E_PROTOCOL for what no frame may be, OCM_E_LIMIT for one too long. */
int frame_decode(const uint8_t p[FRAME_HEAD_LEN], struct frame_head *out,
                 struct error *e);

/* Reads frames from a stream of bytes without copying payloads: ask where
 * the next bytes go, put them there, tell how many came. `{0}` is ready. */
struct frame_reader {
    struct frame_head head; /* valid from FRAME_HEAD_READY on */
    struct buf payload;     /* owned; take it at FRAME_DONE with buf_take */
    uint8_t raw[FRAME_HEAD_LEN];
    size_t raw_len; /* bytes of the head so far */
    bool complete;  /* the next byte begins a new frame */
};

enum frame_progress {
    FRAME_MORE = 0,       /* go on */
    FRAME_HEAD_READY = 1, /* judge `head` now: nothing is allocated yet. With
                             head.len 0 the frame is complete */
    FRAME_DONE = 2,       /* the frame is complete */
};

/* Where the next bytes go: at least one byte of room. Allocates the payload
 * when the head is complete. After a complete frame it begins the next one. */
uint8_t *frame_reader_room(struct frame_reader *r, size_t *len);
/* `n` bytes (at most the room) were put there: an enum frame_progress, or a
 * code of frame_decode. */
int frame_reader_put(struct frame_reader *r, size_t n, struct error *e);
void frame_reader_fini(struct frame_reader *r);

#endif
