/* SPDX-License-Identifier: MIT */
#include "controller/serve.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/data/blob.h"
#include "common/data/idset.h"
#include "common/data/tree.h"
#include "controller/repo/repo.h"

#define SERVE_MAX_IDS 4096
#define SERVE_PARCEL_BYTES (512u * 1024)
#define SERVE_LOST_LINES 20

struct serve {
    struct controller *c;
    struct stream *s;
    struct idset trees, data; /* granted */
    struct zstream *z;
    struct buf stored, plain, parcel;
    uint64_t bytes;
    unsigned lost; /* blobs that the repository could not give */
};

struct serve *serve_new(struct controller *c, struct stream *s,
                        const struct id *root)
{
    struct serve *v = mem_zalloc(sizeof(*v));

    v->c = c;
    v->s = s;
    v->z = zstream_new(0);
    idset_add(&v->trees, root);
    return v;
}

void serve_free(struct serve *v)
{
    if (!v)
        return;
    idset_free(&v->trees);
    idset_free(&v->data);
    zstream_free(v->z);
    buf_wipe(&v->stored);
    buf_wipe(&v->plain);
    buf_wipe(&v->parcel);
    free(v);
}

uint64_t serve_bytes(const struct serve *v)
{
    return v->bytes;
}

static int grant(struct serve *v, const struct blob *b, struct error *e)
{
    const uint8_t *plain;
    struct tree tree;
    int rc = zstream_open(v->z, b, &v->plain, &plain, e);

    if (rc < 0)
        return rc;
    rc = tree_parse(plain, b->raw_len, &tree, e);
    if (rc < 0) {
        char hex[ID_HEX_LEN + 1];

        id_hex(&b->id, hex);
        return error_prefix(e, "a folder of the backup, blob %.12s", hex);
    }
    for (size_t i = 0; i < tree.count; i++) {
        const struct tree_node *n = &tree.nodes[i];

        if (n->type == TREE_DIR)
            idset_add(&v->trees, &n->subtree);
        for (size_t k = 0; k < n->content_count; k++)
            idset_add(&v->data, &n->content[k]);
    }
    tree_free(&tree);
    return 0;
}

static int send_one(struct serve *v, const struct id *id, struct error *e)
{
    bool is_tree = idset_has(&v->trees, id);
    struct error why = {0};
    struct blob b;
    int rc;

    if (!is_tree && !idset_has(&v->data, id))
        return error_set(e, OCM_E_DENIED,
                         "the agent asked for a blob outside its snapshot");
    rc = repo_read_stored(v->c->repo, id, is_tree ? BLOB_TREE : BLOB_DATA,
                          &v->stored, &b, &why);
    if (rc == 0 && is_tree)
        rc = grant(v, &b, &why);
    if (rc == OCM_E_DAMAGED || rc == OCM_E_MISSING) {
        /* the agent knows what it costs */
        if (v->lost++ < SERVE_LOST_LINES)
            log_error("cannot be served: %s", why.text);
        b = (struct blob){.id = *id,
                          .type = is_tree ? BLOB_TREE : BLOB_DATA,
                          .encoding = BLOB_LOST};
        rc = 0;
    }
    if (rc < 0) {
        *e = why;
        return rc;
    }
    if (v->parcel.data &&
        stream_data_len(&v->parcel) + PARCEL_HEAD_LEN + b.stored_len >
            SERVE_PARCEL_BYTES)
        rc = stream_send_data(v->s, &v->parcel, e);
    if (!v->parcel.data)
        stream_data_begin(&v->parcel);
    if (rc == 0)
        parcel_add(&v->parcel, &b);
    v->bytes += b.stored_len;
    return rc;
}

int serve_get(struct serve *v, const Ocm__Get *get, struct error *e)
{
    int rc = 0;

    if (get->ids.len % ID_LEN != 0 || get->ids.len / ID_LEN > SERVE_MAX_IDS)
        return error_set(e, OCM_E_PROTOCOL, "Get of %zu bytes of ids",
                         get->ids.len);
    for (size_t i = 0; rc == 0 && i < get->ids.len; i += ID_LEN) {
        struct id id;

        memcpy(id.b, get->ids.data + i, ID_LEN);
        rc = send_one(v, &id, e);
    }
    if (rc == 0 && v->parcel.data && stream_data_len(&v->parcel))
        rc = stream_send_data(v->s, &v->parcel, e);
    return rc;
}
