/* The parts of Kubernetes objects that mirroring needs, as plain immutable data.
 *
 * Two lives of an object: *decoded* or *planned*, its strings and arrays borrowed from an arena; and *kept*, copied by
 * service_copy() and its like into one single block that one mem_free() releases. Structs are never modified after they were made.
 * All strings are UTF-8, NUL-terminated and, unless said otherwise, never NULL ("" when absent in the API object). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/kv.h"
#include "base/text.h"

struct object_meta {
    const char *namespace; /* "" for cluster-scoped objects */
    const char *name;
    const char *uid;              /* "" in planned objects that do not exist yet */
    const char *resource_version; /* likewise; opaque: compare for equality only */
    struct kv_list labels, annotations;
    int64_t created_us;    /* creationTimestamp, microseconds since 1970 */
    bool deleting;         /* deletionTimestamp is set */
    bool made_by_us;       /* managedFields name our field manager, OBJECT_FIELD_MANAGER */
    const char *owner_uid; /* uid of the owning Service (ownerReferences), "" when none */
};

/** fieldManager of every write; also how objects that this program made are told from others' (made_by_us). */
#define OBJECT_FIELD_MANAGER "svcmirror"

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP };
const char *protocol_name(enum protocol protocol); /* "TCP" ... */

struct service_port {
    const char *name;         /* "" when unnamed */
    const char *target_port;  /* "8080" or a port name; "" when absent */
    const char *app_protocol; /* "" when absent */
    enum protocol protocol;
    uint16_t port;            /* 1-65535 */
    uint16_t node_port;       /* 0 when none */
    bool target_port_is_name; /* written as a JSON string even if it looks like a number */
};

struct service;
/** Whether two Services have the same ports in the same order; node ports do not count. */
bool service_ports_equal(const struct service *a, const struct service *b);

/** One entry of status.loadBalancer.ingress: one of the two is "". */
struct ingress {
    const char *ip, *hostname;
};

enum service_type { SERVICE_CLUSTER_IP, SERVICE_NODE_PORT, SERVICE_LOAD_BALANCER, SERVICE_EXTERNAL_NAME };

/** A Service; or a ServiceImport of the Multicluster Services API, which has the metadata, `headless` (its type), `cluster_ip` (its `ips`, separated
 *  by commas), `affinity_s` and `ports`, and nothing of the rest. */
struct service {
    struct object_meta meta;
    enum service_type type;
    bool headless;          /* spec.clusterIP is "None" */
    bool has_selector;      /* spec.selector is not empty */
    bool is_node_local;     /* spec.internalTrafficPolicy is Local: only endpoints of the client's own node count */
    bool publishes_unready; /* spec.publishNotReadyAddresses */
    bool is_import;         /* a ServiceImport */
    uint32_t affinity_s;    /* spec.sessionAffinity ClientIP: for how many seconds; 0: None */
    uint32_t port_count, ingress_count, external_ip_count;
    const char *cluster_ip; /* "" when none yet */
    const char *clusters;   /* of a ServiceImport: those of its status, separated by commas; "" when none */
    const struct service_port *ports;
    const struct ingress *ingress;
    const char *const *external_ips; /* spec.externalIPs */
};

enum address_type { ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_FQDN };
const char *address_type_name(enum address_type type); /* "IPv4" ... */

struct slice_endpoint {
    const char *address;  /* the first of `addresses`: the only one whose meaning is defined by the API */
    const char *hostname; /* "" when none */
    const char *zone;     /* "" when not told */
    bool ready;           /* conditions.ready, true when absent (API rule) */
    bool serving, terminating;
    uint16_t subset; /* of v1 Endpoints: which one it is in; 0 in slices */
};

struct slice_port {
    const char *name, *app_protocol;
    enum protocol protocol;
    uint16_t port;   /* 0 when absent ("all ports") */
    uint16_t subset; /* as of endpoints */
};

/** An EndpointSlice, or v1 Endpoints where these are written instead: one object for both families then, whose `address_type` says nothing. */
struct slice {
    struct object_meta meta;
    bool is_endpoints;
    bool irregular; /* it has what this shape cannot hold, e.g. an endpoint's node or a second subset: never right */
    enum address_type address_type;
    uint32_t endpoint_count, port_count;
    const char *service_name; /* label kubernetes.io/service-name, "" when absent */
    const char *managed_by;   /* label endpointslice.kubernetes.io/managed-by */
    const struct slice_endpoint *endpoints;
    const struct slice_port *ports;
};

struct namespace_object {
    struct object_meta meta;
    bool terminating; /* status.phase Terminating or deletionTimestamp set */
};

/** A ServiceCIDR: where the cluster takes ClusterIPs from. */
struct service_cidr {
    struct object_meta meta;
    const char *const *ranges; /* spec.cidrs: "10.96.0.0/16" */
    uint32_t range_count;
};

/** Copies into one new block (mem_free() releases it); NULL when out of memory. */
struct service *service_copy(const struct service *service) MUST_USE;
struct slice *slice_copy(const struct slice *slice) MUST_USE;
/** How large the block of a copy is. */
size_t service_bytes(const struct service *service);
size_t slice_bytes(const struct slice *slice);

/** "namespace/name", the key of every map of objects; @return new in the arena, NULL when it failed. */
const char *object_key(struct arena *arena, const char *namespace, const char *name);

/** Longest key: two DNS names and a slash, NUL included. */
enum { OBJECT_KEY_BYTES = 256 + 256 };
/** Writes the key into `buffer`; overlong input (the API refuses it) is cut. */
void object_key_format(char buffer[OBJECT_KEY_BYTES], const char *namespace, const char *name);
/** Splits "ns/name": copies the namespace into `ret_namespace` and @return the name, borrowed from `key`. */
const char *object_key_split(const char *key, char ret_namespace[OBJECT_KEY_BYTES]);
