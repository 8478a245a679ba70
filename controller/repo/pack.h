/* SPDX-License-Identifier: MIT */
/* The header at the end of a pack, and the index files: where the blobs are.
 * Sources: restic doc/design.rst, "Pack Format" and "Indexing".
 *
 * Pack: sealed blobs || sealed header || u32 LE length of the sealed header.
 * Header entry: type u8 (0 data, 1 tree, +2 compressed), u32 LE sealed
 * length, [u32 LE length of the plaintext, when compressed], id (32). */
#ifndef CONTROLLER_REPO_PACK_H
#define CONTROLLER_REPO_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/blob.h"

#define PACK_TARGET_LEN (16u * 1024 * 1024) /* a pack is closed above this */
#define PACK_ENTRIES_MAX 30000              /* that we put into one pack */
#define PACK_HEADER_MAX (16u * 1024 * 1024) /* sealed; restic's own limit */
#define PACK_TRAILER_LEN 4
#define PACK_ENTRY_MAX_LEN 41

#define PACK_NAME_MAX (8 + ID_HEX_LEN)
/* "data/xx/<id>" */
void pack_name(const struct id *pack, char out[PACK_NAME_MAX + 1]);

struct pack_entry {
    struct id id;
    enum blob_type type;
    uint32_t offset; /* in the pack */
    uint32_t length; /* sealed */
    uint32_t raw;    /* length of the plaintext; 0: stored uncompressed */
};

void pack_header_add(struct buf *out, const struct pack_entry *entry);
/* Decode a decrypted header. `body_len` is the length of the sealed blobs,
 * which the entries must fill exactly. *out: caller frees. */
int pack_header_parse(const uint8_t *p, size_t len, uint64_t body_len,
                      struct pack_entry **out, size_t *count, struct error *e);

/* Index JSON: begin, then per pack its blobs, end. */
void index_begin(struct buf *out);
void index_add_pack(struct buf *out, const struct id *pack,
                    const struct pack_entry *entries, size_t count);
void index_end(struct buf *out);

/* Called per pack with its entries, which are borrowed. Nonzero ends. */
typedef int index_pack_cb(void *arg, const struct id *pack,
                          const struct pack_entry *entries, size_t count);
/* OCM_E_DAMAGED when it is no index of format 1 or 2. */
int index_parse(const void *p, size_t len, index_pack_cb *fn, void *arg,
                struct error *e);

#endif
