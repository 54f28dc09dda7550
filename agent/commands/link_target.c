#include "agent/commands/link_target.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/linkerd_config.h"
#include "agent/kube/codec.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum {
    NAMES_BYTES = 512,
    SCRATCH_BYTES = 4 << 20, /* an object of the API is 1.5 MiB at most */
};

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

/* ---- finding the gateway ---- */

struct found {
    unsigned count;
    char names[NAMES_BYTES]; /* of all, as "namespace/name" */
};

/* The gateways that were found while Services were listed. */
struct search {
    struct arena scratch;            /* for one Service at a time */
    struct found declared, possible; /* by the annotation; by the port alone */
};

static bool is_mirror(const struct service *service)
{
    return kv_get(&service->meta.labels, L5D_MIRRORED_SERVICE) != NULL ||
           kv_get(&service->meta.labels, L5D_MIRRORED_GATEWAY) != NULL;
}

static enum err_code take_gateway(void *context, const json_t *item)
{
    struct search *search = context;
    struct service service;
    arena_reset(&search->scratch);
    enum err_code code = codec_service(&search->scratch, item, &service, NULL);
    if (code != ERR_OK)
        return code == ERR_NOMEM ? code : ERR_OK; /* a Service that makes no sense is no gateway */
    if (is_mirror(&service) || !gateway_is_possible(&service))
        return ERR_OK;
    struct found *found = gateway_is_declared(&service) ? &search->declared : &search->possible;
    size_t used = strlen(found->names);
    (void)snprintf(found->names + used, sizeof(found->names) - used, "%s%s/%s", used > 0 ? ", " : "",
                   service.meta.namespace, service.meta.name);
    found->count++;
    return ERR_OK;
}

/* The only gateway of the cluster; those that say so of themselves go before those that have the port.
 * @param[out] ret_name  "namespace/name", in `search`. */
static enum err_code find_only(struct cluster *cluster, struct search *search, const char **ret_name,
                               struct err *reterr)
{
    arena_init(&search->scratch, SCRATCH_BYTES);
    enum err_code code = cluster_each(cluster, &RESOURCE_SERVICE, NULL, NULL, take_gateway, search, reterr);
    arena_done(&search->scratch);
    TRY(code);
    const struct found *found = search->declared.count > 0 ? &search->declared : &search->possible;
    *ret_name = found->names;
    if (found->count == 1)
        return ERR_OK;
    if (found->count == 0)
        return err_set(reterr, ERR_NOT_FOUND,
                       "no Service of cluster %s is a gateway (annotation " L5D_MULTICLUSTER_GATEWAY
                       ", port " L5D_GATEWAY_PORT_NAME
                       "): prepare one (`edge-stack prepare`, or Linkerd's multicluster extension), name it with "
                       "--gateway-name, or link without one: --gateway=false",
                       cluster_name(cluster));
    return err_set(reterr, ERR_INVALID,
                   "cluster %s has %u gateways: choose one with --gateway-name and --gateway-namespace: %s",
                   cluster_name(cluster), found->count, found->names);
}

/* ---- reading the gateway ---- */

static const struct service_port *port_named(const struct service *service, const char *name)
{
    for (uint32_t i = 0; i < service->port_count; i++)
        if (strcmp(service->ports[i].name, name) == 0)
            return &service->ports[i];
    return NULL;
}

/* A NodePort Service is reached at its node ports; which addresses its nodes have outside only people know. */
static void use_node_ports(const struct service *service, struct gateway_spec *gateway)
{
    const struct service_port *traffic = port_named(service, L5D_GATEWAY_PORT_NAME);
    const struct service_port *probe = port_named(service, L5D_PROBE_PORT_NAME);
    if (service->type != SERVICE_NODE_PORT)
        return;
    if (traffic != NULL && traffic->node_port != 0)
        gateway->port = traffic->node_port;
    if (probe != NULL && probe->node_port != 0)
        gateway->probe.port = probe->node_port;
}

/* What link_options_check_addresses let pass. */
static enum err_code use_addresses(struct arena *arena, const char *list, struct gateway_spec *gateway,
                                   struct err *reterr)
{
    const char **addresses = arena_array(arena, LINK_MAX_GATEWAY_ADDRESSES, sizeof(*addresses));
    uint32_t count = 0;
    size_t length = 0;
    if (addresses == NULL)
        return no_memory(reterr);
    for (const char *word; count < LINK_MAX_GATEWAY_ADDRESSES && (word = text_next_word(&list, &length)) != NULL;) {
        addresses[count] = arena_printf(arena, "%.*s", (int)length, word);
        if (addresses[count++] == NULL)
            return no_memory(reterr);
    }
    gateway->addresses = addresses;
    gateway->address_count = count;
    return ERR_OK;
}

static enum err_code judge_gateway(const struct cluster *cluster, const struct gateway_spec *gateway,
                                   struct err *reterr)
{
    if (gateway->port == 0)
        return err_set(reterr, ERR_INVALID,
                       "gateway Service %s/%s in cluster %s has no port named " L5D_GATEWAY_PORT_NAME
                       ": add it, or give --gateway-port",
                       gateway->namespace, gateway->name, cluster_name(cluster));
    if (gateway->address_count == 0)
        return err_set(reterr, ERR_INVALID,
                       "gateway Service %s/%s in cluster %s has no external address: wait until its load balancer has "
                       "one, or give --gateway-addresses",
                       gateway->namespace, gateway->name, cluster_name(cluster));
    return ERR_OK;
}

static enum err_code read_gateway(const struct cluster *cluster, struct arena *arena, const json_t *object,
                                  const struct link_gateway_wish *wish, struct gateway_spec *ret_gateway,
                                  struct err *reterr)
{
    struct service service;
    TRY(codec_service(arena, object, &service, reterr));
    struct gateway_spec gateway = gateway_from_service(arena, &service);
    use_node_ports(&service, &gateway);
    if (wish->addresses != NULL)
        TRY(use_addresses(arena, wish->addresses, &gateway, reterr));
    if (wish->port != 0)
        gateway.port = wish->port;
    TRY(judge_gateway(cluster, &gateway, reterr));
    *ret_gateway = gateway_spec_copy(arena, &gateway); /* the texts are the JSON's */
    return arena_failed(arena) ? no_memory(reterr) : ERR_OK;
}

enum err_code link_target_gateway(struct cluster *cluster, struct arena *arena, const struct link_gateway_wish *wish,
                                  struct gateway_spec *ret_gateway, struct err *reterr)
{
    struct search search = {0};
    char namespace[OBJECT_KEY_BYTES];
    const char *name = wish->name, *only = NULL;
    json_t *object = NULL;
    (void)snprintf(namespace, sizeof(namespace), "%s", wish->namespace);
    if (name == NULL) {
        TRY(find_only(cluster, &search, &only, reterr));
        name = object_key_split(only, namespace);
    }
    enum err_code code = cluster_get(cluster, &RESOURCE_SERVICE, namespace, name, &object, reterr);
    if (code != ERR_OK)
        return err_context(reterr, "gateway Service %s/%s", namespace, name);
    code = read_gateway(cluster, arena, object, wish, ret_gateway, reterr);
    json_decref(object);
    return code;
}

/* ---- a gateway that is followed ---- */

/* What the Link itself is to give: the rest is the Service's, whatever it says later. */
static enum err_code read_followed(const struct cluster *cluster, struct arena *arena, const json_t *object,
                                   const struct link_gateway_wish *wish, struct gateway_spec *ret_gateway,
                                   struct err *reterr)
{
    struct service service;
    TRY(codec_service(arena, object, &service, reterr));
    if (service.type == SERVICE_NODE_PORT)
        return err_set(reterr, ERR_INVALID,
                       "gateway Service %s in cluster %s is of type NodePort: its node ports cannot be followed, write "
                       "them down with --gateway-name, --gateway-namespace and --gateway-addresses",
                       wish->followed, cluster_name(cluster));
    struct gateway_spec gateway = gateway_from_service(arena, &service);
    bool has_port = wish->port != 0 || gateway.port != 0;
    bool has_address = wish->addresses != NULL || gateway.address_count > 0;
    if (has_port && has_address)
        gateway.problem = ""; /* the Link gives what the Service lacks */
    gateway.addresses = NULL;
    gateway.address_count = 0;
    gateway.port = wish->port;
    if (wish->addresses != NULL)
        TRY(use_addresses(arena, wish->addresses, &gateway, reterr));
    *ret_gateway = gateway_spec_copy(arena, &gateway); /* the texts are the JSON's */
    return arena_failed(arena) ? no_memory(reterr) : ERR_OK;
}

enum err_code link_target_followed(struct cluster *cluster, struct arena *arena, const struct link_gateway_wish *wish,
                                   struct gateway_spec *ret_gateway, struct err *reterr)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(wish->followed, namespace);
    json_t *object = NULL;
    enum err_code code = cluster_get(cluster, &RESOURCE_SERVICE, namespace, name, &object, reterr);
    if (code != ERR_OK)
        return err_context(reterr, "gateway Service %s", wish->followed);
    code = read_followed(cluster, arena, object, wish, ret_gateway, reterr);
    json_decref(object);
    return code;
}

/* ---- domains ---- */

static const char *copy_text(struct arena *arena, const char *text)
{
    return text != NULL ? arena_strdup(arena, text) : NULL;
}

/* One that makes no sense tells nothing. */
static enum err_code read_domains(struct arena *arena, const json_t *config_map, const char **ret_cluster_domain,
                                  const char **ret_trust_domain, struct err *reterr)
{
    struct linkerd_config linkerd;
    enum err_code code = linkerd_config_read(config_map, &linkerd, NULL);
    if (code == ERR_OK && linkerd.settings != NULL) {
        const char *trust_domain = linkerd.trust_domain != NULL ? linkerd.trust_domain : "cluster.local";
        *ret_cluster_domain = copy_text(arena, linkerd.cluster_domain);
        *ret_trust_domain = copy_text(arena, trust_domain);
    }
    linkerd_config_done(&linkerd);
    return code == ERR_NOMEM || arena_failed(arena) ? no_memory(reterr) : ERR_OK;
}

enum err_code link_target_domains(struct cluster *cluster, struct arena *arena, const char *linkerd_namespace,
                                  const char **ret_cluster_domain, const char **ret_trust_domain, struct err *reterr)
{
    json_t *config_map = NULL;
    *ret_cluster_domain = *ret_trust_domain = NULL;
    TRY(cluster_look_for(cluster, &RESOURCE_CONFIG_MAP, linkerd_namespace, "linkerd-config", &config_map, reterr));
    enum err_code code =
        config_map != NULL ? read_domains(arena, config_map, ret_cluster_domain, ret_trust_domain, reterr) : ERR_OK;
    json_decref(config_map);
    return code;
}
