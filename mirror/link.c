#include "mirror/link.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"
#include "mirror/object.h"

enum {
    DEFAULT_PERIOD_MS = 3000,   /* Linkerd's chart: gateway.probe.seconds */
    DEFAULT_TIMEOUT_MS = 30000, /* the Link CRD's default */
    DEFAULT_THRESHOLD = 3,      /* the Link CRD's default */
    MIN_PERIOD_MS = 100,
    MAX_PERIOD_MS = 3600 * 1000,
    MAX_TIMEOUT_MS = 600 * 1000,
    LINK_BYTES = 1024 * 1024, /* a Link is one API object: 1.5 MiB at most, and only its spec is kept */
};

#define SOURCE_LABEL "local" /* of the source's series in agent/control/instruments.h, as in Linkerd's own */

/* What is wrong with a declaration. A warning has a safe value in place of the faulty one; a fault has none: whatever were put in its place
 * would take endpoints, mirrors or probes away that the mistake was not about, so the declaration is refused as a whole. */
struct judge {
    struct arena *arena;
    const char *warning; /* joined as they are found */
    struct err fault;    /* the first one */
};

__attribute__((format(printf, 2, 3))) static void warn(struct judge *judge, const char *format, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *joined = judge->warning[0] == '\0' ? arena_strdup(judge->arena, text)
                                                   : arena_printf(judge->arena, "%s; %s", judge->warning, text);
    if (joined != NULL)
        judge->warning = joined;
}

static bool is_given(const char *text) { return text != NULL && text[0] != '\0'; }

static const char *text_or(const char *text, const char *otherwise) { return is_given(text) ? text : otherwise; }

__attribute__((format(printf, 2, 3))) static void refuse(struct judge *judge, const char *format, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;
    if (judge->fault.code != ERR_OK)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)err_set(&judge->fault, ERR_INVALID, "%s", text);
}

static uint16_t judge_port(struct judge *judge, const char *field, const char *text, const char *example)
{
    uint64_t port = 0;
    struct err error = {0};
    if (is_given(text) && text_parse_u64(text, 1, 65535, field, &port, &error) == ERR_OK)
        return (uint16_t)port;
    if (is_given(text))
        refuse(judge, "%s \"%s\" is not a port: set it to a number from 1 to 65535, e.g. \"%s\"", field, text, example);
    else
        refuse(judge, "%s is missing: set it, e.g. to \"%s\"", field, example);
    return 0;
}

static uint32_t judge_duration(struct judge *judge, const char *field, const char *text, uint32_t otherwise,
                               uint32_t min, uint32_t max)
{
    if (!is_given(text))
        return otherwise;
    uint64_t ms = 0;
    struct err error = {0};
    if (text_parse_period_ms(text, &ms, &error) != ERR_OK || ms == 0) {
        if (otherwise != 0)
            warn(judge, "%s \"%s\" is not a positive duration: %u ms is used", field, text, otherwise);
        else
            warn(judge, "%s \"%s\" is not a positive duration: the gateway Service's is used", field, text);
        return otherwise;
    }
    if (ms < min || ms > max) {
        uint32_t clamped = ms < min ? min : max;
        warn(judge, "%s \"%s\" is outside %u ms to %u ms: %u ms is used", field, text, min, max, clamped);
        return clamped;
    }
    return (uint32_t)ms;
}

static uint32_t judge_threshold(struct judge *judge, const char *field, const char *text, uint32_t otherwise)
{
    uint64_t threshold = otherwise;
    struct err error = {0};
    if (!is_given(text) || text_parse_u64(text, 1, 100, field, &threshold, &error) == ERR_OK)
        return (uint32_t)threshold;
    if (otherwise != 0)
        warn(judge, "%s \"%s\" is not a number from 1 to 100: %u is used", field, text, otherwise);
    else
        warn(judge, "%s \"%s\" is not a number from 1 to 100: the gateway Service's is used", field, text);
    return otherwise;
}

/* `alone`: no gateway Service tells what is not given. */
static struct probe_spec judge_probe(struct judge *judge, const struct link_resource *resource, bool alone)
{
    struct probe_spec probe = {.path = ""};
    if (alone)
        probe = (struct probe_spec){.path = "",
                                    .period_ms = DEFAULT_PERIOD_MS,
                                    .failure_threshold = DEFAULT_THRESHOLD,
                                    .timeout_ms = DEFAULT_TIMEOUT_MS};
    if (!resource->has_probe_spec || (alone && !is_given(resource->probe_path)))
        return probe;
    probe.path = arena_strdup(judge->arena, text_or(resource->probe_path, ""));
    if (!text_is_request_path(probe.path))
        refuse(
            judge,
            "spec.probeSpec.path \"%s\" cannot be requested: use visible ASCII characters, at most %d, and no #, e.g. "
            "\"/ready\"",
            resource->probe_path, TEXT_REQUEST_PATH_MAX);
    if (alone || is_given(resource->probe_port))
        probe.port = judge_port(judge, "spec.probeSpec.port", resource->probe_port, "4191");
    probe.period_ms = judge_duration(judge, "spec.probeSpec.period", resource->probe_period, probe.period_ms,
                                     MIN_PERIOD_MS, MAX_PERIOD_MS);
    probe.timeout_ms =
        judge_duration(judge, "spec.probeSpec.timeout", resource->probe_timeout, probe.timeout_ms, 1, MAX_TIMEOUT_MS);
    probe.failure_threshold = judge_threshold(judge, "spec.probeSpec.failureThreshold",
                                              resource->probe_failure_threshold, probe.failure_threshold);
    probe.enabled = alone && probe.port != 0;
    return probe;
}

/* "203.0.113.7, gw.example.com" into its parts, without empties. */
static void split_addresses(struct judge *judge, const char *list, struct link *link)
{
    const char **addresses = arena_array(judge->arena, LINK_MAX_GATEWAY_ADDRESSES, sizeof(*addresses));
    if (addresses == NULL)
        return;
    uint32_t count = 0;
    size_t length = 0;
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length)) {
        if (count == LINK_MAX_GATEWAY_ADDRESSES) {
            warn(judge, "spec.gatewayAddress names more than %d addresses: the first %d are used",
                 LINK_MAX_GATEWAY_ADDRESSES, LINK_MAX_GATEWAY_ADDRESSES);
            break;
        }
        addresses[count++] = arena_printf(judge->arena, "%.*s", (int)length, word);
    }
    link->gateway_addresses = addresses;
    link->gateway_address_count = count;
}

static const char *judge_gateway_service(struct judge *judge, const char *text)
{
    char namespace[OBJECT_KEY_BYTES];
    if (!is_given(text))
        return NULL;
    const char *name = strlen(text) < OBJECT_KEY_BYTES ? object_key_split(text, namespace) : "";
    if (!text_is_dns1123_label(name) || !text_is_dns1123_label(namespace))
        refuse(judge,
               "annotation " LINK_GATEWAY
               " \"%.100s\" does not name a Service: write its namespace and name in the target cluster, e.g. "
               "\"ambassador/ambassador\"",
               text);
    return arena_strdup(judge->arena, text);
}

static void judge_gateway(struct judge *judge, const struct link_resource *resource, struct link *link)
{
    link->gateway_service = judge_gateway_service(judge, resource->gateway);
    bool alone = link->gateway_service == NULL, has_address = is_given(resource->gateway_address);
    link->gateway_identity = arena_strdup(judge->arena, text_or(resource->gateway_identity, ""));
    link->probe = judge_probe(judge, resource, alone);
    if (has_address)
        split_addresses(judge, resource->gateway_address, link);
    if (alone ? has_address : is_given(resource->gateway_port))
        link->gateway_port = judge_port(judge, "spec.gatewayPort", resource->gateway_port, "4143");
    link->has_gateway = link->gateway_port != 0 && link->gateway_address_count > 0;
}

static const char *const *copy_list(struct arena *arena, const char *const *texts, uint32_t count)
{
    const char **copies = arena_array(arena, count, sizeof(*copies));
    for (uint32_t i = 0; copies != NULL && i < count; i++)
        copies[i] = arena_strdup(arena, texts[i]);
    return copies;
}

static const char *copy_optional(struct arena *arena, const char *text)
{
    return text != NULL ? arena_strdup(arena, text) : NULL;
}

static enum err_code judge_cluster_name(const char *field, const char *name, struct err *reterr)
{
    if (!is_given(name))
        return err_set(reterr, ERR_INVALID, "%s is empty: set it to the target cluster's name", field);
    if (strcmp(name, SOURCE_LABEL) == 0)
        return err_set(reterr, ERR_INVALID,
                       "%s \"%s\" is what metrics call the source cluster: give the target another name", field, name);
    if (!text_is_dns1123_label(name))
        return err_set(reterr, ERR_INVALID,
                       "%s \"%s\" cannot end a Service name: use at most 63 of a-z, 0-9 and -, beginning and ending "
                       "with a letter or digit",
                       field, name);
    return ERR_OK;
}

static struct selector judge_selector(struct judge *judge, const char *field, const struct selector *selector)
{
    struct err error = {0};
    if (selector_check(selector, &error) == ERR_OK)
        return selector_copy(judge->arena, selector);
    refuse(judge, "%s: %s", field, error.text);
    return (struct selector){0};
}

static void judge_selectors(struct judge *judge, const struct link_resource *resource, struct link *link)
{
    if (resource->selector_error != NULL)
        refuse(judge, "spec.%s", resource->selector_error);
    link->selector = judge_selector(judge, "spec.selector", &resource->selector);
    link->discovery_selector =
        judge_selector(judge, "spec.remoteDiscoverySelector", &resource->remote_discovery_selector);
    link->federated_selector =
        judge_selector(judge, "spec.federatedServiceSelector", &resource->federated_service_selector);
}

/* Where mirrors would go by a mistaken name or namespace, nobody meant them to be. */
static void judge_naming(struct judge *judge, const struct naming *naming, struct link *link)
{
    struct err error = {0};
    link->naming = naming_copy(judge->arena, naming);
    if (naming_check(naming, link->cluster_name, &error) != ERR_OK)
        refuse(judge, "%s", error.text);
}

/* Anything but "true" is no: a mistake must not take endpoints away. */
/* An annotation that is "true" or "false". */
static bool judge_switch(struct judge *judge, const char *annotation, const char *text, bool otherwise)
{
    if (text == NULL)
        return otherwise;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return text[0] == 't';
    warn(judge, "annotation %s is \"%.60s\", which is neither true nor false, and is left out of account", annotation,
         text);
    return otherwise;
}

/* Whether endpoints are to be the target's own. */
static bool judge_endpoints(struct judge *judge, const char *text)
{
    bool pods = text != NULL && strcmp(text, ENDPOINTS_OF_PODS) == 0;
    if (text != NULL && !pods && strcmp(text, ENDPOINTS_OF_GATEWAY) != 0)
        warn(judge,
             "annotation " EXPORT_ENDPOINTS " is \"%.60s\", which is neither " ENDPOINTS_OF_GATEWAY
             " nor " ENDPOINTS_OF_PODS ", and is left out of account",
             text);
    return pods;
}

enum err_code link_from_resource(struct arena *arena, const struct link_resource *resource,
                                 const struct link **ret_link, struct err *reterr)
{
    TRY(judge_cluster_name("spec.targetClusterName", resource->target_cluster_name, reterr));
    struct link *link = ARENA_NEW(arena, struct link);
    if (link == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    struct judge judge = {.arena = arena, .warning = ""};
    const char *cluster = resource->target_cluster_name;
    *link = (struct link){
        .kind = LINK_RESOURCE,
        .id = arena_printf(arena, "link/%s", resource->name),
        .namespace = arena_strdup(arena, resource->namespace),
        .name = arena_strdup(arena, resource->name),
        .uid = arena_strdup(arena, text_or(resource->uid, "")),
        .created_us = resource->created_us,
        .cluster_name = arena_strdup(arena, cluster),
        .cluster_domain = arena_strdup(arena, text_or(resource->target_cluster_domain, "cluster.local")),
        .credentials_secret = is_given(resource->cluster_credentials_secret)
                                  ? arena_strdup(arena, resource->cluster_credentials_secret)
                                  : arena_printf(arena, "cluster-credentials-%s", cluster),
        .excluded_annotations = copy_list(arena, resource->excluded_annotations, resource->excluded_annotation_count),
        .excluded_annotation_count = resource->excluded_annotation_count,
        .excluded_labels = copy_list(arena, resource->excluded_labels, resource->excluded_label_count),
        .excluded_label_count = resource->excluded_label_count,
        .drain = judge_switch(&judge, LINK_DRAIN, resource->drain, false),
        .mirror_headless = judge_switch(&judge, EXPORT_HEADLESS, resource->headless, true),
        .mirror_pods = judge_endpoints(&judge, resource->endpoints),
        .takes_exports = judge_switch(&judge, LINK_SERVICE_EXPORTS, resource->service_exports, false),
        .refuses_exports = text_equal(resource->service_exports, "false"),
        .allowed_labels = copy_optional(arena, resource->allowed_labels),
        .allowed_annotations = copy_optional(arena, resource->allowed_annotations),
    };
    judge_gateway(&judge, resource, link);
    judge_selectors(&judge, resource, link);
    judge_naming(&judge, &resource->naming, link);
    link->warning = judge.warning;
    if (arena_failed(arena))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (judge.fault.code != ERR_OK)
        return err_set(reterr, judge.fault.code, "%s", judge.fault.text);
    *ret_link = link;
    return ERR_OK;
}

enum err_code link_from_secret(struct arena *arena, const struct link_secret *secret, const struct link **ret_link,
                               struct err *reterr)
{
    if (!is_given(secret->cluster_name))
        return err_set(reterr, ERR_INVALID,
                       "annotation " L5D_SECRET_CLUSTER_NAME " is missing: set it to the target cluster's name");
    TRY(judge_cluster_name("annotation " L5D_SECRET_CLUSTER_NAME, secret->cluster_name, reterr));
    if (!is_given(secret->cluster_domain))
        return err_set(reterr, ERR_INVALID,
                       "annotation " L5D_SECRET_CLUSTER_DOMAIN
                       " is missing: set it to the target's cluster domain, e.g. cluster.local");
    struct link *link = ARENA_NEW(arena, struct link);
    struct judge judge = {.arena = arena, .warning = ""};
    if (link == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *link = (struct link){
        .kind = LINK_SECRET,
        .id = arena_printf(arena, "secret/%s", secret->name),
        .namespace = arena_strdup(arena, secret->namespace),
        .name = arena_strdup(arena, secret->name),
        .uid = arena_strdup(arena, text_or(secret->uid, "")),
        .created_us = secret->created_us,
        .cluster_name = arena_strdup(arena, secret->cluster_name),
        .cluster_domain = arena_strdup(arena, secret->cluster_domain),
        .credentials_secret = arena_strdup(arena, secret->name),
        .drain = judge_switch(&judge, LINK_DRAIN, secret->drain, false),
        .gateway_identity = "",
        .probe = {.path = ""},
    };
    /* 2.8.0 demanded this annotation although its mirror never used the value: a Secret without it works here, with a word. */
    if (!is_given(secret->linkerd_namespace))
        warn(&judge, "annotation " L5D_SECRET_L5D_NS " is missing: Linkerd 2.8 itself would refuse this Secret");
    judge_naming(&judge, &secret->naming, link);
    link->warning = judge.warning;
    if (arena_failed(arena))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (judge.fault.code != ERR_OK)
        return err_set(reterr, judge.fault.code, "%s", judge.fault.text);
    *ret_link = link;
    return ERR_OK;
}

static const char *const *split_list(struct arena *arena, const char *list, uint32_t *ret_count)
{
    size_t most = 1, length = 0;
    for (const char *at = list; *at != '\0'; at++)
        most += *at == ',' || *at == ' ' || *at == '\t' ? 1 : 0;
    const char **words = arena_array(arena, most, sizeof(*words));
    *ret_count = 0;
    if (words == NULL)
        return NULL;
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length))
        words[(*ret_count)++] = arena_printf(arena, "%.*s", (int)length, word);
    return words;
}

enum err_code link_for_local(struct arena *arena, const char *namespace, const struct selector *federated,
                             const char *excluded_annotations, const char *excluded_labels,
                             const struct link **ret_link, struct err *reterr)
{
    TRY(selector_check(federated, reterr));
    struct link *link = ARENA_NEW(arena, struct link);
    if (link == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *link = (struct link){
        .kind = LINK_LOCAL,
        .id = "local",
        .namespace = arena_strdup(arena, namespace),
        .name = "local",
        .uid = "",
        .cluster_name = "",
        .cluster_domain = "cluster.local",
        .credentials_secret = "",
        .federated_selector = selector_copy(arena, federated),
        .gateway_identity = "",
        .probe = {.path = ""},
        .warning = "",
    };
    link->excluded_annotations = split_list(arena, excluded_annotations, &link->excluded_annotation_count);
    link->excluded_labels = split_list(arena, excluded_labels, &link->excluded_label_count);
    if (arena_failed(arena))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *ret_link = link;
    return ERR_OK;
}

static bool lists_equal(const char *const *a, uint32_t a_count, const char *const *b, uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

static bool probe_equal(const struct probe_spec *a, const struct probe_spec *b)
{
    return a->enabled == b->enabled && strcmp(a->path, b->path) == 0 && a->port == b->port &&
           a->period_ms == b->period_ms && a->failure_threshold == b->failure_threshold &&
           a->timeout_ms == b->timeout_ms;
}

bool link_equal(const struct link *a, const struct link *b)
{
    return a->kind == b->kind && strcmp(a->id, b->id) == 0 && strcmp(a->uid, b->uid) == 0 &&
           a->created_us == b->created_us && strcmp(a->cluster_name, b->cluster_name) == 0 &&
           strcmp(a->cluster_domain, b->cluster_domain) == 0 &&
           strcmp(a->credentials_secret, b->credentials_secret) == 0 && strcmp(a->warning, b->warning) == 0 &&
           a->drain == b->drain && naming_equal(&a->naming, &b->naming) && a->mirror_headless == b->mirror_headless &&
           a->mirror_pods == b->mirror_pods && a->takes_exports == b->takes_exports &&
           a->refuses_exports == b->refuses_exports && text_equal(a->allowed_labels, b->allowed_labels) &&
           text_equal(a->allowed_annotations, b->allowed_annotations) && selector_equal(&a->selector, &b->selector) &&
           selector_equal(&a->discovery_selector, &b->discovery_selector) &&
           selector_equal(&a->federated_selector, &b->federated_selector) &&
           text_equal(a->gateway_service, b->gateway_service) && a->has_gateway == b->has_gateway &&
           a->gateway_port == b->gateway_port && strcmp(a->gateway_identity, b->gateway_identity) == 0 &&
           probe_equal(&a->probe, &b->probe) &&
           lists_equal(a->gateway_addresses, a->gateway_address_count, b->gateway_addresses,
                       b->gateway_address_count) &&
           lists_equal(a->excluded_annotations, a->excluded_annotation_count, b->excluded_annotations,
                       b->excluded_annotation_count) &&
           lists_equal(a->excluded_labels, a->excluded_label_count, b->excluded_labels, b->excluded_label_count);
}

struct link_block {
    struct link link; /* first: link_free() finds the block by it */
    struct arena arena;
};

struct link *link_copy(const struct link *link)
{
    struct link_block *block = NEW(struct link_block);
    if (block == NULL)
        return NULL;
    struct arena *arena = &block->arena;
    arena_init(arena, LINK_BYTES);
    block->link = *link;
    block->link.id = arena_strdup(arena, link->id);
    block->link.namespace = arena_strdup(arena, link->namespace);
    block->link.name = arena_strdup(arena, link->name);
    block->link.uid = arena_strdup(arena, link->uid);
    block->link.cluster_name = arena_strdup(arena, link->cluster_name);
    block->link.cluster_domain = arena_strdup(arena, link->cluster_domain);
    block->link.credentials_secret = arena_strdup(arena, link->credentials_secret);
    block->link.naming = naming_copy(arena, &link->naming);
    block->link.selector = selector_copy(arena, &link->selector);
    block->link.discovery_selector = selector_copy(arena, &link->discovery_selector);
    block->link.federated_selector = selector_copy(arena, &link->federated_selector);
    block->link.gateway_service = copy_optional(arena, link->gateway_service);
    block->link.gateway_addresses = copy_list(arena, link->gateway_addresses, link->gateway_address_count);
    block->link.gateway_identity = arena_strdup(arena, link->gateway_identity);
    block->link.probe.path = arena_strdup(arena, link->probe.path);
    block->link.excluded_annotations = copy_list(arena, link->excluded_annotations, link->excluded_annotation_count);
    block->link.excluded_labels = copy_list(arena, link->excluded_labels, link->excluded_label_count);
    block->link.allowed_labels = copy_optional(arena, link->allowed_labels);
    block->link.allowed_annotations = copy_optional(arena, link->allowed_annotations);
    block->link.warning = arena_strdup(arena, link->warning);
    if (arena_failed(arena)) {
        link_free(&block->link);
        return NULL;
    }
    return &block->link;
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    struct link_block *block = (struct link_block *)link;
    arena_done(&block->arena);
    mem_free(block);
}
