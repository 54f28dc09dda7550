/* Whether mirrors and gateways are as they should be. Everything is joined in memory: a thousand mirrors are two lists. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/commands/resource.h"
#include "mirror/names.h"

enum { KEY_BYTES = 384 };

static const char *label(const json_t *object, const char *key)
{
    const char *text = object_meta_entry(object, "labels", key);
    return text != NULL ? text : "";
}

static bool is_mirror(const json_t *service) { return strcmp(label(service, L5D_MIRRORED_SERVICE), "true") == 0; }

static bool concerns_us(const json_t *snapshot, const char *cluster)
{
    const char *wanted = check_text(snapshot, "cluster");
    return wanted[0] == '\0' || strcmp(wanted, cluster) == 0;
}

static void make_key(const json_t *object, const char *name, char key[KEY_BYTES])
{
    (void)snprintf(key, KEY_BYTES, "%s/%s", object_meta_text(object, "namespace"), name);
}

/* ---- gateways ---- */

void check_gateways_alive(const json_t *snapshot, struct check_report *report)
{
    const json_t *gateways = check_needed_items(report, json_object_get(snapshot, "source"), "agentGateways", "source");
    const json_t *gateway = NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(gateways, index, gateway)
    {
        const char *cluster = check_text(gateway, "clusterName"), *reason = check_text(gateway, "reason");
        const char *advice = check_text(gateway, "advice"), *problem = check_text(gateway, "problem");
        const char *name = check_text(gateway, "gatewayName"), *namespace = check_text(gateway, "gatewayNamespace");
        bool unknown = strcmp(check_text(gateway, "verdict"), "unknown") == 0;
        if (!concerns_us(snapshot, cluster))
            continue;
        seen++;
        if (json_is_true(json_object_get(gateway, "alive")))
            check_note(report, "* %s", cluster);
        else
            check_problem(report, "* cluster: [%s], gateway: [%s%s%s]: %s%s%s%s%s%s%s", cluster, namespace,
                          namespace[0] != '\0' ? "/" : "", name[0] != '\0' ? name : "of its Link",
                          unknown ? "not probed yet" : "dead", problem[0] != '\0' ? ": " : "", problem,
                          reason[0] != '\0' ? ": " : "", reason, advice[0] != '\0' ? ": " : "", advice);
    }
    if (gateways != NULL && seen == 0)
        check_skip(report);
}

/* ---- endpoints ---- */

/* @return new: the "namespace/name" of every Service that a slice with an address is of; NULL when out of memory. */
static json_t *services_with_endpoints(const json_t *slices)
{
    const json_t *slice = NULL;
    size_t index = 0;
    json_t *found = json_object();
    json_array_foreach(slices, index, slice)
    {
        char key[KEY_BYTES];
        if (json_array_size(check_at(slice, "endpoints")) == 0)
            continue;
        make_key(slice, label(slice, K8S_SERVICE_NAME), key);
        if (json_object_set_new(found, key, json_true()) != 0) {
            json_decref(found);
            return NULL;
        }
    }
    return found;
}

/* Not those whose endpoints Linkerd's proxies ask the target for, nor those of gateways, which the agent's verdict is about. */
static bool needs_endpoints(const json_t *service)
{
    return is_mirror(service) && label(service, L5D_CLUSTER_NAME)[0] != '\0' &&
           object_meta_entry(service, "labels", L5D_MIRRORED_GATEWAY) == NULL &&
           object_meta_entry(service, "labels", L5D_REMOTE_DISCOVERY) == NULL;
}

void check_mirror_endpoints(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source"), *service = NULL;
    const json_t *services = check_needed_items(report, source, "services", "source");
    const json_t *slices = services != NULL ? check_needed_items(report, source, "endpointSlices", "source") : NULL;
    size_t index = 0, seen = 0;
    if (slices == NULL)
        return;
    json_t *found = services_with_endpoints(slices);
    if (found == NULL)
        check_doubt(report, "out of memory");
    json_array_foreach(services, index, service)
    {
        const char *cluster = label(service, L5D_CLUSTER_NAME), *namespace = object_meta_text(service, "namespace");
        char key[KEY_BYTES];
        if (found == NULL || !needs_endpoints(service) || !concerns_us(snapshot, cluster))
            continue;
        seen++;
        make_key(service, object_meta_text(service, "name"), key);
        if (json_object_get(found, key) == NULL)
            check_problem(report,
                          "Service %s.%s mirrored from cluster [%s] has no endpoints: `svcmirror why %s` tells why",
                          object_meta_text(service, "name"), namespace, cluster, key);
    }
    json_decref(found);
    if (found != NULL && seen == 0)
        check_skip(report);
}

/* ---- whose they are ---- */

static bool is_linked(const json_t *targets, const char *cluster)
{
    const json_t *target = NULL;
    size_t index = 0;
    json_array_foreach(targets, index, target)
    {
        if (strcmp(check_text(target, "cluster"), cluster) == 0)
            return true;
    }
    return false;
}

void check_orphans(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source"), *service = NULL;
    const json_t *services = check_needed_items(report, source, "services", "source");
    size_t index = 0, seen = 0;
    json_array_foreach(services, index, service)
    {
        const char *cluster = label(service, L5D_CLUSTER_NAME);
        if (!is_mirror(service) || cluster[0] == '\0' || !concerns_us(snapshot, cluster))
            continue;
        seen++;
        if (!is_linked(json_object_get(snapshot, "targets"), cluster))
            check_problem(
                report,
                "mirror service %s.%s is not part of any Link: nobody keeps it right: link cluster %s again, or "
                "delete it",
                object_meta_text(service, "name"), object_meta_text(service, "namespace"), cluster);
    }
    if (services != NULL && seen == 0)
        check_skip(report);
}

bool check_is_exported(const json_t *service)
{
    const char *marker = label(service, L5D_EXPORTED);
    bool by_annotation = object_meta_entry(service, "annotations", L5D_GATEWAY_NAME) != NULL &&
                         object_meta_entry(service, "annotations", L5D_GATEWAY_NS) != NULL;
    return by_annotation || marker[0] != '\0' || strcmp(label(service, "mirror.linkerd.io/federated"), "member") == 0;
}

/* @return new: the services by "namespace/name"; NULL when out of memory. */
static json_t *services_by_name(const json_t *services)
{
    json_t *found = json_object();
    for (size_t i = 0; found != NULL && i < json_array_size(services); i++) {
        json_t *service = json_array_get(services, i);
        char key[KEY_BYTES];
        make_key(service, object_meta_text(service, "name"), key);
        if (json_object_set(found, key, service) != 0) {
            json_decref(found);
            return NULL;
        }
    }
    return found;
}

/* An exported apex whose traffic goes on to a mirror. */
static void judge_split(const json_t *split, const json_t *services, struct check_report *report)
{
    const char *apex = check_text(split, "spec/service");
    const json_t *backend = NULL;
    size_t index = 0;
    char key[KEY_BYTES];
    make_key(split, apex, key);
    const json_t *service = json_object_get(services, key);
    if (service == NULL || !check_is_exported(service))
        return;
    json_array_foreach(check_at(split, "spec/backends"), index, backend)
    {
        make_key(split, check_text(backend, "service"), key);
        if (is_mirror(json_object_get(services, key)))
            check_problem(report, "exported service %s.%s routes to mirror service %s.%s by TrafficSplit %s", apex,
                          object_meta_text(split, "namespace"), check_text(backend, "service"),
                          object_meta_text(split, "namespace"), object_meta_text(split, "name"));
    }
}

void check_daisy_chains(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source"), *service = NULL, *split = NULL;
    const json_t *services = check_needed_items(report, source, "services", "source");
    size_t index = 0;
    json_array_foreach(services, index, service)
    {
        if (is_mirror(service) && check_is_exported(service))
            check_problem(report, "mirror service %s.%s is exported: each cluster should link the first one itself",
                          object_meta_text(service, "name"), object_meta_text(service, "namespace"));
    }
    const json_t *splits = check_items(source, "trafficSplits");
    if (services == NULL || json_array_size(splits) == 0)
        return;
    json_t *by_name = services_by_name(services);
    json_array_foreach(splits, index, split) judge_split(split, by_name, report);
    json_decref(by_name);
}
