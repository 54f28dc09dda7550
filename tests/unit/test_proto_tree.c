/* links: agent_kube mirror base */
/* Objects in protobuf as trees: what their JSON gives, and nothing of what is no such message. */
#include "agent/kube/proto_tree.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/codec.h"
#include "tests/unit/proto_message.h"
#include "tests/unit/sweep.h"

enum { ARENA_BYTES = 1 << 20, TEN_O_CLOCK_S = 1787306400 /* 2026-08-21T10:00:00Z */ };

/* ---- messages ---- */

/* An entry of a map, or whatever else has a text in fields 1 and 2. */
static void put_pair(struct message *message, uint32_t number, const char *first, const char *second)
{
    struct message pair = {0};
    put_text(&pair, 1, first);
    put_text(&pair, 2, second);
    put_message(message, number, &pair);
}

static void put_time(struct message *message, uint32_t number, int64_t seconds)
{
    struct message time = {0};
    put_number(&time, 1, (uint64_t)seconds);
    put_number(&time, 2, 0);
    put_message(message, number, &time);
}

/* As API servers write it: all three, whichever counts. */
static void put_int_or_string(struct message *message, uint32_t number, bool is_string, int64_t value, const char *text)
{
    struct message inner = {0};
    put_number(&inner, 1, is_string);
    put_number(&inner, 2, (uint64_t)value);
    put_text(&inner, 3, text);
    put_message(message, number, &inner);
}

/* A field of each kind that nobody reads, under a number that no object has. */
static void put_unknown(struct message *message)
{
    put_number(message, 1000, UINT64_MAX);
    put_tag(message, 1001, 1);
    put(message, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    put_tag(message, 1002, 5);
    put(message, "\xff\xff\xff\xff", 4);
    put_bytes(message, UINT32_MAX, "\xff\0\xff", 3);
}

/* A runtime.Unknown with what stands before it. */
static void put_envelope(struct message *message, const char *kind, const struct message *raw)
{
    put(message, "k8s", 4);
    put_pair(message, 1, "v1", kind);
    put_message(message, 2, raw);
    put_text(message, 3, "");
    put_text(message, 4, "");
}

/* A metav1.WatchEvent. @param object  with its envelope. */
static void put_event(struct message *message, const char *type, const struct message *object)
{
    struct message extension = {0};
    put_message(&extension, 1, object);
    put_text(message, 1, type);
    put_message(message, 2, &extension);
}

/* ---- reading ---- */

enum root { OBJECT, EVENT, STATUS, LIST_META, TYPE_META };

/* From a block of exactly this size, which is gone when the tree is looked at: so the sanitizer sees what is read behind the end or kept. */
static enum err_code read_bytes(struct arena *arena, enum root root, const char *kind, const char *bytes, size_t length,
                                const struct json_tree **ret_tree, struct err *reterr)
{
    const struct proto_type *type = proto_type_of(kind);
    enum err_code code = ERR_INVALID;
    char *block = malloc(length);
    assert_true(block != NULL || length == 0);
    assert_non_null(type);
    if (length > 0)
        memcpy(block, bytes, length);
    switch (root) {
    case OBJECT:
        code = proto_tree_read(arena, block, length, type, ret_tree, reterr);
        break;
    case EVENT:
        code = proto_tree_event(arena, block, length, type, ret_tree, reterr);
        break;
    case STATUS:
        code = proto_tree_status(arena, block, length, ret_tree, reterr);
        break;
    case LIST_META:
        code = proto_tree_list_meta(arena, block, length, ret_tree, reterr);
        break;
    case TYPE_META:
        code = proto_tree_type_meta(arena, block, length, ret_tree, reterr);
        break;
    }
    free(block);
    return code;
}

static void expect_tree(const char *what, const struct json_tree *tree, const char *expected)
{
    struct strbuf text;
    strbuf_init(&text, ARENA_BYTES);
    json_tree_write(tree, &text);
    if (strcmp(strbuf_text(&text), expected) != 0)
        fail_msg("%s: %s\ninstead of %s", what, strbuf_text(&text), expected);
    strbuf_done(&text);
}

static void expect(enum root root, const char *kind, const struct message *message, const char *expected)
{
    struct arena arena;
    struct err error = {0};
    const struct json_tree *tree = NULL;
    arena_init(&arena, ARENA_BYTES);
    if (read_bytes(&arena, root, kind, message->bytes, message->length, &tree, &error) != ERR_OK)
        fail_msg("%s: %s", expected, error.text);
    expect_tree(kind, tree, expected);
    arena_done(&arena);
}

static enum err_code code_of(enum root root, const char *kind, const struct message *message, struct err *reterr)
{
    struct arena arena;
    const struct json_tree *tree = NULL;
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = read_bytes(&arena, root, kind, message->bytes, message->length, &tree, reterr);
    assert_int_equal(code == ERR_OK, tree != NULL);
    arena_done(&arena);
    return code;
}

static void expect_refused(enum root root, const char *kind, const struct message *message, const char *what)
{
    struct err error = {0};
    enum err_code code = code_of(root, kind, message, &error);
    if (code != ERR_PROTOCOL || strstr(error.text, "not protobuf") == NULL)
        fail_msg("%s gives %s: \"%s\"", what, err_code_name(code), error.text);
}

/* ---- objects ---- */

static void put_meta(struct message *object, const char *namespace, const char *name)
{
    struct message meta = {0}, owner = {0}, manager = {0};
    put_text(&meta, 1, name);
    put_text(&meta, 2, ""); /* generateName */
    put_text(&meta, 3, namespace);
    put_text(&meta, 4, ""); /* selfLink */
    put_text(&meta, 5, "u-1");
    put_text(&meta, 6, "7");
    put_number(&meta, 7, 0); /* generation */
    put_time(&meta, 8, TEN_O_CLOCK_S);
    put_pair(&meta, 11, "kubernetes.io/service-name", "web");
    put_pair(&meta, 11, "a", "");
    put_pair(&meta, 12, "note", "\"\xc3\xa9\"\n");
    put_text(&owner, 1, "Service");
    put_text(&owner, 3, "web");
    put_text(&owner, 4, "u-2");
    put_text(&owner, 5, "v1");
    put_number(&owner, 6, 1);
    put_message(&meta, 13, &owner);
    put_text(&meta, 14, "example.com/finalizer");
    put_text(&manager, 1, OBJECT_FIELD_MANAGER);
    put_text(&manager, 2, "Update");
    put_pair(&manager, 7, "{\"f:spec\":{}}", "");
    put_message(&meta, 17, &manager);
    put_message(object, 1, &meta);
}

#define META_REST                                                                                                      \
    "\"uid\":\"u-1\",\"resourceVersion\":\"7\",\"creationTimestamp\":\"2026-08-21T10:00:00Z\",\"labels\":"             \
    "{\"kubernetes.io/service-name\":\"web\",\"a\":\"\"},\"annotations\":{\"note\":\"\\\"\xc3\xa9\\\"\\u000a\"},"      \
    "\"ownerReferences\":[{\"kind\":\"Service\",\"name\":\"web\",\"uid\":\"u-2\"}],\"managedFields\":[{\"manager\":"   \
    "\"svcmirror\"}]}"
#define META_OF(namespace) "\"metadata\":{\"name\":\"web\"," namespace META_REST
#define META META_OF("\"namespace\":\"shop\",")

/* The same from an API server that was asked for JSON. */
#define FULL_META                                                                                                      \
    "\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"uid\":\"u-1\",\"resourceVersion\":\"7\","                 \
    "\"creationTimestamp\":\"2026-08-21T10:00:00Z\",\"labels\":{\"kubernetes.io/service-name\":\"web\",\"a\":\"\"},"   \
    "\"annotations\":{\"note\":\"\\\"\\u00e9\\\"\\n\"},\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":"          \
    "\"Service\",\"name\":\"web\",\"uid\":\"u-2\",\"controller\":true}],\"finalizers\":[\"example.com/finalizer\"],"   \
    "\"managedFields\":[{\"manager\":\"svcmirror\",\"operation\":\"Update\",\"fieldsV1\":{\"f:spec\":{}}}]}"

static void put_service_port(struct message *spec, const char *name, uint64_t port, uint64_t node_port, bool by_name)
{
    struct message inner = {0};
    put_text(&inner, 1, name);
    put_text(&inner, 2, "TCP");
    put_number(&inner, 3, port);
    put_int_or_string(&inner, 4, by_name, by_name ? 0 : 8080, by_name ? "8080" : "");
    put_number(&inner, 5, node_port);
    if (by_name)
        put_text(&inner, 6, "http");
    put_message(spec, 1, &inner);
}

static void make_service(struct message *service)
{
    struct message spec = {0}, affinity = {0}, client_ip = {0}, balancer = {0}, ingress = {0}, status = {0};
    put_meta(service, "shop", "web");
    put_service_port(&spec, "http", 80, 30080, true);
    put_service_port(&spec, "", 443, 0, false);
    put_pair(&spec, 2, "app", "web");
    put_text(&spec, 3, "10.0.0.1");
    put_text(&spec, 4, "LoadBalancer");
    put_text(&spec, 5, "192.0.2.1");
    put_text(&spec, 5, "192.0.2.2");
    put_text(&spec, 7, "ClientIP");
    put_text(&spec, 8, "");
    put_text(&spec, 10, "");
    put_text(&spec, 11, "Cluster");
    put_number(&spec, 12, 0);
    put_number(&spec, 13, 0);
    put_number(&client_ip, 1, 600);
    put_message(&affinity, 1, &client_ip);
    put_message(&spec, 14, &affinity);
    put_text(&spec, 17, "SingleStack");
    put_text(&spec, 18, "10.0.0.1");
    put_text(&spec, 19, "IPv4");
    put_text(&spec, 22, "Local");
    put_message(service, 2, &spec);
    put_pair(&balancer, 1, "203.0.113.1", "");
    put_pair(&balancer, 1, "", "lb.example");
    put_text(&ingress, 1, "203.0.113.2");
    put_text(&ingress, 3, "VIP");
    put_message(&balancer, 1, &ingress);
    put_message(&status, 1, &balancer);
    put_message(service, 3, &status);
}

#define SERVICE                                                                                                        \
    "{" META ",\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80,\"targetPort\":\"8080\","      \
    "\"nodePort\":30080,\"appProtocol\":\"http\"},{\"protocol\":\"TCP\",\"port\":443,\"targetPort\":8080}],"           \
    "\"selector\":{\"app\":\"web\"},\"clusterIP\":\"10.0.0.1\",\"type\":\"LoadBalancer\",\"externalIPs\":"             \
    "[\"192.0.2.1\",\"192.0.2.2\"],\"sessionAffinity\":\"ClientIP\",\"publishNotReadyAddresses\":false,"               \
    "\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":600}},\"internalTrafficPolicy\":\"Local\"},"          \
    "\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"203.0.113.1\"},{\"hostname\":\"lb.example\"},"               \
    "{\"ip\":\"203.0.113.2\"}]}}}"
#define FULL_SERVICE                                                                                                   \
    "{\"kind\":\"Service\",\"apiVersion\":\"v1\"," FULL_META                                                           \
    ",\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"appProtocol\":\"http\",\"port\":80,"              \
    "\"targetPort\":\"8080\",\"nodePort\":30080},{\"protocol\":\"TCP\",\"port\":443,\"targetPort\":8080}],"            \
    "\"selector\":{\"app\":\"web\"},\"clusterIP\":\"10.0.0.1\",\"clusterIPs\":[\"10.0.0.1\"],"                         \
    "\"type\":\"LoadBalancer\",\"externalIPs\":[\"192.0.2.1\",\"192.0.2.2\"],\"sessionAffinity\":\"ClientIP\","        \
    "\"externalTrafficPolicy\":\"Cluster\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":600}},"         \
    "\"ipFamilies\":[\"IPv4\"],\"ipFamilyPolicy\":\"SingleStack\",\"internalTrafficPolicy\":\"Local\"},"               \
    "\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"203.0.113.1\"},{\"hostname\":\"lb.example\"},"               \
    "{\"ip\":\"203.0.113.2\",\"ipMode\":\"VIP\"}]}}}"

static void make_slice(struct message *slice)
{
    struct message endpoint = {0}, conditions = {0}, port = {0}, bare = {0}, no_conditions = {0};
    put_meta(slice, "shop", "web");
    put_number(&conditions, 1, 0);
    put_number(&conditions, 2, 1);
    put_number(&conditions, 3, 1);
    put_text(&endpoint, 1, "10.1.0.1");
    put_message(&endpoint, 2, &conditions);
    put_text(&endpoint, 3, "web-0");
    put_text(&endpoint, 7, "zone-a");
    put_message(slice, 2, &endpoint);
    put_text(&bare, 1, "10.1.0.2");
    put_message(&bare, 2, &no_conditions);
    put_message(slice, 2, &bare);
    put_text(&port, 1, "http");
    put_text(&port, 2, "UDP");
    put_number(&port, 3, 8080);
    put_text(&port, 4, "h2c");
    put_message(slice, 3, &port);
    put_text(slice, 4, "IPv4");
}

#define SLICE                                                                                                          \
    "{" META ",\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":false,\"serving\":true,"         \
    "\"terminating\":true},\"hostname\":\"web-0\",\"zone\":\"zone-a\"},{\"addresses\":[\"10.1.0.2\"],"                 \
    "\"conditions\":{}}],\"ports\":[{\"name\":\"http\",\"protocol\":\"UDP\",\"port\":8080,\"appProtocol\":\"h2c\"}],"  \
    "\"addressType\":\"IPv4\"}"
#define FULL_SLICE                                                                                                     \
    "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\"," FULL_META                                    \
    ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":false,"          \
    "\"serving\":true,\"terminating\":true},\"hostname\":\"web-0\",\"zone\":\"zone-a\"},{\"addresses\":"               \
    "[\"10.1.0.2\"],\"conditions\":{}}],\"ports\":[{\"name\":\"http\",\"protocol\":\"UDP\",\"port\":8080,"             \
    "\"appProtocol\":\"h2c\"}]}"

static void put_address(struct message *subset, uint32_t number, const char *ip, const char *hostname)
{
    struct message address = {0};
    put_text(&address, 1, ip);
    put_text(&address, 3, hostname);
    put_message(subset, number, &address);
}

static void make_endpoints(struct message *endpoints)
{
    struct message subset = {0}, port = {0};
    put_meta(endpoints, "shop", "web");
    put_address(&subset, 1, "10.1.0.1", "web-0");
    put_address(&subset, 1, "10.1.0.2", "");
    put_address(&subset, 2, "10.1.0.3", "");
    put_text(&port, 1, "http");
    put_number(&port, 2, 8080);
    put_text(&port, 3, "SCTP");
    put_text(&port, 4, "h2c");
    put_message(&subset, 3, &port);
    put_message(endpoints, 2, &subset);
}

#define SUBSETS                                                                                                        \
    ",\"subsets\":[{\"addresses\":[{\"ip\":\"10.1.0.1\",\"hostname\":\"web-0\"},{\"ip\":\"10.1.0.2\"}],"               \
    "\"notReadyAddresses\":[{\"ip\":\"10.1.0.3\"}],\"ports\":[{\"name\":\"http\",\"port\":8080,"                       \
    "\"protocol\":\"SCTP\",\"appProtocol\":\"h2c\"}]}]}"
#define ENDPOINTS "{" META SUBSETS
#define FULL_ENDPOINTS "{\"kind\":\"Endpoints\",\"apiVersion\":\"v1\"," FULL_META SUBSETS

static void make_namespace(struct message *namespace)
{
    struct message spec = {0}, status = {0};
    put_meta(namespace, "", "web");
    put_text(&spec, 1, "kubernetes");
    put_message(namespace, 2, &spec);
    put_text(&status, 1, "Terminating");
    put_message(namespace, 3, &status);
}

static void make_service_cidr(struct message *cidr)
{
    struct message spec = {0};
    put_meta(cidr, "", "web");
    put_text(&spec, 1, "10.96.0.0/16");
    put_text(&spec, 1, "fd00:96::/112");
    put_message(cidr, 2, &spec);
}

static const struct object_case {
    const char *kind;
    void (*make)(struct message *message);
    const char *tree;
} OBJECTS[] = {
    {"Service", make_service, SERVICE},
    {"EndpointSlice", make_slice, SLICE},
    {"Endpoints", make_endpoints, ENDPOINTS},
    {"Namespace", make_namespace, "{" META_OF("") ",\"status\":{\"phase\":\"Terminating\"}}"},
    {"ServiceCIDR", make_service_cidr, "{" META_OF("") ",\"spec\":{\"cidrs\":[\"10.96.0.0/16\",\"fd00:96::/112\"]}}"},
};

static void objects_are_what_their_json_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(OBJECTS); i++) {
        struct message message = {0};
        OBJECTS[i].make(&message);
        expect(OBJECT, OBJECTS[i].kind, &message, OBJECTS[i].tree);
        expect(OBJECT, OBJECTS[i].kind, &(struct message){0}, "{}");
    }
    assert_null(proto_type_of("Secret"));
    assert_null(proto_type_of(""));
}

/* ---- decoded ---- */

struct both {
    struct arena arena;
    const struct json_tree *proto, *json;
};

static void read_both(struct both *both, const char *kind, void (*make)(struct message *message), const char *json)
{
    struct message message = {0};
    make(&message);
    arena_init(&both->arena, ARENA_BYTES);
    assert_int_equal(read_bytes(&both->arena, OBJECT, kind, message.bytes, message.length, &both->proto, NULL), ERR_OK);
    assert_int_equal(json_tree_parse(&both->arena, json, strlen(json), &both->json, NULL), ERR_OK);
}

static void expect_same_pairs(const struct kv_list *a, const struct kv_list *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_string_equal(a->items[i].key, b->items[i].key);
        assert_string_equal(a->items[i].value, b->items[i].value);
    }
}

static void expect_same_meta(const struct object_meta *a, const struct object_meta *b)
{
    assert_string_equal(a->namespace, b->namespace);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->uid, b->uid);
    assert_string_equal(a->resource_version, b->resource_version);
    expect_same_pairs(&a->labels, &b->labels);
    expect_same_pairs(&a->annotations, &b->annotations);
    assert_int_equal(a->created_us, b->created_us);
    assert_int_equal(a->created_us, TEN_O_CLOCK_S * INT64_C(1000000));
    assert_int_equal(a->deleting, b->deleting);
    assert_true(a->made_by_us && b->made_by_us);
    assert_string_equal(a->owner_uid, b->owner_uid);
}

static void a_service_decodes_as_its_json(void **state)
{
    struct both both;
    struct service a = {0}, b = {0};
    (void)state;
    read_both(&both, "Service", make_service, FULL_SERVICE);
    assert_int_equal(codec_read_service(&both.arena, both.proto, &a, NULL), ERR_OK);
    assert_int_equal(codec_read_service(&both.arena, both.json, &b, NULL), ERR_OK);
    expect_same_meta(&a.meta, &b.meta);
    assert_int_equal(a.type, b.type);
    assert_int_equal(a.headless, b.headless);
    assert_int_equal(a.has_selector, b.has_selector);
    assert_int_equal(a.is_node_local, b.is_node_local);
    assert_int_equal(a.publishes_unready, b.publishes_unready);
    assert_string_equal(a.cluster_ip, b.cluster_ip);
    assert_int_equal(a.affinity_s, b.affinity_s);
    assert_true(service_ports_equal(&a, &b));
    for (uint32_t i = 0; i < a.port_count; i++)
        assert_int_equal(a.ports[i].node_port, b.ports[i].node_port);
    assert_int_equal(a.ingress_count, b.ingress_count);
    for (uint32_t i = 0; i < a.ingress_count; i++) {
        assert_string_equal(a.ingress[i].ip, b.ingress[i].ip);
        assert_string_equal(a.ingress[i].hostname, b.ingress[i].hostname);
    }
    assert_int_equal(a.external_ip_count, b.external_ip_count);
    for (uint32_t i = 0; i < a.external_ip_count; i++)
        assert_string_equal(a.external_ips[i], b.external_ips[i]);
    arena_done(&both.arena);
}

static void expect_same_slice(const struct slice *a, const struct slice *b)
{
    expect_same_meta(&a->meta, &b->meta);
    assert_int_equal(a->irregular, b->irregular);
    assert_false(a->irregular);
    assert_string_equal(a->service_name, b->service_name);
    assert_int_equal(a->address_type, b->address_type);
    assert_int_equal(a->endpoint_count, b->endpoint_count);
    for (uint32_t i = 0; i < a->endpoint_count; i++) {
        const struct slice_endpoint *of_a = &a->endpoints[i], *of_b = &b->endpoints[i];
        assert_string_equal(of_a->address, of_b->address);
        assert_string_equal(of_a->hostname, of_b->hostname);
        assert_string_equal(of_a->zone, of_b->zone);
        assert_int_equal(of_a->ready, of_b->ready);
        assert_int_equal(of_a->serving, of_b->serving);
        assert_int_equal(of_a->terminating, of_b->terminating);
    }
    assert_int_equal(a->port_count, b->port_count);
    for (uint32_t i = 0; i < a->port_count; i++) {
        assert_string_equal(a->ports[i].name, b->ports[i].name);
        assert_int_equal(a->ports[i].protocol, b->ports[i].protocol);
        assert_int_equal(a->ports[i].port, b->ports[i].port);
        assert_string_equal(a->ports[i].app_protocol, b->ports[i].app_protocol);
    }
}

static void slices_and_endpoints_decode_as_their_json(void **state)
{
    struct both both;
    struct slice a = {0}, b = {0};
    (void)state;
    read_both(&both, "EndpointSlice", make_slice, FULL_SLICE);
    assert_int_equal(codec_read_slice(&both.arena, both.proto, &a, NULL), ERR_OK);
    assert_int_equal(codec_read_slice(&both.arena, both.json, &b, NULL), ERR_OK);
    expect_same_slice(&a, &b);
    arena_done(&both.arena);
    read_both(&both, "Endpoints", make_endpoints, FULL_ENDPOINTS);
    assert_int_equal(codec_read_endpoints(&both.arena, both.proto, &a, NULL), ERR_OK);
    assert_int_equal(codec_read_endpoints(&both.arena, both.json, &b, NULL), ERR_OK);
    expect_same_slice(&a, &b);
    arena_done(&both.arena);
}

/* Of what this program does not read it must still see that it is there: also when it is empty, and of whatever wire type. */
static void what_is_only_present_makes_irregular(void **state)
{
    static const uint32_t of_slices[] = {4, 5, 6, 8}, of_endpoints[] = {2, 4};
    struct both both;
    (void)state;
    for (unsigned i = 0; i < 2 * (ARRAY_COUNT(of_slices) + ARRAY_COUNT(of_endpoints)); i++) {
        bool is_slice = i / 2 < ARRAY_COUNT(of_slices);
        uint32_t number = is_slice ? of_slices[i / 2] : of_endpoints[i / 2 - ARRAY_COUNT(of_slices)];
        struct message message = {0}, endpoint = {0}, subset = {0};
        struct slice slice = {0};
        put_meta(&message, "shop", "web");
        put_text(&endpoint, 1, "10.1.0.1");
        put_text(&endpoint, number, i % 2 == 0 ? "\x0a\x01x" : "");
        if (is_slice)
            put_text(&message, 4, "IPv4");
        else
            put_message(&subset, 1, &endpoint);
        put_message(&message, 2, is_slice ? &endpoint : &subset);
        arena_init(&both.arena, ARENA_BYTES);
        assert_int_equal(read_bytes(&both.arena, OBJECT, is_slice ? "EndpointSlice" : "Endpoints", message.bytes,
                                    message.length, &both.proto, NULL),
                         ERR_OK);
        assert_int_equal(is_slice ? codec_read_slice(&both.arena, both.proto, &slice, NULL)
                                  : codec_read_endpoints(&both.arena, both.proto, &slice, NULL),
                         ERR_OK);
        assert_int_equal(slice.endpoint_count, 1);
        if (!slice.irregular)
            fail_msg("field %u of an endpoint of %s is not seen", (unsigned)number, is_slice ? "a slice" : "Endpoints");
        arena_done(&both.arena);
    }
}

/* ---- values ---- */

/* An object with nothing but this in its metadata. */
static struct message with_meta(const struct message *meta)
{
    struct message object = {0};
    put_message(&object, 1, meta);
    return object;
}

static void times_are_rfc_3339(void **state)
{
    static const struct {
        int64_t seconds;
        const char *tree; /* NULL: refused */
    } cases[] = {
        {0, "{\"metadata\":{\"creationTimestamp\":\"1970-01-01T00:00:00Z\"}}"},
        {TEN_O_CLOCK_S, "{\"metadata\":{\"creationTimestamp\":\"2026-08-21T10:00:00Z\"}}"},
        {253402300799, "{\"metadata\":{\"creationTimestamp\":\"9999-12-31T23:59:59Z\"}}"},
        {253402300800, NULL},
        {INT64_MAX, NULL},
        {-1, NULL},
        {INT64_MIN, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct message meta = {0};
        put_time(&meta, 8, cases[i].seconds);
        struct message object = with_meta(&meta);
        if (cases[i].tree != NULL)
            expect(OBJECT, "Namespace", &object, cases[i].tree);
        else
            expect_refused(OBJECT, "Namespace", &object, "such a time");
    }
    struct message meta = {0};
    put_text(&meta, 8, ""); /* what Go makes of no time */
    put_time(&meta, 9, TEN_O_CLOCK_S);
    struct message object = with_meta(&meta);
    expect(OBJECT, "Namespace", &object, "{\"metadata\":{\"deletionTimestamp\":\"2026-08-21T10:00:00Z\"}}");
}

static void a_port_is_a_number_or_a_name(void **state)
{
    static const struct {
        bool is_string;
        int64_t value;
        const char *text, *tree;
    } cases[] = {
        {false, 8080, "", "8080"},     {false, 0, "", "0"},           {false, -1, "", "-1"},    {false, 1, "http", "1"},
        {true, 0, "http", "\"http\""}, {true, 0, "8080", "\"8080\""}, {true, 8080, "", "\"\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct message service = {0}, spec = {0}, port = {0};
        char expected[128];
        put_int_or_string(&port, 4, cases[i].is_string, cases[i].value, cases[i].text);
        put_message(&spec, 1, &port);
        put_message(&service, 2, &spec);
        (void)snprintf(expected, sizeof(expected), "{\"spec\":{\"ports\":[{\"targetPort\":%s}]}}", cases[i].tree);
        expect(OBJECT, "Service", &service, expected);
    }
    struct message service = {0}, spec = {0}, port = {0};
    put_text(&port, 4, "");
    put_message(&spec, 1, &port);
    put_message(&service, 2, &spec);
    expect(OBJECT, "Service", &service, "{\"spec\":{\"ports\":[{\"targetPort\":0}]}}");
}

static void what_omitempty_leaves_out_is_left_out(void **state)
{
    struct message service = {0}, meta = {0}, spec = {0}, port = {0}, status = {0};
    (void)state;
    put_text(&meta, 1, "");
    put_text(&meta, 8, "");
    put_text(&meta, 9, "");
    put_message(&service, 1, &meta);
    put_text(&port, 1, "");
    put_number(&port, 3, 0);
    put_number(&port, 5, 0);
    put_message(&spec, 1, &port);
    put_text(&spec, 5, "");
    put_number(&spec, 13, 0);
    put_message(&service, 2, &spec);
    put_message(&service, 3, &status);
    expect(OBJECT, "Service", &service,
           "{\"metadata\":{},\"spec\":{\"ports\":[{}],\"externalIPs\":[\"\"],\"publishNotReadyAddresses\":false},"
           "\"status\":{}}");
}

/* Each behind another, as the wire format allows. */
static void entries_of_maps_may_lack_what_is_empty(void **state)
{
    struct message meta = {0}, entry = {0}, reversed = {0};
    (void)state;
    put_pair(&meta, 11, "z", "1");
    put_pair(&meta, 12, "note", "");
    put_pair(&meta, 11, "a", "");
    put_text(&entry, 1, "only-key");
    put_message(&meta, 11, &entry);
    put_text(&reversed, 2, "value");
    put_text(&reversed, 1, "key");
    put_message(&meta, 11, &reversed);
    put_text(&meta, 11, "");
    struct message object = with_meta(&meta);
    expect(OBJECT, "Namespace", &object,
           "{\"metadata\":{\"labels\":{\"z\":\"1\",\"a\":\"\",\"only-key\":\"\",\"key\":\"value\",\"\":\"\"},"
           "\"annotations\":{\"note\":\"\"}}}");
}

static void unknown_fields_are_skipped(void **state)
{
    struct message meta = {0}, object = {0}, time = {0}, entry = {0};
    (void)state;
    put_unknown(&meta);
    put_text(&meta, 1, "web");
    put_unknown(&meta);
    put_unknown(&time);
    put_number(&time, 1, 1);
    put_unknown(&time);
    put_message(&meta, 8, &time);
    put_unknown(&entry);
    put_text(&entry, 1, "a");
    put_message(&meta, 11, &entry);
    put_unknown(&object);
    put_message(&object, 1, &meta);
    put_unknown(&object);
    expect(OBJECT, "Namespace", &object,
           "{\"metadata\":{\"name\":\"web\",\"creationTimestamp\":\"1970-01-01T00:00:01Z\",\"labels\":{\"a\":\"\"}}}");
}

static void members_may_come_in_any_order(void **state)
{
    struct message slice = {0}, meta = {0}, first = {0}, second = {0}, port = {0};
    (void)state;
    put_text(&first, 7, "zone-a");
    put_text(&first, 1, "10.1.0.1");
    put_text(&second, 1, "10.1.0.2");
    put_number(&port, 3, 80);
    put_text(&meta, 6, "7");
    put_pair(&meta, 11, "a", "1");
    put_text(&meta, 1, "web");
    put_pair(&meta, 11, "b", "2");
    put_text(&slice, 4, "IPv4");
    put_message(&slice, 2, &first);
    put_message(&slice, 3, &port);
    put_message(&slice, 2, &second);
    put_message(&slice, 1, &meta);
    expect(OBJECT, "EndpointSlice", &slice,
           "{\"addressType\":\"IPv4\",\"endpoints\":[{\"zone\":\"zone-a\",\"addresses\":[\"10.1.0.1\"]},{\"addresses\":"
           "[\"10.1.0.2\"]}],\"ports\":[{\"port\":80}],\"metadata\":{\"resourceVersion\":\"7\",\"labels\":{\"a\":"
           "\"1\",\"b\":\"2\"},\"name\":\"web\"}}");
}

/* ---- what is refused ---- */

/* Kubernetes may add to what an endpoint says: one with more than is known here is not what was written. */
static void unknown_fields_of_endpoints_are_told(void **state)
{
    struct message slice = {0}, endpoint = {0}, conditions = {0}, meta = {0};
    (void)state;
    put_text(&endpoint, 1, "10.1.0.1");
    put_number(&conditions, 1, 1);
    put_number(&conditions, 9, 1);
    put_message(&endpoint, 2, &conditions);
    put_text(&endpoint, 99, "new");
    put_text(&meta, 99, "new");
    put_message(&slice, 1, &meta);
    put_message(&slice, 2, &endpoint);
    put_text(&slice, 99, "new");
    expect(OBJECT, "EndpointSlice", &slice,
           "{\"metadata\":{},\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":true,\"?\":{}},\"?"
           "\":{}}]}");
}

#define R "\xEF\xBF\xBD" /* U+FFFD */

static void what_no_text_holds_is_replaced(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *mended;
    } cases[] = {{"\xff", 1, R},
                 {"a\xc3", 2, "a" R},
                 {"\xc0\xaf", 2, R R},
                 {"\xed\xa0\x80", 3, R R R},
                 {"\xf4\x90\x80\x80", 4, R R R R},
                 {"\xe2\x82\x00", 3, R R R},
                 {"\x80", 1, R},
                 {"a\0b", 3, "a" R "b"},
                 {"\0", 1, R},
                 {"a\0", 2, "a" R}};
    static const char *const trees[] = {"{\"metadata\":{\"name\":\"%s\"}}",
                                        "{\"metadata\":{\"labels\":{\"%s\":\"\"}}}",
                                        "{\"metadata\":{\"labels\":{\"\":\"%s\"}}}",
                                        "{\"spec\":{\"externalIPs\":[\"%s\"]}}",
                                        "{\"spec\":{\"ports\":[{\"targetPort\":\"%s\"}]}}",
                                        "{\"kind\":\"%s\"}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (unsigned place = 0; place < ARRAY_COUNT(trees); place++) {
            struct message object = {0}, outer = {0}, inner = {0}, innermost = {0};
            char tree[128];
            if (place == 0) { /* a text */
                put_bytes(&outer, 1, cases[i].bytes, cases[i].length);
                put_message(&object, 1, &outer);
            } else if (place == 1 || place == 2) { /* the key, the value of a label */
                put_bytes(&inner, place, cases[i].bytes, cases[i].length);
                put_message(&outer, 11, &inner);
                put_message(&object, 1, &outer);
            } else if (place == 3) { /* one of many */
                put_bytes(&outer, 5, cases[i].bytes, cases[i].length);
                put_message(&object, 2, &outer);
            } else if (place == 4) { /* a port's name */
                put_number(&innermost, 1, 1);
                put_bytes(&innermost, 3, cases[i].bytes, cases[i].length);
                put_message(&inner, 4, &innermost);
                put_message(&outer, 1, &inner);
                put_message(&object, 2, &outer);
            } else {
                put_bytes(&object, 2, cases[i].bytes, cases[i].length);
            }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(tree, sizeof(tree), trees[place], cases[i].mended);
#pragma GCC diagnostic pop
            expect(place < 5 ? OBJECT : TYPE_META, "Service", &object, tree);
        }
    }
}

static void what_is_no_message_is_refused(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t length;
    } cases[] = {
        {"a tag of 11 bytes", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x01", 12},
        {"a varint of 11 bytes", "\xc0\x3e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 13},
        {"a varint without an end", "\xc0\x3e\x80", 3},
        {"a length of 11 bytes", "\xc2\x3e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 13},
        {"field 0", "\x00\x01", 2},
        {"field 0 with bytes", "\x02\x00", 2},
        {"a field number of 33 bits", "\x80\x80\x80\x80\x80\x01\x01", 7},
        {"a group", "\xc3\x3e\xc4\x3e", 4},
        {"the end of a group", "\xc4\x3e", 2},
        {"wire type 6", "\xc6\x3e\x00", 3},
        {"wire type 7", "\xc7\x3e\x00", 3},
        {"bytes beyond the end", "\xc2\x3e\x02x", 4},
        {"2^64-1 bytes", "\xc2\x3e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12},
        {"7 of 8 bytes", "\xc1\x3e\x01\x02\x03\x04\x05\x06\x07", 9},
        {"3 of 4 bytes", "\xc5\x3e\x01\x02\x03", 5},
        {"JSON", "{\"kind\":\"Service\"}", 18},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        static const struct {
            enum root root;
            uint32_t path[3]; /* where the message is put, from within */
        } places[] = {{OBJECT, {0}},    {OBJECT, {1}},       {OBJECT, {8, 1}}, {OBJECT, {11, 1}},
                      {OBJECT, {1, 2}}, {OBJECT, {4, 1, 2}}, {EVENT, {0}},     {EVENT, {2}},
                      {STATUS, {0}},    {LIST_META, {0}},    {TYPE_META, {0}}};
        for (size_t place = 0; place < ARRAY_COUNT(places); place++) {
            struct message message = {0};
            char what[128];
            if (places[place].root == STATUS)
                put(&message, "k8s", 4);
            put(&message, cases[i].bytes, cases[i].length);
            for (size_t step = 0; step < ARRAY_COUNT(places[place].path) && places[place].path[step] != 0; step++) {
                struct message outer = {0};
                put_message(&outer, places[place].path[step], &message);
                message = outer;
            }
            (void)snprintf(what, sizeof(what), "%s in place %zu", cases[i].what, place);
            expect_refused(places[place].root, "Service", &message, what);
        }
    }
}

/* A field that this program reads, in a wire type that it never has. */
struct wire_case {
    const char *what;
    uint32_t path[3]; /* from within: fields of a Service */
    unsigned wire;
};

static void expect_wires_refused(const struct wire_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct message message = {0};
        put_tag(&message, cases[i].path[0], cases[i].wire);
        put(&message, cases[i].wire == 2 ? "\x01x" : "\x01\x01\x01\x01\x01\x01\x01\x01",
            cases[i].wire == 1   ? 8
            : cases[i].wire == 5 ? 4
            : cases[i].wire == 2 ? 2
                                 : 1);
        for (size_t step = 1; step < ARRAY_COUNT(cases[i].path) && cases[i].path[step] != 0; step++) {
            struct message outer = {0};
            put_message(&outer, cases[i].path[step], &message);
            message = outer;
        }
        expect_refused(OBJECT, "Service", &message, cases[i].what);
    }
}

static void messages_lists_and_maps_of_other_wire_types_are_refused(void **state)
{
    static const struct wire_case cases[] = {
        {"metadata as a number", {1}, 0},        {"metadata of 64 bits", {1}, 1},
        {"metadata of 32 bits", {1}, 5},         {"labels as a number", {11, 1}, 0},
        {"owners as a number", {13, 1}, 0},      {"ports as a number", {1, 2}, 0},
        {"external IPs as a number", {5, 2}, 0}, {"a target port as a number", {4, 1, 2}, 0},
        {"a truth as bytes", {13, 2}, 2},        {"a truth of 64 bits", {13, 2}, 1},
    };
    (void)state;
    expect_wires_refused(cases, ARRAY_COUNT(cases));
}

static void texts_numbers_and_times_of_other_wire_types_are_refused(void **state)
{
    static const struct wire_case cases[] = {
        {"a name as a number", {1, 1}, 0},   {"a name of 64 bits", {1, 1}, 1},    {"a name of 32 bits", {1, 1}, 5},
        {"a time as a number", {8, 1}, 0},   {"a time of 64 bits", {8, 1}, 1},    {"a port as bytes", {3, 1, 2}, 2},
        {"a port of 32 bits", {3, 1, 2}, 5}, {"a port of 64 bits", {3, 1, 2}, 1},
    };
    (void)state;
    expect_wires_refused(cases, ARRAY_COUNT(cases));
}

/* ---- events and envelopes ---- */

static void make_status(struct message *status)
{
    struct message details = {0}, cause = {0}, meta = {0};
    put_message(status, 1, &meta);
    put_text(status, 2, "Failure");
    put_text(status, 3, "too old resource version");
    put_text(status, 4, "Expired");
    put_text(&details, 1, "");
    put_text(&cause, 1, "ResourceVersionTooOld");
    put_text(&cause, 2, "it is gone");
    put_message(&details, 4, &cause);
    put_number(&details, 5, 3);
    put_message(status, 5, &details);
    put_number(status, 6, 410);
}

#define STATUS_MEMBERS                                                                                                 \
    "\"status\":\"Failure\",\"message\":\"too old resource version\",\"reason\":\"Expired\",\"details\":{\"causes\":"  \
    "[{\"reason\":\"ResourceVersionTooOld\",\"message\":\"it is gone\"}],\"retryAfterSeconds\":3},\"code\":410"

static void make_added(struct message *event)
{
    struct message service = {0}, meta = {0}, object = {0};
    put_text(&meta, 1, "web");
    put_text(&meta, 6, "7");
    put_message(&service, 1, &meta);
    put_envelope(&object, "Service", &service);
    put_event(event, "ADDED", &object);
}

static void make_error(struct message *event)
{
    struct message status = {0}, object = {0};
    make_status(&status);
    put_envelope(&object, "Status", &status);
    put_event(event, "ERROR", &object);
}

static void events_have_a_type_and_an_object(void **state)
{
    struct message added = {0}, bookmark = {0}, error = {0}, other = {0}, bare = {0}, service = {0}, meta = {0};
    struct message in_bookmark = {0}, in_other = {0}, in_bare = {0};
    (void)state;
    make_added(&added);
    expect(EVENT, "Service", &added,
           "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"web\",\"resourceVersion\":\"7\"},\"kind\":"
           "\"Service\"}}");
    put_text(&meta, 6, "8");
    put_pair(&meta, 12, "k8s.io/initial-events-end", "true");
    put_message(&service, 1, &meta);
    put_envelope(&in_bookmark, "Service", &service);
    put_event(&bookmark, "BOOKMARK", &in_bookmark);
    expect(EVENT, "Service", &bookmark,
           "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"8\",\"annotations\":"
           "{\"k8s.io/initial-events-end\":\"true\"}},\"kind\":\"Service\"}}");
    make_error(&error);
    expect(EVENT, "Service", &error, "{\"type\":\"ERROR\",\"object\":{" STATUS_MEMBERS ",\"kind\":\"Status\"}}");
    /* Of another kind, whether this program reads that or not. */
    expect(EVENT, "Namespace", &added, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\"}}");
    put_envelope(&in_other, "Pod", &service);
    put_event(&other, "MODIFIED", &in_other);
    expect(EVENT, "Service", &other, "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\"}}");
    put(&in_bare, "k8s", 4);
    put_event(&bare, "DELETED", &in_bare);
    expect_refused(EVENT, "Service", &bare, "an object of no kind");
}

static void events_without_an_object_are_refused(void **state)
{
    struct message empty = {0}, only_type = {0}, no_raw = {0}, nothing = {0};
    (void)state;
    expect_refused(EVENT, "Service", &empty, "nothing");
    put_text(&only_type, 1, "ADDED");
    expect_refused(EVENT, "Service", &only_type, "a type alone");
    put_event(&no_raw, "ADDED", &nothing);
    expect_refused(EVENT, "Service", &no_raw, "an empty object");
}

static void envelopes_begin_with_k8s_and_are_not_encoded(void **state)
{
    static const char *const beginnings[] = {"", "k8", "k8s", "K8s\n", "{\"kind\":\"Status\"}"};
    struct message status = {0}, encoded = {0}, event = {0};
    (void)state;
    make_status(&status);
    for (size_t i = 0; i < ARRAY_COUNT(beginnings); i++) {
        struct message bare = {0}, of_event = {0};
        put(&bare, beginnings[i], strlen(beginnings[i]));
        expect_refused(STATUS, "Service", &bare, beginnings[i]);
        put_message(&bare, 2, &status);
        expect_refused(STATUS, "Service", &bare, beginnings[i]);
        put_event(&of_event, "ERROR", &bare);
        expect_refused(EVENT, "Service", &of_event, beginnings[i]);
    }
    put_envelope(&encoded, "Status", &status);
    put_text(&encoded, 3, "gzip");
    expect_refused(STATUS, "Service", &encoded, "gzip");
    put_event(&event, "ERROR", &encoded);
    expect_refused(EVENT, "Service", &event, "gzip");
}

static void a_status_is_read_out_of_its_envelope(void **state)
{
    struct message status = {0}, answer = {0}, bare = {0}, other = {0};
    (void)state;
    make_status(&status);
    put_envelope(&answer, "Status", &status);
    put_text(&answer, 4, "application/vnd.kubernetes.protobuf"); /* of what is in it */
    put_unknown(&answer);
    expect(STATUS, "Service", &answer, "{" STATUS_MEMBERS "}");
    put(&bare, "k8s", 4);
    put_pair(&bare, 1, "v1", "Status");
    expect(STATUS, "Service", &bare, "{}");
    put_envelope(&other, "Service", &status);
    expect_refused(STATUS, "Service", &other, "a Service");
}

static void metadata_of_lists_and_types(void **state)
{
    struct message list = {0}, type = {0};
    (void)state;
    put_text(&list, 1, "");
    put_text(&list, 2, "99");
    put_text(&list, 3, "more");
    put_number(&list, 4, 12);
    expect(LIST_META, "Service", &list, "{\"resourceVersion\":\"99\",\"continue\":\"more\"}");
    put_text(&type, 1, "v1");
    put_text(&type, 2, "ServiceList");
    expect(TYPE_META, "Service", &type, "{\"apiVersion\":\"v1\",\"kind\":\"ServiceList\"}");
}

/* ---- spoiled messages ---- */

/* Whatever comes, it is refused or a tree, and nothing is read behind its end. */
static void expect_survives(enum root root, const char *kind, const char *bytes, size_t length)
{
    struct arena arena;
    struct strbuf text;
    const struct json_tree *tree = NULL;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&text, ARENA_BYTES);
    enum err_code code = read_bytes(&arena, root, kind, bytes, length, &tree, NULL);
    if (code == ERR_OK)
        json_tree_write(tree, &text);
    else
        assert_int_equal(code, ERR_PROTOCOL);
    strbuf_done(&text);
    arena_done(&arena);
}

static void expect_survives_spoiled(enum root root, const char *kind, struct message *message)
{
    static const char others[] = {'\0', '\x01', '\x7f', '\x80', '\xff'};
    for (size_t length = 0; length <= message->length; length++)
        expect_survives(root, kind, message->bytes, length);
    for (size_t at = 0; at < message->length; at++) {
        char kept = message->bytes[at];
        for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
            message->bytes[at] = others[i];
            expect_survives(root, kind, message->bytes, message->length);
        }
        message->bytes[at] = kept;
    }
}

static void spoiled_messages_are_refused_or_trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(OBJECTS); i++) {
        struct message object = {0}, envelope = {0}, event = {0};
        OBJECTS[i].make(&object);
        expect_survives_spoiled(OBJECT, OBJECTS[i].kind, &object);
        put_envelope(&envelope, OBJECTS[i].kind, &object);
        put_event(&event, "ADDED", &envelope);
        expect_survives_spoiled(EVENT, OBJECTS[i].kind, &event);
    }
    struct message status = {0}, answer = {0};
    make_status(&status);
    put_envelope(&answer, "Status", &status);
    expect_survives_spoiled(STATUS, "Service", &answer);
}

/* ---- memory ---- */

static enum err_code sweep_objects(void *context)
{
    struct arena arena;
    const struct json_tree *tree = NULL;
    struct err error = {0};
    enum err_code code = ERR_OK;
    (void)context;
    for (size_t i = 0; code == ERR_OK && i <= ARRAY_COUNT(OBJECTS); i++) {
        bool is_event = i == ARRAY_COUNT(OBJECTS);
        struct message message = {0};
        if (is_event)
            make_error(&message);
        else
            OBJECTS[i].make(&message);
        arena_init(&arena, ARENA_BYTES);
        code = read_bytes(&arena, is_event ? EVENT : OBJECT, is_event ? "Service" : OBJECTS[i].kind, message.bytes,
                          message.length, &tree, &error);
        arena_done(&arena);
    }
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    assert_true(sweep(sweep_objects, NULL) > 0);
}

/* An arena takes few blocks; so its bound stands for the allocations within them. */
static void survives_full_arenas(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct message message = {0}, status = {0};
        enum root root = round == 0 ? OBJECT : round == 1 ? EVENT : STATUS;
        if (root == OBJECT)
            make_service(&message);
        else if (root == EVENT)
            make_added(&message);
        else
            make_status(&status);
        if (root == STATUS)
            put_envelope(&message, "Status", &status);
        enum err_code code = ERR_NOMEM;
        for (size_t limit = 0; code == ERR_NOMEM; limit += sizeof(void *)) {
            struct arena arena;
            const struct json_tree *tree = NULL;
            struct err error = {0};
            arena_init(&arena, limit);
            code = read_bytes(&arena, root, "Service", message.bytes, message.length, &tree, &error);
            arena_done(&arena);
            assert_true(limit < ARENA_BYTES);
        }
        assert_int_equal(code, ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_what_their_json_is),
        cmocka_unit_test(a_service_decodes_as_its_json),
        cmocka_unit_test(slices_and_endpoints_decode_as_their_json),
        cmocka_unit_test(what_is_only_present_makes_irregular),
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(a_port_is_a_number_or_a_name),
        cmocka_unit_test(what_omitempty_leaves_out_is_left_out),
        cmocka_unit_test(entries_of_maps_may_lack_what_is_empty),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(members_may_come_in_any_order),
        cmocka_unit_test(unknown_fields_of_endpoints_are_told),
        cmocka_unit_test(what_no_text_holds_is_replaced),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(messages_lists_and_maps_of_other_wire_types_are_refused),
        cmocka_unit_test(texts_numbers_and_times_of_other_wire_types_are_refused),
        cmocka_unit_test(events_have_a_type_and_an_object),
        cmocka_unit_test(events_without_an_object_are_refused),
        cmocka_unit_test(envelopes_begin_with_k8s_and_are_not_encoded),
        cmocka_unit_test(a_status_is_read_out_of_its_envelope),
        cmocka_unit_test(metadata_of_lists_and_types),
        cmocka_unit_test(spoiled_messages_are_refused_or_trees),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(survives_full_arenas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
