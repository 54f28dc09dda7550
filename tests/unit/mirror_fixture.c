#include "tests/unit/mirror_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "mirror/names.h"

enum { MAX_ITEMS = 64, MAX_BYTES = 1 << 16 };

/* ---- reading ---- */

struct reader {
    struct arena *arena;
    struct object_meta meta;
    struct kv_builder labels, annotations;
    struct service_port ports[MAX_ITEMS];
    struct ingress ingress[MAX_ITEMS];
    struct slice_endpoint endpoints[MAX_ITEMS];
    uint32_t port_count, ingress_count, endpoint_count, affinity_s;
    bool headless, external, nodeport, loadbalancer, selector, nodelocal, publishing, terminating, v1;
    enum address_type address_type;
};

static char *expand(struct arena *arena, const char *text)
{
    const char *whole = text[0] == '~' ? arena_printf(arena, "%s/%s", L5D_PREFIX, text + 1) : arena_strdup(arena, text);
    char *copy = arena_alloc(arena, strlen(whole) + 1);
    memcpy(copy, whole, strlen(whole) + 1);
    for (char *c = copy; *c != '\0'; c++)
        if (*c == '%')
            *c = ' ';
    return copy;
}

static void read_pair(struct arena *arena, struct kv_builder *builder, const char *word)
{
    char *key = expand(arena, word);
    char *equals = strchr(key, '=');
    if (equals == NULL)
        fail_msg("`%s` has no value", word);
    else
        *equals = '\0';
    kv_builder_set(builder, key, equals != NULL ? equals + 1 : "");
}

/* "name:80>8080/UDP*30080+app"; the name and what follows the number may be missing. */
static void read_port(struct reader *reader, const char *word)
{
    char *text = expand(reader->arena, word);
    struct service_port port = {.name = "", .target_port = "", .app_protocol = ""};
    char *app = strchr(text, '+');
    if (app != NULL) {
        *app = '\0';
        port.app_protocol = app + 1;
    }
    char *node_port = strchr(text, '*');
    if (node_port != NULL) {
        *node_port = '\0';
        port.node_port = (uint16_t)strtoul(node_port + 1, NULL, 10);
    }
    char *protocol = strchr(text, '/');
    if (protocol != NULL) {
        *protocol = '\0';
        port.protocol = strcmp(protocol + 1, "UDP") == 0 ? PROTOCOL_UDP : PROTOCOL_SCTP;
    }
    char *target = strchr(text, '>');
    if (target != NULL) {
        *target = '\0';
        port.target_port = target + 1;
        port.target_port_is_name = strspn(target + 1, "0123456789") != strlen(target + 1);
    }
    char *colon = strchr(text, ':');
    if (colon != NULL) {
        *colon = '\0';
        port.name = text;
    }
    port.port = (uint16_t)strtoul(colon != NULL ? colon + 1 : text, NULL, 10);
    reader->ports[reader->port_count++] = port;
}

static void read_address(struct reader *reader, const char *word)
{
    char canonical[TEXT_IP_BYTES];
    bool ready = word[0] != '!' && word[0] != '~', serving = word[0] != '!', terminating = word[0] == '~';
    const char *address = ready ? word : word + 1, *at = strchr(address, '@'), *hostname = "", *zone = "";
    const char *in = strchr(address, '%');
    if (in != NULL) {
        zone = arena_strdup(reader->arena, in + 1);
        address = arena_printf(reader->arena, "%.*s", (int)(in - address), address);
        at = strchr(address, '@');
    }
    if (at != NULL) {
        hostname = arena_printf(reader->arena, "%.*s", (int)(at - address), address);
        address = at + 1;
    }
    enum ip_family family = text_parse_ip(address, canonical);
    if (family == IP_NONE)
        fail_msg("`%s` is no word of an object", word);
    if (family == IP_V6)
        reader->address_type = ADDRESS_IPV6;
    reader->endpoints[reader->endpoint_count++] =
        (struct slice_endpoint){.address = arena_strdup(reader->arena, address),
                                .hostname = hostname,
                                .zone = zone,
                                .ready = ready,
                                .serving = serving,
                                .terminating = terminating};
}

static bool read_flag(struct reader *reader, const char *word)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {{"headless", &reader->headless},        {"external", &reader->external},
                 {"nodeport", &reader->nodeport},        {"selector", &reader->selector},
                 {"deleting", &reader->meta.deleting},   {"ours", &reader->meta.made_by_us},
                 {"terminating", &reader->terminating},  {"v1", &reader->v1},
                 {"nodelocal", &reader->nodelocal},      {"publishing", &reader->publishing},
                 {"loadbalancer", &reader->loadbalancer}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (strcmp(word, flags[i].word) == 0)
            return *flags[i].flag = true;
    return false;
}

static void read_type(struct reader *reader, const char *text)
{
    for (enum address_type type = ADDRESS_IPV4; type <= ADDRESS_FQDN; type++)
        if (strcmp(address_type_name(type), text) == 0)
            reader->address_type = type;
}

static void read_word(struct reader *reader, const char *word)
{
    struct arena *arena = reader->arena;
    if (word[0] == '#')
        read_pair(arena, &reader->labels, word + 1);
    else if (word[0] == '@')
        read_pair(arena, &reader->annotations, word + 1);
    else if (text_starts_with(word, "p="))
        read_port(reader, word + 2);
    else if (text_starts_with(word, "v="))
        reader->meta.resource_version = arena_strdup(arena, word + 2);
    else if (text_starts_with(word, "uid="))
        reader->meta.uid = arena_strdup(arena, word + 4);
    else if (text_starts_with(word, "owner="))
        reader->meta.owner_uid = arena_strdup(arena, word + 6);
    else if (text_starts_with(word, "age="))
        reader->meta.created_us = strtol(word + 4, NULL, 10);
    else if (text_starts_with(word, "affinity="))
        reader->affinity_s = (uint32_t)strtoul(word + 9, NULL, 10);
    else if (text_starts_with(word, "svc="))
        kv_builder_set(&reader->labels, K8S_SERVICE_NAME, arena_strdup(arena, word + 4));
    else if (text_starts_with(word, "managed="))
        kv_builder_set(&reader->labels, K8S_MANAGED_BY, arena_strdup(arena, word + 8));
    else if (text_starts_with(word, "type="))
        read_type(reader, word + 5);
    else if (text_starts_with(word, "lb=")) {
        char canonical[TEXT_IP_BYTES];
        const char *text = arena_strdup(arena, word + 3);
        bool is_ip = text_parse_ip(text, canonical) != IP_NONE;
        reader->ingress[reader->ingress_count++] = (struct ingress){is_ip ? text : "", is_ip ? "" : text};
    } else if (!read_flag(reader, word))
        read_address(reader, word);
}

static void read_words(struct reader *reader, struct arena *arena, const char *words)
{
    *reader = (struct reader){.arena = arena};
    kv_builder_init(&reader->labels, arena);
    kv_builder_init(&reader->annotations, arena);
    char text[MAX_BYTES], *rest = NULL, namespace[OBJECT_KEY_BYTES];
    if (snprintf(text, sizeof(text), "%s", words) >= (int)sizeof(text))
        fail_msg("too many words");
    const char *key = arena_strdup(arena, strtok_r(text, " \n", &rest));
    const char *name = object_key_split(key, namespace);
    reader->meta = (struct object_meta){
        .namespace = arena_strdup(arena, namespace),
        .name = name,
        .uid = "",
        .resource_version = "",
        .owner_uid = "",
    };
    for (char *word = strtok_r(NULL, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest))
        read_word(reader, word);
    reader->meta.labels = kv_builder_finish(&reader->labels);
    reader->meta.annotations = kv_builder_finish(&reader->annotations);
}

static void *copy_items(struct arena *arena, const void *items, size_t bytes)
{
    void *copy = arena_alloc(arena, bytes);
    memcpy(copy, items, bytes);
    return copy;
}

#define PRINT(words, format)                                                                                           \
    do {                                                                                                               \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        assert_true(vsnprintf(words, MAX_BYTES, format, args) < MAX_BYTES);                                            \
        va_end(args);                                                                                                  \
    } while (0)

struct service *service_of(struct arena *arena, const char *format, ...)
{
    char words[MAX_BYTES];
    PRINT(words, format);
    struct reader reader;
    read_words(&reader, arena, words);
    struct service *service = ARENA_NEW(arena, struct service);
    *service = (struct service){
        .meta = reader.meta,
        .type = reader.external       ? SERVICE_EXTERNAL_NAME
                : reader.nodeport     ? SERVICE_NODE_PORT
                : reader.loadbalancer ? SERVICE_LOAD_BALANCER
                                      : SERVICE_CLUSTER_IP,
        .headless = reader.headless,
        .has_selector = reader.selector,
        .is_node_local = reader.nodelocal,
        .publishes_unready = reader.publishing,
        .affinity_s = reader.affinity_s,
        .cluster_ip = reader.headless ? "None" : "",
        .ports = copy_items(arena, reader.ports, reader.port_count * sizeof(reader.ports[0])),
        .port_count = reader.port_count,
        .ingress = copy_items(arena, reader.ingress, reader.ingress_count * sizeof(reader.ingress[0])),
        .ingress_count = reader.ingress_count,
    };
    return service;
}

struct slice *slice_of(struct arena *arena, const char *format, ...)
{
    char words[MAX_BYTES];
    PRINT(words, format);
    struct reader reader;
    read_words(&reader, arena, words);
    struct slice_port *ports = arena_array(arena, reader.port_count, sizeof(*ports));
    for (uint32_t i = 0; i < reader.port_count; i++)
        ports[i] = (struct slice_port){.name = reader.ports[i].name,
                                       .app_protocol = reader.ports[i].app_protocol,
                                       .protocol = reader.ports[i].protocol,
                                       .port = reader.ports[i].port};
    const char *service_name = kv_get(&reader.meta.labels, K8S_SERVICE_NAME);
    const char *managed_by = kv_get(&reader.meta.labels, K8S_MANAGED_BY);
    struct slice *slice = ARENA_NEW(arena, struct slice);
    *slice = (struct slice){
        .meta = reader.meta,
        .is_endpoints = reader.v1,
        .service_name = reader.v1              ? reader.meta.name
                        : service_name != NULL ? service_name
                                               : "",
        .managed_by = managed_by != NULL ? managed_by : "",
        .address_type = reader.address_type,
        .endpoints = copy_items(arena, reader.endpoints, reader.endpoint_count * sizeof(reader.endpoints[0])),
        .endpoint_count = reader.endpoint_count,
        .ports = ports,
        .port_count = reader.port_count,
    };
    return slice;
}

struct namespace_object *namespace_of(struct arena *arena, const char *words)
{
    struct reader reader;
    read_words(&reader, arena, words);
    struct namespace_object *object = ARENA_NEW(arena, struct namespace_object);
    *object = (struct namespace_object){reader.meta, reader.terminating};
    return object;
}

struct kv_list kv_of(struct arena *arena, const char *words)
{
    struct kv_builder builder;
    kv_builder_init(&builder, arena);
    char text[MAX_BYTES], *rest = NULL;
    (void)snprintf(text, sizeof(text), "%s", words);
    for (char *word = strtok_r(text, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest))
        read_pair(arena, &builder, word);
    return kv_builder_finish(&builder);
}

/* ---- writing ---- */

static void put_text(struct strbuf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        strbuf_append_char(out, *c == ' ' ? '%' : *c);
}

static void put_pairs(struct strbuf *out, const struct kv_list *list, const char *before)
{
    static const char prefix[] = L5D_PREFIX "/";
    for (size_t i = 0; i < list->count; i++) {
        bool own = text_starts_with(list->items[i].key, prefix);
        strbuf_printf(out, "%s%s%s=", before, own ? "~" : "", list->items[i].key + (own ? strlen(prefix) : 0));
        put_text(out, list->items[i].value);
    }
}

const char *kv_words(struct arena *arena, const struct kv_list *list)
{
    struct strbuf out;
    strbuf_init(&out, MAX_BYTES);
    put_pairs(&out, list, " ");
    const char *words = arena_strdup(arena, strbuf_text(&out));
    strbuf_done(&out);
    return words[0] == ' ' ? words + 1 : words;
}

static void put_port(struct strbuf *out, const char *name, uint16_t port, const char *target, enum protocol protocol,
                     const char *app_protocol)
{
    strbuf_printf(out, " p=%s%s%u", name, name[0] != '\0' ? ":" : "", port);
    if (target[0] != '\0')
        strbuf_printf(out, ">%s", target);
    if (protocol != PROTOCOL_TCP)
        strbuf_printf(out, "/%s", protocol_name(protocol));
    if (app_protocol[0] != '\0')
        strbuf_printf(out, "+%s", app_protocol);
}

static void put_meta(struct strbuf *out, const struct object_meta *meta, bool brief)
{
    strbuf_printf(out, "%s/%s", meta->namespace, meta->name);
    if (meta->deleting)
        strbuf_append(out, " deleting");
    if (brief)
        return;
    put_pairs(out, &meta->labels, " #");
    put_pairs(out, &meta->annotations, " @");
}

static const char *finish(struct arena *arena, struct strbuf *out)
{
    if (strbuf_error(out) != ERR_OK)
        fail_msg("an object needs more than %d bytes of words", MAX_BYTES);
    const char *words = arena_strdup(arena, strbuf_text(out));
    strbuf_done(out);
    return words;
}

const char *service_words(struct arena *arena, const struct service *service, bool brief)
{
    struct strbuf out;
    strbuf_init(&out, MAX_BYTES);
    put_meta(&out, &service->meta, brief);
    if (service->type == SERVICE_EXTERNAL_NAME)
        strbuf_append(&out, " external");
    if (service->headless)
        strbuf_append(&out, " headless");
    if (service->has_selector)
        strbuf_append(&out, " selector");
    if (service->is_node_local)
        strbuf_append(&out, " nodelocal");
    if (service->publishes_unready)
        strbuf_append(&out, " publishing");
    if (service->affinity_s > 0)
        strbuf_printf(&out, " affinity=%u", service->affinity_s);
    for (uint32_t i = 0; i < service->port_count; i++) {
        const struct service_port *port = &service->ports[i];
        put_port(&out, port->name, port->port, port->target_port, port->protocol, port->app_protocol);
        if (port->node_port != 0)
            strbuf_printf(&out, "*%u", port->node_port);
    }
    if (service->is_import)
        strbuf_printf(&out, " ip=%s clusters=%s", service->cluster_ip, service->clusters);
    return finish(arena, &out);
}

static void put_endpoint(struct strbuf *out, const struct slice_endpoint *endpoint)
{
    const char *mark = endpoint->ready ? "" : endpoint->serving && endpoint->terminating ? "~" : "!";
    strbuf_printf(out, " %s%s%s%s%s%s", mark, endpoint->hostname, endpoint->hostname[0] != '\0' ? "@" : "",
                  endpoint->address, endpoint->zone[0] != '\0' ? "%" : "", endpoint->zone);
}

const char *slice_words(struct arena *arena, const struct slice *slice, const char *owner_uid, bool brief)
{
    struct strbuf out;
    strbuf_init(&out, MAX_BYTES);
    put_meta(&out, &slice->meta, brief);
    if (owner_uid != NULL && strcmp(slice->meta.owner_uid, owner_uid) == 0)
        strbuf_append(&out, " owned");
    else
        strbuf_printf(&out, " owner=%s", slice->meta.owner_uid);
    strbuf_printf(&out, " type=%s", address_type_name(slice->address_type));
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        put_endpoint(&out, &slice->endpoints[i]);
    for (uint32_t i = 0; i < slice->port_count; i++)
        put_port(&out, slice->ports[i].name, slice->ports[i].port, "", slice->ports[i].protocol,
                 slice->ports[i].app_protocol);
    return finish(arena, &out);
}
