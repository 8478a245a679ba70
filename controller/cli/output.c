/* SPDX-License-Identifier: MIT */
/* What people and programs get to see. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/cli/cli_internal.h"

#define ROOMS 4
#define ROOM_BYTES 8192
#define NS_PER_S 1000000000

/* Small texts live in one of a few rooms that are used in turn. */
static char *next_room(void)
{
    static char rooms[ROOMS][ROOM_BYTES];
    static unsigned turn;

    return rooms[turn++ % ROOMS];
}

const char *safe(const char *s)
{
    struct buf b = {0};
    char *room = next_room();

    text_escape(&b, s, strnlen(s, ROOM_BYTES));
    snprintf(room, ROOM_BYTES, "%s", buf_str(&b));
    buf_free(&b);
    return room;
}

void say(struct cli *c, const char *fmt, ...)
{
    va_list ap;

    if (c->quiet)
        return;
    va_start(ap, fmt);
    vfprintf(c->io->err, fmt, ap);
    va_end(ap);
    fputc('\n', c->io->err);
}

void complain(struct cli *c, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(c->io->err, "ocmctl: %s\n", safe(text));
}

int give_json(struct cli *c, const json_t *doc)
{
    json_dumpf(doc, c->io->out, JSON_INDENT(1));
    fputc('\n', c->io->out);
    return CLI_EXIT_OK;
}

void give_job(struct cli *c, const json_t *job)
{
    json_t *doc = json_pack("{s:i,s:O}", "schemaVersion", 1, "job", job);

    give_json(c, doc);
    json_decref(doc);
}

static const struct {
    const char *code;
    int exit_code;
} exits[] = {
    {"partial", CLI_EXIT_PARTIAL}, {"notfound", CLI_EXIT_NOTFOUND},
    {"locked", CLI_EXIT_LOCKED},   {"busy", CLI_EXIT_LOCKED},
    {"auth", CLI_EXIT_DENIED},     {"denied", CLI_EXIT_DENIED},
    {"offline", CLI_EXIT_OFFLINE}, {"closed", CLI_EXIT_OFFLINE},
    {"timeout", CLI_EXIT_OFFLINE}, {"damaged", CLI_EXIT_DAMAGED},
    {"missing", CLI_EXIT_DAMAGED}, {"invalid", CLI_EXIT_USAGE},
};

int exit_of_code(const char *code)
{
    for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
        if (strcmp(exits[i].code, code) == 0)
            return exits[i].exit_code;
    }
    return CLI_EXIT_FAILED;
}

int fail_with(struct cli *c, const char *code, const char *text)
{
    if (c->failure) {
        error_set(c->failure, error_code_of_name(code), "%s", text);
        return exit_of_code(code);
    }
    complain(c, "%s", text);
    if (c->json) {
        json_t *doc = json_pack("{s:i,s:{s:s,s:s}}", "schemaVersion", 1,
                                "error", "code", code, "text", text);

        if (doc)
            give_json(c, doc);
        json_decref(doc);
    }
    return exit_of_code(code);
}

/* ---- colours ---- */

static const char *const tones[] = {
    [TONE_NONE] = "",        [TONE_GOOD] = "\x1b[32m", [TONE_WARN] = "\x1b[33m",
    [TONE_BAD] = "\x1b[31m", [TONE_DIM] = "\x1b[2m",   [TONE_BOLD] = "\x1b[1m",
};

const char *tone_begin(const struct cli *c, enum tone t)
{
    return c->color ? tones[t] : "";
}

const char *tone_end(const struct cli *c, enum tone t)
{
    return c->color && t != TONE_NONE ? "\x1b[0m" : "";
}

enum tone tone_of_state(const char *state)
{
    if (strcmp(state, "complete") == 0 || strcmp(state, "done") == 0 ||
        strcmp(state, "applied") == 0)
        return TONE_GOOD;
    if (strcmp(state, "partial") == 0 || strcmp(state, "rolled-back") == 0 ||
        strcmp(state, "cancelled") == 0)
        return TONE_WARN;
    if (strcmp(state, "failed") == 0)
        return TONE_BAD;
    return TONE_NONE;
}

/* ---- values ---- */

const char *text_of(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

int64_t number_of(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

const char *bytes_text(int64_t bytes)
{
    char *room = next_room();

    text_of_bytes(bytes > 0 ? (uint64_t)bytes : 0, room, ROOM_BYTES);
    return room;
}

const char *count_text(int64_t n)
{
    char digits[32], *room = next_room(), *out = room;
    size_t len = (size_t)snprintf(digits, sizeof(digits), "%lld",
                                  (long long)(n > 0 ? n : 0));

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return room;
}

const char *age_text(const char *time)
{
    static const struct {
        int64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    char *room = next_room();
    int64_t ns, s;

    if (!*time || !clock_parse(time, &ns))
        return "never";
    s = (clock_now_ns() - ns) / NS_PER_S;
    if (s <= 0)
        return "now";
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (s >= units[i].seconds) {
            snprintf(room, ROOM_BYTES, "%lld %s ago",
                     (long long)(s / units[i].seconds), units[i].unit);
            break;
        }
    }
    return room;
}

const char *local_time(const char *time)
{
    char *room = next_room();
    struct tm tm;
    int64_t ns;
    time_t s;

    if (!*time || !clock_parse(time, &ns))
        return "-";
    s = (time_t)(ns / NS_PER_S);
    localtime_r(&s, &tm);
    strftime(room, ROOM_BYTES, "%Y-%m-%d %H:%M", &tm);
    return room;
}

const char *seconds_text(double s)
{
    char *room = next_room();

    if (s < 60)
        snprintf(room, ROOM_BYTES, "%.1f s", s);
    else
        snprintf(room, ROOM_BYTES, "%d:%02d min", (int)s / 60, (int)s % 60);
    return room;
}

/* ---- tables ---- */

#define TABLE_MAX_COLUMNS 12

struct cell {
    char *text;
    enum tone tone;
};

struct table {
    size_t columns;
    bool right[TABLE_MAX_COLUMNS];
    struct cell *cells; /* row by row, the heads first */
    size_t count, cap;
};

struct table *table_new(const char *const *heads, size_t columns)
{
    struct table *t = mem_zalloc(sizeof(*t));

    t->columns = columns;
    for (size_t i = 0; i < columns; i++)
        table_cell(t, TONE_DIM, heads[i]);
    return t;
}

void table_cell(struct table *t, enum tone tone, const char *text)
{
    t->cells = mem_grow(t->cells, &t->cap, t->count + 1, sizeof(*t->cells));
    t->cells[t->count].text = mem_strdup(safe(text));
    t->cells[t->count++].tone = tone;
}

void table_right(struct table *t, size_t column)
{
    t->right[column] = true;
}

/* Columns on the terminal: characters, not bytes. */
static size_t width_of(const char *s)
{
    size_t width = 0;

    for (; *s; s++)
        width += ((unsigned char)*s & 0xc0) != 0x80;
    return width;
}

void table_give(struct cli *c, struct table *t)
{
    size_t widths[TABLE_MAX_COLUMNS] = {0};

    for (size_t i = 0; i < t->count; i++) {
        size_t w = width_of(t->cells[i].text);

        if (w > widths[i % t->columns])
            widths[i % t->columns] = w;
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct cell *cell = &t->cells[i];
        size_t column = i % t->columns;
        int pad = (int)(widths[column] - width_of(cell->text));
        bool last = column + 1 == t->columns;

        if (t->right[column])
            fprintf(c->io->out, "%*s", pad, "");
        fprintf(c->io->out, "%s%s%s", tone_begin(c, cell->tone), cell->text,
                tone_end(c, cell->tone));
        if (!t->right[column] && !last)
            fprintf(c->io->out, "%*s", pad, "");
        fputs(last ? "\n" : "  ", c->io->out);
        free(cell->text);
    }
    free(t->cells);
    free(t);
}

/* ---- asking ---- */

bool ask(struct cli *c, char *out, size_t cap, const char *fmt, ...)
{
    va_list ap;

    if (!c->io->tty_in)
        return false;
    va_start(ap, fmt);
    vfprintf(c->io->err, fmt, ap);
    va_end(ap);
    fflush(c->io->err);
    if (!fgets(out, (int)cap, c->io->in))
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}
