/* SPDX-License-Identifier: MIT */
/* The inside of documents: nodes, edits, and what each format provides. For
 * the sources of this folder only. */
#ifndef AGENT_ADAPT_DOCS_DOC_INTERNAL_H
#define AGENT_ADAPT_DOCS_DOC_INTERNAL_H

#include "agent/adapt/docs/doc.h"

#define NONE UINT32_MAX /* no node, no offset */

/* How a scalar or key is written. */
enum style {
    STYLE_BARE,    /* JSON5 identifier, YAML plain, env unquoted */
    STYLE_DOUBLE,  /* "..." */
    STYLE_SINGLE,  /* '...' */
    STYLE_BACK,    /* `...` (dotenv) */
    STYLE_LITERAL, /* YAML | */
    STYLE_FOLDED,  /* YAML > */
    STYLE_BLOCK,   /* YAML block container */
    STYLE_FLOW,    /* YAML flow container */
    STYLE_EMPTY,   /* YAML null of no characters */
};

/* What a line of a crontab holds, in `part`. */
enum part { PART_LINE, PART_SCHEDULE, PART_USER, PART_ENV, PART_NONE };

/* One value. Offsets are into doc.src; the children of a node are linked in
 * document order. */
struct doc_node {
    uint32_t parent, next, first, last; /* nodes, or NONE */
    uint32_t count;                     /* children */
    uint32_t index;                     /* [index] in an array */
    uint32_t from;                      /* where the member begins */
    uint32_t key_start, key_end;        /* NONE without a key */
    uint32_t start, end;                /* the value */
    uint32_t comma;                     /* behind it, JSON; or NONE */
    uint32_t line;                      /* from 1 */
    uint32_t behind;                    /* unit: where the next line begins */
    uint32_t key_len, len;
    const char *key, *text; /* arena, NUL behind */
    uint8_t type;           /* enum doc_type */
    uint8_t style, key_style;
    uint8_t part;        /* enum part */
    bool alias;          /* YAML: of something in `target` */
    bool tagged;         /* YAML: the tag says the type */
    uint32_t target;     /* YAML: alias or key alias; NONE */
    bool gone;           /* removed by an edit */
    bool grows;          /* an edit inserts here */
    uint32_t set, rekey; /* living edits of it, or NONE */
};

/* An edit, with the bytes of a set already made. */
struct edit {
    enum doc_edit_kind kind;
    uint32_t node; /* edited; of inserts the container (NONE: to be made) */
    char *path;    /* for people */
    char *section; /* unit: of an insert */
    char *key;     /* new key */
    char *text;    /* new text, or inserted JSON */
    size_t len;
    enum doc_type type; /* of the new text */
    bool undone;
    size_t start, end; /* set, key: these source bytes ... */
    struct buf bytes;  /* ... become these; of line formats: the new line */
    struct doc *want;  /* insert: what must be there afterwards */
};

struct anchor { /* YAML */
    const char *name, *text;
    uint32_t len;
    uint32_t owner; /* the value, or the member whose key it is on */
    bool on_key;
    uint8_t type;
};

struct doc {
    enum doc_format format;
    const struct doc_ops *ops;
    uint8_t *src; /* with BOM, NUL behind */
    size_t len;
    size_t body;     /* 0, or 3 behind a BOM */
    const char *eol; /* of the first line end; "\n" without one */
    struct doc_node *nodes;
    size_t count, cap;
    size_t depth; /* while parsing */
    struct arena *arena;
    struct edit *edits;
    size_t edit_count, edit_cap;
    struct doc_problem *problems;
    size_t problem_count, problem_cap;
    struct anchor *anchors;
    size_t anchor_count, anchor_cap;
    bool goes_on;             /* unit: a backslash carries on past the end */
    size_t line_pos, line_no; /* doc_line_at's cursor */
    uint64_t first_line;      /* lines before the first: JSONL streams */
};

/* --- what a render collects ------------------------------------------- */

struct patch {
    size_t start, end, seq;
    struct buf bytes;
};

struct render {
    struct doc *d;
    struct patch *patches;
    size_t count, cap;
};

/* Source bytes [start, end) become these. */
void patch_add(struct render *r, size_t start, size_t end, const void *p,
               size_t len);
void patch_take(struct render *r, size_t start, size_t end, struct buf *b);
/* The next living insert into `node` behind edit `*i` (start with 0);
 * advances *i past it. NULL: no more. */
struct edit *next_insert(struct doc *d, uint32_t node, size_t *i);

struct doc_ops {
    const char *name; /* in errors */
    bool utf8;        /* refuse anything else */
    bool binary;      /* NUL bytes may be in it */
    bool typed;       /* numbers are not strings */
    bool by_line;     /* children of the root are lines */
    size_t max;       /* bytes */
    int (*parse)(struct doc *d, struct error *e);
    /* Fill start, end and bytes of a set (text, len, type are given). */
    int (*encode)(struct doc *d, const struct doc_node *n, struct edit *ed,
                  struct error *e);
    int (*encode_key)(struct doc *d, const struct doc_node *n, struct edit *ed,
                      struct error *e); /* NULL: has none */
    /* NULL: anything may go. */
    int (*may_remove)(struct doc *d, uint32_t n, struct error *e);
    /* Check an insert and fill `want`, and `bytes` of line formats. `json`
     * is parsed and stays the caller's unless it is taken (set to NULL). */
    int (*insert)(struct doc *d, struct edit *ed, struct doc **json,
                  struct error *e);
    /* Patches of the inserts into and removals from one container. */
    int (*lay_out)(struct render *r, uint32_t container, struct error *e);
    /* The child an insert goes before, NONE: last. NULL: always last. */
    uint32_t (*place)(const struct doc *d, const struct edit *ed);
};

extern const struct doc_ops json5_ops, jsonl_ops, yaml_ops, env_ops,
    env_systemd_ops, unit_ops, crontab_ops, crontab_system_ops, text_ops;

/* --- doc.c: building ---------------------------------------------------- */

/* A new last child of `parent` (NONE: the root); NONE and an error beyond
 * DOC_VALUES_MAX. Pointers into d->nodes end here. */
uint32_t doc_add(struct doc *d, uint32_t parent, struct error *e);
/* Bytes with a NUL behind them that live as long as the document. */
char *doc_keep(struct doc *d, const void *p, size_t len);
void doc_node_text(struct doc *d, uint32_t n, const void *p, size_t len);
void doc_node_key(struct doc *d, uint32_t n, const void *p, size_t len);
void doc_add_problem(struct doc *d, size_t line, const char *text);
/* The same, without the vocabulary of a whole file: parses with `first_line`
 * lines before it. */
int doc_parse_at(enum doc_format format, const void *bytes, size_t len,
                 uint64_t first_line, struct doc **out, struct error *e);
/* The line of an offset; cheap when offsets mostly grow. */
uint32_t doc_line_at(struct doc *d, size_t off);
/* "line L, column C: ..." for an offset. */
int doc_error_at(const struct doc *d, size_t off, struct error *e, int code,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Two members of `container` with one key: OCM_E_INVALID. */
int doc_check_keys(struct doc *d, uint32_t container, struct error *e);
/* Has `n` or a parent of it been removed? */
bool doc_is_gone(const struct doc *d, uint32_t n);
uint32_t doc_child(const struct doc *d, uint32_t parent, const char *key,
                   size_t len);

/* --- edit.c --- */

void edit_fini(struct edit *ed); /* wipes */

/* --- path.c -------------------------------------------------------------- */

/* Append the segment of node `n` to the path of its parent. */
void path_add(const struct doc *d, uint32_t n, struct buf *path);
void path_of(const struct doc *d, uint32_t n, struct buf *path);
void path_add_key(struct buf *path, const char *key, size_t len);
/* The node at `path`, NONE. */
uint32_t path_find(const struct doc *d, const char *path);

/* --- bytes.c: places in the source --------------------------------------- */

/* The code point at `p`; bytes taken, 0 when it is no UTF-8. Lone surrogates
 * pass. */
size_t utf8_take(const uint8_t *p, size_t len, uint32_t *cp);
void utf8_put(struct buf *b, uint32_t cp);
bool utf8_all(const void *p, size_t len);
size_t line_start(const struct doc *d, size_t off);
/* Offset of the line's end characters, or of the end of the source. */
size_t line_end(const struct doc *d, size_t off);
/* Behind them. */
size_t line_next(const struct doc *d, size_t off);
/* Blanks (space, tab) only between the line's start and `off`? */
bool is_first_on_line(const struct doc *d, size_t off);
size_t skip_blanks(const struct doc *d, size_t off);
size_t skip_blanks_back(const struct doc *d, size_t off);
/* The blanks a line starts with. */
void add_indent_of(const struct doc *d, size_t off, struct buf *b);
/* One step of indentation in this document: "\t", "  ", ... */
const char *indent_unit(const struct doc *d);

/* --- json5_write.c ------------------------------------------------------- */

bool json_is_raw(const char *raw, enum doc_type *type);
void json_quote(struct buf *b, const char *p, size_t len, char quote,
                bool ascii);
void json_key(struct buf *b, const char *p, size_t len, enum style style);
/* A value of `w`; `indent` is the line end and blanks before the line it
 * begins on, NULL: all on one line. */
void json_emit(struct buf *b, const struct doc *w, uint32_t n,
               enum style key_style, const char *indent, const char *unit);

int json5_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                 struct error *e);
int json5_encode_key(struct doc *d, const struct doc_node *n, struct edit *ed,
                     struct error *e);
int json5_insert(struct doc *d, struct edit *ed, struct doc **json,
                 struct error *e);

/* --- json5.c ------------------------------------------------------------- */

/* One value at *pos as a child of `parent` (NONE: the root). */
int json_parse_value(struct doc *d, uint32_t parent, size_t *pos, size_t end,
                     bool strict, struct error *e);

/* --- flow.c: { } and [ ] of JSON5 and YAML -------------------------------- */

int flow_lay_out(struct render *r, uint32_t container, bool yaml);

/* --- lines.c: formats of lines ------------------------------------------- */

/* Put lines (without their last end) behind the line of `off`. Takes them. */
void lines_put(struct render *r, size_t off, struct buf *lines);
/* Removals and appended lines of the root. */
int lines_lay_out(struct render *r, uint32_t container, struct error *e);
/* Set `bytes` and `want` of an insert to this line. */
int lines_insert(struct doc *d, struct edit *ed, const char *line, size_t len,
                 struct error *e);
/* The text of a scalar JSON value; an error for containers. */
int lines_scalar(const struct doc *json, const char **text, size_t *len,
                 struct error *e);

/* --- yaml_write.c --------------------------------------------------------- */

int yaml_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                struct error *e);
int yaml_encode_key(struct doc *d, const struct doc_node *n, struct edit *ed,
                    struct error *e);
void yaml_flow_value(struct buf *b, const struct doc *w, uint32_t n);
void yaml_key(struct buf *b, const char *key, size_t len, bool flow);
void yaml_scalar(struct buf *b, const struct doc_node *n, bool flow);
/* Behind one `&anchor` or `!tag`. */
size_t yaml_property_end(const struct doc *d, size_t off);
size_t yaml_skip(const struct doc *d, size_t off); /* blanks, ends, comments */
size_t yaml_skip_properties(const struct doc *d, size_t off, size_t end);

/* --- yaml_plain.c ---------------------------------------------------------- */

/* The type of a plain scalar in YAML 1.2; `old` also when 1.1 would not read
 * a string. */
enum doc_type yaml_plain_type(const char *p, size_t len, bool *old);

/* --- yaml_layout.c --------------------------------------------------------- */

int yaml_insert(struct doc *d, struct edit *ed, struct doc **json,
                struct error *e);
int yaml_may_remove(struct doc *d, uint32_t id, struct error *e);
int yaml_lay_out(struct render *r, uint32_t container, struct error *e);

#endif
