/* SPDX-License-Identifier: MIT */
/* A blob: the unit that is stored, named by the SHA-256 of its plaintext;
 * and the parcel, how blobs travel in DATA frames.
 *
 * Parcel: blobs one after another, each a 44-byte head and its bytes:
 *    0  id       32 bytes
 *   32  type     u8   0 data, 1 tree
 *   33  encoding u8   0 plain, 1 one zstd frame, 2 lost: no bytes follow,
 *                     stored and raw are 0 (controller to agent only)
 *   34  zero     u16
 *   36  stored   u32 big endian: bytes that follow
 *   40  raw      u32 big endian: bytes of the plaintext
 */
#ifndef COMMON_DATA_BLOB_H
#define COMMON_DATA_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"

#define PARCEL_HEAD_LEN 44
#define BLOB_DATA_MAX (8u * 1024 * 1024)    /* plaintext of a data blob */
#define BLOB_TREE_MAX (64u * 1024 * 1024)   /* plaintext of a tree */
#define BLOB_STORED_MAX (15u * 1024 * 1024) /* must fit a DATA frame */

enum blob_type { BLOB_DATA = 0, BLOB_TREE = 1 };
enum blob_encoding { BLOB_PLAIN = 0, BLOB_ZSTD = 1, BLOB_LOST = 2 };

struct blob {
    struct id id;
    enum blob_type type;
    enum blob_encoding encoding;
    uint32_t raw_len;
    uint32_t stored_len;
    const uint8_t *stored; /* borrowed */
};

void parcel_add(struct buf *parcel, const struct blob *b);

/* Take the blob at `*off` of a parcel and move `*off` behind it. 1: got one,
 * 0: end, OCM_E_PROTOCOL: broken or over a limit. */
int parcel_next(const uint8_t *p, size_t len, size_t *off, struct blob *out,
                struct error *e);

/* Compresses and decompresses blobs with contexts of its own: one per thread.
 * What does not shrink stays BLOB_PLAIN. */
struct zstream;
struct zstream *zstream_new(int level);
void zstream_free(struct zstream *z);
/* Fill encoding, stored (into `room`, borrowed from it) and lengths of `out`
 * from a plaintext. */
void zstream_pack(struct zstream *z, const void *p, size_t len,
                  struct buf *room, struct blob *out);
/* The plaintext of `b`, verified against its id and raw_len: borrowed from
 * `room` (or from b->stored). OCM_E_DAMAGED when anything does not fit, and
 * for a lost blob. The
 * output never exceeds raw_len, the window never BLOB_TREE_MAX. */
int zstream_open(struct zstream *z, const struct blob *b, struct buf *room,
                 const uint8_t **plain, struct error *e);

#endif
