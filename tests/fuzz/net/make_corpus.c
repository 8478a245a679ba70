/* SPDX-License-Identifier: MIT */
/* Writes the corpora of the two fuzzers: make_corpus tests/data. One file per
 * message of ocm.proto with something in it, and streams of frames. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/net/envelope.h"
#include "common/net/frame.h"

static const char *root;

static void write_file(const char *folder, const char *name,
                       const struct buf *b)
{
    char *dir = mem_printf("%s/%s", root, folder);
    char *path = mem_printf("%s/%s", dir, name);
    struct error e = {0};

    if (dir_make(dir, 0755, &e) != 0 ||
        file_write(path, b->data, b->len, 0644, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    free(path);
    free(dir);
}

static void fill(ProtobufCMessage *m);

/* One value for a field that `at` points to. */
static void fill_value(const ProtobufCFieldDescriptor *f, void *at)
{
    ProtobufCBinaryData *bytes = at;
    const ProtobufCMessageDescriptor *d = f->descriptor;
    ProtobufCMessage *inner;

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        *(char **)at = mem_strdup(f->name);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        bytes->len = 32;
        bytes->data = mem_zalloc(32);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        inner = mem_zalloc(d->sizeof_message);
        d->message_init(inner);
        fill(inner);
        *(ProtobufCMessage **)at = inner;
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        *(uint64_t *)at = 1ull << 40;
        break;
    default:
        *(uint32_t *)at = 1;
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        return 8;
    default:
        return 4;
    }
}

/* Every field of `m` gets a value, every list two. The memory stays until the
 * program ends. */
static void fill(ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        char *base = (char *)m;

        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            char *list = mem_array(2, size_of(f));

            fill_value(f, list);
            fill_value(f, list + size_of(f));
            *(size_t *)(void *)(base + f->quantifier_offset) = 2;
            *(void **)(void *)(base + f->offset) = list;
        } else {
            fill_value(f, base + f->offset);
        }
    }
}

static void add_frame(struct buf *out, enum frame_kind kind, uint32_t stream,
                      const struct buf *payload)
{
    struct frame_head h = {(uint32_t)payload->len, kind, stream};

    frame_encode(buf_reserve(out, FRAME_HEAD_LEN), &h);
    out->len += FRAME_HEAD_LEN;
    buf_add(out, payload->data, payload->len);
}

static void make_envelopes(void)
{
    const ProtobufCMessageDescriptor *d = &ocm__envelope__descriptor;

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        Ocm__Envelope m = OCM__ENVELOPE__INIT;
        struct buf b = {0}, frames = {0};

        m.body_case = (Ocm__Envelope__BodyCase)f->id;
        fill_value(f, (char *)&m + f->offset);
        if (envelope_pack(&m, &b, NULL) != 0)
            exit(1);
        write_file("envelope", f->name, &b);
        add_frame(&frames, FRAME_CONTROL, i % 2 ? 0 : 7, &b);
        write_file("frame", f->name, &frames);
        buf_free(&b);
        buf_free(&frames);
    }
}

static void make_frames(void)
{
    struct buf all = {0}, eight = {0}, four = {0}, none = {0}, big = {0};

    buf_add(&eight, "12345678", 8);
    buf_add(&four, "\0\0\1\0", 4);
    memset(buf_reserve(&big, 3000), 'x', 3000);
    big.len = 3000;
    add_frame(&all, FRAME_PING, 0, &eight);
    add_frame(&all, FRAME_PONG, 0, &eight);
    add_frame(&all, FRAME_CONTROL, 1, &none);
    add_frame(&all, FRAME_DATA, 1, &big);
    add_frame(&all, FRAME_CREDIT, 1, &four);
    add_frame(&all, FRAME_END, 1, &none);
    add_frame(&all, FRAME_CANCEL, 1, &none);
    write_file("frame", "every-kind", &all);
    buf_free(&all);
    buf_free(&eight);
    buf_free(&four);
    buf_free(&big);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus tests/data\n");
        return 2;
    }
    root = argv[1];
    make_envelopes();
    make_frames();
    return 0;
}
