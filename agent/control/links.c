/* Which targets there are: Link resources and 2.8 Secrets as the source cluster has them now, judged together once a turn. */
#include "agent/control/internal.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/finalizers.h"
#include "agent/control/renewal.h"
#include "agent/kube/codec.h"
#include "agent/kube/discovery.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/packed.h"
#include "mirror/names.h"

enum {
    DECODE_BYTES = 8 << 20,
    STATUS_BYTES = 8 << 20, /* an object has 4 MiB of text at most */
};

/* A credentials Secret, as far as links need it. */
struct secret {
    struct link *link; /* the 2.8 link that it declares, NULL when none */
    bool is_mirror_type;
    bool is_bare;             /* it has none of 2.8's annotations */
    struct err error;         /* why it declares none although it has the type */
    char cluster[64];         /* that it names, "" when that is no name */
    char *kubeconfig;         /* a text, up to its first NUL; NULL: the key is absent */
    char *renew_token, *copy; /* NULL: it asks for no renewal; it names no copy */
    char *uid;
    uint32_t generation;
};

/* A Link resource. */
struct resource {
    struct link *link; /* NULL when it cannot be used */
    struct err error;
    char cluster[64];      /* that it names, "" when that is no name */
    struct packed *status; /* as JSON; NULL when it has none */
    char *uid, *version;   /* uid; metadata.resourceVersion of the status' last sight */
    uint32_t generation;
};

/* What was told about a declaration last. */
struct complaint {
    bool fatal; /* the declaration is refused */
    char cluster[64];
    char *text;
};

struct links {
    struct control *control;
    struct arena scratch;
    struct finalizers *finalizers;
    struct discovery *discovery;
    const char *version; /* served version of Link resources, NULL when none */
    bool discovered;
    struct list_watch *link_watch, *secret_watch;
    bool links_listed, secrets_listed;
    bool links_forbidden;                                 /* Link resources exist and may not be read */
    enum err_code link_failure_told, secret_failure_told; /* of the watches; ERR_OK: none */
    struct map *resources, *secrets;                      /* by name */
    struct map *told;                                     /* "kind/name" -> struct complaint */
    uint32_t resource_generation, secret_generation;
    struct target *targets;
    bool changed;
    bool told_all; /* what was told last is remembered, for the status */
    bool judged;   /* once at least, since as much was known as can be */
};

#define CREDENTIALS_PREFIX "cluster-credentials-" /* Linkerd's name for the Secret of a link */

static const char *const versions[] = {"v1alpha3", "v1alpha2", "v1alpha1", NULL};

static void note_change(struct links *links)
{
    links->changed = true;
    loop_wake(links->control->config.loop);
}

/* ---- telling people ---- */

static const char *kind_name(bool is_secret) { return is_secret ? "Secret" : "Link"; }

static void emit(struct control *control, bool is_secret, const char *namespace, const char *name, const char *uid,
                 bool warning, const char *reason, const char *note)
{
    char version[64];
    (void)snprintf(version, sizeof(version), L5D_LINK_GROUP "/%s",
                   control->links != NULL && control->links->version != NULL ? control->links->version : versions[0]);
    const struct event_subject subject = {.api_version = is_secret ? "v1" : version,
                                          .kind = kind_name(is_secret),
                                          .namespace = namespace,
                                          .name = name,
                                          .uid = uid};
    events_emit(control->events, &subject, warning, reason, "Mirror", note);
}

void links_emit(struct control *control, const struct link *link, bool warning, const char *reason, const char *note)
{
    if (link->kind == LINK_LOCAL || leases_is_elsewhere(control->leases, link))
        return; /* declared by a flag: the log tells; or another replica tells it */
    emit(control, link->kind == LINK_SECRET, link->namespace, link->name, link->uid, warning, reason, note);
}

void links_emit_resource(struct control *control, const char *name, const char *uid, const char *reason,
                         const char *note)
{
    emit(control, false, control->namespace, name, uid, true, reason, note);
}

/* The declaration is gone, or right: whatever is wrong with it later is news. */
static void forget_told(struct links *links, bool is_secret, const char *name)
{
    char key[300];
    (void)snprintf(key, sizeof(key), "%s/%s", kind_name(is_secret), name);
    (void)map_remove(links->told, key);
}

static void free_complaint(void *value)
{
    struct complaint *complaint = value;
    mem_free(complaint->text);
    mem_free(complaint);
}

static enum err_code remember_told(struct links *links, const char *key, const char *cluster, const char *message,
                                   bool fatal)
{
    struct complaint *complaint = NEW(struct complaint);
    if (complaint == NULL)
        return ERR_NOMEM;
    complaint->fatal = fatal;
    complaint->text = mem_strdup(message);
    (void)snprintf(complaint->cluster, sizeof(complaint->cluster), "%s", cluster);
    if (complaint->text != NULL && map_put(links->told, key, complaint) == ERR_OK)
        return ERR_OK;
    free_complaint(complaint);
    return ERR_NOMEM;
}

/* A name of a cluster as far as it can be one. */
static void keep_cluster(char cluster[64], const char *declared)
{
    bool is_name = declared != NULL && text_is_dns1123_label(declared);
    (void)snprintf(cluster, 64, "%s", is_name ? declared : "");
}

/* Tells what is wrong with a declaration, once for each wording; "": nothing is. */
static void tell(struct links *links, bool is_secret, const char *name, const char *uid, const char *cluster,
                 const char *message, bool fatal)
{
    char key[300];
    const char *kind = kind_name(is_secret);
    if (message[0] == '\0') {
        forget_told(links, is_secret, name);
        return;
    }
    (void)snprintf(key, sizeof(key), "%s/%s", kind, name);
    const struct complaint *before = map_get(links->told, key);
    metric_set(metric_get(links->control->instruments.link_invalid, kind, name), fatal ? 1 : 0);
    if (before != NULL && before->fatal == fatal && strcmp(before->text, message) == 0 &&
        strcmp(before->cluster, cluster) == 0)
        return;
    if (remember_told(links, key, cluster, message, fatal) != ERR_OK)
        links->told_all = false; /* told once more in the next turn */
    log_event(fatal ? LOG_ERROR : LOG_WARN, fatal ? "link_invalid" : "link_warning",
              fatal ? "the declaration of a link cannot be used: mend it" : "the declaration of a link is odd", "kind",
              kind, "ns", links->control->namespace, "name", name, "error", message, NULL);
    if (!leases_is_elsewhere(links->control->leases, NULL))
        emit(links->control, is_secret, links->control->namespace, name, uid, true,
             fatal ? "LinkInvalid" : "LinkWarning", message);
}

/* ---- Secrets ---- */

static void free_secret(void *value)
{
    struct secret *secret = value;
    link_free(secret->link);
    mem_free(secret->kubeconfig);
    mem_free(secret->renew_token);
    mem_free(secret->copy);
    mem_free(secret->uid);
    mem_free(secret);
}

static enum err_code judge_secret(struct links *links, const struct link_secret *fields, struct secret *secret)
{
    const struct link *link = NULL;
    enum err_code code = link_from_secret(&links->scratch, fields, &link, &secret->error);
    if (code == ERR_NOMEM)
        return code;
    if (code == ERR_OK && (secret->link = link_copy(link)) == NULL)
        return ERR_NOMEM;
    return ERR_OK;
}

/* Copies a text that may be absent. @return false when memory ran out. */
static bool keep_text(const char *text, char **ret_copy)
{
    *ret_copy = text != NULL ? mem_strdup(text) : NULL;
    return text == NULL || *ret_copy != NULL;
}

static enum err_code make_secret(struct links *links, const struct json_tree *json, const char **ret_name,
                                 struct secret **ret_secret)
{
    struct link_secret fields;
    const char *type = NULL, *kubeconfig = NULL;
    size_t bytes = 0;
    struct err error = {0};
    arena_reset(&links->scratch);
    enum err_code code = codec_read_secret(&links->scratch, json, &fields, &type, &kubeconfig, &bytes, &error);
    if (code == ERR_NOMEM)
        return code;
    *ret_secret = NULL;
    struct object_meta meta;
    if (code != ERR_OK) { /* e.g. data that is not base64 cannot come from an API server */
        log_warn("object_unreadable", "a Secret cannot be read and is left out", "error", error.text, NULL);
        return codec_read_meta(&links->scratch, json, &meta, &error) == ERR_NOMEM ? ERR_NOMEM : ERR_OK;
    }
    *ret_name = fields.name;
    bool mirror_type = strcmp(type, L5D_SECRET_TYPE) == 0;
    if (!mirror_type && kubeconfig == NULL)
        return ERR_OK; /* none of ours */
    struct secret *secret = NEW(struct secret);
    if (secret == NULL)
        return ERR_NOMEM;
    secret->is_mirror_type = mirror_type;
    keep_cluster(secret->cluster, fields.cluster_name);
    secret->is_bare = fields.cluster_name == NULL && fields.cluster_domain == NULL && fields.linkerd_namespace == NULL;
    secret->kubeconfig = kubeconfig != NULL ? mem_strndup(kubeconfig, bytes) : NULL;
    bool whole = keep_text(fields.uid, &secret->uid) && keep_text(fields.renew_token, &secret->renew_token) &&
                 keep_text(fields.copy, &secret->copy) && (kubeconfig == NULL || secret->kubeconfig != NULL);
    code = whole ? ERR_OK : ERR_NOMEM;
    if (code == ERR_OK && mirror_type)
        code = judge_secret(links, &fields, secret);
    if (code != ERR_OK) {
        free_secret(secret);
        return code;
    }
    *ret_secret = secret;
    return ERR_OK;
}

static const char *name_of(const struct json_tree *json)
{
    const char *name = json_tree_text(json_tree_get(json_tree_get(json, "metadata"), "name"));
    return name != NULL ? name : "";
}

static enum err_code on_secret(void *context, enum change change, const struct json_tree *json)
{
    struct links *links = context;
    const char *name = name_of(json);
    struct secret *secret = NULL;
    if (change != CHANGE_DELETED)
        TRY(make_secret(links, json, &name, &secret));
    if (secret == NULL) {
        if (map_remove(links->secrets, name)) {
            forget_told(links, true, name);
            note_change(links);
        }
        return ERR_OK;
    }
    secret->generation = links->secret_generation;
    if (map_put(links->secrets, name, secret) != ERR_OK) {
        free_secret(secret);
        return ERR_NOMEM;
    }
    note_change(links);
    return ERR_OK;
}

static void on_secrets_begin(void *context) { ((struct links *)context)->secret_generation++; }

static void on_secrets_end(void *context)
{
    struct links *links = context;
    for (struct map_entry *at = map_first(links->secrets), *next; at != NULL; at = next) {
        next = map_next(at);
        if (((const struct secret *)map_value(at))->generation == links->secret_generation)
            continue;
        forget_told(links, true, map_key(at));
        (void)map_remove(links->secrets, map_key(at));
    }
    links->secrets_listed = true;
    note_change(links);
}

/* ---- Link resources ---- */

static void free_resource(void *value)
{
    struct resource *resource = value;
    link_free(resource->link);
    packed_free(resource->status);
    mem_free(resource->uid);
    mem_free(resource->version);
    mem_free(resource);
}

/* Compressed: of text that repeats itself, a third of a KiB for each service. @param status  NULL: none. */
static enum err_code keep_status(const struct json_tree *status, struct packed **ret_packed)
{
    struct strbuf text;
    if (status == NULL)
        return ERR_OK;
    strbuf_init(&text, STATUS_BYTES);
    json_tree_write(status, &text);
    enum err_code code =
        strbuf_error(&text) == ERR_OK ? packed_new(strbuf_text(&text), text.length, ret_packed) : ERR_NOMEM;
    strbuf_done(&text);
    return code;
}

static enum err_code fill_resource(struct links *links, const struct json_tree *json, struct resource *resource)
{
    struct link_resource fields;
    const struct link *link = NULL;
    struct object_meta meta;
    struct err error = {0};
    arena_reset(&links->scratch);
    enum err_code code = codec_read_link(&links->scratch, json, &fields, &resource->error);
    if (code == ERR_OK)
        code = link_from_resource(&links->scratch, &fields, &link, &resource->error);
    if (code == ERR_NOMEM || codec_read_meta(&links->scratch, json, &meta, &error) != ERR_OK)
        return ERR_NOMEM;
    resource->uid = mem_strdup(meta.uid);
    resource->version = mem_strdup(meta.resource_version);
    TRY(keep_status(json_tree_get(json, "status"), &resource->status));
    keep_cluster(resource->cluster, json_tree_text(json_tree_get(json_tree_get(json, "spec"), "targetClusterName")));
    if (code == ERR_OK)
        resource->link = link_copy(link);
    return resource->uid == NULL || resource->version == NULL || (code == ERR_OK && resource->link == NULL) ? ERR_NOMEM
                                                                                                            : ERR_OK;
}

/* An object that is being deleted declares nothing any more, however long somebody's finalizer holds it. */
static bool is_going(enum change change, const struct json_tree *json)
{
    const struct json_tree *deleted = json_tree_get(json_tree_get(json, "metadata"), "deletionTimestamp");
    return change == CHANGE_DELETED || json_tree_text(deleted) != NULL;
}

static void tell_status(struct links *links, const char *name, const char *version)
{
    for (struct target *target = links->targets; target != NULL; target = target_next(target))
        if (target_link(target)->kind == LINK_RESOURCE && strcmp(target_link(target)->name, name) == 0)
            statuses_changed(links->control->statuses, target_world_link(target), version);
}

static enum err_code on_link(void *context, enum change change, const struct json_tree *json)
{
    struct links *links = context;
    const char *name = name_of(json);
    TRY(finalizers_see(links->finalizers, change, json));
    if (is_going(change, json)) {
        if (map_remove(links->resources, name)) {
            forget_told(links, false, name);
            note_change(links);
        }
        return ERR_OK;
    }
    struct resource *resource = NEW(struct resource);
    if (resource == NULL)
        return ERR_NOMEM;
    resource->generation = links->resource_generation;
    enum err_code code = fill_resource(links, json, resource);
    const struct resource *before = map_get(links->resources, name);
    bool same_status = before != NULL && packed_equal(before->status, resource->status);
    if (code != ERR_OK || map_put(links->resources, name, resource) != ERR_OK) {
        free_resource(resource);
        return ERR_NOMEM;
    }
    if (!same_status)
        tell_status(links, name, resource->version);
    note_change(links);
    return ERR_OK;
}

static void on_links_begin(void *context)
{
    struct links *links = context;
    links->resource_generation++;
    finalizers_begin(links->finalizers);
}

static void sweep_resources(struct links *links)
{
    for (struct map_entry *at = map_first(links->resources), *next; at != NULL; at = next) {
        next = map_next(at);
        if (((const struct resource *)map_value(at))->generation == links->resource_generation)
            continue;
        forget_told(links, false, map_key(at));
        (void)map_remove(links->resources, map_key(at));
    }
}

static void on_links_end(void *context)
{
    struct links *links = context;
    sweep_resources(links);
    finalizers_end(links->finalizers);
    links->links_listed = true;
    note_change(links);
}

/* ---- watching both ---- */

/* Once for each kind of failure: a right that is missing is told even when the server could not be reached before. */
static void tell_watch(struct links *links, enum err_code *told, const char *resource,
                       const struct list_watch_state *state)
{
    enum err_code code = state->healthy ? ERR_OK : state->error.code;
    metric_set(metric_get(links->control->instruments.declarations_readable, resource), state->healthy);
    if (*told == code)
        return;
    *told = code;
    if (state->healthy)
        log_info("link_watch_recovered", "watching the links' declarations works again", "resource", resource, NULL);
    else
        log_warn("link_watch_failed", "watching the links' declarations failed and is tried again", "resource",
                 resource, "error", state->error.text, NULL);
}

static void on_secrets_state(void *context, const struct list_watch_state *state)
{
    struct links *links = context;
    tell_watch(links, &links->secret_failure_told, "secrets", state);
}

static void on_links_state(void *context, const struct list_watch_state *state)
{
    struct links *links = context;
    tell_watch(links, &links->link_failure_told, "links", state);
    if (!state->healthy && state->error.code == ERR_NOT_FOUND)
        discovery_ask(links->discovery); /* that version is served no longer */
    /* Another failure does not mean that the right is there again. */
    bool forbidden = !state->healthy && (links->links_forbidden || state->error.code == ERR_FORBIDDEN);
    if (links->links_forbidden != forbidden) {
        links->links_forbidden = forbidden;
        note_change(links);
    }
}

static void on_version(void *context, const char *version, const struct err *error)
{
    struct links *links = context;
    if (error != NULL)
        return; /* asked again; the source cluster's watches tell of the outage */
    links->discovered = true;
    links->version = version;
    list_watch_free(TAKE(links->link_watch));
    links->links_listed = links->links_forbidden = false;
    links->link_failure_told = ERR_OK;
    metric_forget(links->control->instruments.declarations_readable, 1, "links");
    if (version == NULL) {
        links->resource_generation++;
        sweep_resources(links);
        log_info("links_absent", "the cluster has no Link resources: only 2.8 Secrets declare links", NULL);
        note_change(links);
        return;
    }
    char path[512];
    (void)snprintf(path, sizeof(path), "/apis/" L5D_LINK_GROUP "/%s/namespaces/%s/links", version,
                   links->control->namespace);
    const struct list_watch_config config = {.resource = "links",
                                             .kind = "Link",
                                             .path = path,
                                             .on_object = on_link,
                                             .on_begin = on_links_begin,
                                             .on_end = on_links_end,
                                             .on_state = on_links_state,
                                             .context = links};
    struct err ignored = {0};
    log_info("links_served", "Link resources are watched", "version", version, NULL);
    if (list_watch_new(links->control->config.loop, links->control->client, &config, &links->link_watch, &ignored) !=
        ERR_OK)
        links->discovered = false; /* out of memory: asked again with the next discovery */
}

static enum err_code start(struct links *links)
{
    struct err ignored = {0};
    char path[512];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/secrets", links->control->namespace);
    const struct list_watch_config config = {.resource = "secrets",
                                             .kind = "Secret",
                                             .path = path,
                                             .on_object = on_secret,
                                             .on_begin = on_secrets_begin,
                                             .on_end = on_secrets_end,
                                             .on_state = on_secrets_state,
                                             .context = links};
    TRY(list_watch_new(links->control->config.loop, links->control->client, &config, &links->secret_watch, &ignored));
    return discovery_new(links->control->config.loop, links->control->client, L5D_LINK_GROUP, "links", versions, 0,
                         on_version, links, &links->discovery, &ignored);
}

enum err_code links_new(struct control *control, struct links **ret_links)
{
    struct links *links = NEW(struct links);
    if (links == NULL)
        return ERR_NOMEM;
    links->control = control;
    arena_init(&links->scratch, DECODE_BYTES);
    links->resources = map_new(free_resource);
    links->secrets = map_new(free_secret);
    links->told = map_new(free_complaint);
    if (links->resources == NULL || links->secrets == NULL || links->told == NULL ||
        finalizers_new(control, &links->finalizers) != ERR_OK || start(links) != ERR_OK) {
        links_free(links);
        return ERR_NOMEM;
    }
    *ret_links = links;
    return ERR_OK;
}

void links_free(struct links *links)
{
    if (links == NULL)
        return;
    discovery_free(links->discovery);
    list_watch_free(links->link_watch);
    list_watch_free(links->secret_watch);
    finalizers_free(links->finalizers);
    while (links->targets != NULL) {
        struct target *target = links->targets;
        links->targets = target_next(target);
        target_free(target);
    }
    map_free(links->resources);
    map_free(links->secrets);
    map_free(links->told);
    arena_done(&links->scratch);
    mem_free(links);
}

/* ---- what follows from the declarations ---- */

static bool older(const struct link *a, const struct link *b)
{
    /* A Link resource is the newer way of declaring: it wins over a Secret that names the same cluster. */
    if (a->kind != b->kind)
        return a->kind == LINK_RESOURCE;
    return a->created_us != b->created_us ? a->created_us < b->created_us : strcmp(a->id, b->id) < 0;
}

/* A Link that cannot be used may still say whose credentials a Secret holds: those that its target has, or those that are called after it. */
static bool refers_to(const struct links *links, const char *name, const struct resource *resource,
                      const char *secret_name)
{
    if (resource->link != NULL)
        return strcmp(resource->link->credentials_secret, secret_name) == 0;
    for (const struct target *target = links->targets; target != NULL; target = target_next(target)) {
        const struct link *link = target_link(target);
        if (link->kind == LINK_RESOURCE && strcmp(link->name, name) == 0)
            return strcmp(link->credentials_secret, secret_name) == 0;
    }
    return text_starts_with(secret_name, CREDENTIALS_PREFIX) &&
           strcmp(secret_name + strlen(CREDENTIALS_PREFIX), name) == 0;
}

static bool is_referenced(const struct links *links, const char *secret_name)
{
    for (struct map_entry *at = map_first(links->resources); at != NULL; at = map_next(at))
        if (refers_to(links, map_key(at), map_value(at), secret_name))
            return true;
    return false;
}

/* An agent may be told to serve one Link only, as Linkerd runs one controller for each. */
static bool is_served(const struct links *links, const char *name)
{
    const char *only = links->control->config.only_link;
    return only == NULL || strcmp(only, name) == 0;
}

/* The 2.8 link that a Secret means to declare: credentials that a Link refers to declare none of their own, and where there can be Links those
 * without any of 2.8's annotations wait for theirs. */
static bool declares(const struct links *links, const char *name, const struct secret *secret)
{
    bool waits = secret->is_bare && links->version != NULL;
    return secret->is_mirror_type && !waits && links->control->config.only_link == NULL && !is_referenced(links, name);
}

/* A declaration that became unusable leaves the link as it was: a mistake in it must not take mirrors away. */
static bool is_declared_badly(const struct links *links, const struct target *target)
{
    const struct link *link = target_link(target);
    if (link->kind == LINK_RESOURCE) {
        const struct resource *resource = map_get(links->resources, link->name);
        return resource != NULL && resource->link == NULL;
    }
    const struct secret *secret = map_get(links->secrets, link->name);
    return secret != NULL && secret->link == NULL && declares(links, link->name, secret);
}

static enum err_code propose(struct map *winners, const struct link *link)
{
    const struct link *rival = map_get(winners, link->cluster_name);
    return rival == NULL || older(link, rival) ? map_put(winners, link->cluster_name, mem_unconst(link)) : ERR_OK;
}

/* One link for each cluster name. */
static enum err_code elect(const struct links *links, struct map *winners)
{
    for (struct map_entry *at = map_first(links->resources); at != NULL; at = map_next(at)) {
        const struct resource *resource = map_value(at);
        if (resource->link != NULL && is_served(links, map_key(at)))
            TRY(propose(winners, resource->link));
    }
    for (struct map_entry *at = map_first(links->secrets); at != NULL; at = map_next(at)) {
        const struct secret *secret = map_value(at);
        if (secret->link != NULL && declares(links, map_key(at), secret))
            TRY(propose(winners, secret->link));
    }
    for (const struct target *target = links->targets; target != NULL; target = target_next(target))
        if (is_declared_badly(links, target))
            TRY(propose(winners, target_link(target)));
    return ERR_OK;
}

/* What a usable declaration has to be told: why it does nothing, or what is odd about it. */
static void tell_link(struct links *links, const struct map *winners, const struct link *link)
{
    const struct link *winner = map_get(winners, link->cluster_name);
    bool is_secret = link->kind == LINK_SECRET;
    char text[ERR_TEXT_BYTES];
    if (winner == link) {
        tell(links, is_secret, link->name, link->uid, link->cluster_name, link->warning, false);
        return;
    }
    (void)snprintf(text, sizeof(text), "cluster name \"%s\" is already linked by %s %s: give each target its own name",
                   link->cluster_name, kind_name(winner->kind == LINK_SECRET), winner->name);
    tell(links, is_secret, link->name, link->uid, link->cluster_name, text, true);
}

/* Tells each declaration its one message, or that it has none. @return whether all are valid. */
static bool tell_all(struct links *links, const struct map *winners)
{
    const struct instruments *instruments = &links->control->instruments;
    bool all_valid = true;
    metric_forget(instruments->link_invalid, 1, kind_name(false));
    metric_forget(instruments->link_invalid, 1, kind_name(true));
    for (struct map_entry *at = map_first(links->resources); at != NULL; at = map_next(at)) {
        const struct resource *resource = map_value(at);
        if (!is_served(links, map_key(at)))
            continue;
        all_valid = all_valid && resource->link != NULL;
        if (resource->link != NULL)
            tell_link(links, winners, resource->link);
        else
            tell(links, false, map_key(at), resource->uid, resource->cluster, resource->error.text, true);
    }
    for (struct map_entry *at = map_first(links->secrets); at != NULL; at = map_next(at)) {
        const struct secret *secret = map_value(at);
        if (!declares(links, map_key(at), secret)) {
            forget_told(links, true, map_key(at));
            continue;
        }
        all_valid = all_valid && secret->link != NULL;
        if (secret->link != NULL)
            tell_link(links, winners, secret->link);
        else
            tell(links, true, map_key(at), secret->uid, secret->cluster, secret->error.text, true);
    }
    return all_valid;
}

static const struct link *wanted_for(const struct map *winners, const struct target *target)
{
    const struct link *now = target_link(target), *wanted = map_get(winners, now->cluster_name);
    return wanted != NULL && strcmp(wanted->id, now->id) == 0 ? wanted : NULL;
}

static void remove_unwanted(struct links *links, const struct map *winners)
{
    struct target *kept = NULL, *last = NULL;
    for (struct target *target = links->targets, *next; target != NULL; target = next) {
        next = target_next(target);
        if (wanted_for(winners, target) != NULL) {
            target_set_next(target, NULL);
            if (last != NULL)
                target_set_next(last, target);
            else
                kept = target;
            last = target;
            continue;
        }
        log_info("link_removed", "the link is gone: its mirrors are removed", "cluster",
                 target_link(target)->cluster_name, "link", target_link(target)->id, NULL);
        target_free(target);
    }
    links->targets = kept;
}

static struct target *find_target(const struct links *links, const struct link *link)
{
    for (struct target *target = links->targets; target != NULL; target = target_next(target))
        if (strcmp(target_link(target)->id, link->id) == 0)
            return target;
    return NULL;
}

static enum err_code give_credentials(struct links *links, struct target *target)
{
    const struct link *link = target_link(target);
    const struct secret *secret = map_get(links->secrets, link->credentials_secret);
    char text[ERR_TEXT_BYTES] = "";
    if (secret == NULL && !links->secrets_listed)
        return ERR_OK;
    if (secret == NULL)
        (void)
            snprintf(text, sizeof(text),
                     "Secret %s/%s does not exist: create it with a kubeconfig for the target under the key kubeconfig",
                     link->namespace, link->credentials_secret);
    else if (secret->kubeconfig == NULL)
        (void)snprintf(text, sizeof(text), "Secret %s/%s has no key kubeconfig", link->namespace,
                       link->credentials_secret);
    const struct renewal_wish wish = {.duration = secret != NULL ? secret->renew_token : NULL,
                                      .copy = secret != NULL ? secret->copy : NULL};
    return target_credentials(target, secret != NULL ? secret->kubeconfig : NULL, &wish, text);
}

static enum err_code apply(struct links *links, const struct link *link)
{
    struct target *target = find_target(links, link);
    if (target == NULL) {
        TRY(target_new(links->control, link, &target));
        target_set_next(target, links->targets);
        links->targets = target;
        log_info("link_added", "a target is linked", "cluster", link->cluster_name, "link", link->id, NULL);
    } else if (!link_equal(target_link(target), link)) {
        TRY(target_declare(target, link));
        log_info("link_changed", "the link's declaration changed", "cluster", link->cluster_name, "link", link->id,
                 NULL);
    }
    return give_credentials(links, target);
}

/* Whether every declaration is known: only then may it be concluded that a cluster has no link. */
static bool all_known(const struct links *links)
{
    return links->secrets_listed && links->discovered &&
           (links->version == NULL || (links->links_listed && !links->links_forbidden));
}

/* Whether as much is known as can be: where Links may not be read, Secrets alone declare. Until both kinds are settled a Secret
 * cannot be told from one that a Link refers to. */
static bool is_settled(const struct links *links)
{
    return links->secrets_listed && links->discovered &&
           (links->version == NULL || links->links_listed || links->links_forbidden);
}

static enum err_code reconcile(struct links *links)
{
    struct map *winners = map_new(NULL);
    if (winners == NULL)
        return ERR_NOMEM;
    bool all_valid = false;
    enum err_code code = elect(links, winners);
    if (code == ERR_OK) {
        links->told_all = true;
        all_valid = tell_all(links, winners);
        remove_unwanted(links, winners);
        for (struct map_entry *at = map_first(winners); at != NULL; at = map_next(at))
            if (apply(links, map_value(at)) != ERR_OK)
                code = ERR_NOMEM; /* of this link alone: the others come to theirs */
    }
    map_free(winners);
    TRY(code);
    bool all_served = links->control->config.only_link == NULL; /* else other agents account for the rest */
    world_set_links_complete(links->control->world, all_served && all_known(links) && all_valid);
    finalizers_wake(links->finalizers);
    return links->told_all ? ERR_OK : ERR_NOMEM;
}

bool links_turn(struct links *links)
{
    if (links->changed && (is_settled(links) || links->targets != NULL)) {
        links->changed = reconcile(links) != ERR_OK;
        links->judged = links->judged || (!links->changed && is_settled(links));
        if (links->changed)
            control_turn_again(links->control);
    }
    if (world_any_wants_listing(links->control->world)) /* hundreds of targets cost a turn more than all else in it */
        for (struct target *target = links->targets; target != NULL; target = target_next(target))
            target_turn(target);
    finalizers_turn(links->finalizers);
    return false;
}

bool links_judged(const struct links *links) { return links->judged && !links->changed; }

const struct link *links_served(const struct links *links, const char *link_name)
{
    for (const struct target *target = links->targets; target != NULL; target = target_next(target))
        if (target_link(target)->kind == LINK_RESOURCE && strcmp(target_link(target)->name, link_name) == 0)
            return target_link(target);
    return NULL;
}

const struct finalizers *links_finalizers(const struct links *links) { return links->finalizers; }

static bool names_cluster(const struct link *link, const char *cluster_name)
{
    return link != NULL && strcmp(link->cluster_name, cluster_name) == 0;
}

bool links_name_cluster(const struct links *links, const char *cluster_name)
{
    for (struct map_entry *at = map_first(links->resources); at != NULL; at = map_next(at))
        if (names_cluster(((const struct resource *)map_value(at))->link, cluster_name))
            return true;
    for (struct map_entry *at = map_first(links->secrets); at != NULL; at = map_next(at)) {
        const struct secret *secret = map_value(at);
        if (declares(links, map_key(at), secret) && names_cluster(secret->link, cluster_name))
            return true;
    }
    for (const struct target *target = links->targets; target != NULL; target = target_next(target))
        if (names_cluster(target_link(target), cluster_name))
            return true;
    return false;
}

struct target *links_first(const struct links *links) { return links->targets; }

struct target *links_next(const struct target *target) { return target_next(target); }

const char *links_version(const struct links *links) { return links->version; }

enum err_code links_read_status(const struct links *links, const char *link_name, struct arena *arena,
                                const struct json_tree **ret_status)
{
    const struct resource *resource = map_get(links->resources, link_name);
    char *text = NULL;
    size_t bytes = 0;
    *ret_status = NULL;
    if (resource == NULL || resource->status == NULL)
        return ERR_OK;
    TRY(packed_text(resource->status, &text, &bytes));
    enum err_code code = json_tree_parse(arena, text, bytes, ret_status, NULL);
    mem_free(text);
    return code == ERR_NOMEM ? code : ERR_OK; /* what is no object says nothing */
}

bool links_ready(const struct links *links, struct strbuf *why)
{
    bool ready = true;
    if (!links->judged || !is_settled(links)) {
        strbuf_append(why, "source cluster: the links' declarations are not listed yet\n");
        ready = false;
    }
    for (const struct target *target = links->targets; target != NULL; target = target_next(target)) {
        if (target_settled(target))
            continue;
        strbuf_printf(why, "link %s: the target is not listed yet\n", target_link(target)->cluster_name);
        ready = false;
    }
    return ready;
}

void links_each_complaint(const struct links *links, void (*fn)(void *context, const char *object, const char *text),
                          void *context)
{
    for (struct map_entry *at = map_first(links->told); at != NULL; at = map_next(at))
        fn(context, map_key(at), ((const struct complaint *)map_value(at))->text);
}

const char *links_refusal_of(const struct links *links, const struct link *link)
{
    char key[300];
    (void)snprintf(key, sizeof(key), "%s/%s", kind_name(link->kind == LINK_SECRET), link->name);
    const struct complaint *complaint = map_get(links->told, key);
    return complaint != NULL && complaint->fatal ? complaint->text : "";
}

static bool has_target(const struct links *links, const char *kind, const char *name)
{
    for (const struct target *target = links->targets; target != NULL; target = target_next(target))
        if (strcmp(kind_name(target_link(target)->kind == LINK_SECRET), kind) == 0 &&
            strcmp(target_link(target)->name, name) == 0)
            return true;
    return false;
}

void links_each_refusal(const struct links *links, void (*fn)(void *context, const struct link_refusal *refusal),
                        void *context)
{
    for (struct map_entry *at = map_first(links->told); at != NULL; at = map_next(at)) {
        const struct complaint *complaint = map_value(at);
        const char *name = strchr(map_key(at), '/') + 1;
        const char *kind = kind_name(text_starts_with(map_key(at), "Secret/"));
        const struct link_refusal refusal = {kind, links->control->namespace, name, complaint->cluster,
                                             complaint->text};
        if (complaint->fatal && !has_target(links, kind, name))
            fn(context, &refusal);
    }
}

const struct err *links_failure(const struct links *links)
{
    const struct list_watch_state *state = list_watch_state(links->secret_watch);
    return !links->secrets_listed && state->error.code != ERR_OK ? &state->error : NULL;
}
