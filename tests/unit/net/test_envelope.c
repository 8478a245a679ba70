/* SPDX-License-Identifier: MIT */
/* Envelopes: round trip, and what a hostile peer may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/net/envelope.h"
#include "common/net/frame.h"
#include "common/net/stream.h"

/* Field numbers of ocm.proto that the raw inputs use. */
#define TAG_BYTES(field) ((uint8_t)((field) << 3 | 2))
#define FACTS_FIELD 21

static void add_varint(struct buf *b, uint64_t v)
{
    while (v > 0x7f) {
        buf_add_byte(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    buf_add_byte(b, (uint8_t)v);
}

/* `inner` as the message field `field` of an Envelope. */
static struct buf wrap(unsigned field, const struct buf *inner)
{
    struct buf out = {0};

    add_varint(&out, (uint64_t)field << 3 | 2);
    add_varint(&out, inner->len);
    buf_add(&out, inner->data, inner->len);
    return out;
}

/* Must be refused with `code`; from an exact allocation, so that ASan sees
 * every byte read behind the end. */
static void refused(const struct buf *wire, int code)
{
    uint8_t *exact = mem_dup(wire->data, wire->len);
    struct error e = {0};

    assert_null(envelope_unpack(exact, wire->len, &e));
    assert_int_equal(e.code, code);
    assert_true(e.text[0] != 0);
    free(exact);
}

static void a_plan_survives(void **state)
{
    enum { EDITS = 5000 };
    Ocm__Envelope m = OCM__ENVELOPE__INIT, *back;
    Ocm__Plan plan = OCM__PLAN__INIT;
    Ocm__Edit *edits = mem_array(EDITS, sizeof(*edits));
    Ocm__Edit **list = mem_array(EDITS, sizeof(*list));
    struct error e = {0};
    struct buf b = {0};

    (void)state;
    for (int i = 0; i < EDITS; i++) {
        ocm__edit__init(&edits[i]);
        edits[i].id = (char *)"e1";
        edits[i].section = (char *)"gateway";
        edits[i].file = (char *)"/config/gateway/openclaw.json";
        edits[i].place = (char *)"agents.defaults.workspace";
        edits[i].old_value = (char *)"/home/jo/.openclaw/workspace";
        edits[i].new_value = (char *)"/srv/jörg/workspace";
        edits[i].rule = (char *)"path";
        list[i] = &edits[i];
    }
    plan.n_edits = EDITS;
    plan.edits = list;
    m.body_case = OCM__ENVELOPE__BODY_PLAN;
    m.plan = &plan;
    assert_int_equal(envelope_pack(&m, &b, &e), 0);
    back = envelope_unpack(b.data, b.len, &e);
    assert_non_null(back);
    assert_int_equal(back->plan->n_edits, EDITS);
    assert_string_equal(back->plan->edits[EDITS - 1]->new_value,
                        "/srv/jörg/workspace");
    stream_message_free(back);
    buf_free(&b);
    free(edits);
    free(list);
}

static void packing_has_a_limit(void **state)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Get get = OCM__GET__INIT;
    struct error e = {0};
    struct buf b = {0};

    (void)state;
    get.ids.len = FRAME_MAX_CONTROL;
    get.ids.data = mem_zalloc(get.ids.len);
    m.body_case = OCM__ENVELOPE__BODY_GET;
    m.get = &get;
    assert_int_equal(envelope_pack(&m, &b, &e), OCM_E_LIMIT);
    assert_non_null(strstr(e.text, "Get"));
    assert_int_equal(b.len, 0);
    free(get.ids.data);
}

static void the_empty_envelope_is_empty(void **state)
{
    Ocm__Envelope *m = envelope_unpack((const uint8_t *)"", 0, NULL);

    (void)state;
    assert_non_null(m);
    assert_int_equal(m->body_case, OCM__ENVELOPE__BODY__NOT_SET);
    stream_message_free(m);
}

/* 1 MiB of "0a 00": half a million messages (52 MiB of heap in protobuf-c).
 * Here: empty Facts inside a Facts, and empty bodies inside the envelope. */
static void a_million_tiny_fields_are_refused(void **state)
{
    struct buf inner = {0}, wire;

    (void)state;
    for (size_t i = 0; i < (FRAME_MAX_CONTROL - 16) / 2; i++) {
        buf_add_byte(&inner, 0x0a);
        buf_add_byte(&inner, 0x00);
    }
    refused(&inner, OCM_E_LIMIT);
    wire = wrap(FACTS_FIELD, &inner);
    refused(&wire, OCM_E_LIMIT);
    buf_free(&wire);
    buf_free(&inner);
}

/* Below the count of fields, above the memory that the frame is worth. */
static void memory_has_a_cap(void **state)
{
    struct buf inner = {0}, wire;
    struct error e = {0};

    (void)state;
    for (size_t i = 0; i < ENVELOPE_MAX_FIELDS - 1; i++) {
        buf_add_byte(&inner, 0x0a);
        buf_add_byte(&inner, 0x00);
    }
    wire = wrap(FACTS_FIELD, &inner);
    refused(&wire, OCM_E_LIMIT);
    assert_null(envelope_unpack(wire.data, wire.len, &e));
    assert_non_null(strstr(e.text, "memory"));
    buf_free(&wire);
    buf_free(&inner);
}

static void unknown_fields_are_counted(void **state)
{
    struct buf wire = {0};
    Ocm__Envelope *m;

    (void)state;
    for (int i = 0; i < ENVELOPE_MAX_UNKNOWN; i++) {
        add_varint(&wire, 1000u << 3);
        add_varint(&wire, 1);
    }
    m = envelope_unpack(wire.data, wire.len, NULL); /* of a newer peer */
    assert_non_null(m);
    stream_message_free(m);
    add_varint(&wire, 1000u << 3);
    add_varint(&wire, 1);
    refused(&wire, OCM_E_LIMIT);
    buf_clear(&wire);
    while (wire.len < FRAME_MAX_CONTROL - 8) {
        add_varint(&wire, 1000u << 3 | 2);
        add_varint(&wire, 0);
    }
    refused(&wire, OCM_E_LIMIT);
    buf_free(&wire);
}

/* Nesting of what no message of ours nests: fields of the inside are unknown
 * or the depth ends it; never a deep stack. */
static void deep_nesting_is_refused(void **state)
{
    struct buf wire = {0};

    (void)state;
    for (int i = 0; i < 8000; i++) {
        struct buf outer = wrap(1, &wire);

        buf_free(&wire);
        wire = outer;
    }
    refused(&wire, OCM_E_PROTOCOL); /* Hello.protocol_min is no message */
    buf_free(&wire);
}

static void texts_are_utf8(void **state)
{
    static const char *const bad[] = {"\xff", "a\xc0\xaf", "\xed\xa0\x80",
                                      "cut \xe2\x82", "\xf4\x90\x80\x80"};
    struct buf inner = {0}, wire;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_clear(&inner);
        buf_add_byte(&inner, TAG_BYTES(2)); /* Error.text */
        buf_add_byte(&inner, (uint8_t)strlen(bad[i]));
        buf_add_str(&inner, bad[i]);
        wire = wrap(3, &inner);
        refused(&wire, OCM_E_PROTOCOL);
        buf_free(&wire);
    }
    buf_clear(&inner);
    buf_add(&inner,
            "\x12\x03"
            "a\0b",
            5);
    wire = wrap(3, &inner);
    refused(&wire, OCM_E_PROTOCOL); /* a NUL would cut the text */
    buf_free(&wire);
    buf_free(&inner);
}

static void enums_are_known(void **state)
{
    static const uint8_t good[] = {0x10, 0x03}; /* PlanRequest: MOVE */
    static const uint8_t bad[] = {0x10, 0x07};
    struct buf inner = {0}, wire;
    Ocm__Envelope *m;

    (void)state;
    buf_add(&inner, good, sizeof(good));
    wire = wrap(26, &inner);
    m = envelope_unpack(wire.data, wire.len, NULL);
    assert_non_null(m);
    assert_int_equal(m->plan_request->intention, OCM__INTENTION__MOVE);
    stream_message_free(m);
    buf_free(&wire);
    buf_clear(&inner);
    buf_add(&inner, bad, sizeof(bad));
    wire = wrap(26, &inner);
    refused(&wire, OCM_E_PROTOCOL);
    buf_free(&wire);
    buf_free(&inner);
}

static void malformed_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\x0a", 1},     /* no length */
        {"\x0a\x05", 2}, /* length behind the end */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {"\x00", 1},     /* field 0 */
        {"\x0b\x0c", 2}, /* a group */
        {"\x08\x01", 2}, /* Hello as a number */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
        {"\x0a\x02\x0a\x01", 4}, /* Hello.protocol_min as bytes, cut */
        {"\x09\x01\x02\x03", 4}, /* 64 bits, cut */
        {"\x0d\x01\x02", 3},     /* 32 bits, cut */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf wire = {0};

        buf_add(&wire, bad[i].bytes, bad[i].len);
        refused(&wire, OCM_E_PROTOCOL);
        buf_free(&wire);
    }
}

static void too_long_is_refused_unread(void **state)
{
    struct error e = {0};
    uint8_t byte = 0;

    (void)state;
    assert_null(envelope_unpack(&byte, (size_t)FRAME_MAX_CONTROL + 1, &e));
    assert_int_equal(e.code, OCM_E_LIMIT);
}

static void names_are_for_people(void **state)
{
    (void)state;
    assert_string_equal(envelope_name(OCM__ENVELOPE__BODY_HELLO), "Hello");
    assert_string_equal(envelope_name(OCM__ENVELOPE__BODY_BACKUP_REQUEST),
                        "BackupRequest");
    assert_non_null(envelope_name(OCM__ENVELOPE__BODY__NOT_SET));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_survives),
        cmocka_unit_test(packing_has_a_limit),
        cmocka_unit_test(the_empty_envelope_is_empty),
        cmocka_unit_test(a_million_tiny_fields_are_refused),
        cmocka_unit_test(memory_has_a_cap),
        cmocka_unit_test(unknown_fields_are_counted),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(texts_are_utf8),
        cmocka_unit_test(enums_are_known),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(too_long_is_refused_unread),
        cmocka_unit_test(names_are_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
