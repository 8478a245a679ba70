/* SPDX-License-Identifier: MIT */
/* Documents of a node (JSON5, JSON Lines, YAML, env files, systemd units,
 * crontabs, plain text) as values with a path and a place in the bytes, and
 * edits that change the bytes of a value and nothing else: comments, order,
 * quoting, indentation, BOM and line ends stay as they are.
 *
 * Values always show the source as it was parsed; edits are collected beside
 * it and become bytes in doc_render. Any thread, one document per thread. */
#ifndef AGENT_ADAPT_DOCS_DOC_H
#define AGENT_ADAPT_DOCS_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* Input beyond these is OCM_E_LIMIT. */
#define DOC_DEPTH_MAX 64
#define DOC_CONFIG_MAX_BYTES ((size_t)8 * 1024 * 1024) /* all but these: */
#define DOC_MAX_BYTES ((size_t)64 * 1024 * 1024)       /* JSONL, text */
#define DOC_VALUES_MAX ((size_t)2 * 1024 * 1024)
#define DOC_LINE_MAX_BYTES ((size_t)16 * 1024 * 1024) /* doc_jsonl_stream */

enum doc_format {
    DOC_JSON5,          /* and JSON, its subset */
    DOC_JSONL,          /* a strict JSON document per line */
    DOC_YAML,           /* 1.1 and 1.2 as libyaml reads them */
    DOC_ENV,            /* .env, as the dotenv of Node reads it */
    DOC_ENV_SYSTEMD,    /* EnvironmentFile= */
    DOC_UNIT,           /* systemd unit */
    DOC_CRONTAB,        /* of a user */
    DOC_CRONTAB_SYSTEM, /* /etc/crontab, cron.d: with a user column */
    DOC_TEXT,           /* Markdown and any other text, line by line */
};

enum doc_type {
    DOC_STRING,
    DOC_NUMBER,
    DOC_BOOL,
    DOC_NULL,
    DOC_OBJECT,
    DOC_ARRAY,
};

/* One value. Paths by format:
 *   JSON5, YAML   agents.list[0].workspace, mcp.servers["my.srv"].args[1];
 *                 a key that is empty or holds . [ ] " * \ or a blank is
 *                 quoted; several YAML documents: [0].a, [1].a
 *   JSONL         [12].cwd is in line 13
 *   env           PATH (each time it stands there; doc_find: the last one)
 *   unit          Service.Type[0]; keys that hold words are arrays of them:
 *                 Service.ExecStart[0][2]; Service.Environment[1].HOME is
 *                 the text behind HOME= in the second Environment= line
 *   crontab       "line 4" the command, "line 4 schedule", "line 4 user",
 *                 "line 3 env PATH"
 *   text          "line 7" (lines that are not empty)
 * The root has the path "" and is a container in every format.
 *
 * `text` is decoded: quotes and escapes gone. unit: %% is %, a specifier such
 * as %h stays; in Exec lines $$ is $, ${VAR} stays. crontab: \% is %, a bare
 * % is a newline. Numbers, true, false and null are as written. Lone
 * surrogates of JSON come as three bytes of the UTF-8 pattern. */
struct doc_value {
    const char *path;
    const char *key; /* its last key, decoded; NULL in arrays and lines */
    enum doc_type type;
    const char *text; /* scalars; a NUL stands behind it. "" in containers */
    size_t len;
    size_t start, end; /* byte span of the value in the source, quotes in */
    size_t line;       /* from 1 */
    bool alias;        /* YAML `*name`: text is that of its anchor, which is
                        * a value of its own; edit that and this follows */
    uint32_t id;       /* of this value within its document */
};

struct doc;

/* Copies `bytes`. Broken syntax is OCM_E_INVALID with "line L, column C" in
 * the text (characters, from 1), beyond a limit OCM_E_LIMIT; *out is then
 * NULL. JSON5, YAML: invalid UTF-8 and repeated keys are refused. */
int doc_parse(enum doc_format format, const void *bytes, size_t len,
              struct doc **out, struct error *e);
void doc_free(struct doc *d); /* wipes; NULL is fine */
enum doc_format doc_format_of(const struct doc *d);

/* What was kept but not understood: a broken JSONL line, a line of an env
 * file that is no assignment. Borrowed from `d`. */
struct doc_problem {
    size_t line;
    const char *text;
};
size_t doc_problem_count(const struct doc *d);
struct doc_problem doc_problem_at(const struct doc *d, size_t i);

/* Every value, containers before what is in them, in document order (unit:
 * grouped by section and key). `v`, and `v->path`, are valid during the call;
 * key and text as long as `d`. Edits may be made from within. A result other
 * than 0 ends the walk and is returned. */
typedef int doc_each_fn(void *arg, struct doc *d, const struct doc_value *v);
int doc_each(struct doc *d, doc_each_fn *fn, void *arg);

/* The value at `path` as of the source; all of *out is valid as long as `d`.
 * False when there is none. */
bool doc_find(struct doc *d, const char *path, struct doc_value *out);

/* The text a value will have after the edits so far: its own, or that of a
 * doc_set_*. NULL when it will be removed. */
const char *doc_text_after(const struct doc *d, const struct doc_value *v,
                           size_t *len);

/* Does `pattern` fit the whole of `path`? `*` is any one key or index, `[]`
 * any index, `**` any number of segments (also none); a `*` within a segment
 * fits any part of it ("line * env PATH"). */
bool doc_pattern_match(const char *pattern, const char *path);

/* --- edits -------------------------------------------------------------
 * Each is 0 or a code; a failed one changes nothing. A second set of the same
 * value takes the place of the first. Setting or inserting below what is
 * removed is OCM_E_INVALID. */

/* Make a scalar the string `text`, quoted as it was where that can hold the
 * new text, otherwise in a safe quoting of the format. OCM_E_UNSUPPORTED when
 * the format has no way to write it (a newline in a crontab schedule, ...).
 * unit: a specifier the old value used stays one, every other % is doubled;
 * the same for $ in Exec lines. */
int doc_set_string(struct doc *d, const struct doc_value *v, const char *text,
                   size_t len, struct error *e);

/* Make a scalar a JSON number, true, false or null. In formats without types
 * (env, unit, crontab, text) the same as a string. */
int doc_set_raw(struct doc *d, const struct doc_value *v, const char *raw,
                struct error *e);

/* Give a member of an object another key. JSON5, JSONL, YAML, env. */
int doc_set_key(struct doc *d, const struct doc_value *v, const char *key,
                struct error *e);

/* Add a member behind the others, in their style; `json` is one JSON value.
 *   JSON5, YAML, JSONL  `path` is an object, or an array with `key` NULL
 *   env       path "", key NAME: a line at the end
 *   unit      path is a section (made when missing); a string is the line
 *             behind `key=` as it stands, an array of strings is quoted words
 *   crontab   path "", a key: an env line before the first job; NULL: a line
 *   text      path "", key NULL: a line at the end
 * OCM_E_NOTFOUND without such a container, OCM_E_EXISTS when the key is there
 * (JSON5, JSONL, YAML, env). */
int doc_insert(struct doc *d, const char *path, const char *key,
               const char *json, struct error *e);

/* Take out the value at `path` with its key and separator (env: every line
 * of that name; unit: a section, a key with all its lines, a line or a word;
 * crontab, text: the line). OCM_E_NOTFOUND when there is none. */
int doc_remove(struct doc *d, const char *path, struct error *e);

enum doc_edit_kind {
    DOC_EDIT_SET,
    DOC_EDIT_KEY,
    DOC_EDIT_INSERT,
    DOC_EDIT_REMOVE,
};

/* An edit as asked for; borrowed from `d`. */
struct doc_edit {
    enum doc_edit_kind kind;
    const char *path;     /* of the value, or of what will be inserted */
    const char *old_text; /* "" for inserts and containers */
    const char *new_text; /* "" for removals */
    size_t line;          /* of the source; 0 for inserts */
    bool undone;          /* by doc_edit_undo, or replaced by a later one */
};
size_t doc_edit_count(const struct doc *d);
void doc_edit_at(struct doc *d, size_t i, struct doc_edit *out);
void doc_edit_undo(struct doc *d, size_t i);

/* Append the document with its edits to `out`: without edits the source, byte
 * for byte. The result was parsed again and holds exactly the values asked
 * for; otherwise OCM_E_FAILED and `out` is as before. */
int doc_render(struct doc *d, struct buf *out, struct error *e);

/* --- JSON Lines of any size ---------------------------------------------
 * Reads `fd_in` to its end line by line and writes each line, edited by
 * `on_line` or as it was, to `fd_out` (-1: look only). Memory stays at a few
 * lines. Broken or overlong lines, and a torn last one, are copied as they
 * are and counted. `d` holds one line (paths [12].cwd) and is freed after the
 * call. A result of `on_line` other than 0 ends the work and is returned. */
struct doc_jsonl {
    int fd_in, fd_out;
    /* NULL, or: is this line worth parsing? */
    bool (*wants)(void *arg, const char *line, size_t len);
    int (*on_line)(void *arg, struct doc *d, struct error *e);
    void *arg;
    uint64_t lines, edited, broken; /* results */
    uint64_t first_broken;          /* line, from 1; 0: none */
};
int doc_jsonl_stream(struct doc_jsonl *s, struct error *e);

#endif
