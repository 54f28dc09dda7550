#include "agent/kube/proto_schema.h"

#include <string.h>

#include "base/mem.h"

#define TYPE(name) TYPE_THAT(name, false)
/* @param unknown  whether it tells of fields that the table does not have: endpoints, which are held against what was written (codec.c). */
#define TYPE_THAT(name, unknown)                                                                                       \
    static const struct proto_type name = {name##_members, ARRAY_COUNT(name##_members), unknown};                      \
    _Static_assert(ARRAY_COUNT(name##_members) <= PROTO_MEMBERS_MAX, "a message has room for so many")

/* ---- apimachinery/pkg/apis/meta/v1 ---- */

static const struct proto_member owner_members[] = {{1, "kind", PROTO_TEXT, false, NULL},
                                                    {3, "name", PROTO_TEXT, false, NULL},
                                                    {4, "uid", PROTO_TEXT, false, NULL}};
TYPE(owner);

static const struct proto_member manager_members[] = {{1, "manager", PROTO_TEXT, false, NULL}};
TYPE(manager);

static const struct proto_member meta_members[] = {{1, "name", PROTO_TEXT, false, NULL},
                                                   {3, "namespace", PROTO_TEXT, false, NULL},
                                                   {5, "uid", PROTO_TEXT, false, NULL},
                                                   {6, "resourceVersion", PROTO_TEXT, false, NULL},
                                                   {8, "creationTimestamp", PROTO_TIME, false, NULL},
                                                   {9, "deletionTimestamp", PROTO_TIME, false, NULL},
                                                   {11, "labels", PROTO_MAP, false, NULL},
                                                   {12, "annotations", PROTO_MAP, false, NULL},
                                                   {13, "ownerReferences", PROTO_MESSAGE, true, &owner},
                                                   {17, "managedFields", PROTO_MESSAGE, true, &manager}};
TYPE(meta);

static const struct proto_member list_meta_members[] = {{2, "resourceVersion", PROTO_TEXT, false, NULL},
                                                        {3, "continue", PROTO_TEXT, false, NULL}};
const struct proto_type proto_list_meta = {list_meta_members, ARRAY_COUNT(list_meta_members), false};

static const struct proto_member type_meta_members[] = {{1, "apiVersion", PROTO_TEXT, false, NULL},
                                                        {2, "kind", PROTO_TEXT, false, NULL}};
const struct proto_type proto_type_meta = {type_meta_members, ARRAY_COUNT(type_meta_members), false};

static const struct proto_member cause_members[] = {{1, "reason", PROTO_TEXT, false, NULL},
                                                    {2, "message", PROTO_TEXT, false, NULL},
                                                    {3, "field", PROTO_TEXT, false, NULL}};
TYPE(cause);

static const struct proto_member details_members[] = {{1, "name", PROTO_TEXT, false, NULL},
                                                      {2, "group", PROTO_TEXT, false, NULL},
                                                      {3, "kind", PROTO_TEXT, false, NULL},
                                                      {4, "causes", PROTO_MESSAGE, true, &cause},
                                                      {5, "retryAfterSeconds", PROTO_INTEGER, false, NULL},
                                                      {6, "uid", PROTO_TEXT, false, NULL}};
TYPE(details);

static const struct proto_member status_members[] = {{2, "status", PROTO_TEXT, false, NULL},
                                                     {3, "message", PROTO_TEXT, false, NULL},
                                                     {4, "reason", PROTO_TEXT, false, NULL},
                                                     {5, "details", PROTO_MESSAGE, false, &details},
                                                     {6, "code", PROTO_INTEGER, false, NULL}};
const struct proto_type proto_status = {status_members, ARRAY_COUNT(status_members), false};

/* ---- api/core/v1 ---- */

static const struct proto_member service_port_members[] = {{1, "name", PROTO_TEXT, false, NULL},
                                                           {2, "protocol", PROTO_TEXT, false, NULL},
                                                           {3, "port", PROTO_INTEGER, false, NULL},
                                                           {4, "targetPort", PROTO_INT_OR_STRING, false, NULL},
                                                           {5, "nodePort", PROTO_INTEGER, false, NULL},
                                                           {6, "appProtocol", PROTO_TEXT, false, NULL}};
TYPE(service_port);

static const struct proto_member client_ip_members[] = {{1, "timeoutSeconds", PROTO_INTEGER, false, NULL}};
TYPE(client_ip);

static const struct proto_member affinity_members[] = {{1, "clientIP", PROTO_MESSAGE, false, &client_ip}};
TYPE(affinity);

static const struct proto_member service_spec_members[] = {
    {1, "ports", PROTO_MESSAGE, true, &service_port},
    {2, "selector", PROTO_MAP, false, NULL},
    {3, "clusterIP", PROTO_TEXT, false, NULL},
    {4, "type", PROTO_TEXT, false, NULL},
    {5, "externalIPs", PROTO_TEXT, true, NULL},
    {7, "sessionAffinity", PROTO_TEXT, false, NULL},
    {13, "publishNotReadyAddresses", PROTO_BOOLEAN, false, NULL},
    {14, "sessionAffinityConfig", PROTO_MESSAGE, false, &affinity},
    {22, "internalTrafficPolicy", PROTO_TEXT, false, NULL},
};
TYPE(service_spec);

static const struct proto_member ingress_members[] = {{1, "ip", PROTO_TEXT, false, NULL},
                                                      {2, "hostname", PROTO_TEXT, false, NULL}};
TYPE(ingress);

static const struct proto_member balancer_members[] = {{1, "ingress", PROTO_MESSAGE, true, &ingress}};
TYPE(balancer);

static const struct proto_member service_status_members[] = {{1, "loadBalancer", PROTO_MESSAGE, false, &balancer}};
TYPE(service_status);

static const struct proto_member service_members[] = {{1, "metadata", PROTO_MESSAGE, false, &meta},
                                                      {2, "spec", PROTO_MESSAGE, false, &service_spec},
                                                      {3, "status", PROTO_MESSAGE, false, &service_status}};
TYPE(service);

static const struct proto_member endpoint_address_members[] = {{1, "ip", PROTO_TEXT, false, NULL},
                                                               {2, "targetRef", PROTO_PRESENT, false, NULL},
                                                               {3, "hostname", PROTO_TEXT, false, NULL},
                                                               {4, "nodeName", PROTO_PRESENT, false, NULL}};
TYPE_THAT(endpoint_address, true);

static const struct proto_member core_endpoint_port_members[] = {{1, "name", PROTO_TEXT, false, NULL},
                                                                 {2, "port", PROTO_INTEGER, false, NULL},
                                                                 {3, "protocol", PROTO_TEXT, false, NULL},
                                                                 {4, "appProtocol", PROTO_TEXT, false, NULL}};
TYPE(core_endpoint_port);

static const struct proto_member subset_members[] = {{1, "addresses", PROTO_MESSAGE, true, &endpoint_address},
                                                     {2, "notReadyAddresses", PROTO_MESSAGE, true, &endpoint_address},
                                                     {3, "ports", PROTO_MESSAGE, true, &core_endpoint_port}};
TYPE(subset);

static const struct proto_member endpoints_members[] = {{1, "metadata", PROTO_MESSAGE, false, &meta},
                                                        {2, "subsets", PROTO_MESSAGE, true, &subset}};
TYPE(endpoints);

static const struct proto_member namespace_status_members[] = {{1, "phase", PROTO_TEXT, false, NULL}};
TYPE(namespace_status);

static const struct proto_member namespace_members[] = {{1, "metadata", PROTO_MESSAGE, false, &meta},
                                                        {3, "status", PROTO_MESSAGE, false, &namespace_status}};
TYPE(namespace);

/* ---- api/discovery/v1 ---- */

static const struct proto_member conditions_members[] = {{1, "ready", PROTO_BOOLEAN, false, NULL},
                                                         {2, "serving", PROTO_BOOLEAN, false, NULL},
                                                         {3, "terminating", PROTO_BOOLEAN, false, NULL}};
TYPE_THAT(conditions, true);

static const struct proto_member endpoint_members[] = {{1, "addresses", PROTO_TEXT, true, NULL},
                                                       {2, "conditions", PROTO_MESSAGE, false, &conditions},
                                                       {3, "hostname", PROTO_TEXT, false, NULL},
                                                       {4, "targetRef", PROTO_PRESENT, false, NULL},
                                                       {5, "deprecatedTopology", PROTO_PRESENT, false, NULL},
                                                       {6, "nodeName", PROTO_PRESENT, false, NULL},
                                                       {7, "zone", PROTO_TEXT, false, NULL},
                                                       {8, "hints", PROTO_PRESENT, false, NULL}};
TYPE_THAT(endpoint, true);

static const struct proto_member endpoint_port_members[] = {{1, "name", PROTO_TEXT, false, NULL},
                                                            {2, "protocol", PROTO_TEXT, false, NULL},
                                                            {3, "port", PROTO_INTEGER, false, NULL},
                                                            {4, "appProtocol", PROTO_TEXT, false, NULL}};
TYPE(endpoint_port);

static const struct proto_member endpoint_slice_members[] = {{1, "metadata", PROTO_MESSAGE, false, &meta},
                                                             {2, "endpoints", PROTO_MESSAGE, true, &endpoint},
                                                             {3, "ports", PROTO_MESSAGE, true, &endpoint_port},
                                                             {4, "addressType", PROTO_TEXT, false, NULL}};
TYPE(endpoint_slice);

/* ---- api/networking/v1 ---- */

static const struct proto_member cidr_spec_members[] = {{1, "cidrs", PROTO_TEXT, true, NULL}};
TYPE(cidr_spec);

static const struct proto_member service_cidr_members[] = {{1, "metadata", PROTO_MESSAGE, false, &meta},
                                                           {2, "spec", PROTO_MESSAGE, false, &cidr_spec}};
TYPE(service_cidr);

const struct proto_type *proto_type_of(const char *kind)
{
    static const struct {
        const char *kind;
        const struct proto_type *type;
    } types[] = {{"Service", &service},
                 {"EndpointSlice", &endpoint_slice},
                 {"Endpoints", &endpoints},
                 {"Namespace", &namespace},
                 {"ServiceCIDR", &service_cidr}};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (strcmp(kind, types[i].kind) == 0)
            return types[i].type;
    return NULL;
}
