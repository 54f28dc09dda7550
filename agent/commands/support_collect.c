/* The files of a support bundle, in their order. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_gather.h"
#include "agent/commands/command.h"
#include "agent/commands/link_version.h"
#include "agent/commands/output.h"
#include "agent/commands/support_bundle.h"
#include "agent/kube/codec.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/gateway.h"
#include "mirror/names.h"
#include "version.h"

enum {
    FILE_BYTES = 256 << 20,
    INDEX_BYTES = 4 << 20,
    NAME_BYTES = 160,
    CHECK_MS = 10000, /* for each request of the checks */
    SCRATCH_BYTES = 4 << 20,
};

#define MIRRORS L5D_MIRRORED_SERVICE "=true"

/* ---- files ---- */

enum err_code support_bundle_text(struct support_bundle *bundle, const char *name, const char *what, const char *text,
                                  size_t bytes, struct err *reterr)
{
    struct strbuf clean;
    strbuf_init(&clean, FILE_BYTES);
    support_redaction_text(bundle->redaction, text, bytes, &clean);
    enum err_code code = strbuf_error(&clean);
    if (code == ERR_OK)
        code = support_archive_add(bundle->archive, name, strbuf_text(&clean), clean.length, reterr);
    else
        code = err_set(reterr, code, "%s: out of memory", name);
    if (code == ERR_OK)
        strbuf_printf(&bundle->files, "  %-44s %9zu  %s\n", name, clean.length, what);
    bundle->file_count += code == ERR_OK ? 1 : 0;
    strbuf_done(&clean);
    return code;
}

static json_t *redacted(const json_t *value)
{
    json_t *copy = support_redaction_object(value);
    json_t *items = json_object_get(copy, "items"), *item = NULL;
    size_t index = 0;
    json_array_foreach(items, index, item)
    {
        json_t *clean = support_redaction_object(item);
        if (clean == NULL || json_array_set_new(items, index, clean) != 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

enum err_code support_bundle_json(struct support_bundle *bundle, const char *name, const char *what,
                                  const json_t *value, struct err *reterr)
{
    struct strbuf text;
    json_t *clean = redacted(value);
    if (clean == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    strbuf_init(&text, FILE_BYTES);
    output_json(clean, &text);
    json_decref(clean);
    enum err_code code = strbuf_error(&text);
    code = code == ERR_OK ? support_bundle_text(bundle, name, what, strbuf_text(&text), text.length, reterr)
                          : err_set(reterr, code, "%s: out of memory", name);
    strbuf_done(&text);
    return code;
}

enum err_code support_bundle_missing(struct support_bundle *bundle, const char *name, const struct err *error,
                                     struct err *reterr)
{
    if (session_interrupted(bundle->session))
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    if (error->code == ERR_NOMEM)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    struct strbuf clean;
    strbuf_init(&clean, 2 * ERR_TEXT_BYTES);
    support_redaction_text(bundle->redaction, error->text, strlen(error->text), &clean);
    command_complain("support-bundle", "%s is missing: %s", name, strbuf_text(&clean));
    strbuf_printf(&bundle->failures, "  %s: %s\n", name, strbuf_text(&clean));
    strbuf_done(&clean);
    bundle->failure_count++;
    return ERR_OK;
}

/* ---- collections ---- */

static const struct resource EVENT = {"events.k8s.io", "v1", "events", "Event", true};
static const struct resource ENDPOINTS = {"", "v1", "endpoints", "Endpoints", true};
static const struct resource SERVICE_IMPORT = {"multicluster.x-k8s.io", "v1alpha1", "serviceimports", "ServiceImport",
                                               true};

struct collection {
    const char *name, *what;
    const struct resource *resource;
    bool everywhere;      /* of all namespaces, else of the agent's */
    const char *selector; /* by labels; NULL: all */
    bool may_be_unknown;  /* not every cluster serves it */
};

static const struct collection collections[] = {
    {"agent/deployments.json", "the agent's Deployment", &RESOURCE_DEPLOYMENT, false,
     "app.kubernetes.io/name=svcmirror", false},
    {"agent/pods.json", "its pods", &RESOURCE_POD, false, "app.kubernetes.io/name=svcmirror", false},
    {"agent/leases.json", "which replica writes which link's mirrors", &RESOURCE_LEASE, false, NULL, false},
    {"agent/events.json", "Events of the agent's namespace", &EVENT, false, NULL, false},
    {"mirrors/services.json", "mirrors, of gateways too", &RESOURCE_SERVICE, true, MIRRORS, false},
    {"mirrors/endpointslices.json", "their endpoints", &RESOURCE_ENDPOINT_SLICE, true, MIRRORS, true},
    {"mirrors/endpoints.json", "their endpoints as old clusters and Linkerd have them", &ENDPOINTS, true, MIRRORS,
     true},
    {"mirrors/serviceimports.json", "ServiceImports of mirrors", &SERVICE_IMPORT, true, MIRRORS, true},
};

static enum err_code take_item(void *context, const json_t *item)
{
    json_t *items = context;
    return json_array_append(items, mem_unconst(item)) == 0 ? ERR_OK : ERR_NOMEM;
}

/* @param[out] ret_items  new array. */
static enum err_code list(struct support_bundle *bundle, const struct collection *collection, json_t **ret_items,
                          struct err *reterr)
{
    json_t *items = json_array();
    if (items == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code =
        cluster_each(bundle->cluster, collection->resource, collection->everywhere ? NULL : bundle->namespace,
                     collection->selector, take_item, items, reterr);
    if (code == ERR_OK)
        *ret_items = TAKE(items);
    json_decref(items);
    return code;
}

static enum err_code add_items(struct support_bundle *bundle, const struct collection *collection, const json_t *items,
                               struct err *reterr)
{
    json_t *all =
        json_pack("{s:s, s:s+, s:O}", "apiVersion", "v1", "kind", collection->resource->kind, "List", "items", items);
    if (all == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = support_bundle_json(bundle, collection->name, collection->what, all, reterr);
    json_decref(all);
    return code;
}

static enum err_code add_collection(struct support_bundle *bundle, const struct collection *collection,
                                    struct err *reterr)
{
    json_t *items = NULL;
    struct err error = {0};
    enum err_code code = list(bundle, collection, &items, &error);
    if (code == ERR_NOT_FOUND && collection->may_be_unknown)
        return ERR_OK;
    if (code != ERR_OK)
        return support_bundle_missing(bundle, collection->name, &error, reterr);
    code = add_items(bundle, collection, items, reterr);
    json_decref(items);
    return code;
}

/* Before everything else: what they hold is looked for in all that follows. */
static enum err_code add_secrets(struct support_bundle *bundle, struct err *reterr)
{
    static const struct collection secrets = {
        "secrets.json", "Secrets of the agent's namespace, without their values", &RESOURCE_SECRET, false, NULL, false};
    json_t *items = NULL;
    const json_t *item = NULL;
    size_t index = 0;
    struct err error = {0};
    if (list(bundle, &secrets, &items, &error) != ERR_OK)
        return support_bundle_missing(bundle, secrets.name, &error, reterr);
    enum err_code code = ERR_OK;
    json_array_foreach(items, index, item) code =
        code == ERR_OK ? support_redaction_learn(bundle->redaction, item) : code;
    code = code == ERR_OK ? add_items(bundle, &secrets, items, reterr) : err_set(reterr, code, "out of memory");
    json_decref(items);
    return code;
}

static enum err_code add_links(struct support_bundle *bundle, struct err *reterr)
{
    struct resource resource;
    struct err error = {0};
    enum err_code code = link_version_find(bundle->cluster, &resource, &error);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code != ERR_OK)
        return support_bundle_missing(bundle, "links.json", &error, reterr);
    const struct collection links = {"links.json", "Links of the agent's namespace", &resource, false, NULL, false};
    return add_collection(bundle, &links, reterr);
}

/* ---- the checks, and what they read of the targets ---- */

/* @return new: those of a target's Services that are gateways. */
static json_t *gateways_of(const json_t *services)
{
    struct arena scratch;
    json_t *gateways = json_array();
    const json_t *item = NULL;
    size_t index = 0;
    arena_init(&scratch, SCRATCH_BYTES);
    json_array_foreach(services, index, item)
    {
        struct service service;
        arena_reset(&scratch);
        if (codec_service(&scratch, item, &service, NULL) == ERR_OK && gateway_is_possible(&service))
            (void)json_array_append(gateways, mem_unconst(item));
    }
    arena_done(&scratch);
    return gateways;
}

static enum err_code add_target(struct support_bundle *bundle, const json_t *target, struct err *reterr)
{
    char name[NAME_BYTES];
    struct err error = {0};
    const char *cluster = check_text(target, "cluster"), *problem = check_text(target, "problem");
    (void)snprintf(name, sizeof(name), "targets/%.63s/gateways.json", cluster[0] != '\0' ? cluster : "unnamed");
    const json_t *services = check_items(target, "services");
    if (services == NULL) {
        const char *why = problem[0] != '\0' ? problem : check_fact_error(target, "services");
        (void)err_set(&error, ERR_PROTOCOL, "%s", why[0] != '\0' ? why : "its Services were not read");
        return support_bundle_missing(bundle, name, &error, reterr);
    }
    json_t *gateways = gateways_of(services);
    const struct collection collection = {
        name, "Services of the target that are gateways", &RESOURCE_SERVICE, true, NULL, false};
    enum err_code code = add_items(bundle, &collection, gateways, reterr);
    json_decref(gateways);
    return code;
}

static enum err_code add_checks(struct support_bundle *bundle, struct err *reterr)
{
    const struct check_query query = {.namespace = bundle->namespace,
                                      .linkerd_namespace = bundle->linkerd_namespace,
                                      .cluster = "",
                                      .linkerd_cli = "",
                                      .timeout_ms = CHECK_MS};
    json_t *snapshot = NULL, *result = NULL;
    const json_t *target = NULL;
    const char *awaited = NULL;
    size_t index = 0;
    struct err error = {0};
    if (check_gather(bundle->session, bundle->cluster, &query, &snapshot, &error) != ERR_OK)
        return support_bundle_missing(bundle, "check.json", &error, reterr);
    enum err_code code = check_run(checks, snapshot, &result, &awaited);
    code = code == ERR_OK
               ? support_bundle_json(bundle, "check.json", "what `svcmirror check -o json` says", result, reterr)
               : err_set(reterr, code, "out of memory");
    json_array_foreach(json_object_get(snapshot, "targets"), index, target) code =
        code == ERR_OK ? add_target(bundle, target, reterr) : code;
    json_decref(result);
    json_decref(snapshot);
    return code;
}

/* ---- which programs these are ---- */

/* Whether an API server said so, of this one request. */
static bool is_answer(enum err_code code)
{
    switch (code) {
    case ERR_FORBIDDEN:
    case ERR_NOT_FOUND:
    case ERR_REJECTED:
    case ERR_BUSY:
    case ERR_SERVER:
    case ERR_PROTOCOL:
        return true;
    default:
        return code == ERR_OK;
    }
}

enum err_code support_bundle_reach(struct support_bundle *bundle, struct err *reterr)
{
    struct err *error = &bundle->server_error;
    enum err_code code = cluster_get_path(bundle->cluster, "version", "/version", &bundle->server_version, error);
    if (session_interrupted(bundle->session))
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    return is_answer(code) ? ERR_OK : err_set(reterr, code, "%s", error->text);
}

static enum err_code add_versions(struct support_bundle *bundle, struct err *reterr)
{
    if (bundle->server_version == NULL)
        TRY(support_bundle_missing(bundle, "the API server's version", &bundle->server_error, reterr));
    json_t *versions = json_pack("{s:s, s:s, s:O*}", "svcmirror", SVCMIRROR_VERSION, "cluster",
                                 cluster_name(bundle->cluster), "kubernetes", bundle->server_version);
    enum err_code code =
        support_bundle_json(bundle, "version.json", "of this program and of the API server", versions, reterr);
    json_decref(versions);
    return code;
}

/* ---- the index ---- */

static enum err_code add_index(struct support_bundle *bundle, struct err *reterr)
{
    struct strbuf index;
    char now[TEXT_TIME_BYTES];
    text_format_time(session_wall_us(bundle->session), now);
    strbuf_init(&index, INDEX_BYTES);
    strbuf_printf(&index,
                  "Support bundle of svcmirror " SVCMIRROR_VERSION "\nmade %s, of namespace %s in cluster %s\n\n"
                  "Files (bytes, what it is)\n%s\nMissing\n%s\nLeft out\n%s",
                  now, bundle->namespace, cluster_name(bundle->cluster), strbuf_text(&bundle->files),
                  bundle->failures.length > 0 ? strbuf_text(&bundle->failures) : "  nothing\n",
                  support_redaction_words);
    enum err_code code = strbuf_error(&index);
    code = code == ERR_OK
               ? support_bundle_text(bundle, "index.txt", "this list", strbuf_text(&index), index.length, reterr)
               : err_set(reterr, code, "out of memory");
    strbuf_done(&index);
    return code;
}

enum err_code support_bundle_collect(struct support_bundle *bundle, struct err *reterr)
{
    TRY(add_secrets(bundle, reterr));
    TRY(add_versions(bundle, reterr));
    TRY(add_links(bundle, reterr));
    for (size_t i = 0; i < ARRAY_COUNT(collections); i++)
        TRY(add_collection(bundle, &collections[i], reterr));
    TRY(support_bundle_agents(bundle, reterr));
    TRY(add_checks(bundle, reterr));
    return add_index(bundle, reterr);
}
