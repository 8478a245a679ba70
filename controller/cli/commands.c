/* SPDX-License-Identifier: MIT */
/* The table: everything that help, man pages and completion say. */
#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"

const struct option global_options[] = {
    {"socket", 0, "PATH", "the controller's socket", false, "file"},
    {"json", 0, NULL, "one JSON document on standard output", false, NULL},
    {"no-color", 0, NULL, "no colours (as NO_COLOR)", false, NULL},
    {"quiet", 'q', NULL, "no progress, no remarks", false, NULL},
    {"help", 'h', NULL, "this help", false, NULL},
};
const size_t global_count = ARRAY_LEN(global_options);

#define ONLY                                                                   \
    {                                                                          \
        "only", 0, "SECTION", "only this section; may stand several times",    \
            true, "section"                                                    \
    }
#define YES                                                                    \
    {                                                                          \
        "yes", 'y', NULL, "do not ask", false, NULL                            \
    }
#define NO_DATA                                                                \
    {                                                                          \
        "no-data", 0, NULL, "configuration only", false, NULL                  \
    }
#define INSTALL                                                                \
    {                                                                          \
        "install-openclaw", 0, NULL, "install the backup's OpenClaw (npm)",    \
            false, NULL                                                        \
    }
#define UPGRADE                                                                \
    {                                                                          \
        "upgrade-state", 0, NULL, "let a newer OpenClaw upgrade the state",    \
            false, NULL                                                        \
    }
#define DETACH                                                                 \
    {                                                                          \
        "detach", 'd', NULL, "do not wait for the end", false, NULL            \
    }

const struct command command_table[] = {
    {"status",
     "",
     0,
     0,
     "how the controller and its nodes are",
     NULL,
     "  ocmctl status\n",
     NULL,
     cmd_status,
     {{0}}},

    {"node list",
     "",
     0,
     0,
     "all nodes",
     NULL,
     "  ocmctl node list\n  ocmctl node list --all\n",
     NULL,
     cmd_node_list,
     {{"all", 'a', NULL, "removed ones, too", false, NULL}}},
    {"node show",
     "NODE",
     1,
     1,
     "one node",
     NULL,
     "  ocmctl node show web-1\n",
     "node",
     cmd_node_show,
     {{0}}},
    {"node add",
     "[USER@]HOST[:PORT]...",
     0,
     -1,
     "bring the agent onto hosts by SSH, and make a first backup",
     "ssh is run as you: your configuration, agent, keys and jump hosts work. "
     "What it asks for is asked here when it is needed and kept nowhere. The "
     "plan is shown first. Run again it repairs or upgrades; the name of a "
     "node "
     "that was added so reaches it as before. A file has one host a line, with "
     "name=, jump= and identity= behind it. A host key is shown at the first "
     "contact and must stay the same from then on. --password-fd: the first "
     "line answers for passwords and passphrases, the second (if any) for "
     "sudo.",
     "  ocmctl node add jo@web-1.example\n"
     "  ocmctl node add -f hosts.txt --parallel 8 --accept-new --yes\n"
     "  ocmctl node add web-1 --jump bastion --dry-run\n",
     NULL,
     cmd_node_add,
     {{"file", 'f', "FILE", "hosts from a file, too", false, "file"},
      {"parallel", 0, "N", "so many at a time (8)", false, NULL},
      {"port", 0, "PORT", "of sshd", false, NULL},
      {"identity", 'i', "FILE", "a private key", false, "file"},
      {"jump", 0, "HOST", "over this host, as ssh -J", false, NULL},
      {"ssh-config", 0, "FILE", "instead of yours, as ssh -F", false, "file"},
      {"name", 0, "NAME", "the node's name (the host's)", false, NULL},
      {"user", 0, "USER", "only the OpenClaw of this user", false, NULL},
      {"mode", 0, "MODE", "system, user or cron (what fits)", false,
       "system user cron"},
      {"controller", 0, "HOST[:PORT]", "where the node finds us", false, NULL},
      {"agent-dir", 0, "DIR", "agents by architecture, and SHA256SUMS", false,
       "file"},
      {"password-fd", 0, "N", "read passwords from this descriptor", false,
       NULL},
      {"accept-new", 0, NULL, "trust a host key on first use", false, NULL},
      {"new-host-key", 0, NULL, "the host key has changed, and I know why",
       false, NULL},
      {"no-backup", 0, NULL, "no first backup", false, NULL},
      {"dry-run", 0, NULL, "look only; show what would run", false, NULL},
      YES}},
    {"node token",
     "[NAME]",
     0,
     1,
     "invite a node: a token to join with",
     "The token works once and for a few minutes. The command that is shown is "
     "to be run on the node. With --script it also installs the agent there: "
     "for hosts that node add cannot reach.",
     "  ocmctl node token\n  ocmctl node token web-1 --ttl 300\n"
     "  ocmctl node token web-1 --script\n",
     NULL,
     cmd_node_token,
     {{"ttl", 0, "SECONDS", "valid so long (10 to 900; 900)", false, NULL},
      {"script", 0, NULL, "a line for the installer", false, NULL},
      {"agent-dir", 0, "DIR", "agents by architecture, and SHA256SUMS", false,
       "file"}}},
    {"node script",
     "",
     0,
     0,
     "the installer, a POSIX shell script",
     "It detects, installs, repairs and removes agents; its head says how.",
     "  ocmctl node script >bootstrap.sh\n",
     NULL,
     cmd_node_script,
     {{0}}},
    {"node remove",
     "NODE",
     1,
     1,
     "remove a node; its backups stay",
     "Its certificates count no more and its connection is closed. To bring it "
     "back, invite it anew. With --uninstall the agent is taken off the node "
     "first, its keys, unit and programs as far as its user may; OpenClaw "
     "stays "
     "as it is. What is left to be done by hand is said.",
     "  ocmctl node remove web-1\n  ocmctl node remove web-1 --uninstall\n",
     "node",
     cmd_node_remove,
     {{"uninstall", 0, NULL, "take the agent off the node, too", false, NULL},
      YES}},
    {"node rename",
     "NODE NAME",
     2,
     2,
     "give a node another name",
     NULL,
     "  ocmctl node rename web-1 shop\n",
     "node",
     cmd_node_rename,
     {{0}}},

    {"node single",
     "NODE",
     1,
     1,
     "say that a node's identity runs on one machine again",
     "A copy of a node, as of a disk image, has its key too. When both run, "
     "node list shows the node as double and nothing is changed on it: join "
     "one of them again with a token of its own, or stop it; then say so here.",
     "  ocmctl node single web-1\n",
     "node",
     cmd_node_single,
     {{0}}},
    {"node gateway",
     "NODE [VERB]",
     1,
     2,
     "how a node's gateway is; start, stop, fence or unfence it",
     "VERB is status, start, stop, fence or unfence. A fence stops the gateway "
     "and keeps it from starting, over reboots too, until it is taken away: a "
     "move sets it on its source.",
     "  ocmctl node gateway web-1\n  ocmctl node gateway web-1 unfence\n",
     "node",
     cmd_node_gateway,
     {{0}}},

    {"node upgrade",
     "[NODE...]",
     0,
     -1,
     "upgrade agents over their connections",
     "Packages are made by ocm-release-sign; an agent takes only what was "
     "signed by the key it was built for. Some nodes go first, one by one "
     "(--canary); the others follow when each of them is back and answers, and "
     "nothing follows a failure. An agent that does not come back puts the "
     "former one in its place by itself.",
     "  ocmctl node upgrade web-1 --from ocm-agent-x86_64.package\n"
     "  ocmctl node upgrade --all --from /srv/release --canary 2\n"
     "  ocmctl node upgrade web-1 --from old.package --allow-downgrade\n",
     "node",
     cmd_node_upgrade,
     {{"all", 'a', NULL, "all nodes", false, NULL},
      {"from", 0, "PATH",
       "a package, or a folder of them (those the controller has)", false,
       "file"},
      {"canary", 0, "N", "so many first, one by one (1)", false, NULL},
      {"allow-downgrade", 0, NULL, "also to an older version", false, NULL},
      {"ssh", 0, NULL, "those out of reach by SSH, as node add", false, NULL},
      YES,
      DETACH}},

    {"backup",
     "[NODE...]",
     0,
     -1,
     "back up nodes",
     "One job each. Without --detach the end is waited for; Ctrl-C leaves the "
     "jobs running. With --only or --no-data the backup is \"selected\": it "
     "does not count as the node's last one, and a restore takes it only when "
     "it is named.",
     "  ocmctl backup web-1\n  ocmctl backup --all --detach\n"
     "  ocmctl backup web-1 --only gateway --only cron\n",
     "node",
     cmd_backup,
     {{"all", 'a', NULL, "all nodes", false, NULL},
      ONLY,
      NO_DATA,
      {"reread", 0, NULL, "read unchanged files again, too", false, NULL},
      DETACH}},
    {"list",
     "[NODE]",
     0,
     1,
     "backups, newest first",
     NULL,
     "  ocmctl list\n  ocmctl list web-1 --limit 20\n",
     "node",
     cmd_list,
     {{"limit", 'n', "N", "at most so many (100)", false, NULL}}},
    {"show",
     "SNAPSHOT",
     1,
     1,
     "what a backup holds",
     "SNAPSHOT is an id, a unique beginning of one, latest, or latest:NODE, "
     "here and everywhere.",
     "  ocmctl show 1a2b3c4d\n  ocmctl show latest:web-1\n",
     "snapshot",
     cmd_show,
     {{0}}},
    {"files",
     "SNAPSHOT [PATH]",
     1,
     2,
     "files of a backup",
     NULL,
     "  ocmctl files latest:web-1\n"
     "  ocmctl files latest:web-1 config/gateway -r\n",
     "snapshot",
     cmd_files,
     {{"recursive", 'r', NULL, "all levels", false, NULL}}},
    {"cat",
     "SNAPSHOT PATH",
     2,
     2,
     "the content of a file of a backup",
     NULL,
     "  ocmctl cat latest:web-1 config/gateway/openclaw.json\n",
     "snapshot",
     cmd_cat,
     {{0}}},
    {"diff",
     "OLD NEW [PATH]",
     2,
     3,
     "what is different between two backups",
     "Configuration is compared by key, text by line. Secrets are never shown.",
     "  ocmctl diff 1a2b3c4d latest:web-1\n"
     "  ocmctl diff 1a2b 5e6f config --stat\n",
     "snapshot snapshot",
     cmd_diff,
     {{"stat", 0, NULL, "names only", false, NULL}}},
    {"restore",
     "NODE",
     1,
     1,
     "bring a node back to an earlier backup",
     "First a plan is made and shown: every value that will change and every "
     "warning. Then the name of the node has to be typed, unless --yes is "
     "given. What is replaced is backed up before; if the gateway does not "
     "come up healthy, all is put back. Cron jobs and logins come alone, too, "
     "where they are rows of a database: --only cron.",
     "  ocmctl restore web-1\n  ocmctl restore web-1 --snapshot 1a2b --plan\n"
     "  ocmctl restore web-1 --only gateway --yes\n"
     "  ocmctl restore web-1 --only cron\n",
     "node",
     cmd_restore,
     {{"snapshot", 's', "ID", "this backup (the latest)", false, "snapshot"},
      ONLY,
      NO_DATA,
      {"plan", 0, NULL, "show the plan, change nothing", false, NULL},
      {"apply", 0, "PLAN", "apply exactly this plan", false, NULL},
      {"no-start", 0, NULL, "leave the gateway stopped", false, NULL},
      {"no-safety", 0, NULL, "no backup before", false, NULL},
      INSTALL,
      UPGRADE,
      YES}},
    {"migrate",
     "SOURCE TARGET",
     2,
     2,
     "bring one node's backup to another",
     "A clone is a new node with an identity of its own; its channels are off "
     "unless --channels-on is given. A move stops the source for good first. "
     "The plan is shown, the target's name has to be typed, and exactly this "
     "plan is applied. What it installs and upgrades is put back with the "
     "rest when the gateway does not come up healthy.",
     "  ocmctl migrate web-1 web-2 --clone\n"
     "  ocmctl migrate web-1 web-2 --move --plan\n"
     "  ocmctl migrate web-1 web-2 --apply p01h2 --yes\n"
     "  ocmctl migrate a b --clone --rule /srv/old=/srv/new\n",
     "node node",
     cmd_migrate,
     {{"clone", 0, NULL, "the source goes on", false, NULL},
      {"move", 0, NULL, "the target takes over", false, NULL},
      {"intention", 0, "clone|move", "the same as a word", false, "clone move"},
      {"snapshot", 's', "ID", "this backup of the source (a fresh one)", false,
       "snapshot"},
      ONLY,
      NO_DATA,
      {"rule", 0, "FROM=TO", "rewrite this; may stand several times", true,
       NULL},
      {"channels-on", 0, NULL, "the clone's channels stay on", false, NULL},
      {"plan", 0, NULL, "show the plan, change nothing", false, NULL},
      {"apply", 0, "PLAN", "apply exactly this plan", false, NULL},
      {"source-gone", 0, NULL, "move although the source cannot be stopped",
       false, NULL},
      INSTALL,
      UPGRADE,
      YES}},

    {"job list",
     "[NODE]",
     0,
     1,
     "jobs, newest first",
     NULL,
     "  ocmctl job list\n  ocmctl job list web-1\n",
     "node",
     cmd_job_list,
     {{"limit", 'n', "N", "at most so many (50)", false, NULL}}},
    {"job show",
     "JOB",
     1,
     1,
     "one job and its log",
     NULL,
     "  ocmctl job show j01abc\n",
     "job",
     cmd_job_show,
     {{0}}},
    {"job watch",
     "JOB",
     1,
     1,
     "follow a job to its end",
     "The exit code is the job's.",
     "  ocmctl job watch j01abc\n",
     "job",
     cmd_job_watch,
     {{0}}},
    {"job cancel",
     "JOB",
     1,
     1,
     "cancel a job",
     NULL,
     "  ocmctl job cancel j01abc\n",
     "job",
     cmd_job_cancel,
     {{0}}},

    {"verify",
     "[SNAPSHOT]",
     0,
     1,
     "check the repository, or one backup",
     "Without --read-data the structure is checked; with it every byte is read "
     "and its checksum compared.",
     "  ocmctl verify\n  ocmctl verify --read-data\n"
     "  ocmctl verify latest:web-1\n",
     "snapshot",
     cmd_verify,
     {{"read-data", 0, NULL, "read every byte", false, NULL}, DETACH}},
    {"export",
     "SNAPSHOT FILE",
     2,
     2,
     "a backup as a .tar.zst",
     "FILE must not exist; - is standard output. After tar x, sha256sum -c "
     "verify/SHA256SUMS checks all of it.",
     "  ocmctl export latest:web-1 web-1.tar.zst\n"
     "  ocmctl export 1a2b - | ssh host tar x --zstd\n",
     "snapshot file",
     cmd_export,
     {{0}}},
    {"import",
     "FILE",
     1,
     1,
     "make a backup of an archive",
     "FILE is a .tar.zst of ocmctl export, or the .tar.gz that openclaw backup "
     "create makes.",
     "  ocmctl import web-1.tar.zst --node web-1\n",
     "file",
     cmd_import,
     {{"node", 0, "NODE", "whose backup it is", false, "node"}, DETACH}},
    {"kit",
     "",
     0,
     0,
     "the emergency kit: what you must keep",
     "Print it and keep it with the repository's password, away from the "
     "controller.",
     "  ocmctl kit >kit.txt\n",
     NULL,
     cmd_kit,
     {{0}}},

    {"completion",
     "bash|zsh|fish",
     1,
     1,
     "completion for a shell",
     NULL,
     "  ocmctl completion bash >/etc/bash_completion.d/ocmctl\n"
     "  ocmctl completion zsh >\"${fpath[1]}/_ocmctl\"\n"
     "  ocmctl completion fish >~/.config/fish/completions/ocmctl.fish\n",
     "bash,zsh,fish",
     cmd_completion,
     {{0}}},
    {"man",
     "",
     0,
     0,
     "the manual page",
     NULL,
     "  ocmctl man | man -l -\n",
     NULL,
     cmd_man,
     {{0}}},
    {"version",
     "",
     0,
     0,
     "versions of ocmctl and the controller",
     NULL,
     "  ocmctl version\n",
     NULL,
     cmd_version,
     {{0}}},
};
const size_t command_count = ARRAY_LEN(command_table);
