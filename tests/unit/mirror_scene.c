#include "tests/unit/mirror_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"

enum { ARENA_BYTES = 1 << 30, PLAN_BYTES = 1 << 20, TEXT_BYTES = 1 << 22, MAX_WORK = 20000 };

/* ---- failing allocations, without the scene's own ---- */

static unsigned long fail_at_count; /* the number of the allocation that fails; 0: none */

void scene_fail_at(unsigned long n)
{
    mem_fail_at(n);
    fail_at_count = n > 0 ? mem_allocation_count() + n : 0;
}

bool scene_fail_left(void)
{
    bool left = fail_at_count > mem_allocation_count();
    mem_fail_at(0);
    fail_at_count = 0;
    return left;
}

static unsigned pauses;
static unsigned long left_at_pause;

/* May be nested. */
static void pause_failing(void)
{
    if (pauses++ > 0)
        return;
    unsigned long now = mem_allocation_count();
    left_at_pause = fail_at_count > now ? fail_at_count - now : 0;
    mem_fail_at(0);
}

static void resume_failing(void)
{
    if (--pauses == 0 && fail_at_count > 0)
        scene_fail_at(left_at_pause);
}

/* ---- clusters ---- */

static struct object_meta *meta_of(enum object_kind kind, void *object)
{
    return kind == KIND_SERVICE || kind == KIND_MCS ? &((struct service *)object)->meta
           : kind == KIND_SLICE                     ? &((struct slice *)object)->meta
                                                    : &((struct namespace_object *)object)->meta;
}

static const char *key_of(enum object_kind kind, void *object, char key[OBJECT_KEY_BYTES])
{
    const struct object_meta *meta = meta_of(kind, object);
    if (kind == KIND_NAMESPACE)
        (void)snprintf(key, OBJECT_KEY_BYTES, "%s", meta->name);
    else
        object_key_format(key, meta->namespace, meta->name);
    return key;
}

static void *copy_object(enum object_kind kind, const void *object)
{
    if (kind == KIND_SERVICE || kind == KIND_MCS)
        return service_copy(object);
    if (kind == KIND_SLICE)
        return slice_copy(object);
    /* A namespace's labels are kept as a Service's are. */
    const struct namespace_object *from = object;
    struct service carrier = {.meta = from->meta};
    struct service *copy = service_copy(&carrier);
    struct namespace_object *to = (struct namespace_object *)copy;
    _Static_assert(sizeof(struct namespace_object) <= sizeof(struct service), "fits into the carrier");
    to->terminating = from->terminating;
    return to;
}

static void cluster_init(struct cluster *cluster, bool is_source)
{
    *cluster = (struct cluster){.is_source = is_source};
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        cluster->objects[kind] = map_new(mem_free);
}

static void cluster_done(struct cluster *cluster)
{
    for (enum object_kind kind = 0; kind < KINDS; kind++) {
        map_free(cluster->objects[kind]);
        for (size_t i = 0; i < cluster->log_count[kind]; i++)
            mem_free(cluster->log[kind][i].object);
        free(cluster->log[kind]);
    }
}

static void cluster_log(struct cluster *cluster, enum object_kind kind, enum world_change change, const void *object)
{
    if (cluster->log_count[kind] == cluster->log_capacity[kind]) {
        cluster->log_capacity[kind] = cluster->log_capacity[kind] * 2 + 16;
        cluster->log[kind] = realloc(cluster->log[kind], cluster->log_capacity[kind] * sizeof(struct log_entry));
    }
    cluster->log[kind][cluster->log_count[kind]++] = (struct log_entry){change, copy_object(kind, object)};
}

/* It cannot be changed in place. */
static void keep_cluster_ip(struct arena *arena, struct service *service, const struct service *old)
{
    if (strcmp(service->meta.uid, old->meta.uid) == 0 && service->headless == old->headless &&
        service->cluster_ip[0] == '\0')
        service->cluster_ip = arena_strdup(arena, old->cluster_ip);
}

/* Stores a copy; uid and version are given where the words had none. */
static void cluster_put(struct scene *scene, struct cluster *cluster, enum object_kind kind, void *object)
{
    char key[OBJECT_KEY_BYTES];
    struct object_meta *meta = meta_of(kind, object);
    void *old = map_get(cluster->objects[kind], key_of(kind, object, key));
    pause_failing();
    cluster->versions++;
    if (meta->uid[0] == '\0')
        meta->uid = old != NULL ? arena_strdup(&scene->arena, meta_of(kind, old)->uid)
                                : arena_printf(&scene->arena, "uid-%lu", ++cluster->uids);
    /* What somebody edits keeps the managed fields of who made it. */
    if (old != NULL && strcmp(meta->uid, meta_of(kind, old)->uid) == 0)
        meta->made_by_us = meta->made_by_us || meta_of(kind, old)->made_by_us;
    if (kind == KIND_SERVICE && old != NULL)
        keep_cluster_ip(&scene->arena, object, old);
    if (meta->resource_version[0] == '\0')
        meta->resource_version = arena_printf(&scene->arena, "%lu", 1000 + cluster->versions);
    cluster_log(cluster, kind, WORLD_PUT, object);
    assert_int_equal(map_put(cluster->objects[kind], key, copy_object(kind, object)), ERR_OK);
    resume_failing();
}

static void collect_garbage(struct cluster *cluster, const char *uid)
{
    for (struct map_entry *at = map_first(cluster->objects[KIND_SLICE]), *next; at != NULL; at = next) {
        next = map_next(at);
        const struct slice *slice = map_value(at);
        if (strcmp(slice->meta.owner_uid, uid) == 0)
            scene_delete(cluster, KIND_SLICE, map_key(at));
    }
}

static bool delete_one(struct cluster *cluster, enum object_kind kind, const char *namespace)
{
    for (struct map_entry *at = map_first(cluster->objects[kind]); at != NULL; at = map_next(at))
        if (strcmp(meta_of(kind, map_value(at))->namespace, namespace) == 0) {
            scene_delete(cluster, kind, map_key(at));
            return true;
        }
    return false;
}

static void delete_content(struct cluster *cluster, const char *namespace)
{
    while (delete_one(cluster, KIND_SERVICE, namespace) || delete_one(cluster, KIND_SLICE, namespace) ||
           delete_one(cluster, KIND_MCS, namespace))
        ;
}

void scene_copy(struct scene *scene, struct cluster *to, const struct cluster *from, enum object_kind kind,
                bool (*wanted)(const struct object_meta *meta))
{
    for (struct map_entry *at = map_first(from->objects[kind]); at != NULL; at = map_next(at)) {
        const struct object_meta *meta = meta_of(kind, map_value(at));
        if (wanted != NULL && !wanted(meta))
            continue;
        void *copy = copy_object(kind, map_value(at));
        cluster_put(scene, to, kind, copy);
        mem_free(copy);
    }
}

void scene_delete(struct cluster *cluster, enum object_kind kind, const char *key)
{
    void *object = map_get(cluster->objects[kind], key);
    if (object == NULL)
        return;
    pause_failing();
    char uid[64], name[254], own_key[OBJECT_KEY_BYTES];
    (void)snprintf(own_key, sizeof(own_key), "%s", key); /* the caller's may be the entry's */
    (void)snprintf(uid, sizeof(uid), "%s", meta_of(kind, object)->uid);
    (void)snprintf(name, sizeof(name), "%s", meta_of(kind, object)->name);
    cluster->versions++;
    cluster_log(cluster, kind, WORLD_DELETED, object);
    (void)map_remove(cluster->objects[kind], own_key);
    if (kind == KIND_SERVICE)
        collect_garbage(cluster, uid);
    if (kind == KIND_NAMESPACE)
        delete_content(cluster, name);
    resume_failing();
}

/* ---- the API server's answer to a write ---- */

static bool is_mirror(const struct object_meta *meta) { return kv_has(&meta->labels, L5D_MIRRORED_SERVICE, "true"); }

static bool labels_are_valid(const struct kv_list *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        if (!text_is_label_value(labels->items[i].value))
            return false;
    return true;
}

static enum err_code create(struct scene *scene, enum object_kind kind, void *object)
{
    char key[OBJECT_KEY_BYTES];
    struct cluster *cluster = &scene->source;
    struct object_meta *meta = meta_of(kind, object);
    if (kind != KIND_NAMESPACE) {
        const struct namespace_object *namespace = map_get(cluster->objects[KIND_NAMESPACE], meta->namespace);
        if (namespace == NULL)
            return ERR_NOT_FOUND;
        if (namespace->terminating)
            return ERR_FORBIDDEN;
    }
    if (map_get(cluster->objects[kind], key_of(kind, object, key)) != NULL)
        return ERR_EXISTS;
    if (!labels_are_valid(&meta->labels) || (kind == KIND_SERVICE && !text_is_dns1123_label(meta->name)) ||
        (kind == KIND_SERVICE && ((struct service *)object)->port_count == 0))
        return ERR_REJECTED;
    assert_string_equal(meta->uid, "");
    assert_string_equal(meta->resource_version, "");
    meta->made_by_us = true;
    cluster_put(scene, cluster, kind, object);
    return ERR_OK;
}

/* Asked once the preconditions hold: what became another object since it was seen is refused by them. */
static void assert_ours(const struct object_meta *meta)
{
    if (!is_mirror(meta) && !meta->made_by_us)
        fail_msg("a write touches %s/%s, which is not ours", meta->namespace, meta->name);
}

static enum err_code update_service(struct scene *scene, const struct write *write, const struct service *there)
{
    const struct object_meta *old = &write->old_service->meta;
    if (strcmp(there->meta.uid, old->uid) != 0 || strcmp(there->meta.resource_version, old->resource_version) != 0)
        return ERR_CONFLICT;
    assert_ours(&there->meta);
    /* A patch of labels, annotations, ports and what would divert traffic: what else there is stays. */
    struct service wanted = *there;
    wanted.type = SERVICE_CLUSTER_IP;
    wanted.has_selector = false;
    wanted.is_node_local = wanted.publishes_unready = false;
    wanted.affinity_s = write->service->affinity_s;
    wanted.external_ip_count = 0;
    wanted.meta.labels = write->service->meta.labels;
    wanted.meta.annotations = write->service->meta.annotations;
    wanted.ports = write->service->ports;
    wanted.port_count = write->service->port_count;
    if (!labels_are_valid(&wanted.meta.labels) || wanted.port_count == 0)
        return ERR_REJECTED;
    wanted.meta.resource_version = "";
    wanted.meta.made_by_us = true;
    cluster_put(scene, &scene->source, KIND_SERVICE, &wanted);
    return ERR_OK;
}

/* Status and the rest are written by themselves, each leaving the other as it is. */
static enum err_code update_import(struct scene *scene, const struct write *write, const struct service *there)
{
    const struct object_meta *old = &write->old_service->meta;
    if (strcmp(there->meta.uid, old->uid) != 0 || strcmp(there->meta.resource_version, old->resource_version) != 0)
        return ERR_CONFLICT;
    assert_ours(&there->meta);
    struct service wanted = write->kind == WRITE_IMPORT ? *write->service : *there;
    wanted.clusters = write->kind == WRITE_IMPORT ? there->clusters : write->service->clusters;
    if (write->kind == WRITE_IMPORT)
        wanted.meta.uid = there->meta.uid;
    wanted.meta.resource_version = "";
    wanted.meta.made_by_us = true;
    cluster_put(scene, &scene->source, KIND_MCS, &wanted);
    return ERR_OK;
}

static enum err_code update_slice(struct scene *scene, const struct write *write, const struct slice *there)
{
    const struct object_meta *meta = &write->slice->meta;
    if (strcmp(there->meta.uid, meta->uid) != 0 || strcmp(there->meta.resource_version, meta->resource_version) != 0)
        return ERR_CONFLICT;
    assert_ours(&there->meta);
    if (there->address_type != write->slice->address_type || !labels_are_valid(&meta->labels))
        return ERR_REJECTED;
    struct slice wanted = *write->slice;
    wanted.meta.resource_version = "";
    wanted.meta.made_by_us = true;
    cluster_put(scene, &scene->source, KIND_SLICE, &wanted);
    return ERR_OK;
}

static enum err_code change(struct scene *scene, const struct write *write)
{
    char key[OBJECT_KEY_BYTES];
    enum object_kind kind = write->kind == WRITE_SERVICE                                        ? KIND_SERVICE
                            : write->kind == WRITE_IMPORT || write->kind == WRITE_IMPORT_STATUS ? KIND_MCS
                                                                                                : KIND_SLICE;
    assert_true(kind != KIND_MCS || strcmp(write->version, "v1beta1") == 0);
    assert_true(write->kind != WRITE_NAMESPACE); /* namespaces are never changed, let alone deleted */
    object_key_format(key, write->namespace, write->name);
    void *there = map_get(scene->source.objects[kind], key);
    if (there == NULL)
        return ERR_NOT_FOUND;
    const struct object_meta *meta = meta_of(kind, there);
    if (write->verb == WRITE_UPDATE)
        return kind == KIND_SERVICE ? update_service(scene, write, there)
               : kind == KIND_MCS   ? update_import(scene, write, there)
                                    : update_slice(scene, write, there);
    const struct object_meta *old = kind != KIND_SLICE ? &write->old_service->meta : &write->old_slice->meta;
    if (strcmp(meta->uid, old->uid) != 0 || strcmp(meta->resource_version, old->resource_version) != 0)
        return ERR_CONFLICT;
    assert_ours(meta);
    scene_delete(&scene->source, kind, key);
    return ERR_OK;
}

enum err_code scene_apply(struct scene *scene, const struct write *write)
{
    pause_failing();
    enum err_code code;
    assert_non_null(write->reason);
    if (write->verb != WRITE_CREATE) {
        code = change(scene, write);
    } else if (write->kind == WRITE_SERVICE) {
        struct service service = *write->service;
        if (!service.headless)
            service.cluster_ip =
                arena_printf(&scene->arena, "10.96.%lu.%lu", scene->source.uids / 250, scene->source.uids % 250 + 1);
        code = create(scene, KIND_SERVICE, &service);
    } else if (write->kind == WRITE_IMPORT) {
        struct service import = *write->service;
        assert_string_equal(write->version, "v1beta1");
        import.clusters = "";
        code = create(scene, KIND_MCS, &import);
    } else if (write->kind == WRITE_SLICE) {
        struct slice slice = *write->slice;
        code = create(scene, KIND_SLICE, &slice);
    } else {
        struct namespace_object namespace = *write->namespace_object;
        code = create(scene, KIND_NAMESPACE, &namespace);
    }
    scene->writes += code == ERR_OK;
    resume_failing();
    return code;
}

/* ---- people ---- */

#define PRINT(scene, format, ret_text)                                                                                 \
    do {                                                                                                               \
        char buffer[1 << 14];                                                                                          \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        assert_true(vsnprintf(buffer, sizeof(buffer), format, args) < (int)sizeof(buffer));                            \
        va_end(args);                                                                                                  \
        (ret_text) = arena_strdup(&(scene)->arena, buffer);                                                            \
    } while (0)

void scene_source(struct scene *scene, const char *format, ...)
{
    const char *words;
    pause_failing();
    PRINT(scene, format, words);
    cluster_put(scene, &scene->source, KIND_SERVICE, service_of(&scene->arena, "%s", words));
    resume_failing();
}

void scene_source_slice(struct scene *scene, const char *format, ...)
{
    const char *words;
    pause_failing();
    PRINT(scene, format, words);
    cluster_put(scene, &scene->source, KIND_SLICE, slice_of(&scene->arena, "%s", words));
    resume_failing();
}

void scene_namespace(struct scene *scene, const char *words)
{
    cluster_put(scene, &scene->source, KIND_NAMESPACE, namespace_of(&scene->arena, words));
}

void scene_target(struct scene *scene, int target, const char *format, ...)
{
    const char *words;
    pause_failing();
    PRINT(scene, format, words);
    cluster_put(scene, &scene->targets[target], KIND_SERVICE, service_of(&scene->arena, "%s", words));
    resume_failing();
}

void scene_target_slice(struct scene *scene, int target, const char *format, ...)
{
    const char *words;
    pause_failing();
    PRINT(scene, format, words);
    cluster_put(scene, &scene->targets[target], KIND_SLICE, slice_of(&scene->arena, "%s", words));
    resume_failing();
}

void scene_export(struct scene *scene, int target, const char *format, ...)
{
    const char *words;
    pause_failing();
    PRINT(scene, format, words);
    cluster_put(scene, &scene->targets[target], KIND_MCS, service_of(&scene->arena, "%s", words));
    resume_failing();
}

void scene_import(struct scene *scene, const char *format, ...)
{
    const char *words;
    pause_failing();
    PRINT(scene, format, words);
    struct service *import = service_of(&scene->arena, "%s", words);
    import->is_import = true;
    import->cluster_ip = import->clusters = "";
    cluster_put(scene, &scene->source, KIND_MCS, import);
    resume_failing();
}

const struct service *scene_service_import(const struct scene *scene, const char *key)
{
    return map_get(scene->source.objects[KIND_MCS], key);
}

const struct service *scene_service(const struct scene *scene, const char *key)
{
    return map_get(scene->source.objects[KIND_SERVICE], key);
}

const struct slice *scene_slice(const struct scene *scene, const char *key)
{
    return map_get(scene->source.objects[KIND_SLICE], key);
}

size_t scene_count(const struct cluster *cluster, enum object_kind kind) { return map_count(cluster->objects[kind]); }

/* ---- links ---- */

static bool wants_members_apart(const struct scene *scene, int target)
{
    const struct link *link = scene->declarations[target];
    return scene->members_apart && link->kind == LINK_RESOURCE && !world_takes_exports(scene->links[target]) &&
           !selector_is_empty(&link->federated_selector) &&
           (!selector_is_empty(&link->selector) || !selector_is_empty(&link->discovery_selector));
}

enum err_code scene_declare(struct scene *scene, int target)
{
    struct feed *feed = &scene->target_feeds[target];
    if (scene->links[target] == NULL)
        *feed = (struct feed){.cluster = &scene->targets[target], .target = target};
    TRY(world_put_link(scene->world, scene->declarations[target], &scene->links[target]));
    bool apart = wants_members_apart(scene, target);
    TRY(world_watch_members_apart(scene->links[target], apart));
    if (apart != feed->apart)
        feed->listed[KIND_SERVICE] = feed->listed[KIND_MEMBER] = false;
    feed->apart = apart;
    return ERR_OK;
}

static void declare(struct scene *scene, int target, const struct link *link)
{
    const struct link *old = scene->declarations[target];
    if (old != NULL && strcmp(old->id, link->id) != 0)
        scene_unlink(scene, target);
    /* Another selector, or another gateway, is another watch. */
    if (old != NULL &&
        (!selector_equal(&old->selector, &link->selector) || !text_equal(old->gateway_service, link->gateway_service)))
        scene->target_feeds[target].listed[KIND_SERVICE] = false;
    if (old != NULL && old->takes_exports != link->takes_exports)
        scene->target_feeds[target].listed[KIND_SERVICE] = scene->target_feeds[target].listed[KIND_MCS] = false;
    if (old != NULL && !selector_equal(&old->federated_selector, &link->federated_selector))
        scene->target_feeds[target].listed[KIND_SERVICE] = scene->target_feeds[target].listed[KIND_MEMBER] = false;
    scene->declarations[target] = link;
    assert_int_equal(scene_declare(scene, target), ERR_OK);
    if (!scene->target_feeds[target].listed[KIND_SERVICE])
        world_set_unknown(scene->links[target], WORLD_TARGET_SERVICES);
    if (!scene->target_feeds[target].listed[KIND_MEMBER])
        world_set_unknown(scene->links[target], WORLD_TARGET_MEMBERS);
}

static const struct link *judge(struct scene *scene, const struct link_resource *resource)
{
    const struct link *link = NULL;
    struct err error = {0};
    if (link_from_resource(&scene->arena, resource, &link, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return link;
}

/* @return whether it is a word of that kind. */
static bool read_naming_word(struct scene *scene, struct naming *naming, const char *word)
{
    struct arena *arena = &scene->arena;
    if (text_starts_with(word, "name="))
        naming->name = arena_strdup(arena, word + 5);
    else if (text_starts_with(word, "map="))
        naming->namespaces = arena_strdup(arena, word + 4);
    else if (text_starts_with(word, "allow="))
        naming->allowed = arena_strdup(arena, word + 6);
    else
        return false;
    return true;
}

void scene_secret(struct scene *scene, int target, const char *words)
{
    char text[256], *rest = NULL;
    (void)snprintf(text, sizeof(text), "%s", words);
    const char *cluster = arena_strdup(&scene->arena, strtok_r(text, " ", &rest));
    struct link_secret secret = {.namespace = "l5d-mc",
                                 .name = arena_printf(&scene->arena, "cluster-credentials-%d", target),
                                 .uid = "secret-uid",
                                 .resource_version = "1",
                                 .created_us = target,
                                 .cluster_name = cluster,
                                 .cluster_domain = "cluster.local",
                                 .linkerd_namespace = "linkerd"};
    for (const char *word = strtok_r(NULL, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (text_starts_with(word, "age="))
            secret.created_us = strtol(word + 4, NULL, 10);
        else if (text_starts_with(word, "domain="))
            secret.cluster_domain = arena_strdup(&scene->arena, word + 7);
        else if (!read_naming_word(scene, &secret.naming, word))
            fail_msg("`%s` is no word of a Secret", word);
    }
    const struct link *link = NULL;
    struct err error = {0};
    if (link_from_secret(&scene->arena, &secret, &link, &error) != ERR_OK)
        fail_msg("%s", error.text);
    declare(scene, target, link);
}

static struct selector read_selector(struct scene *scene, const char *word)
{
    struct arena *arena = &scene->arena;
    struct selector_requirement *requirement = ARENA_NEW(arena, struct selector_requirement);
    const char **values = arena_array(arena, 1, sizeof(*values));
    struct kv_list pair = kv_of(arena, word);
    values[0] = pair.items[0].value;
    *requirement = (struct selector_requirement){pair.items[0].key, SELECTOR_IN, values, 1};
    return (struct selector){requirement, 1};
}

static void read_link_word(struct scene *scene, struct link_resource *resource, const char *word)
{
    struct arena *arena = &scene->arena;
    const char *value = strchr(word, '=') != NULL ? arena_strdup(arena, strchr(word, '=') + 1) : "";
    static const char *annotation, *label;
    if (text_starts_with(word, "gw="))
        resource->gateway_address = value;
    else if (text_starts_with(word, "port="))
        resource->gateway_port = value;
    else if (text_starts_with(word, "identity="))
        resource->gateway_identity = value;
    else if (text_starts_with(word, "ref=")) {
        resource->gateway = value;
        resource->gateway_port = NULL;
    } else if (text_starts_with(word, "probe=")) {
        resource->has_probe_spec = true;
        resource->probe_path = "/ready";
        resource->probe_port = value;
    } else if (text_starts_with(word, "period="))
        resource->probe_period = value;
    else if (text_starts_with(word, "select="))
        resource->selector = read_selector(scene, value);
    else if (text_starts_with(word, "discover="))
        resource->remote_discovery_selector = read_selector(scene, value);
    else if (text_starts_with(word, "federate="))
        resource->federated_service_selector = read_selector(scene, value);
    else if (strcmp(word, "drain") == 0)
        resource->drain = "true";
    else if (strcmp(word, "exports") == 0)
        resource->service_exports = "true";
    else if (text_starts_with(word, "headless="))
        resource->headless = value;
    else if (text_starts_with(word, "endpoints="))
        resource->endpoints = value;
    else if (text_starts_with(word, "age="))
        resource->created_us = strtol(value, NULL, 10);
    else if (text_starts_with(word, "domain="))
        resource->target_cluster_domain = value;
    else if (text_starts_with(word, "-#")) {
        label = arena_strdup(arena, word + 2);
        resource->excluded_labels = &label;
        resource->excluded_label_count = 1;
    } else if (text_starts_with(word, "-")) {
        annotation = arena_strdup(arena, word + 1);
        resource->excluded_annotations = &annotation;
        resource->excluded_annotation_count = 1;
    } else if (!read_naming_word(scene, &resource->naming, word))
        fail_msg("`%s` is no word of a Link", word);
}

void scene_link(struct scene *scene, int target, const char *words)
{
    char text[1024], *rest = NULL;
    (void)snprintf(text, sizeof(text), "%s", words);
    const char *cluster = arena_strdup(&scene->arena, strtok_r(text, " ", &rest));
    struct link_resource resource = {.namespace = "l5d-mc",
                                     .name = arena_printf(&scene->arena, "link%d", target),
                                     .uid = "link-uid",
                                     .resource_version = "1",
                                     .created_us = target,
                                     .target_cluster_name = cluster,
                                     .target_cluster_domain = "cluster.local",
                                     .gateway_port = "4143"};
    resource.selector = read_selector(scene, "~exported=true");
    resource.remote_discovery_selector = read_selector(scene, "~exported=remote-discovery");
    resource.federated_service_selector = read_selector(scene, "~federated=member");
    for (const char *word = strtok_r(NULL, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        read_link_word(scene, &resource, word);
    declare(scene, target, judge(scene, &resource));
}

void scene_local(struct scene *scene, int target)
{
    const struct link *link = NULL;
    struct err error = {0};
    const struct selector federated = read_selector(scene, "~federated=member");
    if (link_for_local(&scene->arena, "l5d-mc", &federated, "", "", &link, &error) != ERR_OK)
        fail_msg("%s", error.text);
    declare(scene, target, link);
}

void scene_unlink(struct scene *scene, int target)
{
    world_remove_link(scene->world, scene->links[target]);
    scene->target_feeds[target] = (struct feed){.cluster = &scene->targets[target], .target = target};
    scene->links[target] = NULL;
    scene->declarations[target] = NULL;
}

void scene_refuse_slices(struct scene *scene, int target, bool refused)
{
    scene->slices_refused[target] = refused;
    scene->target_feeds[target].listed[KIND_SLICE] = false;
}

void scene_refuse_exports(struct scene *scene, int target, bool refused)
{
    scene->exports_refused[target] = refused;
    scene->target_feeds[target].listed[KIND_MCS] = false;
}

static void tell_imports_served(struct scene *scene)
{
    world_serve_imports(scene->world, scene->imports_absent ? NULL : "v1beta1");
    scene->source_feed.listed[KIND_MCS] = false;
}

void scene_serve_imports(struct scene *scene, bool served)
{
    scene->imports_absent = !served;
    while (!served && map_first(scene->source.objects[KIND_MCS]) != NULL)
        scene_delete(&scene->source, KIND_MCS, map_key(map_first(scene->source.objects[KIND_MCS])));
    tell_imports_served(scene);
}

void scene_links_complete(struct scene *scene, bool complete)
{
    scene->links_complete = complete;
    world_set_links_complete(scene->world, complete);
}

/* ---- watches ---- */

/* Where the objects are that a view shows. */
static enum object_kind kept_as(enum object_kind view) { return view == KIND_MEMBER ? KIND_SERVICE : view; }

static enum world_collection collection_of(const struct feed *feed, enum object_kind kind)
{
    static const enum world_collection source[] = {WORLD_SOURCE_SERVICES, WORLD_SOURCE_SLICES, WORLD_SOURCE_NAMESPACES,
                                                   WORLD_SOURCE_IMPORTS};
    static const enum world_collection target[] = {[KIND_SERVICE] = WORLD_TARGET_SERVICES,
                                                   [KIND_SLICE] = WORLD_TARGET_SLICES,
                                                   [KIND_MCS] = WORLD_TARGET_EXPORTS,
                                                   [KIND_MEMBER] = WORLD_TARGET_MEMBERS};
    return feed->target < 0 ? source[kind] : target[kind];
}

static struct world_link *link_of(struct scene *scene, const struct feed *feed)
{
    return feed->target < 0 ? NULL : scene->links[feed->target];
}

static bool is_followed(const struct scene *scene, const struct feed *feed, enum object_kind kind)
{
    if (feed->target < 0)
        return kind < KINDS && (kind != KIND_MCS || !scene->imports_absent);
    if (kind == KIND_MEMBER)
        return feed->apart;
    const struct link *link = scene->declarations[feed->target];
    if (kind == KIND_MCS)
        return link != NULL && world_takes_exports(scene->links[feed->target]) && !scene->exports_refused[feed->target];
    return link != NULL && (kind == KIND_SERVICE || (kind == KIND_SLICE && link->kind == LINK_RESOURCE &&
                                                     !scene->slices_refused[feed->target]));
}

/* What is not selected (any more) is deleted for the watcher. */
static enum world_change shown_as(const struct link *link, enum object_kind view, enum world_change what,
                                  const struct service *service)
{
    const struct kv_list *labels = &service->meta.labels;
    bool selected = view == KIND_MEMBER ? selector_matches(&link->federated_selector, labels)
                                        : selector_matches(&link->selector, labels) ||
                                              selector_matches(&link->discovery_selector, labels);
    return selected ? what : WORLD_DELETED;
}

/* The source's watches select mirrors by their label: an object that loses it is deleted for the watcher. */
static enum err_code tell_world(struct scene *scene, const struct feed *feed, enum object_kind kind,
                                enum world_change what, void *object)
{
    struct world_link *link = link_of(scene, feed);
    if (kind == KIND_NAMESPACE)
        return world_source_namespace(scene->world, what, object);
    if (link != NULL && kind == KIND_SERVICE)
        TRY(world_target_gateway(link, what, object));
    if (link != NULL && feed->apart && kept_as(kind) == KIND_SERVICE)
        what = shown_as(scene->declarations[feed->target], kind, what, object);
    if (link != NULL && kind == KIND_MEMBER)
        return world_target_member(link, what, object);
    if (link != NULL && kind == KIND_MCS)
        return world_target_export(link, what, meta_of(kind, object));
    if (link != NULL)
        return kind == KIND_SERVICE ? world_target_service(link, what, object) : world_target_slice(link, what, object);
    if (!is_mirror(meta_of(kind, object)))
        what = WORLD_DELETED;
    return kind != KIND_SLICE ? world_source_service(scene->world, what, object)
                              : world_source_slice(scene->world, what, object);
}

/* The gateway that a Link names has a watch of its own, which here keeps step with that of the Services. */
static bool is_with_gateway(const struct feed *feed, enum object_kind kind)
{
    return feed->target >= 0 && kind == KIND_SERVICE;
}

/* As the agent does, which goes on after what was left out. */
static enum err_code tell(struct scene *scene, const struct feed *feed, enum object_kind kind, enum world_change what,
                          void *object)
{
    enum err_code code = tell_world(scene, feed, kind, what, object);
    return code == ERR_LIMIT ? ERR_OK : code;
}

enum err_code scene_list(struct scene *scene, struct feed *feed, enum object_kind kind)
{
    world_begin(scene->world, link_of(scene, feed), collection_of(feed, kind));
    if (is_with_gateway(feed, kind))
        world_begin(scene->world, link_of(scene, feed), WORLD_TARGET_GATEWAY);
    for (struct map_entry *at = map_first(feed->cluster->objects[kept_as(kind)]); at != NULL; at = map_next(at))
        if (feed->target >= 0 || kind == KIND_NAMESPACE || is_mirror(meta_of(kind, map_value(at))))
            TRY(tell(scene, feed, kind, WORLD_PUT, map_value(at)));
    world_end(scene->world, link_of(scene, feed), collection_of(feed, kind));
    if (is_with_gateway(feed, kind))
        world_end(scene->world, link_of(scene, feed), WORLD_TARGET_GATEWAY);
    feed->seen[kind] = feed->cluster->log_count[kept_as(kind)];
    feed->listed[kind] = true;
    return ERR_OK;
}

void scene_list_part(struct scene *scene, struct feed *feed, enum object_kind kind, unsigned count)
{
    world_begin(scene->world, link_of(scene, feed), collection_of(feed, kind));
    struct map_entry *at = map_first(feed->cluster->objects[kept_as(kind)]);
    for (; at != NULL && count > 0; at = map_next(at), count--)
        if (feed->target >= 0 || kind == KIND_NAMESPACE || is_mirror(meta_of(kind, map_value(at))))
            assert_int_equal(tell(scene, feed, kind, WORLD_PUT, map_value(at)), ERR_OK);
}

bool scene_is_behind(const struct feed *feed, enum object_kind kind)
{
    return feed->seen[kind] < feed->cluster->log_count[kept_as(kind)];
}

enum err_code scene_step(struct scene *scene, struct feed *feed, enum object_kind kind)
{
    if (!feed->listed[kind] || !scene_is_behind(feed, kind))
        return ERR_OK;
    const struct log_entry *entry = &feed->cluster->log[kept_as(kind)][feed->seen[kind]];
    enum err_code code = tell(scene, feed, kind, entry->change, entry->object);
    if (code == ERR_OK)
        feed->seen[kind]++;
    return code;
}

static void follow(struct scene *scene, struct feed *feed)
{
    for (enum object_kind kind = 0; kind < VIEWS; kind++) {
        if (!is_followed(scene, feed, kind))
            continue;
        if (!feed->listed[kind])
            assert_int_equal(scene_list(scene, feed, kind), ERR_OK);
        while (scene_is_behind(feed, kind))
            assert_int_equal(scene_step(scene, feed, kind), ERR_OK);
    }
}

static bool has_owner(const struct cluster *cluster, const struct slice *slice)
{
    for (struct map_entry *at = map_first(cluster->objects[KIND_SERVICE]); at != NULL; at = map_next(at))
        if (strcmp(((const struct service *)map_value(at))->meta.uid, slice->meta.owner_uid) == 0)
            return true;
    return slice->meta.owner_uid[0] == '\0';
}

/* What was written for a Service that was gone already. */
static void collect_late_garbage(struct cluster *cluster)
{
    for (struct map_entry *at = map_first(cluster->objects[KIND_SLICE]), *next; at != NULL; at = next) {
        next = map_next(at);
        if (!has_owner(cluster, map_value(at)))
            scene_delete(cluster, KIND_SLICE, map_key(at));
    }
}

void scene_hear(struct scene *scene)
{
    if (!scene->without_collector)
        collect_late_garbage(&scene->source);
    follow(scene, &scene->source_feed);
    for (int i = 0; i < SCENE_TARGETS; i++) {
        if (scene->links[i] == NULL)
            continue;
        if (scene->declarations[i]->kind == LINK_SECRET || scene->slices_refused[i])
            world_set_unavailable(scene->world, scene->links[i], WORLD_TARGET_SLICES);
        if (scene->exports_refused[i])
            world_set_unavailable(scene->world, scene->links[i], WORLD_TARGET_EXPORTS);
        follow(scene, &scene->target_feeds[i]);
        static const enum object_kind views[] = {KIND_SERVICE, KIND_MEMBER, KIND_SLICE};
        for (size_t j = 0; j < ARRAY_COUNT(views); j++) /* as the watches do */
            if (world_wants_listing(scene->links[i], collection_of(&scene->target_feeds[i], views[j])))
                assert_int_equal(scene_list(scene, &scene->target_feeds[i], views[j]), ERR_OK);
    }
    scene_probe(scene);
}

/* ---- resolver and probes ---- */

void scene_host(struct scene *scene, const char *host, const char *addresses)
{
    for (size_t i = 0; i < SCENE_FACTS; i++)
        if (scene->hosts[i].host == NULL || strcmp(scene->hosts[i].host, host) == 0) {
            scene->hosts[i].host = arena_strdup(&scene->arena, host);
            scene->hosts[i].addresses = arena_strdup(&scene->arena, addresses);
            return;
        }
    fail_msg("too many hosts");
}

void scene_verdict(struct scene *scene, const char *address, enum world_liveness liveness)
{
    for (size_t i = 0; i < SCENE_FACTS; i++)
        if (scene->verdicts[i].address[0] == '\0' || strcmp(scene->verdicts[i].address, address) == 0) {
            (void)snprintf(scene->verdicts[i].address, TEXT_IP_BYTES, "%s", address);
            scene->verdicts[i].liveness = liveness;
            return;
        }
    fail_msg("too many verdicts");
}

static enum world_liveness verdict_of(const struct scene *scene, const char *address)
{
    for (size_t i = 0; i < SCENE_FACTS; i++)
        if (strcmp(scene->verdicts[i].address, address) == 0)
            return scene->verdicts[i].liveness;
    return scene->verdict;
}

/* @return false while the name has not answered. */
static bool look_up(struct scene *scene, const char *name, const char **addresses, uint32_t *count)
{
    char canonical[TEXT_IP_BYTES], text[512], *rest = NULL;
    const char *list = NULL;
    if (text_parse_ip(name, canonical) != IP_NONE)
        list = canonical;
    for (size_t i = 0; list == NULL && i < SCENE_FACTS && scene->hosts[i].host != NULL; i++)
        if (strcmp(scene->hosts[i].host, name) == 0)
            list = scene->hosts[i].addresses;
    if (list == NULL)
        return false;
    (void)snprintf(text, sizeof(text), "%s", list);
    pause_failing();
    for (char *at = strtok_r(text, ",", &rest); at != NULL; at = strtok_r(NULL, ",", &rest))
        if (text_parse_ip(at, canonical) != IP_NONE)
            addresses[(*count)++] = arena_strdup(&scene->arena, canonical);
    resume_failing();
    return true;
}

static void probe_gateway(struct scene *scene, struct world_gateway *gateway)
{
    const struct gateway_spec *spec = world_gateway_spec(gateway);
    const char *addresses[SCENE_FACTS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < spec->address_count; i++)
        if (!look_up(scene, spec->addresses[i], addresses, &count))
            return;
    if (world_gateway_set_addresses(gateway, addresses, count) != ERR_OK)
        return; /* only in a sweep, which comes again */
    for (uint32_t i = 0; i < count; i++) {
        enum world_liveness liveness = spec->probe.enabled ? verdict_of(scene, addresses[i]) : WORLD_ALIVE;
        world_gateway_set_liveness(gateway, addresses[i], liveness);
    }
}

void scene_probe(struct scene *scene)
{
    for (int i = 0; i < SCENE_TARGETS; i++) {
        if (scene->links[i] == NULL)
            continue;
        struct world_gateway *gateway = world_first_gateway(scene->links[i]);
        for (; gateway != NULL; gateway = world_next_gateway(gateway))
            probe_gateway(scene, gateway);
    }
}

/* ---- the writer ---- */

/* As the writer does when a name is taken: looks who has it, and takes back what is ours but for its labels. */
static void look(struct scene *scene, struct mirror *mirror, const struct write *write)
{
    char key[OBJECT_KEY_BYTES], owner[OBJECT_KEY_BYTES];
    enum err_code code = ERR_OK;
    object_key_format(key, write->namespace, write->name);
    bool is_import = write->kind == WRITE_IMPORT;
    const struct service *service = is_import ? scene_service_import(scene, key) : scene_service(scene, key);
    const struct slice *slice = scene_slice(scene, key);
    if (write->kind == WRITE_SLICE && slice != NULL && world_slice_is_ours(slice, owner) &&
        strcmp(owner, mirror_key(mirror)) == 0)
        code = world_source_slice(scene->world, WORLD_PUT, slice);
    else if (write->kind != WRITE_SLICE && service != NULL && !is_mirror(&service->meta) && service->meta.made_by_us)
        code = world_source_service(scene->world, WORLD_PUT, service);
    else if (write->kind == WRITE_SERVICE || is_import)
        world_set_foreign(mirror, service != NULL && !is_mirror(&service->meta));
    assert_true(code == ERR_OK || code == ERR_NOMEM);
}

bool scene_work(struct scene *scene)
{
    struct mirror *mirror = world_pop(scene->world);
    if (mirror == NULL)
        return false;
    struct arena arena;
    struct plan plan;
    arena_init(&arena, PLAN_BYTES);
    enum err_code code = plan_mirror(scene->world, mirror, &arena, &plan);
    if (code != ERR_OK) {
        assert_int_equal(code, ERR_NOMEM);
        world_mark(mirror, false);
    } else {
        for (uint32_t i = 0; i < plan.status_count; i++)
            (void)claim_set_status(plan.statuses[i].claim, plan.statuses[i].mirrored, plan.statuses[i].reason,
                                   plan.statuses[i].message, 1);
        uint32_t writes = scene->apply_all ? plan.write_count : plan.write_count > 0 ? 1 : 0;
        for (uint32_t i = 0; scene->forbid != NULL && i < plan.write_count; i++)
            if (scene->forbid(scene->forbid_context, &plan.writes[i]))
                fail_msg("%s %s %s/%s (%s) must not be planned", write_verb_name(plan.writes[i].verb),
                         write_kind_name(plan.writes[i].kind), plan.writes[i].namespace, plan.writes[i].name,
                         plan.writes[i].reason);
        if (writes > 0)
            world_mark(mirror, false); /* planned again when the view shows what came of it */
        code = ERR_OK;
        for (uint32_t i = 0; i < writes && code == ERR_OK; i++) {
            code = scene_apply(scene, &plan.writes[i]);
            if (code == ERR_EXISTS)
                look(scene, mirror, &plan.writes[i]);
        }
    }
    arena_done(&arena);
    return true;
}

/* What a link keeps count of is what counting anew gives. */
static void check_tallies(const struct world_link *link)
{
    const char *reason = NULL;
    uint32_t count = 0, all = 0, found = 0;
    for (size_t i = 0; world_link_tally(link, i, &reason, &count); i++) {
        uint32_t there = 0;
        for (struct claim *claim = world_first_claim(link); claim != NULL; claim = world_next_claim(claim))
            if (claim_kind(claim) != CLAIM_HOST && claim_kind(claim) != CLAIM_IMPORT &&
                strcmp(claim_status(claim)->reason, reason) == 0)
                there++;
        if (there != count)
            fail_msg("%u claims are %s, and %u are counted", there, reason, count);
        all += count;
    }
    for (struct claim *claim = world_first_claim(link); claim != NULL; claim = world_next_claim(claim))
        found += claim_kind(claim) == CLAIM_HOST || claim_kind(claim) == CLAIM_IMPORT ? 0 : 1;
    assert_int_equal(all, found);
}

/* Of mirrors that the source's own objects name; those that lost their labels the world may know all the same, from an answer to a write. */
static void check_source_counts(const struct scene *scene)
{
    static const struct {
        enum object_kind kind;
        enum world_collection collection;
    } COUNTED[] = {{KIND_SERVICE, WORLD_SOURCE_SERVICES}, {KIND_MCS, WORLD_SOURCE_IMPORTS}};
    for (size_t i = 0; i < ARRAY_COUNT(COUNTED); i++) {
        enum object_kind kind = COUNTED[i].kind;
        size_t there = 0;
        if (!scene->source_feed.listed[kind] || scene->source_feed.seen[kind] != scene->source.log_count[kind])
            continue;
        for (struct map_entry *at = map_first(scene->source.objects[kind]); at != NULL; at = map_next(at)) {
            char key[OBJECT_KEY_BYTES];
            (void)snprintf(key, sizeof(key), "%s%s", map_key(at), kind == KIND_MCS ? "@import" : "");
            const struct mirror *mirror = world_find_mirror(scene->world, key);
            there += mirror != NULL && mirror_service(mirror) != NULL ? 1 : 0;
        }
        assert_int_equal(world_collection_size(scene->world, NULL, COUNTED[i].collection), there);
    }
}

void scene_settle(struct scene *scene)
{
    for (unsigned i = 0; i < MAX_WORK; i++) {
        scene_hear(scene);
        for (size_t target = 0; target < SCENE_TARGETS; target++)
            if (scene->links[target] != NULL)
                check_tallies(scene->links[target]);
        check_source_counts(scene);
        if (!scene_work(scene))
            return;
    }
    fail_msg("the plans never come to an end:\n%s", scene_plan(scene, true));
}

/* ---- seeing ---- */

static const char *owner_of(const struct scene *scene, const struct object_meta *meta, const char *service_name)
{
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, meta->namespace, service_name);
    const struct service *service = scene_service(scene, key);
    return service != NULL ? service->meta.uid : NULL;
}

static void put_write(struct scene *scene, struct strbuf *out, const struct write *write, bool brief)
{
    struct arena *arena = &scene->arena;
    strbuf_printf(out, "%s %s ", write_verb_name(write->verb), write_kind_name(write->kind));
    if (write->verb == WRITE_DELETE)
        strbuf_printf(out, "%s/%s (%s)\n", write->namespace, write->name, write->reason);
    else if (write->kind == WRITE_NAMESPACE)
        strbuf_printf(out, "%s %s\n", write->name, kv_words(arena, &write->namespace_object->meta.labels));
    else if (write->kind != WRITE_SLICE && write->kind != WRITE_ENDPOINTS)
        strbuf_printf(out, "%s\n", service_words(arena, write->service, brief));
    else
        strbuf_printf(out, "%s\n",
                      slice_words(arena, write->slice, owner_of(scene, &write->slice->meta, write->slice->service_name),
                                  brief));
}

static const char *take_text(struct scene *scene, struct strbuf *out)
{
    assert_int_equal(strbuf_error(out), ERR_OK);
    const char *text = arena_strdup(&scene->arena, strbuf_text(out));
    strbuf_done(out);
    return text;
}

static void put_plan(struct scene *scene, struct strbuf *out, struct mirror *mirror, bool brief, bool statuses)
{
    struct arena arena;
    struct plan plan;
    arena_init(&arena, PLAN_BYTES);
    assert_int_equal(plan_mirror(scene->world, mirror, &arena, &plan), ERR_OK);
    for (uint32_t i = 0; !statuses && i < plan.write_count; i++)
        put_write(scene, out, &plan.writes[i], brief);
    for (uint32_t i = 0; statuses && i < plan.status_count; i++) {
        const struct plan_status *status = &plan.statuses[i];
        strbuf_printf(out, "%s %s: %s\n", world_link_declaration(claim_link(status->claim))->cluster_name,
                      status->reason, status->message);
    }
    arena_done(&arena);
}

const char *scene_plan_of(struct scene *scene, const char *key, bool brief)
{
    struct strbuf out;
    strbuf_init(&out, TEXT_BYTES);
    struct mirror *mirror = world_find_mirror(scene->world, key);
    if (mirror != NULL)
        put_plan(scene, &out, mirror, brief, false);
    return take_text(scene, &out);
}

const char *scene_status(struct scene *scene, const char *key)
{
    struct strbuf out;
    strbuf_init(&out, TEXT_BYTES);
    struct mirror *mirror = world_find_mirror(scene->world, key);
    if (mirror != NULL)
        put_plan(scene, &out, mirror, true, true);
    return take_text(scene, &out);
}

const char *scene_plan(struct scene *scene, bool brief)
{
    struct map *marked = map_new(NULL);
    for (struct mirror *mirror = world_pop(scene->world); mirror != NULL; mirror = world_pop(scene->world))
        assert_int_equal(map_put(marked, mirror_key(mirror), mirror), ERR_OK);
    struct strbuf out;
    strbuf_init(&out, TEXT_BYTES);
    for (struct map_entry *at = map_first(marked); at != NULL; at = map_next(at)) {
        put_plan(scene, &out, map_value(at), brief, false);
        world_mark(map_value(at), false);
    }
    map_free(marked);
    return take_text(scene, &out);
}

const char *scene_dump(struct scene *scene, bool brief)
{
    struct strbuf out;
    strbuf_init(&out, TEXT_BYTES);
    struct map *const *objects = scene->source.objects;
    for (struct map_entry *at = map_first(objects[KIND_NAMESPACE]); at != NULL; at = map_next(at)) {
        const struct namespace_object *namespace = map_value(at);
        if (namespace->meta.labels.count > 0)
            strbuf_printf(&out, "Namespace %s %s\n", namespace->meta.name,
                          kv_words(&scene->arena, &namespace->meta.labels));
    }
    for (struct map_entry *at = map_first(objects[KIND_SERVICE]); at != NULL; at = map_next(at)) {
        const struct service *service = map_value(at);
        strbuf_printf(&out, "Service %s\n", service_words(&scene->arena, service, brief));
    }
    for (struct map_entry *at = map_first(objects[KIND_SLICE]); at != NULL; at = map_next(at)) {
        const struct slice *slice = map_value(at);
        strbuf_printf(&out, "EndpointSlice %s\n",
                      slice_words(&scene->arena, slice, owner_of(scene, &slice->meta, slice->service_name), brief));
    }
    for (struct map_entry *at = map_first(objects[KIND_MCS]); at != NULL; at = map_next(at))
        strbuf_printf(&out, "ServiceImport %s\n", service_words(&scene->arena, map_value(at), brief));
    return take_text(scene, &out);
}

/* ---- beginning and end ---- */

void scene_restart_alone(struct scene *scene)
{
    world_free(scene->world);
    scene->world = world_new(&scene->config);
    assert_non_null(scene->world);
    scene->source_feed = (struct feed){.cluster = &scene->source, .target = -1};
    tell_imports_served(scene);
    for (int i = 0; i < SCENE_TARGETS; i++)
        scene->links[i] = NULL;
}

void scene_restart(struct scene *scene)
{
    scene_restart_alone(scene);
    for (int i = 0; i < SCENE_TARGETS; i++)
        if (scene->declarations[i] != NULL)
            assert_int_equal(scene_declare(scene, i), ERR_OK);
    world_set_links_complete(scene->world, scene->links_complete);
}

void scene_init(struct scene *scene)
{
    *scene = (struct scene){.config = {.agent_namespace = "l5d-mc",
                                       .create_namespaces_for_secrets = true,
                                       .cluster_name = "west",
                                       .mirror_headless = true,
                                       .move_endpoints = true},
                            .verdict = WORLD_ALIVE,
                            .links_complete = true};
    arena_init(&scene->arena, ARENA_BYTES);
    cluster_init(&scene->source, true);
    for (int i = 0; i < SCENE_TARGETS; i++)
        cluster_init(&scene->targets[i], false);
    scene_restart(scene);
    scene_namespace(scene, "/l5d-mc");
    scene_namespace(scene, "/shop");
}

void scene_done(struct scene *scene)
{
    world_free(scene->world);
    cluster_done(&scene->source);
    for (int i = 0; i < SCENE_TARGETS; i++)
        cluster_done(&scene->targets[i]);
    arena_done(&scene->arena);
}

int scene_begin(void **state)
{
    static struct scene scene;
    scene_init(&scene);
    *state = &scene;
    return 0;
}

int scene_end(void **state)
{
    scene_done(*state);
    return 0;
}
