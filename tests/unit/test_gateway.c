/* links: base mirror mirror_fixture.c */
#include "mirror/gateway.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_fixture.h"
#include "tests/unit/sweep.h"

enum { ARENA_BYTES = 1 << 20 };

/* The gateway Service of the integration document, complete. */
#define PORTS " p=mc-gateway:4143>4143 p=mc-probe:80>8080"
#define PATH " @~probe-path=-/ambassador/ready"
#define MARK " @~multicluster-gateway=true"
#define PERIOD MARK " @~probe-period=3"
#define GATEWAY "ambassador/ambassador v=7 lb=203.0.113.7" PORTS PATH PERIOD

static const char *addresses_of(struct arena *arena, const struct gateway_spec *spec)
{
    const char *text = "";
    for (uint32_t i = 0; i < spec->address_count; i++)
        text = arena_printf(arena, "%s%s%s", text, i > 0 ? " " : "", spec->addresses[i]);
    return text;
}

/* Everything of a spec in one line. */
static const char *spec_words(struct arena *arena, const struct gateway_spec *spec)
{
    return arena_printf(arena, "%s %s/%s v=%s [%s]:%u id=%s probe %s %s:%u every %s (%u ms) %u times %u ms; %s; %s",
                        spec->unread   ? "unread"
                        : spec->exists ? "exists"
                                       : "missing",
                        spec->namespace, spec->name, spec->resource_version, addresses_of(arena, spec), spec->port,
                        spec->identity, spec->probe.enabled ? "on" : "off", spec->probe.path, spec->probe.port,
                        spec->probe_period_text, spec->probe.period_ms, spec->probe.failure_threshold,
                        spec->probe.timeout_ms, spec->problem, spec->warning);
}

static void a_service_declares_itself_by_annotation_alone(void **state)
{
    (void)state;
    static const struct {
        const char *service;
        bool declared, possible, candidate;
    } CASES[] = {
        {"a/b", false, false, false},
        {"a/b p=http:4143", false, false, false},
        {"a/b p=mc-probe:80", false, false, false},
        {"a/b p=mc-gateway:4143", false, true, true},
        {"a/b p=mc-gateway:1", false, true, true},
        {"a/b @~multicluster-gateway=true", true, true, true},
        {"a/b @~multicluster-gateway=false", true, true, true}, /* 2.8 asks for the key alone */
        {"a/b @~multicluster-gateway=", true, true, true},
        {"a/b @~multicluster-gateway=true p=mc-gateway:1", true, true, true},
        {"a/b @~gateway-identity=x @~probe-path=/x", false, false, false},
        {"a/b #~multicluster-gateway=true", false, false, false},
        {"a/b external", false, false, false},
        {"a/b loadbalancer", false, false, true}, /* whoever names it is told what it lacks */
        {"a/b nodeport p=http:80", false, false, true},
        {"a/b loadbalancer p=mc-gateway:4143", false, true, true},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct service *service = service_of(&arena, "%s", CASES[i].service);
        if (gateway_is_declared(service) != CASES[i].declared || gateway_is_possible(service) != CASES[i].possible ||
            gateway_is_candidate(service) != CASES[i].candidate)
            fail_msg("%s", CASES[i].service);
    }
    arena_done(&arena);
}

static void gateway_services_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *service, *spec;
    } CASES[] = {
        {GATEWAY " @~gateway-identity=ambassador.ambassador.id",
         "exists ambassador/ambassador v=7 [203.0.113.7]:4143 id=ambassador.ambassador.id "
         "probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 5000 ms; ; "},
        /* every address counts, host names too, in their order; an address is preferred to its name */
        {"a/g v=1 lb=203.0.113.9 lb=gw.example lb=2001:db8::1" PORTS PATH PERIOD,
         "exists a/g v=1 [203.0.113.9 gw.example 2001:db8::1]:4143 id= probe on -/ambassador/ready:80 every 3 "
         "(3000 ms) 3 times 5000 ms; ; "},
        {"a/g v=1 lb=1.1.1.1 p=mc-gateway:5000 p=mc-probe:81" PATH PERIOD,
         "exists a/g v=1 [1.1.1.1]:5000 id= probe on -/ambassador/ready:81 every 3 (3000 ms) 3 times 5000 ms; ; "},
        /* what is missing has a consequence and a word */
        {"a/g v=1" PORTS PATH PERIOD,
         "exists a/g v=1 []:4143 id= probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 5000 ms; gateway Service "
         "a/g has no load balancer address (status.loadBalancer.ingress is empty); "},
        {"a/g v=1 lb=1.1.1.1 p=mc-probe:80" PATH PERIOD,
         "exists a/g v=1 [1.1.1.1]:0 id= probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 5000 ms; gateway "
         "Service a/g has no port named mc-gateway: name its port 4143 so; "},
        {"a/g v=1 lb=1.1.1.1 p=mc-gateway:4143" PATH PERIOD,
         "exists a/g v=1 [1.1.1.1]:4143 id= probe off -/ambassador/ready:0 every 3 (3000 ms) 3 times 5000 ms; ; the "
         "gateway Service has no port named mc-probe: it is not probed and counts as alive"},
        {"a/g v=1 lb=1.1.1.1" PORTS PATH " @~probe-period=3",
         "exists a/g v=1 [1.1.1.1]:4143 id= probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 5000 ms; ; the "
         "gateway Service has no annotation mirror.linkerd.io/multicluster-gateway: it has no mirror of its own, and "
         "Linkerd 2.8 itself would not follow its changes"},
        {"a/g v=1 lb=1.1.1.1" PORTS PERIOD,
         "exists a/g v=1 [1.1.1.1]:4143 id= probe off :80 every 3 (3000 ms) 3 times 5000 ms; ; the gateway Service has "
         "no annotation mirror.linkerd.io/probe-path: it is not probed and counts as alive"},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct gateway_spec spec = gateway_from_service(&arena, service_of(&arena, "%s", CASES[i].service));
        assert_string_equal(spec_words(&arena, &spec), CASES[i].spec);
    }
    arena_done(&arena);
}

static void periods_are_seconds_or_durations_within_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *period; /* NULL: absent */
        uint32_t ms;
        const char *text; /* of the gateway mirror's annotation */
        bool warned;
    } CASES[] = {
        {NULL, 3000, "3", false},        {"3", 3000, "3", false},        {"10", 10000, "10", false},
        {"3s", 3000, "3", false},        {"1m", 60000, "60", false},     {"500ms", 500, "500ms", false},
        {"1500ms", 1500, "1.5s", false}, {"100ms", 100, "100ms", false}, {"1h", 3600000, "3600", false},
        {"99ms", 3000, "3", true},       {"0", 3000, "3", true},         {"0s", 3000, "3", true},
        {"-1", 3000, "3", true},         {"3601", 3000, "3", true},      {"abc", 3000, "3", true},
        {"", 3000, "3", true},           {"NaN", 3000, "3", true},       {"99999999999999999999", 3000, "3", true},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const char *period = CASES[i].period;
        const struct service *service =
            service_of(&arena, "a/g lb=1.1.1.1" PORTS PATH MARK "%s%s", period != NULL ? " @~probe-period=" : "",
                       period != NULL ? period : "");
        struct gateway_spec spec = gateway_from_service(&arena, service);
        assert_int_equal(spec.probe.period_ms, CASES[i].ms);
        assert_string_equal(spec.probe_period_text, CASES[i].text);
        assert_int_equal(spec.warning[0] != '\0', CASES[i].warned);
        assert_true(spec.probe.enabled);
        if (CASES[i].warned)
            assert_non_null(strstr(spec.warning, arena_printf(&arena, "\"%s\"", period)));
    }
    arena_done(&arena);
}

static void thresholds_and_timeouts_are_honoured_within_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        uint32_t threshold, timeout_ms;
        const char *warning;
    } CASES[] = {
        {"", 3, 5000, ""},
        {" @~probe-failure-threshold=1 @~probe-timeout=500ms", 1, 500, ""},
        {" @~probe-failure-threshold=100 @~probe-timeout=10m", 100, 600000, ""},
        {" @~probe-failure-threshold=0", 3, 5000,
         "annotation mirror.linkerd.io/probe-failure-threshold \"0\" is not a number from 1 to 100: 3 is used"},
        {" @~probe-timeout=0s @~probe-failure-threshold=x", 3, 5000,
         "annotation mirror.linkerd.io/probe-timeout \"0s\" is not a duration up to 10m: 5s is used; annotation "
         "mirror.linkerd.io/probe-failure-threshold \"x\" is not a number from 1 to 100: 3 is used"},
        {" @~probe-timeout=601s", 3, 5000,
         "annotation mirror.linkerd.io/probe-timeout \"601s\" is not a duration up to 10m: 5s is used"},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct gateway_spec spec = gateway_from_service(&arena, service_of(&arena, GATEWAY "%s", CASES[i].words));
        assert_int_equal(spec.probe.failure_threshold, CASES[i].threshold);
        assert_int_equal(spec.probe.timeout_ms, CASES[i].timeout_ms);
        assert_string_equal(spec.warning, CASES[i].warning);
    }
    arena_done(&arena);
}

static void addresses_have_a_maximum(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct ingress ingress[LINK_MAX_GATEWAY_ADDRESSES + 10];
    for (unsigned i = 0; i < ARRAY_COUNT(ingress); i++)
        ingress[i] = (struct ingress){arena_printf(&arena, "203.0.113.%u", i), ""};
    ingress[3] = (struct ingress){"", ""}; /* neither: passed over */
    struct service *service = service_of(&arena, GATEWAY);
    service->ingress = ingress;
    service->ingress_count = ARRAY_COUNT(ingress);
    struct gateway_spec spec = gateway_from_service(&arena, service);
    assert_int_equal(spec.address_count, LINK_MAX_GATEWAY_ADDRESSES);
    assert_string_equal(spec.addresses[3], "203.0.113.4");
    arena_done(&arena);
}

static void a_gateway_that_is_missing_says_which(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct gateway_spec spec = gateway_missing(&arena, "emissary", "gw");
    assert_string_equal(spec_words(&arena, &spec),
                        "missing emissary/gw v= []:0 id= probe off :0 every  (0 ms) 0 times 0 ms; gateway Service "
                        "emissary/gw does not exist in the target cluster; ");
    arena_done(&arena);
}

static void links_name_their_gateway(void **state)
{
    (void)state;
    static const char *const addresses[] = {"203.0.113.7", "gw.example"};
    struct link link = {.kind = LINK_RESOURCE,
                        .namespace = "l5d-mc",
                        .name = "east",
                        .has_gateway = true,
                        .gateway_addresses = addresses,
                        .gateway_address_count = 2,
                        .gateway_port = 4143,
                        .gateway_identity = "gw.id",
                        .probe = {.enabled = true,
                                  .path = "/ready",
                                  .port = 4191,
                                  .period_ms = 3000,
                                  .failure_threshold = 3,
                                  .timeout_ms = 30000}};
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct gateway_spec spec = gateway_from_link(&arena, &link);
    assert_string_equal(spec_words(&arena, &spec),
                        "exists l5d-mc/east v= [203.0.113.7 gw.example]:4143 id=gw.id probe on /ready:4191 every 3 "
                        "(3000 ms) 3 times 30000 ms; ; ");
    link.has_gateway = false;
    spec = gateway_from_link(&arena, &link);
    assert_string_equal(spec_words(&arena, &spec),
                        "missing l5d-mc/east v= []:4143 id=gw.id probe on /ready:4191 every 3 (3000 ms) 3 times 30000 "
                        "ms; the Link names no usable gateway: set spec.gatewayAddress and spec.gatewayPort; ");
    arena_done(&arena);
}

static const struct link *link_of(struct arena *arena, const struct link_resource *fields)
{
    struct link_resource resource = *fields;
    const struct link *link = NULL;
    struct err error = {0};
    resource.namespace = "l5d-mc";
    resource.name = resource.target_cluster_name = "east";
    resource.gateway = "a/g";
    resource.has_probe_spec = true;
    if (link_from_resource(arena, &resource, &link, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return link;
}

/* What the Link gives counts, each field by itself, and the Service's own is then not even looked at. */
static void a_link_and_the_service_that_it_names_tell_together(void **state)
{
    (void)state;
    static const struct {
        struct link_resource link;
        const char *service, *spec;
    } CASES[] = {
        {{0},
         "a/g v=9 lb=1.1.1.1 lb=gw.example @~gateway-identity=gw.id" PORTS PATH PERIOD,
         "exists a/g v= [1.1.1.1 gw.example]:4143 id=gw.id probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times "
         "5000 ms; ; "},
        /* empty is absent, and 2.8's mark is not needed: the Link says that it is a gateway */
        {{.gateway_address = "", .gateway_port = "", .gateway_identity = "", .probe_path = "", .probe_period = ""},
         "a/g v=9 lb=1.1.1.1" PORTS PATH " @~probe-period=7",
         "exists a/g v= [1.1.1.1]:4143 id= probe on -/ambassador/ready:80 every 7 (7000 ms) 3 times 5000 ms; ; "},
        {{.gateway_address = "203.0.113.7,203.0.113.8"},
         "a/g lb=1.1.1.1" PORTS PATH PERIOD,
         "exists a/g v= [203.0.113.7 203.0.113.8]:4143 id= probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times "
         "5000 ms; ; "},
        {{.gateway_port = "5143"},
         "a/g lb=1.1.1.1" PORTS PATH PERIOD,
         "exists a/g v= [1.1.1.1]:5143 id= probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 5000 ms; ; "},
        {{.gateway_identity = "own.id"},
         "a/g lb=1.1.1.1 @~gateway-identity=gw.id" PORTS PATH PERIOD,
         "exists a/g v= [1.1.1.1]:4143 id=own.id probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 5000 ms; ; "},
        {{.probe_path = "/own",
          .probe_port = "81",
          .probe_period = "9s",
          .probe_failure_threshold = "2",
          .probe_timeout = "1s"},
         "a/g lb=1.1.1.1 @~probe-failure-threshold=x @~probe-timeout=x @~probe-period=x p=mc-gateway:4143",
         "exists a/g v= [1.1.1.1]:4143 id= probe on /own:81 every 9 (9000 ms) 2 times 1000 ms; ; "},
        {{.probe_timeout = "30s", .probe_failure_threshold = "3"}, /* the CRD's defaults, beside an empty probeSpec */
         "a/g lb=1.1.1.1 @~probe-failure-threshold=7 @~probe-timeout=2s" PORTS PATH PERIOD,
         "exists a/g v= [1.1.1.1]:4143 id= probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 30000 ms; ; "},
        /* what both lack is missing */
        {{.gateway_port = "5143"},
         "a/g" PATH PERIOD,
         "exists a/g v= []:5143 id= probe off -/ambassador/ready:0 every 3 (3000 ms) 3 times 5000 ms; gateway Service "
         "a/g has no load balancer address (status.loadBalancer.ingress is empty); the gateway Service has no port "
         "named mc-probe: it is not probed and counts as alive"},
        {{.gateway_address = "203.0.113.7"},
         "a/g p=mc-probe:80" PATH PERIOD,
         "exists a/g v= [203.0.113.7]:0 id= probe on -/ambassador/ready:80 every 3 (3000 ms) 3 times 5000 ms; gateway "
         "Service a/g has no port named mc-gateway: name its port 4143 so; "},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct gateway_spec spec =
            gateway_from_both(&arena, link_of(&arena, &CASES[i].link), service_of(&arena, "%s", CASES[i].service));
        assert_string_equal(spec_words(&arena, &spec), CASES[i].spec);
        assert_true(spec.declared);
    }
    const struct link_resource nothing = {.namespace = NULL};
    struct gateway_spec spec = gateway_unread(&arena, link_of(&arena, &nothing));
    assert_string_equal(spec_words(&arena, &spec),
                        "unread a/g v= []:0 id= probe off :0 every  (0 ms) 0 times 0 ms; ; ");
    arena_done(&arena);
}

/* Each differs from GATEWAY in one thing. */
static void every_difference_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *service;
        bool equal, probing_equal;
    } CASES[] = {
        {GATEWAY, true, true},
        {GATEWAY " #app=x @note=y", true, true}, /* not of interest, but comes with another version in practice */
        {"ambassador/ambassador v=8 lb=203.0.113.7" PORTS PATH PERIOD, false, true},
        {GATEWAY " @~gateway-identity=x", false, true},
        {"ambassador/ambassador v=7 lb=203.0.113.7" PORTS PATH " @~probe-period=3", false, true},
        {"ambassador/ambassador v=7 lb=203.0.113.8" PORTS PATH PERIOD, false, false},
        {"ambassador/ambassador v=7 lb=203.0.113.7 lb=203.0.113.8" PORTS PATH PERIOD, false, false},
        {"ambassador/ambassador v=7" PORTS PATH PERIOD, false, false},
        {"ambassador/ambassador v=7 lb=203.0.113.7 p=mc-gateway:4144 p=mc-probe:80" PATH PERIOD, false, true},
        {"ambassador/ambassador v=7 lb=203.0.113.7 p=mc-gateway:4143 p=mc-probe:81" PATH PERIOD, false, false},
        {"ambassador/ambassador v=7 lb=203.0.113.7 p=mc-gateway:4143" PATH PERIOD, false, false},
        {"ambassador/ambassador v=7 lb=203.0.113.7 @~probe-path=/x" PORTS PERIOD, false, false},
        {"ambassador/ambassador v=7 lb=203.0.113.7" PORTS PATH MARK " @~probe-period=4", false, false},
        {GATEWAY " @~probe-timeout=9s", false, false},
        {GATEWAY " @~probe-failure-threshold=9", false, false},
    };
    struct arena arena, other;
    arena_init(&arena, ARENA_BYTES);
    arena_init(&other, ARENA_BYTES);
    struct gateway_spec base = gateway_from_service(&arena, service_of(&arena, GATEWAY));
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct gateway_spec spec = gateway_from_service(&arena, service_of(&arena, "%s", CASES[i].service));
        struct gateway_spec copy = gateway_spec_copy(&other, &spec);
        assert_true(gateway_spec_equal(&spec, &copy));
        assert_string_equal(spec_words(&arena, &copy), spec_words(&arena, &spec));
        if (gateway_spec_equal(&base, &copy) != CASES[i].equal ||
            gateway_probing_equal(&base, &copy) != CASES[i].probing_equal)
            fail_msg("%s", CASES[i].service);
    }
    arena_done(&arena);
    arena_done(&other);
}

static enum err_code read_and_copy(void *context)
{
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct gateway_spec spec = gateway_from_service(&arena, context);
    bool failed = arena_failed(&arena);
    if (!failed) {
        (void)gateway_spec_copy(&arena, &spec);
        failed = arena_failed(&arena);
    }
    arena_done(&arena);
    return failed ? ERR_NOMEM : ERR_OK;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    assert_true(sweep(read_and_copy, service_of(&arena, GATEWAY " @~probe-timeout=x @~probe-failure-threshold=x")) > 0);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_declares_itself_by_annotation_alone),
        cmocka_unit_test(gateway_services_are_read),
        cmocka_unit_test(periods_are_seconds_or_durations_within_bounds),
        cmocka_unit_test(thresholds_and_timeouts_are_honoured_within_bounds),
        cmocka_unit_test(addresses_have_a_maximum),
        cmocka_unit_test(a_gateway_that_is_missing_says_which),
        cmocka_unit_test(links_name_their_gateway),
        cmocka_unit_test(a_link_and_the_service_that_it_names_tell_together),
        cmocka_unit_test(every_difference_is_seen),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
