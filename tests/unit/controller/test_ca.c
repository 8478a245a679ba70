/* SPDX-License-Identifier: MIT */
/* The controller's certificates over the years: its own never runs out while
 * it runs, follows a new CA, and a first start that was killed is no loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/net/x509.h"
#include "controller/ca.h"

#define DAY_S (24 * 3600)

static time_t later_s; /* what the clock is ahead of the machine's */

time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);

time_t __wrap_time(time_t *t)
{
    time_t now = __real_time(NULL) + later_s;

    if (t)
        *t = now;
    return now;
}

static int setup(void **state)
{
    char dir[] = "/tmp/ocm-ca-XXXXXX";

    secret_init();
    later_s = 0;
    *state = mem_strdup(mkdtemp(dir));
    return 0;
}

static int teardown(void **state)
{
    tree_remove(*state, NULL);
    free(*state);
    return 0;
}

static struct ca *open_ca(const char *dir)
{
    struct error e = {0};
    struct ca *ca = NULL;

    if (ca_open(dir, "controller", &ca, &e) < 0)
        fail_msg("%s", e.text);
    return ca;
}

static char *in_ca(const char *dir, const char *name)
{
    return mem_printf("%s/ca/%s", dir, name);
}

static void drop(const char *dir, const char *name)
{
    char *path = in_ca(dir, name);

    assert_int_equal(unlink(path), 0);
    free(path);
}

static struct buf content(const char *dir, const char *name)
{
    char *path = in_ca(dir, name);
    struct buf b = {0};

    assert_int_equal(file_read(path, 1 << 20, &b, NULL), 0);
    free(path);
    return b;
}

static int64_t server_until(const char *dir)
{
    struct buf pem = content(dir, "server.pem"), der = {0};
    struct x509_info info;

    assert_int_equal(x509_from_pem(&pem, &der, NULL), 0);
    assert_int_equal(x509_inspect(der.data, der.len, &info, NULL), 0);
    buf_free(&pem);
    buf_free(&der);
    return info.not_after;
}

/* What agents and joining nodes are shown ends in the CA of now. */
static void check_chain(const char *dir)
{
    struct buf server = content(dir, "server.pem"), ca = content(dir, "ca.pem");

    assert_non_null(strstr(buf_str(&server), buf_str(&ca)));
    buf_free(&server);
    buf_free(&ca);
}

static void ours_is_renewed_while_we_run(void **state)
{
    struct ca *ca = open_ca(*state);
    int64_t until = server_until(*state);

    assert_false(ca_renew_server(ca));
    later_s = 240 * DAY_S;
    assert_false(ca_renew_server(ca));
    later_s = 250 * DAY_S;
    assert_true(ca_renew_server(ca));
    assert_false(ca_renew_server(ca));
    assert_true(server_until(*state) >= until + 249 * DAY_S);
    check_chain(*state);
    ca_close(ca);
    /* one that was opened in between knows when, too */
    later_s = 300 * DAY_S;
    ca = open_ca(*state);
    assert_false(ca_renew_server(ca));
    later_s = (250 + 244) * DAY_S;
    assert_true(ca_renew_server(ca));
    ca_close(ca);
}

static void ours_follows_a_new_ca(void **state)
{
    ca_close(open_ca(*state));
    check_chain(*state);
    drop(*state, "ca.key");
    drop(*state, "ca.pem");
    ca_close(open_ca(*state));
    check_chain(*state);
}

static void a_first_start_that_was_killed(void **state)
{
    struct buf key, again;

    ca_close(open_ca(*state));
    key = content(*state, "ca.key");
    drop(*state, "ca.pem");
    drop(*state, "server.pem");
    ca_close(open_ca(*state));
    again = content(*state, "ca.key");
    assert_string_equal(buf_str(&key), buf_str(&again));
    check_chain(*state);
    buf_wipe(&key);
    buf_wipe(&again);
}

/* A CA that was in use is never replaced in silence. */
static void half_a_ca_is_an_error(void **state)
{
    static const char *const names[] = {"ca.pem", "ca.key"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct error e = {0};
        struct ca *ca;
        char *path = in_ca(*state, names[i]);
        struct buf b;

        ca_close(open_ca(*state));
        b = content(*state, names[i]);
        drop(*state, names[i]);
        assert_int_equal(ca_open(*state, "controller", &ca, &e), OCM_E_DAMAGED);
        assert_non_null(strstr(e.text, names[i]));
        assert_int_equal(file_write(path, b.data, b.len, 0600, NULL), 0);
        buf_wipe(&b);
        free(path);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ours_is_renewed_while_we_run),
        T(ours_follows_a_new_ca),
        T(a_first_start_that_was_killed),
        T(half_a_ca_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
