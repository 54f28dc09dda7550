/* A source cluster, target clusters and an agent's pure half between them, all in memory: what the watches would tell, what
 * the resolver and the probes would find, and what the writer would do with the plans. The API server of the source checks
 * what a real one checks, gives uids and versions, and collects slices whose Service is gone; it fails the test at once when
 * a write touches an object that is not a mirror.
 *
 * The clusters outlive the world: scene_restart() is an agent that begins anew. */
#pragma once

#include "base/map.h"
#include "mirror/plan.h"
#include "mirror/world.h"
#include "tests/unit/mirror_fixture.h"

enum object_kind {
    KIND_SERVICE,
    KIND_SLICE,
    KIND_NAMESPACE,
    KIND_MCS, /* ServiceImports in the source, ServiceExports in a target; both held as struct service */
    KINDS,
    KIND_MEMBER = KINDS, /* a target's Services once more: as the watch of members shows them */
    VIEWS
};

struct log_entry {
    enum world_change change;
    void *object; /* a copy of its own */
};

struct cluster {
    struct map *objects[KINDS]; /* key -> struct service, struct slice or struct namespace_object */
    struct log_entry *log[KINDS];
    size_t log_count[KINDS], log_capacity[KINDS];
    unsigned long versions, uids;
    bool is_source;
};

/* How far the world has followed a cluster. */
struct feed {
    struct cluster *cluster;
    int target; /* index of the target; -1 for the source */
    size_t seen[VIEWS];
    bool listed[VIEWS];
    bool apart; /* members are watched apart */
};

enum { SCENE_TARGETS = 3, SCENE_FACTS = 32 };

struct scene {
    struct arena arena;
    struct world_config config;
    struct world *world;
    struct cluster source, targets[SCENE_TARGETS];
    struct feed source_feed, target_feeds[SCENE_TARGETS];
    const struct link *declarations[SCENE_TARGETS]; /* NULL: not linked */
    struct world_link *links[SCENE_TARGETS];        /* borrowed from the world */
    struct {
        const char *host, *addresses; /* separated by commas; "" when the name has none */
    } hosts[SCENE_FACTS];
    struct {
        char address[TEXT_IP_BYTES];
        enum world_liveness liveness;
    } verdicts[SCENE_FACTS];
    enum world_liveness verdict; /* of all other addresses */
    unsigned long writes;        /* that the API server accepted */
    bool links_complete;
    bool (*forbid)(void *context, const struct write *write); /* called for each planned write */
    void *forbid_context;
    bool slices_refused[SCENE_TARGETS];  /* the target's may not be read (any more): scene_refuse_slices() */
    bool imports_absent;                 /* the source serves no ServiceImports: scene_serve_imports() */
    bool exports_refused[SCENE_TARGETS]; /* as slices_refused: scene_refuse_exports() */
    bool apply_all;                      /* whole plans, not only their first writes */
    bool without_collector;              /* slices whose owner is not there stay */
    bool members_apart;                  /* where the agent would watch members apart */
};

void scene_init(struct scene *scene);
void scene_done(struct scene *scene);
/** Around one test, whose state is the scene; SCENE(test) in a list of tests. */
int scene_begin(void **state);
int scene_end(void **state);
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_begin, scene_end)
/** The agent ends and a new one begins, which knows nothing but the links. */
void scene_restart(struct scene *scene);
/** The same, but it has not read the links yet either: scene_declare() one by one. */
void scene_restart_alone(struct scene *scene);
enum err_code scene_declare(struct scene *scene, int target);

/* ---- what people and other controllers do ---- */

void scene_source(struct scene *scene, const char *format, ...) PRINTF_LIKE(2, 3);       /* a Service */
void scene_source_slice(struct scene *scene, const char *format, ...) PRINTF_LIKE(2, 3); /* an EndpointSlice */
void scene_namespace(struct scene *scene, const char *words);
void scene_target(struct scene *scene, int target, const char *format, ...) PRINTF_LIKE(3, 4);
void scene_target_slice(struct scene *scene, int target, const char *format, ...) PRINTF_LIKE(3, 4);
/** A ServiceExport in a target; a ServiceImport in the source. */
void scene_export(struct scene *scene, int target, const char *format, ...) PRINTF_LIKE(3, 4);
void scene_import(struct scene *scene, const char *format, ...) PRINTF_LIKE(2, 3);
/** Deletes by key; a namespace goes with all that is in it, a Service with the slices that it owns. */
void scene_delete(struct cluster *cluster, enum object_kind kind, const char *key);

/** Copies objects as they are into a cluster of `scene`. */
void scene_copy(struct scene *scene, struct cluster *to, const struct cluster *from, enum object_kind kind,
                bool (*wanted)(const struct object_meta *meta));

const struct service *scene_service(const struct scene *scene, const char *key); /* in the source; NULL when absent */
const struct slice *scene_slice(const struct scene *scene, const char *key);
const struct service *scene_service_import(const struct scene *scene, const char *key);

/** Declares or redeclares the link of a target. A 2.8 Secret: "east age=5 domain=cluster.local". A Link: "east gw=203.0.113.7,gw.example port=4143
 *  identity=id probe=4191 ref=gws/gw select=key=value discover=key=value federate=key=value age=5 domain=cluster.local drain headless=false
 *  endpoints=pods exports -annotation -#label". Either: "name={name} map=prod=west,*=other allow=shared,team-*". */
void scene_secret(struct scene *scene, int target, const char *words);
void scene_link(struct scene *scene, int target, const char *words);
/** Declares that the target is the source cluster itself: where local members of federated services live. */
void scene_local(struct scene *scene, int target);
void scene_unlink(struct scene *scene, int target);
/** Takes the right to read a target's slices, or gives it back. */
void scene_refuse_slices(struct scene *scene, int target, bool refused);
void scene_refuse_exports(struct scene *scene, int target, bool refused);
/** Installs the resource type of ServiceImports in the source, or removes it with all that there are. */
void scene_serve_imports(struct scene *scene, bool served);
void scene_links_complete(struct scene *scene, bool complete);

void scene_host(struct scene *scene, const char *host, const char *addresses);
void scene_verdict(struct scene *scene, const char *address, enum world_liveness liveness);

/* ---- what the agent does ---- */

/** A complete listing. @return the world's error, after which nothing counts as listed. */
enum err_code scene_list(struct scene *scene, struct feed *feed, enum object_kind kind);
/** A listing that breaks off after so many objects. */
void scene_list_part(struct scene *scene, struct feed *feed, enum object_kind kind, unsigned count);
/** One watch event, if there is one. */
enum err_code scene_step(struct scene *scene, struct feed *feed, enum object_kind kind);
/** Whether there is one. */
bool scene_is_behind(const struct feed *feed, enum object_kind kind);
/** Lists what is not listed, delivers all events, resolves and probes. */
void scene_hear(struct scene *scene);
/** Addresses and verdicts of all gateways, as far as names have answered. */
void scene_probe(struct scene *scene);
/** Plans one mirror and carries out the first write, as the writer does. @return whether anything was marked. */
bool scene_work(struct scene *scene);
/** Hears and works until there is nothing to do; endless work fails the test. */
void scene_settle(struct scene *scene);
/** Applies a write to the source cluster. */
enum err_code scene_apply(struct scene *scene, const struct write *write);

/* ---- what is to be seen ---- */

/** What all marked mirrors would have written, one line a write, by key; nothing is applied and the marks stay. */
const char *scene_plan(struct scene *scene, bool brief);
/** The plan of one mirror. */
const char *scene_plan_of(struct scene *scene, const char *key, bool brief);
/** The statuses in the plan of one mirror, one line a claim. */
const char *scene_status(struct scene *scene, const char *key);
/** All mirrors, their slices, and namespaces with labels, in the source cluster. */
const char *scene_dump(struct scene *scene, bool brief);
size_t scene_count(const struct cluster *cluster, enum object_kind kind);

/** As mem_fail_at(), but the scene's own allocations neither fail nor count. */
void scene_fail_at(unsigned long n);
/** Whether the failure asked for has not happened yet; also turns it off. */
bool scene_fail_left(void);
