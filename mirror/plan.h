/* The writes that would make one mirror right. Looks at the world, changes nothing; the same world gives the same plan, byte for byte. Plan, apply,
 * plan again: empty.
 *
 * Rules (docs/decisions/ has the why):
 *  - An object that is right is not written.
 *  - Nothing is made or given away before the source's mirrors and the target's services are listed; readiness is kept right.
 *  - Only objects with our labels for this cluster are changed or deleted; anything else of that name is a collision.
 *  - Deletes need complete views: of the source's mirrors, and of the target's services (or of all links, for clusters no link names);
 *    they carry uid and resourceVersion as preconditions.
 *  - An address whose liveness is unknown keeps the readiness that the API holds; new ones start unready. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "mirror/object.h"
#include "mirror/world.h"

enum write_verb { WRITE_CREATE, WRITE_UPDATE, WRITE_DELETE };
enum write_kind {
    WRITE_NAMESPACE,
    WRITE_SERVICE,
    WRITE_SLICE,
    WRITE_ENDPOINTS, /* v1 Endpoints, where these are written; elsewhere only old ones that go */
    WRITE_IMPORT,    /* a ServiceImport, but for its status */
    WRITE_IMPORT_STATUS,
};
enum { WRITE_KINDS = WRITE_IMPORT_STATUS + 1 };

/** One write. Objects are borrowed from the world or the arena. */
struct write {
    enum write_verb verb;
    enum write_kind kind;
    const char *namespace, *name; /* of the object; namespace "" for namespaces */
    const char *reason;           /* constant: why, for logs and `plan` */
    const char *version;          /* of a ServiceImport: that of its API group which is served; constant */
    const struct service *service, *old_service; /* wanted, and what is there (update and delete); or ServiceImports */
    const struct slice *slice, *old_slice;
    const struct namespace_object *namespace_object;
};

enum { PLAN_MAX_WRITES = 16 };

/** What one claim's status should be. */
struct plan_status {
    struct claim *claim;
    bool mirrored;
    const char *reason;  /* constant */
    const char *message; /* in the arena, or constant */
};

struct plan {
    struct write writes[PLAN_MAX_WRITES]; /* in the order in which they must be applied */
    uint32_t write_count;
    struct plan_status *statuses;
    uint32_t status_count;
    bool unaccounted; /* nothing accounts for the mirror, and others made it: it stays */
    bool collision;   /* an object that is not ours has the name: look again later */
};

/** Plans `mirror`. Texts and objects live in `arena` and `world` until either changes. @return ERR_OK or ERR_NOMEM. */
enum err_code plan_mirror(const struct world *world, struct mirror *mirror, struct arena *arena, struct plan *ret_plan)
    MUST_USE;

/** Tells the objects of one mirror apart. */
uint32_t write_object(const struct write *write);
/** Of an update, or of Endpoints that go: the same for the same wanted content in place of the same content, whatever their versions.
 *  Never 0. */
uint64_t write_fingerprint(const struct write *write);

/** How the claim is or would be mirrored: "gateway", "headless", "hostname", "remote-discovery", "federated", "import", or "gateway-mirror". */
const char *plan_mode_name(const struct claim *claim);
const char *write_verb_name(enum write_verb verb); /* "create", "update", "delete" */
const char *write_kind_name(enum write_kind kind); /* "Namespace", "Service", "EndpointSlice", "ServiceImport" */
