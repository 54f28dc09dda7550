/* links: base mirror mirror_fixture.c */
#include "mirror/link.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_fixture.h"
#include "tests/unit/sweep.h"

enum { ARENA_BYTES = 1 << 22 };

static const char *const true_value[] = {"true"};
static const struct selector_requirement exported = {"mirror.linkerd.io/exported", SELECTOR_IN, true_value, 1};

/* A Link as `link-gen` writes it. */
static struct link_resource good_link(void)
{
    return (struct link_resource){.namespace = "linkerd-multicluster",
                                  .name = "east",
                                  .uid = "u1",
                                  .resource_version = "1",
                                  .created_us = 5,
                                  .target_cluster_name = "east",
                                  .target_cluster_domain = "cluster.local",
                                  .cluster_credentials_secret = "cluster-credentials-east",
                                  .gateway_address = "203.0.113.7",
                                  .gateway_port = "4143",
                                  .gateway_identity = "gw.id",
                                  .has_probe_spec = true,
                                  .probe_path = "/ready",
                                  .probe_port = "4191",
                                  .probe_period = "3s",
                                  .probe_failure_threshold = "3",
                                  .probe_timeout = "30s",
                                  .selector = {&exported, 1}};
}

static const char *addresses_of(struct arena *arena, const struct link *link)
{
    const char *text = "";
    for (uint32_t i = 0; i < link->gateway_address_count; i++)
        text = arena_printf(arena, "%s%s%s", text, i > 0 ? " " : "", link->gateway_addresses[i]);
    return text;
}

static const char *link_words(struct arena *arena, const struct link *link)
{
    return arena_printf(arena,
                        "%s %s %s/%s uid=%s cluster=%s domain=%s secret=%s select=%s gateway %s [%s]:%u id=%s probe %s "
                        "%s:%u %u ms %u times %u ms; %s",
                        link->kind == LINK_SECRET ? "secret" : "link", link->id, link->namespace, link->name, link->uid,
                        link->cluster_name, link->cluster_domain, link->credentials_secret,
                        selector_format(arena, &link->selector), link->has_gateway ? "yes" : "no",
                        addresses_of(arena, link), link->gateway_port, link->gateway_identity,
                        link->probe.enabled ? "on" : "off", link->probe.path, link->probe.port, link->probe.period_ms,
                        link->probe.failure_threshold, link->probe.timeout_ms, link->warning);
}

static const struct link *judge(struct arena *arena, const struct link_resource *resource)
{
    const struct link *link = NULL;
    struct err error = {0};
    if (link_from_resource(arena, resource, &link, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return link;
}

static void a_complete_link_is_read_whole(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct link_resource resource = good_link();
    assert_string_equal(link_words(&arena, judge(&arena, &resource)),
                        "link link/east linkerd-multicluster/east uid=u1 cluster=east domain=cluster.local "
                        "secret=cluster-credentials-east select=mirror.linkerd.io/exported=true gateway yes "
                        "[203.0.113.7]:4143 id=gw.id probe on /ready:4191 3000 ms 3 times 30000 ms; ");
    arena_done(&arena);
}

static void what_is_absent_has_its_default(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const struct link_resource bare = {.namespace = "ns", .name = "l", .target_cluster_name = "west"};
    assert_string_equal(link_words(&arena, judge(&arena, &bare)),
                        "link link/l ns/l uid= cluster=west domain=cluster.local secret=cluster-credentials-west "
                        "select= gateway no []:0 id= probe off :0 3000 ms 3 times 30000 ms; ");
    arena_done(&arena);
}

static void only_a_cluster_name_that_cannot_end_a_name_refuses_a_link(void **state)
{
    (void)state;
    static const struct {
        const char *name, *fault;
    } CASES[] = {
        {NULL, "spec.targetClusterName is empty: set it to the target cluster's name"},
        {"", "spec.targetClusterName is empty: set it to the target cluster's name"},
        {"East",
         "spec.targetClusterName \"East\" cannot end a Service name: use at most 63 of a-z, 0-9 and -, beginning "
         "and ending with a letter or digit"},
        {"local",
         "spec.targetClusterName \"local\" is what metrics call the source cluster: give the target another name"},
        {"a.b", NULL},
        {"a/b", NULL},
        {"-a", NULL},
        {"a-", NULL},
        {"x23456789012345678901234567890123456789012345678901234567890123x", NULL},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct link_resource resource = good_link();
        const struct link *link = NULL;
        struct err error = {0};
        resource.target_cluster_name = CASES[i].name;
        assert_int_equal(link_from_resource(&arena, &resource, &link, &error), ERR_INVALID);
        assert_null(link);
        if (CASES[i].fault != NULL)
            assert_string_equal(error.text, CASES[i].fault);
    }
    struct link_resource resource = good_link();
    resource.target_cluster_name = "1a";
    assert_string_equal(judge(&arena, &resource)->cluster_name, "1a");
    arena_done(&arena);
}

static void gateway_addresses_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *declared, *addresses;
        bool has_gateway;
    } CASES[] = {
        {NULL, "", false},
        {"", "", false},
        {",", "", false},
        {" , ,", "", false},
        {"203.0.113.7", "203.0.113.7", true},
        {"203.0.113.7,203.0.113.8", "203.0.113.7 203.0.113.8", true},
        {" 203.0.113.7 ,, gw.example\t,2001:db8::1 ", "203.0.113.7 gw.example 2001:db8::1", true},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct link_resource resource = good_link();
        resource.gateway_address = CASES[i].declared;
        const struct link *link = judge(&arena, &resource);
        assert_string_equal(addresses_of(&arena, link), CASES[i].addresses);
        assert_int_equal(link->has_gateway, CASES[i].has_gateway);
    }
    arena_done(&arena);
}

static void gateway_addresses_have_a_maximum(void **state)
{
    (void)state;
    struct arena arena;
    struct strbuf list;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&list, 1 << 16);
    for (int i = 0; i < LINK_MAX_GATEWAY_ADDRESSES; i++)
        strbuf_printf(&list, "g%d,", i);
    struct link_resource resource = good_link();
    resource.gateway_address = strbuf_text(&list);
    assert_string_equal(judge(&arena, &resource)->warning, "");
    strbuf_append(&list, "one-more");
    resource.gateway_address = strbuf_text(&list);
    const struct link *link = judge(&arena, &resource);
    assert_int_equal(link->gateway_address_count, LINK_MAX_GATEWAY_ADDRESSES);
    assert_string_equal(link->warning, "spec.gatewayAddress names more than 64 addresses: the first 64 are used");
    strbuf_done(&list);
    arena_done(&arena);
}

/* What has a safe value instead gets that, with a word; the rest of the link works. */
static void odd_values_have_defined_consequences(void **state)
{
    (void)state;
    static const struct {
        size_t field;
        const char *value, *warning;
        bool probed;
        uint32_t period_ms, threshold, timeout_ms;
    } CASES[] = {
#define FIELD(name) offsetof(struct link_resource, name)
        {FIELD(probe_path), NULL, "", false, 3000, 3, 30000},
        {FIELD(probe_path), "", "", false, 3000, 3, 30000},
        {FIELD(probe_period), NULL, "", true, 3000, 3, 30000},
        {FIELD(probe_period), "10s", "", true, 10000, 3, 30000},
        {FIELD(probe_period), "10", "", true, 10000, 3, 30000},
        {FIELD(probe_period), "0s", "spec.probeSpec.period \"0s\" is not a positive duration: 3000 ms is used", true,
         3000, 3, 30000},
        {FIELD(probe_period), "soon", "spec.probeSpec.period \"soon\" is not a positive duration: 3000 ms is used",
         true, 3000, 3, 30000},
        {FIELD(probe_period), "1ms", "spec.probeSpec.period \"1ms\" is outside 100 ms to 3600000 ms: 100 ms is used",
         true, 100, 3, 30000},
        {FIELD(probe_period), "2h", "spec.probeSpec.period \"2h\" is outside 100 ms to 3600000 ms: 3600000 ms is used",
         true, 3600000, 3, 30000},
        {FIELD(probe_failure_threshold), NULL, "", true, 3000, 3, 30000},
        {FIELD(probe_failure_threshold), "1", "", true, 3000, 1, 30000},
        {FIELD(probe_failure_threshold), "0",
         "spec.probeSpec.failureThreshold \"0\" is not a number from 1 to 100: 3 is used", true, 3000, 3, 30000},
        {FIELD(probe_failure_threshold), "101",
         "spec.probeSpec.failureThreshold \"101\" is not a number from 1 to 100: 3 is used", true, 3000, 3, 30000},
        {FIELD(probe_timeout), NULL, "", true, 3000, 3, 30000},
        {FIELD(probe_timeout), "250ms", "", true, 3000, 3, 250},
        {FIELD(probe_timeout), "1h", "spec.probeSpec.timeout \"1h\" is outside 1 ms to 600000 ms: 600000 ms is used",
         true, 3000, 3, 600000},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct link_resource resource = good_link();
        memcpy((char *)&resource + CASES[i].field, &CASES[i].value, sizeof(CASES[i].value));
        const struct link *link = judge(&arena, &resource);
        assert_string_equal(link->warning, CASES[i].warning);
        assert_true(link->has_gateway);
        assert_int_equal(link->probe.enabled, CASES[i].probed);
        assert_int_equal(link->probe.period_ms, CASES[i].period_ms);
        assert_int_equal(link->probe.failure_threshold, CASES[i].threshold);
        assert_int_equal(link->probe.timeout_ms, CASES[i].timeout_ms);
    }
    arena_done(&arena);
}

static void warnings_are_joined(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct link_resource resource = good_link();
    resource.probe_period = "x";
    resource.probe_failure_threshold = "x";
    const struct link *link = judge(&arena, &resource);
    assert_string_equal(link->warning,
                        "spec.probeSpec.period \"x\" is not a positive duration: 3000 ms is used; "
                        "spec.probeSpec.failureThreshold \"x\" is not a number from 1 to 100: 3 is used");
    arena_done(&arena);
}

/* The fields that are beside such a Service are given or not, each by itself; the Service tells of those that are not. */
static void a_gateway_service_may_be_named(void **state)
{
    (void)state;
    static const struct {
        const char *gateway, *address, *port, *path, *probe_port, *period, *threshold, *outcome;
    } CASES[] = {
        {"ambassador/ambassador", NULL, NULL, NULL, NULL, NULL, NULL,
         "ambassador/ambassador no []:0 probe :0 0 ms 0 times; "},
        {"a/g", "", "", "", "", "", "", "a/g no []:0 probe :0 0 ms 0 times; "},
        {"a/g", "203.0.113.7", NULL, NULL, NULL, NULL, NULL, "a/g no [203.0.113.7]:0 probe :0 0 ms 0 times; "},
        {"a/g", NULL, "4144", NULL, "81", NULL, "5", "a/g no []:4144 probe :81 0 ms 5 times; "},
        {"a/g", "203.0.113.7", "4144", "/x", NULL, "9s", NULL,
         "a/g yes [203.0.113.7]:4144 probe /x:0 9000 ms 0 times; "},
        {"a/g", NULL, NULL, NULL, NULL, "x", "0",
         "a/g no []:0 probe :0 0 ms 0 times; spec.probeSpec.period \"x\" is not a positive duration: the gateway "
         "Service's is used; spec.probeSpec.failureThreshold \"0\" is not a number from 1 to 100: the gateway "
         "Service's "
         "is used"},
        {"", "203.0.113.7", "4143", "/x", "80", NULL, NULL, "- yes [203.0.113.7]:4143 probe /x:80 3000 ms 3 times; "},
        {"a/g", NULL, "0", NULL, NULL, NULL, NULL,
         "spec.gatewayPort \"0\" is not a port: set it to a number from 1 to 65535, e.g. \"4143\""},
        {"a/g", NULL, NULL, NULL, "x", NULL, NULL,
         "spec.probeSpec.port \"x\" is not a port: set it to a number from 1 to 65535, e.g. \"4191\""},
#define NAMES_NONE(text)                                                                                               \
    {text,                                                                                                             \
     NULL,                                                                                                             \
     NULL,                                                                                                             \
     NULL,                                                                                                             \
     NULL,                                                                                                             \
     NULL,                                                                                                             \
     NULL,                                                                                                             \
     "annotation svcmirror.io/gateway \"" text                                                                         \
     "\" does not name a Service: write its namespace and name in the target cluster, e.g. \"ambassador/ambassador\""}
        NAMES_NONE("ambassador"),
        NAMES_NONE("a/b/c"),
        NAMES_NONE("/g"),
        NAMES_NONE("a/"),
        NAMES_NONE("A/g"),
        NAMES_NONE("a/g "),
#undef NAMES_NONE
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct link_resource resource = {.namespace = "ns",
                                               .name = "l",
                                               .target_cluster_name = "west",
                                               .gateway = CASES[i].gateway,
                                               .gateway_address = CASES[i].address,
                                               .gateway_port = CASES[i].port,
                                               .has_probe_spec = true,
                                               .probe_path = CASES[i].path,
                                               .probe_port = CASES[i].probe_port,
                                               .probe_period = CASES[i].period,
                                               .probe_failure_threshold = CASES[i].threshold};
        const struct link *link = NULL;
        struct err error = {0};
        const char *outcome = error.text;
        if (link_from_resource(&arena, &resource, &link, &error) == ERR_OK)
            outcome = arena_printf(&arena, "%s %s [%s]:%u probe %s:%u %u ms %u times; %s",
                                   link->gateway_service != NULL ? link->gateway_service : "-",
                                   link->has_gateway ? "yes" : "no", addresses_of(&arena, link), link->gateway_port,
                                   link->probe.path, link->probe.port, link->probe.period_ms,
                                   link->probe.failure_threshold, link->warning);
        assert_string_equal(outcome, CASES[i].outcome);
    }
    arena_done(&arena);
}

/* Instead of these there is no value that would not take something away that the mistake was not about. */
static void what_has_no_safe_value_refuses_the_link(void **state)
{
    (void)state;
    static const struct {
        size_t field;
        const char *value, *text;
    } CASES[] = {
        {FIELD(gateway_port), "70000",
         "spec.gatewayPort \"70000\" is not a port: set it to a number from 1 to 65535, e.g. \"4143\""},
        {FIELD(gateway_port), "0",
         "spec.gatewayPort \"0\" is not a port: set it to a number from 1 to 65535, e.g. \"4143\""},
        {FIELD(gateway_port), NULL, "spec.gatewayPort is missing: set it, e.g. to \"4143\""},
        {FIELD(probe_port), NULL, "spec.probeSpec.port is missing: set it, e.g. to \"4191\""},
        {FIELD(probe_port), "http",
         "spec.probeSpec.port \"http\" is not a port: set it to a number from 1 to 65535, e.g. \"4191\""},
        {FIELD(probe_path), "/a b",
         "spec.probeSpec.path \"/a b\" cannot be requested: use visible ASCII characters, at most 1022, and no #, e.g. "
         "\"/ready\""},
        {FIELD(selector_error), "selector: matchExpressions[0].operator \"Near\" is unknown",
         "spec.selector: matchExpressions[0].operator \"Near\" is unknown"},
#undef FIELD
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct link_resource resource = good_link();
        const struct link *link = NULL;
        struct err error = {0};
        memcpy((char *)&resource + CASES[i].field, &CASES[i].value, sizeof(CASES[i].value));
        assert_int_equal(link_from_resource(&arena, &resource, &link, &error), ERR_INVALID);
        assert_string_equal(error.text, CASES[i].text);
        assert_null(link);
    }
    arena_done(&arena);
}

static void a_selector_that_does_not_hold_refuses_the_link(void **state)
{
    (void)state;
    static const struct selector_requirement empty = {"a", SELECTOR_IN, NULL, 0};
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct link_resource resource = good_link();
    resource.selector = (struct selector){&empty, 1};
    const struct link *link = NULL;
    struct err error = {0};
    assert_int_equal(link_from_resource(&arena, &resource, &link, &error), ERR_INVALID);
    assert_string_equal(error.text, "spec.selector: selector key \"a\": In and NotIn need at least one value");
    arena_done(&arena);
}

static void secrets_of_linkerd_28_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *cluster, *domain, *linkerd, *outcome; /* the link, or the fault */
    } CASES[] = {
        {"east", "east.example", "linkerd",
         "secret secret/creds ns/creds uid=u2 cluster=east domain=east.example secret=creds select= gateway no []:0 "
         "id= "
         "probe off :0 0 ms 0 times 0 ms; "},
        {"east", "east.example", NULL,
         "secret secret/creds ns/creds uid=u2 cluster=east domain=east.example secret=creds select= gateway no []:0 "
         "id= "
         "probe off :0 0 ms 0 times 0 ms; annotation mirror.linkerd.io/remote-cluster-l5d-ns is missing: Linkerd 2.8 "
         "itself would refuse this Secret"},
        {NULL, "east.example", "linkerd",
         "annotation mirror.linkerd.io/cluster-name is missing: set it to the target cluster's name"},
        {"", "east.example", "linkerd",
         "annotation mirror.linkerd.io/cluster-name is missing: set it to the target cluster's name"},
        {"Ea", "east.example", "linkerd",
         "annotation mirror.linkerd.io/cluster-name \"Ea\" cannot end a Service name: use at most 63 of a-z, 0-9 and "
         "-, "
         "beginning and ending with a letter or digit"},
        {"local", "east.example", "linkerd",
         "annotation mirror.linkerd.io/cluster-name \"local\" is what metrics call the source cluster: give the target "
         "another name"},
        {"east", NULL, "linkerd",
         "annotation mirror.linkerd.io/remote-cluster-domain is missing: set it to the target's cluster domain, e.g. "
         "cluster.local"},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct link_secret secret = {.namespace = "ns",
                                           .name = "creds",
                                           .uid = "u2",
                                           .resource_version = "1",
                                           .cluster_name = CASES[i].cluster,
                                           .cluster_domain = CASES[i].domain,
                                           .linkerd_namespace = CASES[i].linkerd};
        const struct link *link = NULL;
        struct err error = {0};
        enum err_code code = link_from_secret(&arena, &secret, &link, &error);
        assert_true(code == ERR_OK || code == ERR_INVALID);
        assert_string_equal(code == ERR_OK ? link_words(&arena, link) : error.text, CASES[i].outcome);
    }
    arena_done(&arena);
}

static void every_difference_that_matters_is_seen(void **state)
{
    (void)state;
    static const char *const list[] = {"a", "b"};
    static const struct selector_requirement other = {"x", SELECTOR_EXISTS, NULL, 0};
    struct link_resource variants[26];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(variants); i++)
        variants[i] = good_link();
    count++; /* the first stays as it is */
    variants[count++].name = "west";
    variants[count++].uid = "u9";
    variants[count++].created_us = 6;
    variants[count++].target_cluster_name = "west";
    variants[count++].target_cluster_domain = "x.local";
    variants[count++].cluster_credentials_secret = "other";
    variants[count++].gateway_address = "203.0.113.8";
    variants[count++].gateway_address = NULL;
    variants[count++].gateway_port = "4144";
    variants[count++].gateway_identity = "other";
    variants[count++].gateway = "a/g";
    variants[count++].gateway = "a/h";
    variants[count++].has_probe_spec = false;
    variants[count++].probe_path = "/x";
    variants[count++].probe_port = "1";
    variants[count++].probe_period = "4s";
    variants[count++].probe_failure_threshold = "4";
    variants[count++].probe_timeout = "4s";
    variants[count++].selector = (struct selector){&other, 1};
    variants[count].excluded_annotations = list;
    variants[count++].excluded_annotation_count = 1;
    variants[count].excluded_annotations = list;
    variants[count++].excluded_annotation_count = 2;
    variants[count].excluded_labels = list;
    variants[count++].excluded_label_count = 1;
    variants[count].excluded_labels = list + 1;
    variants[count++].excluded_label_count = 1;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            struct link *copy = link_copy(judge(&arena, &variants[j]));
            assert_non_null(copy);
            if (link_equal(judge(&arena, &variants[i]), copy) != (i == j))
                fail_msg("variants %zu and %zu", i, j);
            link_free(copy);
        }
    struct link_resource newer = good_link();
    newer.resource_version = "99";
    newer.generation = 7;
    assert_true(link_equal(judge(&arena, &variants[0]), judge(&arena, &newer)));
    arena_done(&arena);
}

static void a_copy_stands_on_its_own(void **state)
{
    (void)state;
    static const char *const list[] = {"a", "b"};
    struct arena arena, fresh;
    arena_init(&arena, ARENA_BYTES);
    arena_init(&fresh, ARENA_BYTES);
    struct link_resource resource = good_link();
    resource.gateway_address = "203.0.113.7,gw.example";
    resource.probe_period = "x";
    resource.gateway = "a/g";
    resource.excluded_labels = list;
    resource.excluded_label_count = 2;
    const struct link *link = judge(&arena, &resource);
    const char *before = link_words(&fresh, link);
    struct link *copy = link_copy(link);
    arena_done(&arena);
    assert_string_equal(link_words(&fresh, copy), before);
    assert_string_equal(copy->excluded_labels[1], "b");
    assert_string_equal(copy->gateway_service, "a/g");
    link_free(copy);
    link_free(NULL);
    arena_done(&fresh);
}

static enum err_code judge_and_copy(void *context)
{
    (void)context;
    static const char *const list[] = {"a", "b"};
    struct arena arena;
    struct link_resource resource = good_link();
    resource.gateway_address = "203.0.113.7,gw.example";
    resource.probe_period = "x";
    resource.probe_timeout = "x";
    resource.gateway = "a/g";
    resource.cluster_credentials_secret = NULL;
    resource.excluded_labels = list;
    resource.excluded_label_count = 2;
    const struct link_secret secret = {.namespace = "ns", .name = "creds", .cluster_name = "a", .cluster_domain = "b"};
    const struct link *link = NULL;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = link_from_resource(&arena, &resource, &link, &error);
    if (code == ERR_OK) {
        struct link *copy = link_copy(link);
        code = copy != NULL ? ERR_OK : ERR_NOMEM;
        if (copy != NULL)
            assert_true(link_equal(copy, link));
        link_free(copy);
    }
    if (code == ERR_OK)
        code = link_from_secret(&arena, &secret, &link, &error);
    arena_done(&arena);
    return code;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    assert_true(sweep(judge_and_copy, NULL) > 1);
}

static void a_switch_is_true_or_false(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool drain, headless, warns; /* what comes of it in either annotation */
    } CASES[] = {{NULL, false, true, false},  {"true", true, true, false}, {"false", false, false, false},
                 {"True", false, true, true}, {"yes", false, true, true},  {"", false, true, true}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        arena_init(&arena, ARENA_BYTES);
        struct link_resource resource = good_link();
        resource.drain = CASES[i].value;
        const struct link *link = judge(&arena, &resource);
        assert_int_equal(link->drain, CASES[i].drain);
        assert_int_equal(strstr(link->warning, "svcmirror.io/drain is") != NULL, CASES[i].warns);
        resource = good_link();
        resource.headless = CASES[i].value;
        link = judge(&arena, &resource);
        assert_int_equal(link->mirror_headless, CASES[i].headless);
        assert_int_equal(strstr(link->warning, "svcmirror.io/headless is") != NULL, CASES[i].warns);
        arena_done(&arena);
    }
}

/* A name or namespace that nobody meant is worse than a link that stays as it was. */
static void naming_is_kept_or_refuses_the_declaration(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const struct naming good = {.name = "{name}", .namespaces = "a=b", .allowed = "c"},
                        bad = {.name = "{cluster}_{name}"};
    struct link_resource resource = good_link();
    struct link_secret secret = {.namespace = "ns", .name = "creds", .cluster_name = "1a", .cluster_domain = "b"};
    struct err error = {0};
    const struct link *link = NULL;
    resource.naming = secret.naming = good;
    const struct link *one = judge(&arena, &resource);
    assert_true(naming_equal(&one->naming, &good));
    assert_int_equal(link_from_secret(&arena, &secret, &link, &error), ERR_OK);
    assert_true(naming_equal(&link->naming, &good));
    struct link *copy = link_copy(one);
    assert_non_null(copy);
    assert_true(link_equal(copy, one));
    resource.naming.allowed = "d";
    assert_false(link_equal(copy, judge(&arena, &resource)));
    link_free(copy);
    resource.naming = secret.naming = bad;
    resource.target_cluster_name = "1a";
    link = NULL;
    assert_int_equal(link_from_resource(&arena, &resource, &link, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "annotation svcmirror.io/mirror-name \"{cluster}_{name}\" makes \"1a_a\""));
    error = (struct err){0};
    assert_int_equal(link_from_secret(&arena, &secret, &link, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "makes \"1a_a\""));
    assert_null(link);
    arena_done(&arena);
}

static void endpoints_are_of_the_gateway_or_of_pods(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool pods, warns;
    } CASES[] = {{NULL, false, false},  {"pods", true, false}, {"gateway", false, false},
                 {"Pods", false, true}, {"true", false, true}, {"", false, true}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        arena_init(&arena, ARENA_BYTES);
        struct link_resource resource = good_link();
        const struct link *other = judge(&arena, &resource);
        resource.endpoints = CASES[i].value;
        const struct link *link = judge(&arena, &resource);
        assert_int_equal(link->mirror_pods, CASES[i].pods);
        assert_int_equal(strstr(link->warning, "svcmirror.io/endpoints is") != NULL, CASES[i].warns);
        assert_int_equal(link_equal(link, other), !CASES[i].pods && !CASES[i].warns);
        struct link *copy = link_copy(link);
        assert_int_equal(copy->mirror_pods, CASES[i].pods);
        link_free(copy);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_link_is_read_whole),
        cmocka_unit_test(what_is_absent_has_its_default),
        cmocka_unit_test(only_a_cluster_name_that_cannot_end_a_name_refuses_a_link),
        cmocka_unit_test(naming_is_kept_or_refuses_the_declaration),
        cmocka_unit_test(gateway_addresses_are_split),
        cmocka_unit_test(gateway_addresses_have_a_maximum),
        cmocka_unit_test(odd_values_have_defined_consequences),
        cmocka_unit_test(a_gateway_service_may_be_named),
        cmocka_unit_test(what_has_no_safe_value_refuses_the_link),
        cmocka_unit_test(warnings_are_joined),
        cmocka_unit_test(a_switch_is_true_or_false),
        cmocka_unit_test(endpoints_are_of_the_gateway_or_of_pods),
        cmocka_unit_test(a_selector_that_does_not_hold_refuses_the_link),
        cmocka_unit_test(secrets_of_linkerd_28_are_judged),
        cmocka_unit_test(every_difference_that_matters_is_seen),
        cmocka_unit_test(a_copy_stands_on_its_own),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
