/* SPDX-License-Identifier: MIT */
/* Packing, and the two guards in front of protobuf-c's parser. */
#include "common/net/envelope.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/base/text.h"
#include "common/net/frame.h"

/* Bytes that are still to be judged. */
struct walk {
    const uint8_t *p, *end;
};

struct totals {
    size_t fields;
    size_t unknown;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static bool take_varint(struct walk *w, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (w->p == w->end)
            return false;
        byte = *w->p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* The value of a field: `*number` for a varint, `*bytes` for the rest. */
static bool take_value(struct walk *w, unsigned wire, uint64_t *number,
                       struct walk *bytes)
{
    uint64_t len;

    switch (wire) {
    case WIRE_VARINT:
        return take_varint(w, number);
    case WIRE_64:
        len = 8;
        break;
    case WIRE_32:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!take_varint(w, &len))
            return false;
        break;
    default: /* groups, and what does not exist */
        return false;
    }
    if (len > (uint64_t)(w->end - w->p))
        return false;
    *bytes = (struct walk){w->p, w->p + len};
    w->p += len;
    return true;
}

static unsigned wire_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    default:
        return WIRE_VARINT;
    }
}

static int check_message(const ProtobufCMessageDescriptor *d, struct walk w,
                         unsigned depth, struct totals *t, struct error *e);

static int check_field(const ProtobufCMessageDescriptor *d,
                       const ProtobufCFieldDescriptor *f, uint64_t number,
                       struct walk bytes, unsigned depth, struct totals *t,
                       struct error *e)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (!utf8_is_valid(bytes.p, (size_t)(bytes.end - bytes.p)))
            return error_set(e, OCM_E_PROTOCOL, "%s.%s is not UTF-8 text",
                             d->short_name, f->name);
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        if (number > INT32_MAX ||
            !protobuf_c_enum_descriptor_get_value(f->descriptor, (int)number))
            return error_set(e, OCM_E_PROTOCOL, "%s.%s has an unknown value",
                             d->short_name, f->name);
        return 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return check_message(f->descriptor, bytes, depth + 1, t, e);
    default:
        return 0;
    }
}

/* Recursion is bounded: no message of ours contains itself, and by depth. */
static int check_message(const ProtobufCMessageDescriptor *d, struct walk w,
                         unsigned depth, struct totals *t, struct error *e)
{
    if (depth > ENVELOPE_MAX_DEPTH)
        return error_set(e, OCM_E_LIMIT, "a message nested too deeply");
    while (w.p < w.end) {
        const ProtobufCFieldDescriptor *f;
        struct walk bytes = {NULL, NULL};
        uint64_t tag, number = 0;
        int rc;

        if (!take_varint(&w, &tag) || tag > UINT32_MAX || (tag >> 3) == 0 ||
            !take_value(&w, (unsigned)(tag & 7), &number, &bytes))
            return error_set(e, OCM_E_PROTOCOL, "a malformed %s message",
                             d->short_name);
        if (++t->fields > ENVELOPE_MAX_FIELDS)
            return error_set(e, OCM_E_LIMIT, "a message of too many fields");
        f = protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
        if (!f) {
            if (++t->unknown > ENVELOPE_MAX_UNKNOWN)
                return error_set(e, OCM_E_LIMIT,
                                 "a message of too many unknown fields");
            continue;
        }
        /* No repeated number is in ocm.proto, so packed forms do not occur. */
        if ((tag & 7) != wire_of(f))
            return error_set(e, OCM_E_PROTOCOL, "%s.%s has the wrong type",
                             d->short_name, f->name);
        rc = check_field(d, f, number, bytes, depth, t, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Counts what was ever handed out for one message: protobuf-c frees little
 * before it is done, so that this is close to the peak and never below. */
struct budget {
    size_t left;
    bool exhausted;
};

static void *budget_alloc(void *arg, size_t len)
{
    struct budget *b = arg;

    if (len > b->left) {
        b->exhausted = true;
        return NULL;
    }
    b->left -= len;
    return malloc(len ? len : 1);
}

static void budget_free(void *arg, void *p)
{
    (void)arg;
    free(p);
}

Ocm__Envelope *envelope_unpack(const uint8_t *p, size_t len, struct error *e)
{
    struct budget budget = {
        .left = len * ENVELOPE_MAX_GROWTH + ENVELOPE_HEAP_FLOOR,
    };
    ProtobufCAllocator alloc = {budget_alloc, budget_free, &budget};
    struct totals totals = {0};
    struct walk all = {p, p + len};
    Ocm__Envelope *m;

    if (len > FRAME_MAX_CONTROL) {
        error_set(e, OCM_E_LIMIT, "a message of %zu bytes", len);
        return NULL;
    }
    if (len > 0 &&
        check_message(&ocm__envelope__descriptor, all, 0, &totals, e) < 0)
        return NULL;
    m = ocm__envelope__unpack(&alloc, len, p);
    if (!m && budget.exhausted)
        error_set(e, OCM_E_LIMIT, "a message that needs too much memory");
    else if (!m)
        error_set(e, OCM_E_PROTOCOL, "a malformed message");
    return m;
}

int envelope_pack(const Ocm__Envelope *m, struct buf *out, struct error *e)
{
    size_t len = ocm__envelope__get_packed_size(m);

    if (len > FRAME_MAX_CONTROL)
        return error_set(e, OCM_E_LIMIT,
                         "%s message of %zu bytes: the limit is %u",
                         envelope_name(m->body_case), len, FRAME_MAX_CONTROL);
    ocm__envelope__pack(m, buf_reserve(out, len));
    out->len += len;
    return 0;
}

const char *envelope_name(Ocm__Envelope__BodyCase body)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(
        &ocm__envelope__descriptor, (unsigned)body);

    if (!f)
        return "an empty";
    return ((const ProtobufCMessageDescriptor *)f->descriptor)->short_name;
}
