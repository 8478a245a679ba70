/* SPDX-License-Identifier: MIT */
/* ocm-release-sign: makes the release key and signs agents with it. For the
 * machine where the key lives; neither controllers nor nodes have it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/net/protocol.h"
#include "common/release/manifest.h"

#define PREFIX "ocm-agent-"
#define SUFFIX ".package"
#define KEY_FORMAT "ocm-release-key-1 "
#define SEED_HEX (2 * crypto_sign_SEEDBYTES)
#define KEY_FILE_MAX 4096

static const char usage_text[] =
    "Usage: ocm-release-sign key FILE\n"
    "       ocm-release-sign public FILE\n"
    "       ocm-release-sign sign FILE VERSION AGENT...\n"
    "\n"
    "key     makes a release key, keeps it in FILE (mode 0600) and shows its\n"
    "        public half, for cmake -DOCM_RELEASE_KEY=...\n"
    "public  shows the public half of the key in FILE\n"
    "sign    makes AGENT.package beside each AGENT, a file that is called\n"
    "        ocm-agent-<uname -m>, for: ocmctl node upgrade --from "
    "AGENT.package\n"
    "\n"
    "Keep FILE away from controllers and nodes: who has it can run code on\n"
    "every node whose agent was built for it.\n";

static void show_public(const uint8_t key[RELEASE_KEY_LEN])
{
    char hex[2 * RELEASE_KEY_LEN + 1];

    hex_encode(key, RELEASE_KEY_LEN, hex);
    puts(hex);
}

static int make_key(const char *path, struct error *e)
{
    uint8_t seed[crypto_sign_SEEDBYTES], secret[RELEASE_SECRET_LEN];
    uint8_t public[RELEASE_KEY_LEN];
    char hex[SEED_HEX + 1];
    struct buf b = {0};
    int rc;

    if (file_exists(path))
        return error_set(e, OCM_E_EXISTS, "%s exists: it is not replaced",
                         path);
    secret_random(seed, sizeof(seed));
    crypto_sign_seed_keypair(public, secret, seed);
    hex_encode(seed, sizeof(seed), hex);
    buf_printf(&b, KEY_FORMAT "%s\n", hex);
    rc = file_write(path, b.data, b.len, 0600, e);
    if (rc == 0)
        show_public(public);
    buf_wipe(&b);
    secret_wipe(seed, sizeof(seed));
    secret_wipe(secret, sizeof(secret));
    secret_wipe(hex, sizeof(hex));
    return rc;
}

static int read_key(const char *path, uint8_t public[RELEASE_KEY_LEN],
                    uint8_t secret[RELEASE_SECRET_LEN], struct error *e)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    size_t head = strlen(KEY_FORMAT);
    struct buf b = {0};
    int rc = file_read(path, KEY_FILE_MAX, &b, e);

    if (rc == 0 &&
        (b.len < head + SEED_HEX || memcmp(b.data, KEY_FORMAT, head) != 0 ||
         !hex_decode((char *)b.data + head, SEED_HEX, seed, sizeof(seed))))
        rc = error_set(e, OCM_E_INVALID, "%s: no release key", path);
    if (rc == 0)
        crypto_sign_seed_keypair(public, secret, seed);
    buf_wipe(&b);
    secret_wipe(seed, sizeof(seed));
    return rc;
}

static int sign_one(const char *path, const char *version,
                    const uint8_t secret[RELEASE_SECRET_LEN], struct error *e)
{
    struct manifest m = {.protocol_min = PROTOCOL_MIN,
                         .protocol_max = PROTOCOL_MAX};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    struct buf binary = {0}, package = {0};
    char *out = mem_printf("%s" SUFFIX, path);
    struct manifest check;
    int rc;

    snprintf(m.version, sizeof(m.version), "%s", version);
    snprintf(m.arch, sizeof(m.arch), "%s",
             text_has_prefix(name, PREFIX) ? name + strlen(PREFIX) : "");
    rc = file_read(path, RELEASE_MAX_BYTES, &binary, e);
    if (rc < 0)
        goto out;
    m.size = binary.len;
    m.sha256 = digest_of(binary.data, binary.len);
    manifest_sign(&m, secret, &package);
    /* what nobody would take is not written */
    rc = manifest_parse(package.data, package.len, &check, e);
    if (rc < 0) {
        error_prefix(e,
                     "%s is to be called " PREFIX "<uname -m>, VERSION like "
                     "1.2.3",
                     path);
        goto out;
    }
    buf_add(&package, binary.data, binary.len);
    rc = file_write(out, package.data, package.len, 0644, e);
    if (rc == 0)
        puts(out);
out:
    buf_free(&binary);
    buf_free(&package);
    free(out);
    return rc;
}

int main(int argc, char **argv)
{
    uint8_t public[RELEASE_KEY_LEN], secret[RELEASE_SECRET_LEN];
    const char *verb = argc > 1 ? argv[1] : "";
    struct error e = {0};
    int rc;

    umask(077);
    secret_init();
    if (strcmp(verb, "key") == 0 && argc == 3) {
        rc = make_key(argv[2], &e);
    } else if (strcmp(verb, "public") == 0 && argc == 3) {
        rc = read_key(argv[2], public, secret, &e);
        if (rc == 0)
            show_public(public);
    } else if (strcmp(verb, "sign") == 0 && argc >= 5) {
        rc = read_key(argv[2], public, secret, &e);
        for (int i = 4; i < argc && rc == 0; i++)
            rc = sign_one(argv[i], argv[3], secret, &e);
    } else {
        fputs(usage_text, strcmp(verb, "--help") == 0 ? stdout : stderr);
        return strcmp(verb, "--help") == 0 ? 0 : 2;
    }
    secret_wipe(secret, sizeof(secret));
    if (rc < 0)
        fprintf(stderr, "ocm-release-sign: %s\n", e.text);
    return rc < 0 ? 1 : 0;
}
