/* SPDX-License-Identifier: MIT */
/* agent/adapt: openclaw.json in both spellings, for each intention. */
#include "tests/unit/adapt/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/docs/doc.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define CONFIG "config/gateway/openclaw.json"

static int config(struct fixture *f, const char *text)
{
    struct error e = {0};
    int rc = fixture_file(f, CONFIG, KIND_CONFIG, text, &e);

    if (rc != 0)
        print_error("%s\n", e.text);
    return rc;
}

/* --- paths --- */

static void only_the_values_change(void **state)
{
    static const char before[] =
        "// 家 of the gateway\r\n"
        "{\n"
        "  agents: { defaults: { workspace: '/home/jo/.openclaw/workspace', "
        "/* keep */ },\n"
        "\t list: [ {id: \"a\", \"workspace\" : \"~/.openclaw/ws-a\",}, ],\n"
        "  },\n"
        "  \"hooks\": {path: \"/home/jo\"}, 'x-y': \"${HOME}/home/jo\",\n"
        "  tools:{exec:{pathPrepend:[\"/home/jo/.local/bin\", "
        "'/usr/bin']}},   // tail /home/jo\n"
        "}\n\n";
    static const char after[] =
        "// 家 of the gateway\r\n"
        "{\n"
        "  agents: { defaults: { workspace: '@S/workspace', "
        "/* keep */ },\n"
        "\t list: [ {id: \"a\", \"workspace\" : \"~/.openclaw/ws-a\",}, ],\n"
        "  },\n"
        "  \"hooks\": {path: \"/home/jo\"}, 'x-y': \"${HOME}/home/jo\",\n"
        "  tools:{exec:{pathPrepend:[\"@H/.local/bin\", "
        "'/usr/bin']}},   // tail /home/jo\n"
        "}\n\n";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    assert_int_equal(config(&f, before), 0);
    fixture_expect(&f, CONFIG, after);
    assert_int_equal(f.plan.edit_count, 2);
    assert_string_equal(f.plan.edits[0].place, "agents.defaults.workspace");
    assert_string_equal(f.plan.edits[0].old_value,
                        "/home/jo/.openclaw/workspace");
    assert_string_equal(f.plan.edits[0].rule, "path");
    /* the comment and the URL path are told, not changed */
    assert_int_equal(fixture_warnings(&f, "foreign-path"), 2);
    fixture_fini(&f);
}

static void every_family_of_keys_is_mapped(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"{agents:{entries:{m:{agentDir:'/home/jo/.openclaw/agents/m'}}}}",
         "{agents:{entries:{m:{agentDir:'@S/agents/m'}}}}"},
        {"{agents:{defaults:{sandbox:{docker:{binds:['/home/jo/d:/d:ro']}}}}}",
         "{agents:{defaults:{sandbox:{docker:{binds:['@H/d:/d:ro']}}}}}"},
        {"{mcp:{servers:{n:{command:'/home/jo/bin/n',args:['--root',"
         "'/home/jo/d','--u=http://localhost:18789/x'],env:{D:'/home/jo'}}}}}",
         "{mcp:{servers:{n:{command:'@H/bin/n',args:['--root',"
         "'@H/d','--u=http://localhost:18909/x'],env:{D:'@H'}}}}}"},
        {"{secrets:{providers:{f:{path:'/home/jo/.openclaw/s.json'}}}}",
         "{secrets:{providers:{f:{path:'@S/s.json'}}}}"},
        {"{logging:{file:'/home/jo/.openclaw/logs/g.log'}}",
         "{logging:{file:'@S/logs/g.log'}}"},
        {"{skills:{load:{extraDirs:['/usr/lib/node_modules/openclaw/x']}}}",
         "{skills:{load:{extraDirs:['/opt/openclaw/x']}}}"},
        {"{memory:{search:{extraPaths:[{path:'/home/jo/n'},'/home/jo/m']}}}",
         "{memory:{search:{extraPaths:[{path:'@H/n'},'@H/m']}}}"},
        {"{hooks:{mappings:[{messageTemplate:'look in /home/jo/x, "
         "then ws://127.0.0.1:18789'}]}}",
         "{hooks:{mappings:[{messageTemplate:'look in @H/x, "
         "then ws://127.0.0.1:18909'}]}}"},
        {"{$include:'/home/jo/.openclaw/part.json'}",
         "{$include:'@S/part.json'}"},
        /* ports: of this gateway only, and only as ports */
        {"{browser:{cdpUrl:'http://127.0.0.1:18800',profiles:{a:{cdpPort:"
         "18801}}}, x:18789, y:'18789 bytes', z:'http://10.0.0.1:18789'}",
         "{browser:{cdpUrl:'http://127.0.0.1:18920',profiles:{a:{cdpPort:"
         "18921}}}, x:18789, y:'18789 bytes', z:'http://10.0.0.1:18789'}"},
        {"{a:'http://127.0.0.1:18796/v1 http://127.0.0.1:187890 "
         "http://[::1]:18791'}",
         "{a:'http://127.0.0.1:18796/v1 http://127.0.0.1:187890 "
         "http://[::1]:18911'}"},
        /* references are never resolved nor rewritten */
        {"{a:'${HOME}/x',b:{source:'file',id:'/skills/w'},c:'$TOKEN'}",
         "{a:'${HOME}/x',b:{source:'file',id:'/skills/w'},c:'$TOKEN'}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;

        fixture_init(&f, INTENT_MOVE);
        f.taken[0] = SRC_PORT;
        fixture_begin(&f);
        /* an include: nothing of the node's is put in */
        assert_int_equal(fixture_file(&f, "config/gateway/inc/a.json",
                                      KIND_CONFIG, cases[i].before, NULL),
                         0);
        fixture_expect(&f, "config/gateway/inc/a.json", cases[i].after);
        fixture_fini(&f);
    }
}

/* --- restore --- */

static void a_restore_onto_itself_changes_nothing(void **state)
{
    static const char text[] =
        "{gateway:{port:18789,auth:{token:'abcdefghijklmnop'}},"
        "agents:{defaults:{workspace:'/home/jo/.openclaw/workspace'}},"
        "channels:{telegram:{enabled:true}},wizard:{a:1}}";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_RESTORE);
    facts_fini(&f.target);
    for (size_t i = 0; i < f.source.count; i++)
        facts_set(&f.target, f.source.items[i].key, f.source.items[i].value);
    facts_set(&f.target, "openclaw.schema.state", "18");
    fixture_begin(&f);
    assert_int_equal(config(&f, text), 0);
    fixture_finish(&f);
    fixture_expect(&f, CONFIG, text);
    assert_int_equal(f.plan.edit_count, 0);
    assert_int_equal(f.plan.warning_count, 0);
    fixture_fini(&f);
}

static void a_restore_to_a_moved_home_edits_paths_only(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_RESTORE);
    facts_set(&f.target, "agent.main.workspace", "/elsewhere");
    fixture_begin(&f);
    assert_int_equal(
        config(&f, "{gateway:{port:18789,auth:{token:'abcdefghijklmnop'}},"
                   "a:'/home/jo/.openclaw/workspace',"
                   "channels:{telegram:{enabled:true}}}"),
        0);
    fixture_expect(&f, CONFIG,
                   "{gateway:{port:18789,auth:{token:'abcdefghijklmnop'}},"
                   "a:'@S/workspace',"
                   "channels:{telegram:{enabled:true}}}");
    fixture_fini(&f);
}

/* --- clone to an empty node --- */

static void a_clone_gets_a_token_a_port_and_silence(void **state)
{
    struct fixture f;
    const struct plan_edit *token;
    char *text;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    f.taken[0] = SRC_PORT;
    f.taken[1] = SRC_PORT + 120 + 2; /* browser control of the next one */
    fixture_begin(&f);
    assert_int_equal(
        config(&f,
               "{gateway:{port:18789,auth:{mode:'token',"
               "token:'source-token-0123456789'},remote:{token:"
               "'source-token-0123456789'},bind:'custom',customBindHost:"
               "'10.0.0.9',publicOrigin:'https://a.example',controlUi:{"
               "allowedOrigins:['http://127.0.0.1:18789',"
               "'https://a.example']}},\n"
               "channels:{defaults:{groupPolicy:'open'},telegram:{enabled:true,"
               "accounts:{x:{enabled:true},y:{}}},discord:{token:'${D}'}}}"),
        0);
    token = fixture_edit(&f, "gateway.auth.token");
    assert_non_null(token);
    assert_string_equal(token->rule, "fresh");
    assert_true(token->secret);
    assert_int_equal(strlen(token->new_value), 48);
    text = fixture_text(&f, CONFIG);
    assert_non_null(strstr(text, "port:19029"));
    assert_non_null(strstr(text, "'http://127.0.0.1:19029'"));
    assert_non_null(strstr(text, "bind:'loopback'"));
    assert_null(strstr(text, "source-token"));
    assert_null(strstr(text, "a.example"));
    assert_null(strstr(text, "10.0.0.9"));
    assert_null(strstr(text, "true"));
    assert_non_null(strstr(text, "groupPolicy:'open'}"));
    assert_non_null(fixture_edit(&f, "channels.discord.enabled"));
    assert_null(fixture_edit(&f, "channels.defaults.enabled"));
    assert_string_equal(fixture_edit(&f, "gateway.port")->rule, "fresh");
    assert_non_null(fixture_warning(&f, "bind"));
    free(text);
    fixture_fini(&f);
}

static void a_clone_with_channels_on_is_warned(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    f.o.channels_on = true;
    fixture_begin(&f);
    assert_int_equal(
        config(&f, "{gateway:{},channels:{telegram:{enabled:true}}}"), 0);
    fixture_finish(&f);
    assert_null(fixture_edit(&f, "channels.telegram.enabled"));
    assert_non_null(fixture_warning(&f, "live-channel"));
    assert_false(fixture_warning(&f, "live-channel")->blocking);
    fixture_fini(&f);
}

static void plugins_of_npm_are_told(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    facts_set(&f.source, "plugins.npm", "@openclaw/discord,some-plugin");
    facts_set(&f.target, "plugins.npm", "some-plugin");
    fixture_begin(&f);
    fixture_finish(&f);
    assert_non_null(strstr(fixture_warning(&f, "plugins")->text,
                           "plugins install: @openclaw/discord"));
    assert_null(strstr(fixture_warning(&f, "plugins")->text, "some-plugin"));
    fixture_fini(&f);
}

static void a_move_to_an_empty_node_keeps_token_and_channels(void **state)
{
    static const char text[] =
        "{gateway:{port:18789,auth:{token:'source-token-0123456789'}},"
        "channels:{telegram:{enabled:true}}}";
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    assert_int_equal(config(&f, text), 0);
    fixture_expect(&f, CONFIG, text);
    fixture_fini(&f);
}

/* --- a target that lives --- */

static void the_target_keeps_what_is_its_own(void **state)
{
    struct fixture f;
    char *text;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_live(&f, "openclaw.json",
                 "{gateway:{port:19001,auth:{mode:'token',token:"
                 "'target-token-0123456789'},tls:{enabled:true,certPath:"
                 "'/etc/t.pem'},controlUi:{allowedOrigins:['https://t.example'"
                 "]}},logging:{file:'/var/log/t.log'},wizard:{run:'t'}}");
    facts_set(&f.target, "gateway.port", "19001");
    fixture_begin(&f);
    assert_int_equal(
        config(&f, "{gateway:{mode:'local',port:18789,bind:'lan',auth:{mode:"
                   "'password',password:'source-password-0123'},"
                   "controlUi:{allowedOrigins:['https://a.example',"
                   "'https://b.example']},trustedProxies:['10.1.1.1']},\n"
                   "logging:{level:'info',file:'/home/jo/g.log'},"
                   "wizard:{run:'s',more:1},"
                   "proxy:{proxyUrl:'http://p.internal'},"
                   "a:'http://127.0.0.1:18789/x'}"),
        0);
    text = fixture_text(&f, CONFIG);
    assert_null(strstr(text, "source-password"));
    assert_null(strstr(text, "a.example"));
    assert_null(strstr(text, "b.example"));
    assert_null(strstr(text, "10.1.1.1"));
    assert_null(strstr(text, "p.internal"));
    assert_null(strstr(text, "'lan'"));
    assert_null(strstr(text, "more"));
    assert_non_null(strstr(text, "mode:'local'"));
    assert_non_null(strstr(text, "port:19001"));
    assert_non_null(strstr(text, "target-token-0123456789"));
    assert_non_null(strstr(text, "/etc/t.pem"));
    assert_non_null(strstr(text, "https://t.example"));
    assert_non_null(strstr(text, "file:'/var/log/t.log'"));
    assert_non_null(strstr(text, "level:'info'"));
    assert_non_null(strstr(text, "a:'http://127.0.0.1:19001/x'"));
    assert_true(fixture_edit(&f, "gateway.auth.password")->secret);
    assert_string_equal(fixture_edit(&f, "gateway.port")->rule, "node-owned");
    free(text);
    fixture_fini(&f);
}

static void a_config_without_gateway_gets_the_targets(void **state)
{
    struct fixture f;
    char *text;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_live(&f, "openclaw.json",
                 "{gateway:{port:19001,auth:{token:'target-token-01234'},"
                 "tls:{certPath:'/etc/t.pem'}}}");
    fixture_begin(&f);
    assert_int_equal(config(&f, "{a: 1}"), 0);
    text = fixture_text(&f, CONFIG);
    assert_non_null(strstr(text, "19001"));
    assert_non_null(strstr(text, "target-token-01234"));
    assert_non_null(strstr(text, "/etc/t.pem"));
    assert_true(fixture_edit(&f, "gateway")->secret);
    free(text);
    fixture_fini(&f);
}

static void what_the_target_includes_is_its_own_too(void **state)
{
    struct fixture f;
    char *text;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_live(&f, "openclaw.json",
                 "{$include:'./gw.json5',logging:{level:'info'}}");
    fixture_live(&f, "gw.json5",
                 "{gateway:{port:19001,auth:{token:'target-token-01234'}}}");
    fixture_begin(&f);
    assert_int_equal(
        config(&f, "{gateway:{port:18789,auth:{token:'source-token-1'}}}"), 0);
    text = fixture_text(&f, CONFIG);
    assert_non_null(strstr(text, "port:19001"));
    assert_non_null(strstr(text, "token:'target-token-01234'"));
    free(text);
    fixture_fini(&f);
}

static void a_broken_target_config_blocks(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_live(&f, "openclaw.json", "{gateway: ");
    fixture_begin(&f);
    assert_true(fixture_warning(&f, "target-config")->blocking);
    fixture_fini(&f);
}

/* --- what people must hear of --- */

static void masked_secrets_block(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    assert_int_equal(config(&f, "{hooks:{token:'__OPENCLAW_REDACTED__'}}"), 0);
    assert_true(fixture_warning(&f, "redacted")->blocking);
    assert_string_equal(fixture_warning(&f, "redacted")->place, "hooks.token");
    fixture_fini(&f);
}

static void a_broken_config_blocks_only_a_crossing(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    assert_int_equal(config(&f, "{a: 1,, }"), 0);
    assert_true(fixture_warning(&f, "config-invalid")->blocking);
    fixture_fini(&f);
    fixture_init(&f, INTENT_RESTORE);
    fixture_begin(&f);
    assert_int_equal(config(&f, "{a: 1,, }"), 0);
    assert_false(fixture_warning(&f, "config-invalid")->blocking);
    fixture_expect(&f, CONFIG, "{a: 1,, }");
    fixture_fini(&f);
}

static void bombs_are_told_not_followed(void **state)
{
    struct fixture f;
    struct buf deep = {0}, large = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_add_byte(&deep, '[');
    buf_add_str(&large, "{a:'");
    while (large.len < (size_t)9 * 1024 * 1024)
        buf_add_str(&large, "0123456789abcdef0123456789abcdef");
    buf_add_str(&large, "'}");
    fixture_init(&f, INTENT_CLONE);
    fixture_begin(&f);
    assert_int_equal(config(&f, buf_str(&deep)), 0);
    assert_int_equal(config(&f, buf_str(&large)), 0);
    assert_int_equal(fixture_warnings(&f, "config-invalid"), 2);
    assert_int_equal(f.plan.edit_count, 0);
    buf_free(&deep);
    buf_free(&large);
    fixture_fini(&f);
}

static void lists_of_the_target_replace_the_sources(void **state)
{
    static const struct {
        const char *source, *target, *want;
    } cases[] = {
        {"['a']", "['t','u','v']", "t u v"}, {"[]", "['t']", "t"},
        {"['a','b','c']", "['t']", "t"},     {"['a']", "[]", ""},
        {"'a'", "['t','u']", "t u"},         {"{x:1}", "['t']", "t"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *source = mem_printf("{gateway:{\n  trustedProxies: %s,\n}}",
                                  cases[i].source);
        char *target =
            mem_printf("{gateway:{trustedProxies:%s}}", cases[i].target);
        struct buf got = {0};
        struct doc *d = NULL;
        struct fixture f;
        char *text;

        fixture_init(&f, INTENT_MOVE);
        fixture_live(&f, "openclaw.json", target);
        fixture_begin(&f);
        assert_int_equal(config(&f, source), 0);
        text = fixture_text(&f, CONFIG);
        assert_int_equal(doc_parse(DOC_JSON5, text, strlen(text), &d, NULL), 0);
        for (int n = 0; n < 4; n++) {
            char path[64];
            struct doc_value v;

            snprintf(path, sizeof(path), "gateway.trustedProxies[%d]", n);
            if (doc_find(d, path, &v))
                buf_printf(&got, "%s%s", n ? " " : "", v.text);
        }
        assert_string_equal(buf_str(&got), cases[i].want);
        doc_free(d);
        buf_free(&got);
        free(text);
        free(source);
        free(target);
        fixture_fini(&f);
    }
}

static void host_names_are_told_not_changed(void **state)
{
    struct adapt_rule mine[] = {{"gw-1", "gw-2"}};
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    assert_int_equal(config(&f, "{a:'http://gw-1:8080/x', b:'http://gw-10/',"
                                "c:'https://u:p@gw-1.lan/'}"),
                     0);
    assert_int_equal(fixture_warnings(&f, "host-name"), 2);
    assert_int_equal(f.plan.edit_count, 0);
    f.o.rules = mine;
    f.o.rule_count = 1;
    fixture_again(&f);
    assert_int_equal(config(&f, "{a:'http://gw-1:8080/x'}"), 0);
    fixture_expect(&f, CONFIG, "{a:'http://gw-2:8080/x'}");
    assert_int_equal(fixture_warnings(&f, "host-name"), 0);
    assert_string_equal(f.plan.edits[0].rule, "user");
    fixture_fini(&f);
}

static void missing_paths_and_programs_are_named(void **state)
{
    struct fixture f;
    const struct plan_warning *w;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    f.missing = mem_strdup("/usr/bin/chromium");
    fixture_begin(&f);
    assert_int_equal(config(&f,
                            "{browser:{executablePath:'/usr/bin/chromium'},"
                            "tools:{exec:{pathPrepend:['/usr/bin/chromium']}},"
                            "x:'/usr/bin/chromium'}"),
                     0);
    fixture_finish(&f);
    w = fixture_warning(&f, "missing-binary");
    assert_non_null(w);
    assert_string_equal(w->place, "browser.executablePath");
    w = fixture_warning(&f, "missing-path");
    assert_non_null(w);
    assert_string_equal(w->place, "tools.exec.pathPrepend[0]");
    assert_int_equal(f.plan.warning_count, 2);
    fixture_fini(&f);
}

static void restored_roots_count_as_there(void **state)
{
    struct fixture f;
    char *ws;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    ws = path_join(f.state, "workspace");
    f.missing = mem_strdup(ws);
    fixture_begin(&f);
    adapt_restored_root(f.a, "/somewhere/else");
    assert_int_equal(config(&f, "{agents:{defaults:{workspace:"
                                "'/home/jo/.openclaw/workspace'}}}"),
                     0);
    fixture_finish(&f);
    assert_int_equal(fixture_warnings(&f, "missing-path"), 1);
    fixture_again(&f);
    adapt_restored_root(f.a, ws);
    assert_int_equal(config(&f, "{agents:{defaults:{workspace:"
                                "'/home/jo/.openclaw/workspace'}}}"),
                     0);
    fixture_finish(&f);
    assert_int_equal(fixture_warnings(&f, "missing-path"), 0);
    free(ws);
    fixture_fini(&f);
}

static void ports_in_use_block(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_RESTORE);
    f.taken[0] = SRC_PORT;
    facts_set(&f.target, "gateway.port", "18789");
    fixture_begin(&f);
    fixture_finish(&f);
    assert_true(fixture_warning(&f, "port-taken")->blocking);
    facts_set(&f.target, "gateway.running", "yes"); /* our own gateway */
    fixture_again(&f);
    fixture_finish(&f);
    assert_null(fixture_warning(&f, "port-taken"));
    fixture_fini(&f);
}

static void versions_are_compared(void **state)
{
    static const struct {
        const char *state, *schema, *here, *supported;
        const char *code;
        bool blocking;
    } cases[] = {
        {"2026.9.6", "18", "2026.9.6", "18", NULL, false},
        {"2026.9.6", "18", "2026.9.10", "19", "version", false},
        {"2026.10.1", "18", "2026.9.6", "18", "version", true},
        {"2026.9.6", "19", "2026.9.6", "18", "version", true},
        {"2026.9.6", "18", NULL, NULL, "no-openclaw", false},
        {"garbage", "18", "2026.9.6", "18", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        const struct plan_warning *w;

        fixture_init(&f, INTENT_MOVE);
        facts_set(&f.source, "state.version", cases[i].state);
        facts_set(&f.source, "openclaw.version", cases[i].state);
        facts_set(&f.source, "state.schema", cases[i].schema);
        if (cases[i].here) {
            facts_set(&f.target, "openclaw.version", cases[i].here);
            facts_set(&f.target, "openclaw.schema.state", cases[i].supported);
        } else {
            facts_fini(&f.target);
        }
        fixture_begin(&f);
        fixture_finish(&f);
        assert_int_equal(f.plan.warning_count, cases[i].code != NULL);
        w = cases[i].code ? fixture_warning(&f, cases[i].code) : NULL;
        assert_int_equal(w != NULL, cases[i].code != NULL);
        if (w)
            assert_int_equal(w->blocking, cases[i].blocking);
        fixture_fini(&f);
    }
}

static void secrets_in_free_text_are_marked(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    assert_int_equal(
        config(&f, "{a:'/home/jo/x --token=abc',b:'/home/jo/x --tokens',"
                   "c:'see /home/jo http://u:p@h/',d:'/home/jo',"
                   "hooks:{token:'/home/jo/s'},env:{vars:{X:'/home/jo',"
                   "Y:'a /home/jo'}},mcp:{servers:{s:{headers:{"
                   "Authorization:'x /home/jo'}}}}}"),
        0);
    assert_true(fixture_edit(&f, "a")->secret);
    assert_false(fixture_edit(&f, "b")->secret);
    assert_true(fixture_edit(&f, "c")->secret);
    assert_false(fixture_edit(&f, "d")->secret);
    assert_true(fixture_edit(&f, "hooks.token")->secret);
    assert_false(fixture_edit(&f, "env.vars.X")->secret);
    assert_true(fixture_edit(&f, "env.vars.Y")->secret);
    assert_true(
        fixture_edit(&f, "mcp.servers.s.headers.Authorization")->secret);
    fixture_fini(&f);
}

static void what_is_left_is_told_without_its_line(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    assert_int_equal(config(&f, "{} // /home/jo/x,'token':'abcdef'"), 0);
    assert_non_null(
        strstr(fixture_warning(&f, "foreign-path")->text, "/home/jo/x"));
    assert_null(strstr(fixture_warning(&f, "foreign-path")->text, "abcdef"));
    fixture_fini(&f);
}

/* --- choice and order --- */

static void an_edit_can_be_switched_off(void **state)
{
    struct fixture f;
    char id[20];
    const char *skip[] = {id};

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    fixture_begin(&f);
    assert_int_equal(config(&f, "{a:'/home/jo/x',b:'/home/jo/y'}"), 0);
    strcpy(id, fixture_edit(&f, "a")->id);
    f.o.skip_edits = skip;
    f.o.skip_count = 1;
    fixture_again(&f);
    assert_int_equal(config(&f, "{a:'/home/jo/x',b:'/home/jo/y'}"), 0);
    fixture_expect(&f, CONFIG, "{a:'/home/jo/x',b:'@H/y'}");
    assert_null(fixture_edit(&f, "a"));
    assert_string_equal(fixture_warning(&f, "edit-skipped")->place, "a");
    assert_int_equal(fixture_warnings(&f, "foreign-path"), 1);
    fixture_fini(&f);
}

static void the_plan_does_not_depend_on_the_order_of_files(void **state)
{
    static const char *const at[] = {
        "config/gateway/openclaw.json", "config/gateway/b.json",
        "config/cron/cron/jobs.json", "config/env/.env"};
    static const enum file_kind kinds[] = {KIND_CONFIG, KIND_CONFIG, KIND_JSON,
                                           KIND_ENV};
    static const char *const text[] = {
        "{gateway:{auth:{token:'${GW}'}},a:'/home/jo/a'}", "{b:'/home/jo/b'}",
        "{\"jobs\":[{\"payload\":{\"message\":\"see /home/jo/r\"}}]}",
        "GW=source-token-123456\nX=/home/jo/x\n"};
    struct id digests[2];
    struct fixture f;

    (void)state;
    for (int round = 0; round < 2; round++) {
        fixture_init(&f, INTENT_CLONE);
        free(f.home);
        free(f.state);
        f.home = mem_strdup("/home/li");
        f.state = mem_strdup("/home/li/.openclaw");
        facts_set(&f.target, "user.home", f.home);
        facts_set(&f.target, "state.dir", f.state);
        facts_set(&f.target, "state.config",
                  "/home/li/.openclaw/openclaw.json");
        fixture_begin(&f);
        for (size_t i = 0; i < ARRAY_LEN(at); i++) {
            size_t n = round ? ARRAY_LEN(at) - 1 - i : i;

            assert_int_equal(fixture_file(&f, at[n], kinds[n], text[n], NULL),
                             0);
        }
        fixture_finish(&f);
        assert_string_equal(fixture_edit(&f, "GW")->rule, "fresh");
        assert_int_equal(f.plan.edit_count, 5);
        digests[round] = plan_digest(&f.plan);
        fixture_fini(&f);
    }
    assert_true(id_equal(&digests[0], &digests[1]));
}

static void fresh_values_depend_on_seed_and_node(void **state)
{
    char *tokens[3];
    struct fixture f;

    (void)state;
    for (int i = 0; i < 3; i++) {
        fixture_init(&f, INTENT_CLONE);
        f.seed[0] = i == 1 ? 99 : 7;
        f.key[0] = i == 2 ? 99 : 9;
        fixture_begin(&f);
        assert_int_equal(
            config(&f, "{gateway:{auth:{token:'source-token-1234'}}}"), 0);
        tokens[i] =
            mem_strdup(fixture_edit(&f, "gateway.auth.token")->new_value);
        fixture_fini(&f);
    }
    assert_string_not_equal(tokens[0], tokens[1]);
    assert_string_not_equal(tokens[0], tokens[2]);
    for (int i = 0; i < 3; i++)
        free(tokens[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_values_change),
        cmocka_unit_test(every_family_of_keys_is_mapped),
        cmocka_unit_test(a_restore_onto_itself_changes_nothing),
        cmocka_unit_test(a_restore_to_a_moved_home_edits_paths_only),
        cmocka_unit_test(a_clone_gets_a_token_a_port_and_silence),
        cmocka_unit_test(a_clone_with_channels_on_is_warned),
        cmocka_unit_test(plugins_of_npm_are_told),
        cmocka_unit_test(a_move_to_an_empty_node_keeps_token_and_channels),
        cmocka_unit_test(the_target_keeps_what_is_its_own),
        cmocka_unit_test(a_config_without_gateway_gets_the_targets),
        cmocka_unit_test(what_the_target_includes_is_its_own_too),
        cmocka_unit_test(a_broken_target_config_blocks),
        cmocka_unit_test(masked_secrets_block),
        cmocka_unit_test(a_broken_config_blocks_only_a_crossing),
        cmocka_unit_test(bombs_are_told_not_followed),
        cmocka_unit_test(lists_of_the_target_replace_the_sources),
        cmocka_unit_test(host_names_are_told_not_changed),
        cmocka_unit_test(missing_paths_and_programs_are_named),
        cmocka_unit_test(restored_roots_count_as_there),
        cmocka_unit_test(ports_in_use_block),
        cmocka_unit_test(versions_are_compared),
        cmocka_unit_test(secrets_in_free_text_are_marked),
        cmocka_unit_test(what_is_left_is_told_without_its_line),
        cmocka_unit_test(an_edit_can_be_switched_off),
        cmocka_unit_test(the_plan_does_not_depend_on_the_order_of_files),
        cmocka_unit_test(fresh_values_depend_on_seed_and_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
