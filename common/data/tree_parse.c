/* SPDX-License-Identifier: MIT */
/* Reading trees from foreign hands: what restic would understand otherwise
 * than we do (a key twice, or in other case) is refused, not guessed. */
#include "common/data/tree.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/data/json_scan.h"
#include "common/data/tree_mode.h"

#define TREE_NAME_MAX 4096
#define TREE_BLOCK_LEN (64u * 1024)

/* What nodes point into: blocks that never move. */
struct tree_block {
    struct tree_block *next;
    size_t used, cap;
    _Alignas(max_align_t) uint8_t bytes[];
};

struct tree_memory {
    struct tree_block *blocks;
    bool sorted; /* strictly ascending names: tree_find may bisect */
};

struct parser {
    struct json_scan scan;
    struct tree_memory *mem;
    struct buf text; /* the string just read */
    struct id *ids;  /* content of the node being read */
    size_t id_count, id_cap;
    struct tree_xattr *xattrs;
    size_t xattr_count, xattr_cap;
};

static void *tree_alloc(struct tree_memory *m, size_t len)
{
    struct tree_block *b = m->blocks;
    size_t align = _Alignof(max_align_t);
    size_t rounded = (len + align - 1) / align * align;
    void *p;

    if (!b || b->cap - b->used < rounded) {
        size_t cap = rounded > TREE_BLOCK_LEN ? rounded : TREE_BLOCK_LEN;

        b = mem_alloc(sizeof(*b) + cap);
        b->next = m->blocks;
        b->used = 0;
        b->cap = cap;
        m->blocks = b;
    }
    p = b->bytes + b->used;
    b->used += rounded;
    return p;
}

static void *tree_copy(struct tree_memory *m, const void *p, size_t len)
{
    void *copy = tree_alloc(m, len + 1);

    if (len)
        memcpy(copy, p, len);
    ((uint8_t *)copy)[len] = 0;
    return copy;
}

static const char *take_text(struct parser *p)
{
    buf_clear(&p->text);
    scan_string(&p->scan, &p->text);
    return buf_str(&p->text);
}

/* A string that is C text: no NUL inside. */
static const char *take_c_text(struct parser *p)
{
    const char *s = take_text(p);

    if (strlen(s) != p->text.len)
        scan_bad(&p->scan, "NUL in a text");
    return tree_copy(p->mem, s, p->text.len);
}

static struct id take_id(struct parser *p)
{
    struct id id = {{0}};

    if (!id_parse(take_text(p), &id))
        scan_bad(&p->scan, "an id is not 64 hex digits");
    return id;
}

static int64_t take_time(struct parser *p)
{
    int64_t ns = 0;

    if (!clock_parse(take_text(p), &ns))
        scan_bad(&p->scan, "not a time");
    return ns;
}

static uint64_t take_u64_max(struct parser *p, uint64_t max)
{
    uint64_t v = scan_u64(&p->scan);

    if (v > max)
        scan_bad(&p->scan, "number too large");
    return v;
}

static int base64_value(uint8_t c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Padded base64, as Go writes a []byte; null is empty. */
static const uint8_t *take_base64(struct parser *p, size_t *len)
{
    const uint8_t *s;
    uint8_t *out;
    size_t n, pad = 0;
    uint32_t v = 0;

    *len = 0;
    if (scan_null(&p->scan))
        return tree_copy(p->mem, NULL, 0);
    s = (const uint8_t *)take_text(p);
    n = p->text.len;
    while (pad < 2 && n > 0 && s[n - 1] == '=') {
        pad++;
        n--;
    }
    if (p->text.len % 4 != 0) {
        scan_bad(&p->scan, "broken base64");
        n = 0;
    }
    out = tree_alloc(p->mem, n + 1);
    for (size_t i = 0; i < n; i++) {
        int digit = base64_value(s[i]);

        if (digit < 0) {
            scan_bad(&p->scan, "broken base64");
            break;
        }
        v = v << 6 | (uint32_t)digit;
        if (i % 4 != 0)
            out[(*len)++] = (uint8_t)(v >> (6 - 2 * (i % 4)));
    }
    out[*len] = 0;
    return out;
}

/* One escape of strconv.Quote at `s` (behind the backslash): appended to
 * `out`, its length returned, 0 when it is none. */
static size_t unquote_one(const uint8_t *s, size_t len, struct buf *out)
{
    static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
    size_t digits = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : s[0] == 'U' ? 8 : 0;
    const char *at = s[0] ? strchr(from, s[0]) : NULL;
    uint32_t v = 0;

    if (at) {
        buf_add_byte(out, (uint8_t)to[at - from]);
        return 1;
    }
    if (s[0] >= '0' && s[0] <= '7') { /* \NNN */
        if (len < 3 || s[0] > '3' || s[1] < '0' || s[1] > '7' || s[2] < '0' ||
            s[2] > '7')
            return 0;
        buf_add_byte(out,
                     (uint8_t)((s[0] & 7) << 6 | (s[1] & 7) << 3 | (s[2] & 7)));
        return 3;
    }
    if (digits == 0 || len < 1 + digits)
        return 0;
    for (size_t i = 1; i <= digits; i++) {
        uint8_t c = s[i] | 0x20;

        if (!(s[i] >= '0' && s[i] <= '9') && !(c >= 'a' && c <= 'f'))
            return 0;
        v = v << 4 | (uint32_t)(s[i] <= '9' ? s[i] - '0' : c - 'a' + 10);
    }
    if (digits == 2) {
        buf_add_byte(out, (uint8_t)v);
    } else {
        if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return 0;
        if (v >= 0x10000) {
            buf_add_byte(out, (uint8_t)(0xf0 | v >> 18));
            buf_add_byte(out, (uint8_t)(0x80 | (v >> 12 & 0x3f)));
        } else if (v >= 0x800) {
            buf_add_byte(out, (uint8_t)(0xe0 | v >> 12));
        }
        if (v >= 0x800)
            buf_add_byte(out, (uint8_t)(0x80 | (v >> 6 & 0x3f)));
        else if (v >= 0x80)
            buf_add_byte(out, (uint8_t)(0xc0 | v >> 6));
        buf_add_byte(out, v < 0x80 ? (uint8_t)v : (uint8_t)(0x80 | (v & 0x3f)));
    }
    return 1 + digits;
}

static void take_name(struct parser *p, struct tree_node *n)
{
    const uint8_t *s = (const uint8_t *)take_text(p);
    size_t len = p->text.len;
    struct buf name = {0};

    for (size_t i = 0; i < len;) {
        size_t used;

        if (s[i] != '\\' && s[i] != '"' && s[i] != '\n') {
            buf_add_byte(&name, s[i++]);
            continue;
        }
        used = s[i] == '\\' ? unquote_one(s + i + 1, len - i - 1, &name) : 0;
        if (used == 0) {
            scan_bad(&p->scan, "broken escape in a name");
            break;
        }
        i += 1 + used;
    }
    if (name.len == 0 || name.len > TREE_NAME_MAX ||
        memchr(name.data, '/', name.len) || memchr(name.data, 0, name.len) ||
        strcmp(buf_str(&name), ".") == 0 || strcmp(buf_str(&name), "..") == 0)
        scan_bad(&p->scan, "a name that no file can have");
    n->name = tree_copy(p->mem, name.data, name.len);
    n->name_len = name.len;
    buf_free(&name);
}

static enum tree_type take_type(struct parser *p)
{
    const char *s = take_text(p);

    for (size_t i = 0; i < ARRAY_LEN(tree_types); i++) {
        if (strcmp(s, tree_types[i].name) == 0)
            return (enum tree_type)i;
    }
    return TREE_OTHER;
}

static void take_content(struct parser *p)
{
    p->id_count = 0;
    if (scan_null(&p->scan))
        return;
    scan_array(&p->scan);
    while (scan_item(&p->scan)) {
        p->ids = mem_grow(p->ids, &p->id_cap, p->id_count + 1, sizeof(*p->ids));
        p->ids[p->id_count++] = take_id(p);
    }
}

static void take_xattrs(struct parser *p)
{
    p->xattr_count = 0;
    if (scan_null(&p->scan))
        return;
    scan_array(&p->scan);
    while (scan_item(&p->scan)) {
        struct tree_xattr x = {.name = ""};
        const char *key;

        scan_object(&p->scan);
        while ((key = scan_key(&p->scan)) != NULL) {
            if (strcmp(key, "name") == 0)
                x.name = take_c_text(p);
            else if (strcmp(key, "value") == 0)
                x.value = take_base64(p, &x.value_len);
            else
                scan_skip(&p->scan);
        }
        if (!*x.name || !x.value)
            scan_bad(&p->scan, "an attribute without name or value");
        p->xattrs = mem_grow(p->xattrs, &p->xattr_cap, p->xattr_count + 1,
                             sizeof(*p->xattrs));
        p->xattrs[p->xattr_count++] = x;
    }
}

enum field {
    F_NAME,
    F_TYPE,
    F_MODE,
    F_MTIME,
    F_ATIME,
    F_CTIME,
    F_UID,
    F_GID,
    F_USER,
    F_GROUP,
    F_INODE,
    F_DEVICE_ID,
    F_SIZE,
    F_LINKS,
    F_LINKTARGET,
    F_LINKTARGET_RAW,
    F_XATTRS,
    F_DEVICE,
    F_CONTENT,
    F_SUBTREE,
    F_UNKNOWN,
};

static const char *const field_names[] = {
    "name",
    "type",
    "mode",
    "mtime",
    "atime",
    "ctime",
    "uid",
    "gid",
    "user",
    "group",
    "inode",
    "device_id",
    "size",
    "links",
    "linktarget",
    "linktarget_raw",
    "extended_attributes",
    "device",
    "content",
    "subtree",
};

/* Go matches keys without regard to case: such a twin is refused. */
static enum field field_of(struct parser *p, const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(field_names); i++) {
        if (strcmp(key, field_names[i]) == 0)
            return (enum field)i;
        if (strcasecmp(key, field_names[i]) == 0)
            scan_bad(&p->scan, "a key in unusual case");
    }
    for (; *key; key++) {
        if (*key & 0x80)
            scan_bad(&p->scan, "a key that is not ASCII");
    }
    return F_UNKNOWN;
}

static void take_linktarget(struct parser *p, struct tree_node *n, bool raw)
{
    size_t len;
    const char *bytes;

    if (!raw) {
        if (!n->linktarget) /* the raw form, if there, counts */
            n->linktarget = take_c_text(p);
        else
            scan_skip(&p->scan);
        return;
    }
    bytes = (const char *)take_base64(p, &len);
    if (strlen(bytes) != len)
        scan_bad(&p->scan, "NUL in a link target");
    if (len)
        n->linktarget = bytes;
}

static void take_field(struct parser *p, enum field f, struct tree_node *n)
{
    struct json_scan *s = &p->scan;

    switch (f) {
    case F_NAME:
        take_name(p, n);
        break;
    case F_TYPE:
        n->type = take_type(p);
        break;
    case F_MODE:
        n->mode = tree_mode_of_go((uint32_t)take_u64_max(p, UINT32_MAX));
        break;
    case F_MTIME:
        n->mtime_ns = take_time(p);
        break;
    case F_ATIME:
        n->atime_ns = take_time(p);
        break;
    case F_CTIME:
        n->ctime_ns = take_time(p);
        break;
    case F_UID:
        n->uid = (uint32_t)take_u64_max(p, UINT32_MAX);
        break;
    case F_GID:
        n->gid = (uint32_t)take_u64_max(p, UINT32_MAX);
        break;
    case F_USER:
        n->user = take_c_text(p);
        break;
    case F_GROUP:
        n->group = take_c_text(p);
        break;
    case F_INODE:
        n->inode = scan_u64(s);
        break;
    case F_DEVICE_ID:
        n->device_id = scan_u64(s);
        break;
    case F_SIZE:
        n->size = scan_u64(s);
        break;
    case F_LINKS:
        n->links = scan_u64(s);
        break;
    case F_LINKTARGET:
        take_linktarget(p, n, false);
        break;
    case F_LINKTARGET_RAW:
        take_linktarget(p, n, true);
        break;
    case F_XATTRS:
        take_xattrs(p);
        break;
    case F_DEVICE:
        n->device = scan_u64(s);
        break;
    case F_CONTENT:
        take_content(p);
        break;
    case F_SUBTREE:
        if (!scan_null(s))
            n->subtree = take_id(p);
        break;
    case F_UNKNOWN:
        scan_skip(s);
        break;
    }
}

static void take_node(struct parser *p, struct tree_node *n)
{
    const char *key;
    uint32_t seen = 0;

    *n = (struct tree_node){.name = "", .user = "", .group = ""};
    p->id_count = p->xattr_count = 0;
    scan_object(&p->scan);
    while ((key = scan_key(&p->scan)) != NULL) {
        enum field f = field_of(p, key);

        if (f != F_UNKNOWN && (seen & 1u << f))
            scan_bad(&p->scan, "a key stands twice");
        seen |= 1u << f;
        take_field(p, f, n);
    }
    if (!(seen & 1u << F_NAME) || !(seen & 1u << F_TYPE))
        scan_bad(&p->scan, "an entry without name or type");
    if (n->type == TREE_DIR ? id_is_zero(&n->subtree)
                            : !id_is_zero(&n->subtree))
        scan_bad(&p->scan, "a folder without subtree, or a subtree elsewhere");
    if (n->type != TREE_FILE && p->id_count)
        scan_bad(&p->scan, "content of what is no file");
    if (n->type == TREE_SYMLINK && !n->linktarget)
        n->linktarget = "";
    n->content_count = p->id_count;
    n->content = p->id_count
                     ? tree_copy(p->mem, p->ids, p->id_count * sizeof(*p->ids))
                     : NULL;
    n->xattr_count = p->xattr_count;
    n->xattrs = p->xattr_count ? tree_copy(p->mem, p->xattrs,
                                           p->xattr_count * sizeof(*p->xattrs))
                               : NULL;
}

static int name_compare(const char *a, size_t a_len, const char *b,
                        size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return c ? c : (a_len > b_len) - (a_len < b_len);
}

static int by_name(const void *a, const void *b)
{
    const struct tree_node *const *x = a, *const *y = b;

    return name_compare((*x)->name, (*x)->name_len, (*y)->name, (*y)->name_len);
}

/* No name may stand twice: a restore would write through the first. */
static void check_names(struct parser *p, struct tree *t)
{
    const struct tree_node **order = mem_array(t->count + 1, sizeof(*order));

    p->mem->sorted = true;
    for (size_t i = 0; i < t->count; i++) {
        order[i] = &t->nodes[i];
        if (i && by_name(&order[i - 1], &order[i]) >= 0)
            p->mem->sorted = false;
    }
    if (!p->mem->sorted) {
        qsort(order, t->count, sizeof(*order), by_name);
        for (size_t i = 1; i < t->count; i++) {
            if (by_name(&order[i - 1], &order[i]) == 0)
                scan_bad(&p->scan, "a name stands twice");
        }
    }
    free(order);
}

int tree_parse(const void *data, size_t len, struct tree *out, struct error *e)
{
    struct parser p = {.mem = mem_zalloc(sizeof(*p.mem))};
    struct json_scan *s = &p.scan;
    size_t cap = 0;
    bool seen = false;
    const char *key;
    int rc;

    *out = (struct tree){.memory = p.mem};
    scan_init(s, data, len);
    scan_object(s);
    while ((key = scan_key(s)) != NULL) {
        if (strcasecmp(key, "nodes") != 0) {
            scan_skip(s);
            continue;
        }
        if (seen || strcmp(key, "nodes") != 0)
            scan_bad(s, "nodes stand twice, or in unusual case");
        seen = true;
        if (scan_null(s))
            continue;
        scan_array(s);
        while (scan_item(s)) {
            if (out->count >= TREE_MAX_ENTRIES) {
                scan_bad(s, "too many entries");
                break;
            }
            out->nodes =
                mem_grow(out->nodes, &cap, out->count + 1, sizeof(*out->nodes));
            take_node(&p, &out->nodes[out->count++]);
        }
    }
    if (!seen)
        scan_bad(s, "no nodes");
    if (!s->bad)
        check_names(&p, out);
    rc = scan_end(s, e);
    if (rc < 0) {
        error_prefix(e, "tree");
        tree_free(out);
    }
    buf_free(&p.text);
    free(p.ids);
    free(p.xattrs);
    return rc;
}

void tree_free(struct tree *t)
{
    struct tree_memory *m = t->memory;

    while (m && m->blocks) {
        struct tree_block *next = m->blocks->next;

        free(m->blocks);
        m->blocks = next;
    }
    free(m);
    free(t->nodes);
    *t = (struct tree){0};
}

const struct tree_node *tree_find(const struct tree *t, const char *name,
                                  size_t len)
{
    const struct tree_memory *m = t->memory;
    size_t low = 0, high = t->count;

    if (!m || !m->sorted) {
        for (size_t i = 0; i < t->count; i++) {
            if (name_compare(t->nodes[i].name, t->nodes[i].name_len, name,
                             len) == 0)
                return &t->nodes[i];
        }
        return NULL;
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c =
            name_compare(t->nodes[mid].name, t->nodes[mid].name_len, name, len);

        if (c == 0)
            return &t->nodes[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
