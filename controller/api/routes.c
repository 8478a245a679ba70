/* SPDX-License-Identifier: MIT */
/* From method and path to handler. openapi.json says the same; a test holds
 * them against each other. */
#include "common/base/mem.h"
#include "controller/api/handlers.h"

#define V1 "/api/v1"

const struct route route_table[] = {
    {"GET", V1 "/status", get_status, 0, "", NULL},
    {"GET", V1 "/kit", get_kit, 0, "", "kit.show"},
    {"GET", V1 "/openapi.json", get_openapi, ROUTE_ON_LOOP, "", NULL},

    {"GET", V1 "/nodes", get_nodes, 0, "all", NULL},
    {"POST", V1 "/nodes/token", post_node_token, ROUTE_BODY, "", "node.token"},
    {"GET", V1 "/nodes/{node}", get_node, 0, "", NULL},
    {"DELETE", V1 "/nodes/{node}", delete_node, ROUTE_ON_LOOP, "",
     "node.remove"},
    {"POST", V1 "/nodes/{node}/rename", post_node_rename, ROUTE_BODY, "",
     "node.rename"},
    {"POST", V1 "/nodes/{node}/single", post_node_single, ROUTE_BODY, "",
     "node.single"},
    {"POST", V1 "/nodes/{node}/gateway", post_gateway, ROUTE_BODY, "",
     "node.gateway"},
    {"POST", V1 "/nodes/{node}/uninstall", post_uninstall, ROUTE_BODY, "",
     "node.uninstall"},

    {"GET", V1 "/nodes/{node}/connection", get_connection, 0, "", NULL},
    {"POST", V1 "/nodes/{node}/connection", post_connection, ROUTE_BODY, "",
     "node.connection"},
    {"GET", V1 "/connections", get_connections, 0, "", NULL},

    {"GET", V1 "/snapshots", get_snapshots, 0, "node limit", NULL},
    {"GET", V1 "/snapshots/{snapshot}", get_snapshot, 0, "", NULL},
    {"GET", V1 "/snapshots/{snapshot}/files", get_files, 0, "path recursive",
     NULL},
    {"GET", V1 "/snapshots/{snapshot}/file", get_file, 0, "path",
     "snapshot.file"},
    {"GET", V1 "/snapshots/{snapshot}/export", get_export, 0, "",
     "snapshot.export"},
    {"GET", V1 "/snapshots/{snapshot}/diff/{other}", get_diff, 0, "path stat",
     NULL},

    {"POST", V1 "/backups", post_backups, ROUTE_BODY, "", "backup"},
    {"POST", V1 "/plans", post_plans, ROUTE_BODY, "", "plan"},
    {"POST", V1 "/migrations", post_migrations, ROUTE_BODY, "", "migrate"},
    {"POST", V1 "/restores", post_restores, ROUTE_BODY, "", "restore"},
    {"POST", V1 "/verify", post_verify, ROUTE_BODY, "", "verify"},
    {"POST", V1 "/imports", post_imports, ROUTE_UPLOAD, "node", "import"},
    {"POST", V1 "/packages", post_packages, ROUTE_UPLOAD, "", "package"},
    {"POST", V1 "/upgrades", post_upgrades, ROUTE_BODY, "", "upgrade"},

    {"GET", V1 "/jobs", get_jobs, 0, "node limit", NULL},
    {"GET", V1 "/jobs/{job}", get_job, 0, "", NULL},
    {"GET", V1 "/jobs/{job}/events", get_job_events, 0, "after", NULL},
    {"POST", V1 "/jobs/{job}/cancel", post_job_cancel, ROUTE_BODY, "",
     "job.cancel"},
};
const size_t route_count = ARRAY_LEN(route_table);
