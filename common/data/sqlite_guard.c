/* SPDX-License-Identifier: MIT */
/* octet_length() came with SQLite 3.43. SQLite before 3.41 does not call its
 * own JSON functions harmless, so with an untrusted schema a CHECK that uses
 * one makes the whole schema unreadable. Ours are: each asks the built-in one
 * of a private, empty database. */
#include "common/data/sqlite_guard.h"

#include "common/base/mem.h"

#define FLAGS (SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS)

static void octet_length(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL)
        return;
    if (sqlite3_value_type(argv[0]) != SQLITE_BLOB)
        (void)sqlite3_value_text(argv[0]);
    sqlite3_result_int64(ctx, sqlite3_value_bytes(argv[0]));
}

static const struct {
    const char *name;
    int args;
    const char *sql;
} json_functions[] = {
    {"json_valid", 1, "SELECT json_valid(?1)"},
    {"json_type", 1, "SELECT json_type(?1)"},
    {"json_type", 2, "SELECT json_type(?1,?2)"},
    {"json_extract", 2, "SELECT json_extract(?1,?2)"},
    {"->", 2, "SELECT ?1->?2"},
    {"->>", 2, "SELECT ?1->>?2"},
    {"json_array_length", 1, "SELECT json_array_length(?1)"},
    {"json_array_length", 2, "SELECT json_array_length(?1,?2)"},
};

static void ask_builtin(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sqlite3_stmt *st = sqlite3_user_data(ctx);
    int code;

    for (int i = 0; i < argc; i++)
        sqlite3_bind_value(st, i + 1, argv[i]);
    code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        sqlite3_result_value(ctx, sqlite3_column_value(st, 0));
    else
        sqlite3_result_error(ctx, sqlite3_errstr(code), -1);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

static void finalize(void *arg)
{
    sqlite3_finalize(arg);
}

static void add_json_functions(sqlite3 *db)
{
    sqlite3 *helper = NULL;

    if (sqlite3_open(":memory:", &helper) == SQLITE_OK) {
        for (size_t i = 0; i < ARRAY_LEN(json_functions); i++) {
            sqlite3_stmt *st = NULL;

            if (sqlite3_prepare_v2(helper, json_functions[i].sql, -1, &st,
                                   NULL) == SQLITE_OK)
                sqlite3_create_function_v2(db, json_functions[i].name,
                                           json_functions[i].args, FLAGS, st,
                                           ask_builtin, NULL, NULL, finalize);
        }
    }
    /* stays until its last statement is finalized, with `db` */
    sqlite3_close_v2(helper);
}

void sqlite_guard_functions(sqlite3 *db)
{
    if (sqlite3_libversion_number() < 3043000)
        sqlite3_create_function(db, "octet_length", 1, FLAGS, NULL,
                                octet_length, NULL, NULL);
    if (sqlite3_libversion_number() < 3041000)
        add_json_functions(db);
}
