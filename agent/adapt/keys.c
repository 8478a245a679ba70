/* SPDX-License-Identifier: MIT */
/* The tables behind keys.h. */
#include "agent/adapt/keys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "agent/adapt/docs/doc.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static const char *const path_keys[] = {
    "agents.**.workspace",
    "agents.**.cwd",
    "agents.defaults.repoRoot",
    "agents.**.agentDir",
    "agents.**.tts.prefsPath",
    "agents.**.sandbox.workspaceRoot",
    "agents.**.sandbox.docker.binds[]",
    "agents.**.sandbox.docker.seccompProfile",
    "agents.**.sandbox.browser.binds[]",
    "agents.**.sandbox.ssh.identityFile",
    "agents.**.sandbox.ssh.certificateFile",
    "agents.**.sandbox.ssh.knownHostsFile",
    "agents.**.tools.exec.pathPrepend[]",
    "agents.**.tools.exec.safeBinTrustedDirs[]",
    "tools.exec.pathPrepend[]",
    "tools.exec.safeBinTrustedDirs[]",
    "memory.search.extraPaths[]",
    "memory.search.extraPaths[].path",
    "memory.search.local.modelPath",
    "memory.search.store.vector.extensionPath",
    "agents.**.memorySearch.extraPaths[]",
    "agents.**.memorySearch.local.modelPath",
    "agents.**.memorySearch.store.vector.extensionPath",
    "bindings[].acp.cwd",
    "browser.profiles.*.userDataDir",
    "desktop.host.passwordFile",
    "gateway.controlUi.root",
    "gateway.tls.certPath",
    "gateway.tls.keyPath",
    "gateway.tls.caPath",
    "gateway.remote.sshIdentity",
    "hooks.transformsDir",
    "hooks.internal.load.extraDirs[]",
    "mcp.servers.*.cwd",
    "nodeHost.mcp.servers.*.cwd",
    "models.providers.*.localService.cwd",
    "plugins.load.paths[]",
    "proxy.tls.caFile",
    "secrets.providers.*.path",
    "secrets.providers.*.trustedDirs[]",
    "security.installPolicy.exec.trustedDirs[]",
    "skills.load.extraDirs[]",
    "skills.load.allowSymlinkTargets[]",
    "worktreeRoot",
    "channels.**.tokenFile",
    "channels.**.secretFile",
    "channels.**.passwordFile",
    "channels.**.apiPasswordFile",
    "channels.**.botSecretFile",
    "channels.**.webhookCertPath",
    "channels.**.trustedLocalFileRoots[]",
    "channels.**.authDir",
    "channels.**.serviceAccountFile",
    "channels.**.certificatePath",
    "channels.**.dbPath",
    "channels.**.attachmentRoots[]",
    "channels.signal.**.configPath",
    "channels.reef.stateDir",
    "channels.discord.voice.realtime.bootstrapContextFiles[]",
    "plugins.entries.active-memory.config.transcriptDir",
    "plugins.entries.memory-wiki.config.vault.path",
    "plugins.entries.memory-wiki.config.unsafeLocal.paths[]",
    "plugins.entries.policy.config.path",
    /* the layout of plain YAML files */
    "**.stateDir",
    "**.state_dir",
    "**.dataDir",
    "**.data_dir",
    "**.workspace",
    "**.workspaceDir",
    "**.workspace_dir",
    "**.working_directory",
};

static const char *const output_keys[] = {
    "logging.file", "session.store", "cron.store", "**.log_file", "**.logFile",
};

static const char *const program_keys[] = {
    "mcp.servers.*.command",
    "nodeHost.mcp.servers.*.command",
    "models.providers.*.localService.command",
    "secrets.providers.*.command",
    "security.installPolicy.exec.command",
    "tools.links.models[].command",
    "tools.media.models[].command",
    "browser.executablePath",
    "browser.profiles.*.executablePath",
    "browser.profiles.*.mcpCommand",
    "gateway.terminal.shell",
    "channels.**.cliPath",
    "plugins.entries.cua-computer.config.driverPath",
    "plugins.entries.crabbox.config.sandbox.binary",
    "plugins.entries.onepassword.config.opBin",
};

static const char *const url_path_keys[] = {
    "**.webhookPath",
    "hooks.path",
    "hooks.mappings[].match.path",
    "gateway.controlUi.basePath",
    "hooks.gmail.serve.path",
    "hooks.gmail.tailscale.path",
    "**.commands.callbackPath",
    "tools.profile",
};

static const char *const own_port_keys[] = {
    "gateway.port",
    "browser.controlPort",
    "browser.profiles.*.cdpPort",
    "server.port",
    "port",
};

static const char *const listen_port_keys[] = {
    "gateway.portals.ingress.port",  "hooks.gmail.serve.port",
    "mcp.apps.sandboxPort",          "channels.**.webhookPort",
    "channels.msteams.webhook.port",
};

/* Whole tables that may hold secrets under any name. */
static const char *const secret_tables[] = {
    "env.vars.*",
    "env.*",
    "mcp.servers.*.env.*",
    "mcp.servers.*.headers.*",
    "nodeHost.mcp.servers.*.env.*",
    "nodeHost.mcp.servers.*.headers.*",
    "models.providers.*.headers.*",
    "models.providers.*.request.headers.*",
    "models.providers.*.request.auth.*",
    "models.providers.*.request.tls.*",
    "models.providers.*.localService.env.*",
    "memory.search.remote.headers.*",
    "agents.**.memorySearch.remote.headers.*",
    "skills.entries.*.env.*",
    "hooks.internal.entries.*.env.*",
    "tools.web.fetch.headers.*",
    "security.installPolicy.exec.env.*",
    "secrets.providers.*.env.*",
    "diagnostics.otel.headers.*",
    "gateway.remote.edgeAuth.**",
    "plugins.entries.onepassword.**",
    "proxy.proxyUrl",
    "**.request.proxy.url",
    "channels.**.proxy",
    "channels.synology-chat.**.webhookUrl",
    "channels.synology-chat.**.incomingUrl",
    "hooks.mappings[].sessionKey",
    "channels.googlechat.**.serviceAccount",
};

/* Ends of names, in lower case without "_" and "-". */
static const char *const secret_names[] = {
    "token",        "apikey",        "secret",        "password",
    "passphrase",   "privatekey",    "signingkey",    "encryptkey",
    "accesskey",    "authtoken",     "identitydata",  "certificatedata",
    "credential",   "credentials",   "cookie",        "authorization",
    "secretkey",    "bottoken",      "appsecret",     "clientsecret",
    "refreshtoken", "privatekeypem", "oauth",         "passwd",
    "hmackey",      "vapidkeys",     "webhooksecret",
};

/* What looks like one and is none. */
static const char *const plain_names[] = {
    "maxtokens", "tokenfile", "passwordfile", "secretfile", "contexttokens",
};

const char *const keys_node_owned[] = {
    "gateway.port",
    "gateway.bind",
    "gateway.customBindHost",
    "gateway.auth",
    "gateway.tls",
    "gateway.remote",
    "gateway.tailscale",
    "gateway.publicOrigin",
    "gateway.controlUi.allowedOrigins",
    "gateway.trustedProxies",
    "logging.file",
    "browser.executablePath",
    "wizard",
    "nodeHost",
    "desktop",
    "discovery",
    "proxy",
};
const size_t keys_node_owned_len = ARRAY_LEN(keys_node_owned);

static const char *const env_owned[] = {
    "OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD",
    "OPENCLAW_GATEWAY_PORT",  "OPENCLAW_GATEWAY_BIND",
    "CLAWDBOT_GATEWAY_TOKEN", "CLAWDBOT_GATEWAY_PASSWORD",
    "CLAWDBOT_GATEWAY_PORT",  "OPENCLAW_SYSTEMD_UNIT",
    "OPENCLAW_LAUNCHD_LABEL", "OPENCLAW_PROFILE",
    "GATEWAY_TOKEN",          "GATEWAY_PORT",
};

static const char *const env_channels[] = {
    "TELEGRAM_BOT_TOKEN",        "DISCORD_BOT_TOKEN",
    "SLACK_BOT_TOKEN",           "SLACK_APP_TOKEN",
    "LINE_CHANNEL_ACCESS_TOKEN", "MATRIX_ACCESS_TOKEN",
    "MATTERMOST_BOT_TOKEN",      "ZALO_BOT_TOKEN",
};

static bool any_match(const char *const *patterns, size_t count,
                      const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (doc_pattern_match(patterns[i], path))
            return true;
    return false;
}

#define MATCHES(table, path) any_match(table, ARRAY_LEN(table), path)

static bool any_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

bool keys_is_path(const char *path)
{
    return MATCHES(path_keys, path);
}

bool keys_is_output(const char *path)
{
    return MATCHES(output_keys, path);
}

bool keys_is_program(const char *path)
{
    return MATCHES(program_keys, path);
}

bool keys_is_url_path(const char *path)
{
    return MATCHES(url_path_keys, path);
}

bool keys_is_own_port(const char *path)
{
    return MATCHES(own_port_keys, path);
}

bool keys_is_listen_port(const char *path)
{
    return MATCHES(listen_port_keys, path);
}

bool keys_name_is_secret(const char *name)
{
    char plain[64];
    size_t len = 0;

    for (; *name && len + 1 < sizeof(plain); name++)
        if (isalnum((unsigned char)*name))
            plain[len++] = (char)tolower((unsigned char)*name);
    plain[len] = '\0';
    if (any_name(plain_names, ARRAY_LEN(plain_names), plain))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(secret_names); i++)
        if (text_has_suffix(plain, secret_names[i]))
            return true;
    return false;
}

bool keys_text_has_secret(const char *text)
{
    static const char *const words[] = {
        "token",  "secret",  "password", "passwd",        "passphrase",
        "apikey", "api_key", "api-key",  "authorization", "credential",
    };
    const char *at;

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        for (at = strcasestr(text, words[i]); at;
             at = strcasestr(at + 1, words[i])) {
            const char *end = at + strlen(words[i]);

            end += strspn(end, "\"' ");
            if (*end == '=' || *end == ':' || end[-1] == ' ')
                return true;
        }
    if (strcasestr(text, "bearer "))
        return true;
    for (at = strstr(text, "://"); at; at = strstr(at + 3, "://")) {
        size_t host = strcspn(at + 3, "/ \t\"'");
        const char *user = memchr(at + 3, '@', host);

        if (user && memchr(at + 3, ':', (size_t)(user - at - 3)))
            return true;
    }
    return false;
}

bool keys_is_secret(const char *path, const char *key, const char *text)
{
    if (key && keys_name_is_secret(key))
        return true;
    if (!MATCHES(secret_tables, path))
        return false;
    return !text || (text[0] != '/' && text[0] != '~');
}

bool keys_is_node_owned(const char *path)
{
    for (size_t i = 0; i < keys_node_owned_len; i++) {
        size_t len = strlen(keys_node_owned[i]);

        if (strncmp(path, keys_node_owned[i], len) == 0 &&
            (path[len] == '\0' || path[len] == '.' || path[len] == '['))
            return true;
    }
    return false;
}

bool keys_env_is_node_owned(const char *name)
{
    return any_name(env_owned, ARRAY_LEN(env_owned), name);
}

bool keys_env_is_channel(const char *name)
{
    return any_name(env_channels, ARRAY_LEN(env_channels), name);
}
