/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/leases*.c and tenure.c: the whole control with an API server's Leases, in virtual time. */
#include "agent/control/leases.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/control_bench.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/sweep.h"
#ifdef SWEEP_CHECKS_LEAKS
size_t __sanitizer_get_current_allocated_bytes(void); /* of a header that gcc does not bring */
#define ALLOCATED_BYTES() __sanitizer_get_current_allocated_bytes()
#else
#define ALLOCATED_BYTES() ((size_t)0) /* not known: nothing is shown without the sanitizer */
#endif

#define BENCH_LEASES "/apis/coordination.k8s.io/v1/namespaces/mc/leases?"
#define EXPORTED(name)                                                                                                 \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name                                      \
    "\",\"resourceVersion\":\"1\",\"annotations\":{\"mirror.linkerd.io/gateway-name\":\"gw\","                         \
    "\"mirror.linkerd.io/gateway-ns\":\"gw\"}},\"spec\":{\"ports\":[{\"port\":80}]}}"
#define LEASE(name, version, holder)                                                                                   \
    "{\"kind\":\"Lease\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"" name "\",\"resourceVersion\":\"" version      \
    "\"},\"spec\":{" holder "\"leaseDurationSeconds\":15,\"leaseTransitions\":1}}"
#define HELD(holder) "\"holderIdentity\":\"" holder "\","
#define EAST "service-mirror-write-east"
#define LOCAL "local-service-mirror-write"

enum { MAX_LEASES = 128 };

/* What the API server has of Leases, and what became of writes. */
struct server {
    struct {
        char name[128], holder[256], body[2048], path[256];
        unsigned version;
    } leases[MAX_LEASES];
    struct bench *bench; /* that lists them again, and asks for single ones; NULL: that finds nothing */
    char items[MAX_LEASES * 600];
    unsigned count, version;
    int status;                                                /* writes of Leases are refused with it; 0: not */
    unsigned lease_writes, mirror_writes, deletes, relabelled; /* relabelled: patches with a replica's label */
    char first_writes[256]; /* what was written, in order: "L" a Lease, "M" a mirror's object */
};

static void note(struct server *server, char what)
{
    size_t length = strlen(server->first_writes);
    if (length + 1 < sizeof(server->first_writes))
        server->first_writes[length] = what;
}

static unsigned find(struct server *server, const char *name)
{
    unsigned i = 0;
    while (i < server->count && strcmp(server->leases[i].name, name) != 0)
        i++;
    for (unsigned gone = 0; i == MAX_LEASES && gone < MAX_LEASES; gone++)
        i = server->leases[gone].version == 0 ? gone : i;
    return i;
}

static void serve_all(struct server *server)
{
    size_t length = 0;
    server->items[0] = '\0';
    for (unsigned i = 0; i < server->count; i++)
        if (server->leases[i].version > 0)
            length += (size_t)snprintf(server->items + length, sizeof(server->items) - length, "%s%s",
                                       length > 0 ? "," : "", server->leases[i].body);
    (void)bench_serve(server->bench, BENCH_LEASES, "Lease", server->items);
}

static void serve_one(struct server *server, unsigned at)
{
    char name[128];
    if (server->bench == NULL)
        return;
    (void)snprintf(name, sizeof(name), "%s", server->leases[at].name);
    (void)snprintf(server->leases[at].path, sizeof(server->leases[at].path),
                   "/apis/coordination.k8s.io/v1/namespaces/mc/leases/%s", name);
    bench_serve(server->bench, server->leases[at].path, NULL, server->leases[at].body)->status =
        server->leases[at].version > 0 ? 200 : 404;
    serve_all(server);
}

static void put(struct server *server, const char *name, struct http_call *call, const json_t *body)
{
    unsigned at = find(server, name);
    const json_t *spec = json_object_get(body, "spec");
    const char *holder = json_string_value(json_object_get(spec, "holderIdentity"));
    assert_true(at < MAX_LEASES);
    server->count += at == server->count ? 1 : 0;
    (void)snprintf(server->leases[at].name, sizeof(server->leases[at].name), "%s", name);
    (void)snprintf(server->leases[at].holder, sizeof(server->leases[at].holder), "%s", holder != NULL ? holder : "");
    server->leases[at].version = ++server->version;
    char *text = json_dumps(spec, JSON_COMPACT);
    (void)snprintf(server->leases[at].body, sizeof(server->leases[at].body),
                   "{\"kind\":\"Lease\",\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"%u\"},\"spec\":%s}", name,
                   server->version, text);
    free(text);
    serve_one(server, at);
    fake_http_answer(call, 200, server->leases[at].body);
}

static void write_lease(struct server *server, struct http_call *call)
{
    char name[128];
    const char *path = fake_http_path(call), *tail = strstr(path, "/leases") + strlen("/leases");
    bool creates = strcmp(call->method, "POST") == 0;
    assert_string_equal(fake_http_header(call, "User-Agent"), "leader-election (svcmirror)");
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(tail + 1, "?"), tail + 1);
    server->lease_writes++;
    if (server->status != 0) {
        fake_http_answer(call, server->status, "{\"kind\":\"Status\"}");
        return;
    }
    if (strcmp(call->method, "DELETE") == 0) {
        server->deletes++;
        fake_http_answer(call, 200, "{}");
        return;
    }
    json_t *body = json_loadb(call->request_body, call->request_body_bytes, 0, NULL);
    assert_non_null(body);
    const json_t *meta = json_object_get(body, "metadata");
    if (creates)
        (void)snprintf(name, sizeof(name), "%s", json_string_value(json_object_get(meta, "name")));
    unsigned at = find(server, name);
    const char *version = json_string_value(json_object_get(meta, "resourceVersion"));
    server->relabelled += !creates && json_object_get(json_object_get(meta, "labels"), "svcmirror.io/replica") ? 1 : 0;
    char now[16];
    (void)snprintf(now, sizeof(now), "%u", at < server->count ? server->leases[at].version : 0);
    bool exists = at < server->count && server->leases[at].version > 0;
    if (creates && exists)
        fake_http_answer(call, 409, "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\"}");
    else if (!creates && !exists)
        fake_http_answer(call, 404, "{\"kind\":\"Status\",\"reason\":\"NotFound\"}");
    else if (!creates && (version == NULL || strcmp(version, now) != 0))
        fake_http_answer(call, 409, "{\"kind\":\"Status\",\"reason\":\"Conflict\"}");
    else
        put(server, name, call, body);
    json_decref(body);
}

static bool on_write(struct bench *bench, struct http_call *call)
{
    struct server *server = bench->context;
    const char *path = fake_http_path(call);
    if (strstr(path, "/leases") != NULL) {
        note(server, 'L');
        write_lease(server, call);
        return true;
    }
    if (strstr(path, "/services") != NULL || strstr(path, "/namespaces?") != NULL) {
        note(server, 'M');
        server->mirror_writes++;
    }
    return false;
}

/* @param status  of the list of Leases. @param write_status  of writes of Leases that are refused. */
static void open_bench_of(struct bench *bench, struct server *server, const char *secrets, const char *leases,
                          int status, int write_status)
{
    bench_init(bench, false);
    memset(server, 0, sizeof(*server));
    bench->leader_elect = true;
    bench->on_write = on_write;
    bench->context = server;
    bench_serve(bench, BENCH_LEASES, "Lease", leases)->status = status;
    server->status = write_status;
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", secrets);
    (void)bench_serve(bench, BENCH_SERVICES, "Service", EXPORTED("web"));
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace",
                      "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"demo\"}}");
    assert_int_equal(bench_start(bench), ERR_OK);
}

static void open_bench_with(struct bench *bench, struct server *server, const char *leases, int status,
                            int write_status)
{
    open_bench_of(bench, server, bench_secret("a", "east", NULL, 0), leases, status, write_status);
}

static void open_bench(struct bench *bench, struct server *server, const char *leases)
{
    open_bench_with(bench, server, leases, 200, 0);
}

/* A watch that has ended lists again. */
static void tell(struct bench *bench, const char *path, const char *type, const char *object)
{
    for (unsigned i = 0; i < BENCH_LISTINGS; i++)
        if (bench->listings[i].path != NULL && strcmp(bench->listings[i].path, path) == 0 &&
            bench->listings[i].watch->transfer != NULL)
            bench_tell(bench, path, type, object);
}

/* The API server has that Lease, as somebody wrote it, and its watch tells so. */
static void write_by_hand(struct bench *bench, struct server *server, const char *name, const char *type,
                          const char *spec)
{
    unsigned at = find(server, name);
    assert_true(at < MAX_LEASES);
    server->count += at == server->count ? 1 : 0;
    (void)snprintf(server->leases[at].name, sizeof(server->leases[at].name), "%s", name);
    (void)snprintf(server->leases[at].body, sizeof(server->leases[at].body),
                   "{\"kind\":\"Lease\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"%s\",\"resourceVersion\":"
                   "\"%u\"},\"spec\":{%s}}",
                   name, ++server->version, spec);
    server->leases[at].version = strcmp(type, "DELETED") != 0 ? server->version : 0;
    serve_one(server, at);
    tell(bench, BENCH_LEASES, type, server->leases[at].body);
}

static const char *holder(struct server *server, const char *name)
{
    unsigned at = find(server, name);
    return at < server->count ? server->leases[at].holder : "";
}

static double held(struct bench *bench) { return bench_metric(bench, "svcmirror_lease_held{cluster=\"east\"}"); }

static void alone_it_takes_all_and_then_writes(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench(&bench, &server, "");
    bench_advance(&bench, 100);
    assert_memory_equal(holder(&server, EAST), "test_", 5);
    assert_string_equal(holder(&server, EAST), holder(&server, LOCAL));
    assert_true(server.mirror_writes > 0);
    assert_int_equal(strcspn(server.first_writes, "M") >= 3, 1); /* its own Lease, and two to write under */
    assert_true(held(&bench) == 1);
    assert_string_equal(bench_not_ready(&bench), "");
    /* At rest each Lease is renewed once a retry period. */
    unsigned before = server.lease_writes;
    bench_advance(&bench, 10000);
    assert_in_range(server.lease_writes - before, 3 * 4, 3 * 5);
    assert_true(bench_metric(&bench, "svcmirror_lease_transitions_total{cluster=\"east\"}") == 1);
    bench_done(&bench);
}

/* A hundred are renewed every five seconds, and not every two. */
static void many_leases_are_renewed_less_often(void **state)
{
    (void)state;
    enum { LINKS = 99, SECRET_BYTES = 2048 };
    struct bench bench;
    struct server server;
    char *secrets = test_calloc(LINKS, SECRET_BYTES);
    for (unsigned i = 0; i < LINKS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "link%u", i);
        strcat(secrets, i > 0 ? "," : "");
        strcat(secrets, bench_secret(name, name, NULL, 0));
    }
    open_bench_of(&bench, &server, secrets, "", 200, 0);
    bench_advance(&bench, 2000);
    assert_true(bench_metric(&bench, "svcmirror_lease_held{cluster=\"link98\"}") == 1);
    unsigned before = server.lease_writes;
    bench_advance(&bench, 20000);
    assert_in_range(server.lease_writes - before, (LINKS + 2) * 4, (LINKS + 2) * 6);
    /* Each of them is lost when it should be: renewed at most five seconds ago, and good for ten. */
    server.status = 500;
    bench_advance(&bench, 4900);
    assert_true(bench_metric(&bench, "svcmirror_lease_held{cluster=\"link0\"}") == 1);
    bench_advance(&bench, 5200);
    assert_true(bench_metric(&bench, "svcmirror_lease_held{cluster=\"link0\"}") == 0);
    bench_done(&bench);
    test_free(secrets);
}

static void while_another_holds_it_nothing_is_written_and_nothing_told(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench(&bench, &server, LEASE(EAST, "5", HELD("linkerd-controller-east")));
    assert_true(held(&bench) == 0);
    assert_string_equal(bench_not_ready(&bench), "");
    for (unsigned version = 6; version < 12; version++) { /* renewed */
        char lease[512];
        bench_advance(&bench, 10000);
        (void)snprintf(lease, sizeof(lease), LEASE(EAST, "%u", HELD("linkerd-controller-east")), version);
        bench_tell(&bench, BENCH_LEASES, "MODIFIED", lease);
    }
    assert_int_equal(server.mirror_writes, 0);
    /* The gateway does not exist: its holder tells so. */
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound"), 0);
    /* Given back, it is taken at once. */
    server.leases[server.count] = (__typeof__(server.leases[0])){.name = EAST, .version = 12};
    server.count++;
    server.version = 12;
    bench_tell(&bench, BENCH_LEASES, "MODIFIED", LEASE(EAST, "12", ""));
    bench_advance(&bench, 100);
    assert_true(held(&bench) == 1);
    assert_true(server.mirror_writes > 0);
    bench_done(&bench);
}

static void one_that_runs_out_is_taken_in_that_moment(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench(&bench, &server, LEASE(EAST, "5", HELD("linkerd-controller-east")));
    server.leases[server.count++] = (__typeof__(server.leases[0])){.name = EAST, .version = 5};
    server.version = server.version > 5 ? server.version : 5;
    bench_advance(&bench, 14900);
    assert_true(held(&bench) == 0);
    bench_advance(&bench, 300);
    assert_true(held(&bench) == 1);
    bench_done(&bench);
}

static void a_lease_that_cannot_be_renewed_stops_the_writes(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench(&bench, &server, "");
    bench_advance(&bench, 100);
    assert_true(held(&bench) == 1);
    server.status = 500;
    bench_advance(&bench, 9000);
    assert_true(held(&bench) == 1);
    unsigned before = server.mirror_writes;
    bench_tell(&bench, BENCH_SERVICES, "ADDED", EXPORTED("early"));
    assert_true(server.mirror_writes > before);
    bench_advance(&bench, 4000);
    assert_true(held(&bench) == 0);
    before = server.mirror_writes;
    bench_tell(&bench, BENCH_SERVICES, "ADDED", EXPORTED("late"));
    bench_advance(&bench, 5000);
    assert_int_equal(server.mirror_writes, before);
    server.status = 0; /* nobody else took it meanwhile */
    bench_advance(&bench, 5000);
    assert_true(held(&bench) == 1);
    assert_true(server.mirror_writes > before);
    bench_done(&bench);
}

static void without_the_right_it_writes_as_if_alone(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench_with(&bench, &server, "", 404, 0); /* as a cluster without Leases */
    assert_int_equal(server.mirror_writes, 0);
    bench_advance(&bench, 2500);
    assert_true(server.mirror_writes > 0);
    bench_done(&bench);

    open_bench_with(&bench, &server, "", 403, 0);
    bench_advance(&bench, 20000);
    assert_int_equal(server.lease_writes, 0);
    assert_true(server.mirror_writes > 0);
    assert_string_equal(bench_not_ready(&bench), "");
    assert_true(bench_metric(&bench, "svcmirror_leases_readable") == 0);
    /* The right to read alone. */
    (void)bench_serve(&bench, BENCH_LEASES, "Lease", "");
    server.status = 403;
    bench_advance(&bench, 60000);
    assert_true(server.lease_writes > 0);
    assert_true(bench_metric(&bench, "svcmirror_leases_readable") == 1);
    assert_string_equal(bench_not_ready(&bench), "");
    /* All of it, and then it is missing again: now others may rely on it. */
    server.status = 0;
    bench_advance(&bench, 5000);
    assert_true(held(&bench) == 1);
    server.status = 403;
    bench_advance(&bench, 20000);
    assert_true(held(&bench) == 0);
    unsigned before = server.mirror_writes;
    bench_tell(&bench, BENCH_SERVICES, "ADDED", EXPORTED("more"));
    bench_advance(&bench, 5000);
    assert_int_equal(server.mirror_writes, before);
    assert_non_null(strstr(bench_not_ready(&bench), "leader election: "));
    bench_done(&bench);
}

/* As by an API server that has not read its roles yet. */
static void a_right_that_is_missing_for_a_moment_makes_nobody_alone(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench_with(&bench, &server, LEASE(EAST, "5", HELD("replica-2")), 403, 0);
    bench_advance(&bench, 500);
    assert_non_null(strstr(bench_not_ready(&bench), "leader election: "));
    bench_serve(&bench, BENCH_LEASES, "Lease", LEASE(EAST, "5", HELD("replica-2")))->status = 200;
    bench_advance(&bench, 5000);
    assert_true(bench_metric(&bench, "svcmirror_leases_readable") == 1);
    assert_int_equal(server.mirror_writes, 0);
    bench_done(&bench);
}

/* Leases may be read and not written: Linkerd's own is respected as long as it is held. */
static void alone_it_leaves_to_others_what_they_hold(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench_with(&bench, &server, LEASE(EAST, "5", HELD("linkerd-controller-east")), 200, 403);
    bench_advance(&bench, 10000);
    assert_string_equal(bench_not_ready(&bench), "");
    assert_int_equal(server.mirror_writes, 0);
    bench_advance(&bench, 10000); /* it was not renewed for its whole duration */
    assert_true(server.mirror_writes > 0);
    bench_done(&bench);
}

static void what_people_do_to_leases(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    char own[256], spec[512];
    open_bench(&bench, &server, "");
    bench_advance(&bench, 5000);
    assert_true(held(&bench) == 1);
    (void)snprintf(own, sizeof(own), "%s", holder(&server, EAST));
    /* Given to somebody else: no write from then on, until that one is outlived. */
    write_by_hand(&bench, &server, EAST, "MODIFIED", HELD("somebody") "\"leaseDurationSeconds\":15");
    assert_true(held(&bench) == 0);
    unsigned before = server.mirror_writes;
    bench_tell(&bench, BENCH_SERVICES, "ADDED", EXPORTED("meanwhile"));
    bench_advance(&bench, 14000);
    assert_int_equal(server.mirror_writes, before);
    bench_advance(&bench, 4000);
    assert_true(held(&bench) == 1);
    assert_true(server.mirror_writes > before);
    /* Deleted: made again at once, or by the next renewal. */
    write_by_hand(&bench, &server, EAST, "DELETED", "");
    bench_advance(&bench, 2500);
    assert_string_equal(holder(&server, EAST), own);
    assert_true(held(&bench) == 1);
    /* Robbed of all but its holder. */
    (void)snprintf(spec, sizeof(spec), "\"holderIdentity\":\"%s\"", own);
    write_by_hand(&bench, &server, EAST, "MODIFIED", spec);
    bench_advance(&bench, 2500);
    const char *body = server.leases[find(&server, EAST)].body;
    assert_null(strstr(body, "\"acquireTime\":\"\""));
    assert_non_null(strstr(body, "\"leaseDurationSeconds\":15"));
    assert_true(held(&bench) == 1);
    /* Our own Lease without its label, by which the others know it. */
    char name[128];
    unsigned self = 0;
    while (strncmp(server.leases[self].name, "svcmirror-", 10) != 0)
        assert_true(++self < server.count);
    (void)snprintf(name, sizeof(name), "%s", server.leases[self].name);
    server.relabelled = 0;
    write_by_hand(&bench, &server, name, "MODIFIED", spec);
    bench_advance(&bench, 2500);
    assert_true(server.relabelled > 0);
    assert_string_equal(holder(&server, name), own);
    bench_done(&bench);
}

/* The mirror's Link has a Lease by its own name, which is not the cluster's. */
static void mirrors_of_a_link_that_is_gone_are_left_to_its_holder(void **state)
{
    (void)state;
    static const char mirror[] =
        "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"old-east\",\"uid\":\"u\","
        "\"resourceVersion\":\"3\",\"labels\":{\"mirror.linkerd.io/mirrored-service\":\"true\","
        "\"mirror.linkerd.io/cluster-name\":\"east\"},\"managedFields\":[{\"manager\":\"svcmirror\"}]},"
        "\"spec\":{\"ports\":[{\"port\":80}]}}";
    static const char link[] =
        "{\"kind\":\"Link\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"link-1\",\"uid\":\"u\",\"resourceVersion\":"
        "\"7\"},\"spec\":{\"targetClusterName\":\"east\",\"targetClusterDomain\":\"cluster.local\","
        "\"clusterCredentialsSecret\":\"a\",\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}}";
    struct bench bench;
    struct server server;
    bench_init(&bench, true);
    memset(&server, 0, sizeof(server));
    bench.leader_elect = true;
    bench.on_write = on_write;
    bench.context = &server;
    (void)bench_serve(&bench, BENCH_LEASES, "Lease",
                      LEASE("service-mirror-write-link-1", "5", HELD("linkerd-controller-link-1")));
    (void)bench_serve(&bench, BENCH_LINKS, "Link", link);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(&bench, BENCH_EXPORTED, "Service", "");
    (void)bench_serve(&bench, BENCH_MIRRORS, "Service", mirror);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 5000);
    bench_tell(&bench, BENCH_LINKS, "DELETED", link);
    bench_advance(&bench, 7000);
    assert_int_equal(server.mirror_writes, 0);
    bench_advance(&bench, 6000); /* its holder is outlived: whoever has what belongs to no single link clears up */
    assert_true(server.mirror_writes > 0);
    bench_done(&bench);
}

/* Names of Leases come and go with links for years. */
static void what_is_gone_is_forgotten(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    size_t before = 0;
    open_bench(&bench, &server, "");
    bench_advance(&bench, 5000);
    for (unsigned i = 0; i < 3000; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "service-mirror-write-c%u", i);
        write_by_hand(&bench, &server, name, "ADDED", HELD("somebody") "\"leaseDurationSeconds\":15");
        write_by_hand(&bench, &server, name, "DELETED", HELD("somebody") "\"leaseDurationSeconds\":15");
        if (i == 1000)
            before = ALLOCATED_BYTES();
    }
    assert_true(ALLOCATED_BYTES() < before + (256 << 10));
    bench_done(&bench);
}

static void on_stopped(void *context) { *(bool *)context = true; }

static void at_the_end_everything_is_given_back(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    bool stopped = false;
    open_bench(&bench, &server, "");
    bench_advance(&bench, 7000); /* what was written is not waited for any more */
    assert_memory_equal(holder(&server, EAST), "test_", 5);
    control_stop(bench.control, on_stopped, &stopped);
    bench_advance(&bench, 500);
    assert_true(stopped);
    assert_string_equal(holder(&server, EAST), "");
    assert_string_equal(holder(&server, LOCAL), "");
    /* Its own is taken away, and stays so when the watch shows that. */
    assert_int_equal(server.deletes, 1);
    unsigned before = server.lease_writes, own = 0;
    while (strncmp(server.leases[own].name, "svcmirror-", 10) != 0)
        assert_true(++own < server.count);
    char lease[512];
    (void)snprintf(lease, sizeof(lease),
                   "{\"kind\":\"Lease\",\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"999\",\"labels\":{"
                   "\"svcmirror.io/replica\":\"true\"}},\"spec\":{}}",
                   server.leases[own].name);
    bench_tell(&bench, BENCH_LEASES, "DELETED", lease);
    bench_advance(&bench, 5000);
    assert_int_equal(server.lease_writes, before);
    bench_done(&bench);
}

static void a_link_that_goes_gives_its_lease_back(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    open_bench(&bench, &server, "");
    bench_advance(&bench, 7000);
    assert_memory_equal(holder(&server, EAST), "test_", 5);
    bench_tell(&bench, BENCH_SECRETS, "DELETED", bench_secret("a", "east", NULL, 0));
    bench_advance(&bench, 7000);
    assert_string_equal(holder(&server, EAST), "");
    assert_memory_equal(holder(&server, LOCAL), "test_", 5);
    bench_tell(&bench, BENCH_SECRETS, "ADDED", bench_secret("a", "east", NULL, 0));
    bench_advance(&bench, 5000);
    assert_memory_equal(holder(&server, EAST), "test_", 5);
    bench_done(&bench);
}

static void one_link_has_one_lease(void **state)
{
    (void)state;
    struct bench bench;
    struct server server;
    bench_init(&bench, true);
    memset(&server, 0, sizeof(server));
    bench.leader_elect = true;
    bench.only_link = "West";
    bench.on_write = on_write;
    bench.context = &server;
    (void)bench_serve(&bench, BENCH_LEASES, "Lease", "");
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 3000);
    assert_memory_equal(holder(&server, "service-mirror-write-west"), "test_", 5);
    assert_string_equal(holder(&server, LOCAL), "");
    bench_done(&bench);
}

/* ---- want of memory ---- */

static void given_to_another_and_back(struct bench *bench, struct server *server)
{
    write_by_hand(bench, server, EAST, "MODIFIED", HELD("somebody") "\"leaseDurationSeconds\":15");
    write_by_hand(bench, server, EAST, "MODIFIED", "\"leaseDurationSeconds\":1");
}

static void deleted(struct bench *bench, struct server *server) { write_by_hand(bench, server, EAST, "DELETED", ""); }

static void renewed(struct bench *bench, struct server *server)
{
    (void)server;
    bench_advance(bench, 2500);
}

static void listed_again(struct bench *bench, struct server *server)
{
    serve_all(server);
    (void)fake_http_data(bench_serve(bench, BENCH_LEASES, "Lease", server->items)->watch,
                         "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n");
    bench_advance(bench, 3000);
}

static void another_appears(struct bench *bench, struct server *server)
{
    (void)server;
    bench_tell(
        bench, BENCH_LEASES, "ADDED",
        "{\"kind\":\"Lease\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"svcmirror-other\",\"resourceVersion\":"
        "\"900\",\"labels\":{\"svcmirror.io/replica\":\"true\"}},\"spec\":{\"holderIdentity\":\"other\","
        "\"leaseDurationSeconds\":15}}");
    tell(bench, BENCH_LEASES, "ADDED", LEASE("service-mirror-write-west", "901", HELD("other")));
}

static void the_link_goes_and_comes_back(struct bench *bench, struct server *server)
{
    (void)server;
    tell(bench, BENCH_SECRETS, "DELETED", bench_secret("a", "east", NULL, 0));
    tell(bench, BENCH_SECRETS, "ADDED", bench_secret("a", "east", NULL, 0));
}

/* Whatever allocation fails meanwhile: in the end the Lease is ours, is renewed, and what is exported is written. */
static void no_failed_allocation_is_for_ever(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*happens)(struct bench *bench, struct server *server);
    } rows[] = {
        {"renewed", renewed},
        {"given to another and back", given_to_another_and_back},
        {"deleted", deleted},
        {"listed again", listed_again},
        {"another appears", another_appears},
        {"the link goes and comes back", the_link_goes_and_comes_back},
    };
    for (unsigned row = 0; row < ARRAY_COUNT(rows); row++) {
        bool failed = true;
        for (unsigned long n = 1; failed; n++) {
            struct bench bench;
            struct server server;
            open_bench(&bench, &server, "");
            server.bench = &bench; /* answers get lost, and then it is asked what is there */
            bench_advance(&bench, 5000);
            unsigned long before = mem_allocation_count();
            mem_fail_at(n);
            rows[row].happens(&bench, &server);
            mem_fail_at(0);
            failed = mem_allocation_count() - before >= n;
            /* Somebody's record may be seen for its duration, and a watch may wait before it lists again. */
            bench_advance(&bench, 50000);
            unsigned writes = server.mirror_writes, renewals = server.lease_writes;
            bench_tell(&bench, BENCH_SERVICES, "ADDED", EXPORTED("late"));
            bench_advance(&bench, 6000);
            if (held(&bench) != 1 || strncmp(holder(&server, EAST), "test_", 5) != 0 ||
                server.mirror_writes == writes || server.lease_writes < renewals + 2)
                fail_msg("%s: after allocation %lu failed it is held by \"%s\" (%.0f), %u writes, %u renewals",
                         rows[row].name, n, holder(&server, EAST), held(&bench), server.mirror_writes - writes,
                         server.lease_writes - renewals);
            bench_done(&bench);
        }
    }
}

/* An agent that cannot begin says so; one that began ends in its time. */
static void want_of_memory_at_the_start_and_at_the_end(void **state)
{
    (void)state;
    bool failed = true;
    for (unsigned long n = 1; failed; n++) {
        struct bench bench;
        struct server server;
        bool stopped = false;
        bench_init(&bench, false);
        memset(&server, 0, sizeof(server));
        bench.leader_elect = true;
        bench.on_write = on_write;
        bench.context = &server;
        (void)bench_serve(&bench, BENCH_LEASES, "Lease", LEASE("service-mirror-write-west", "5", HELD("other")));
        unsigned long before = mem_allocation_count();
        mem_fail_at(n);
        enum err_code code = bench_start(&bench);
        if (code == ERR_OK) {
            bench_advance(&bench, 3000);
            control_stop(bench.control, on_stopped, &stopped);
            bench_advance(&bench, 2500);
        }
        mem_fail_at(0);
        failed = mem_allocation_count() - before >= n;
        assert_int_equal(code, stopped ? ERR_OK : ERR_NOMEM);
        bench_done(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_it_takes_all_and_then_writes),
        cmocka_unit_test(many_leases_are_renewed_less_often),
        cmocka_unit_test(while_another_holds_it_nothing_is_written_and_nothing_told),
        cmocka_unit_test(one_that_runs_out_is_taken_in_that_moment),
        cmocka_unit_test(a_lease_that_cannot_be_renewed_stops_the_writes),
        cmocka_unit_test(without_the_right_it_writes_as_if_alone),
        cmocka_unit_test(a_right_that_is_missing_for_a_moment_makes_nobody_alone),
        cmocka_unit_test(alone_it_leaves_to_others_what_they_hold),
        cmocka_unit_test(what_people_do_to_leases),
        cmocka_unit_test(mirrors_of_a_link_that_is_gone_are_left_to_its_holder),
        cmocka_unit_test(what_is_gone_is_forgotten),
        cmocka_unit_test(at_the_end_everything_is_given_back),
        cmocka_unit_test(a_link_that_goes_gives_its_lease_back),
        cmocka_unit_test(one_link_has_one_lease),
        cmocka_unit_test(no_failed_allocation_is_for_ever),
        cmocka_unit_test(want_of_memory_at_the_start_and_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
