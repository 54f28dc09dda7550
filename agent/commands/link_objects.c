#include "agent/commands/link_objects.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/link_renewal.h"
#include "agent/commands/output.h"
#include "agent/kube/base64.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "mirror/names.h"
#include "version.h"

enum { TEXT_BYTES = 4 << 20 };

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

void link_objects_secret_name(const char *cluster_name, char buffer[LINK_SECRET_NAME_BYTES])
{
    (void)snprintf(buffer, LINK_SECRET_NAME_BYTES, "cluster-credentials-%s", cluster_name);
}

/* Sets a member; steals the value. Sticky: after one failure `*failed` stays true. */
static void set(json_t *object, const char *key, json_t *value, bool *failed)
{
    *failed = json_object_set_new(object, key, value) != 0 || *failed;
}

/* json_pack("{s:s*}") would leave it out when memory runs out, too. @param text  NULL: no such member. */
static void set_text(json_t *object, const char *key, const char *text, bool *failed)
{
    if (text != NULL)
        set(object, key, json_string(text), failed);
}

/* ---- the kubeconfig ---- */

/* @return new text in base64; NULL for NULL, and with ERR_NOMEM in *code. */
static char *encode(const char *text, size_t bytes, enum err_code *code)
{
    struct strbuf buffer;
    if (text == NULL)
        return NULL;
    strbuf_init(&buffer, TEXT_BYTES);
    base64_encode(&buffer, text, bytes);
    char *encoded = strbuf_take(&buffer);
    if (encoded == NULL)
        *code = ERR_NOMEM;
    strbuf_done(&buffer);
    return encoded;
}

static json_t *make_cluster(const struct link_access *access, const char *ca, bool *failed)
{
    json_t *cluster = json_object();
    set_text(cluster, "server", access->server, failed);
    set_text(cluster, "certificate-authority-data", ca, failed);
    set_text(cluster, "tls-server-name", access->tls_server_name, failed);
    set_text(cluster, "proxy-url", access->proxy_url, failed);
    if (access->insecure_skip_tls_verify)
        set(cluster, "insecure-skip-tls-verify", json_true(), failed);
    return cluster;
}

static json_t *make_kubeconfig(const struct link_access *access, const char *ca)
{
    const char *name = access->cluster_name;
    bool failed = false;
    json_t *cluster = make_cluster(access, ca, &failed);
    json_t *config = json_pack("{s:s, s:s, s:[{s:s, s:o}], s:[{s:s, s:{s:s, s:s}}], s:s, s:[{s:s, s:{s:s}}]}",
                               "apiVersion", "v1", "kind", "Config", "clusters", "name", name, "cluster", cluster,
                               "contexts", "name", name, "context", "cluster", name, "user", "svcmirror",
                               "current-context", name, "users", "name", "svcmirror", "user", "token", access->token);
    if (!failed)
        return config;
    json_decref(config);
    return NULL;
}

enum err_code link_objects_kubeconfig(const struct link_access *access, char **ret_text, struct err *reterr)
{
    enum err_code code = ERR_OK;
    struct strbuf text;
    char *ca = encode(access->ca_pem, access->ca_pem != NULL ? strlen(access->ca_pem) : 0, &code);
    json_t *config = code == ERR_OK ? make_kubeconfig(access, ca) : NULL;
    mem_free(ca);
    if (config == NULL)
        return no_memory(reterr);
    strbuf_init(&text, TEXT_BYTES);
    output_yaml(config, &text);
    json_decref(config);
    *ret_text = strbuf_take(&text);
    strbuf_done(&text);
    return *ret_text != NULL ? ERR_OK : no_memory(reterr);
}

/* ---- Secrets ---- */

/* Steals `labels`. */
static json_t *make_secret(const char *cluster_name, const char *namespace, const char *kubeconfig, json_t *labels)
{
    char name[LINK_SECRET_NAME_BYTES];
    enum err_code code = ERR_OK;
    link_objects_secret_name(cluster_name, name);
    char *data = encode(kubeconfig, strlen(kubeconfig), &code);
    json_t *secret = json_pack("{s:s, s:s, s:{s:s, s:s, s:o}, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Secret",
                               "metadata", "name", name, "namespace", namespace, "labels", labels, "type",
                               L5D_SECRET_TYPE, "data", L5D_SECRET_KEY, data != NULL ? data : "");
    mem_free(data);
    if (code == ERR_OK)
        return secret;
    json_decref(secret);
    return NULL;
}

/* Steals both. @return the object, NULL when either is. */
static json_t *annotate(json_t *object, json_t *annotations)
{
    if (json_object_set_new(json_object_get(object, "metadata"), "annotations", annotations) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* What has the agent renew the token. @return new; NULL when it is not to, and with `*failed` when memory ran out. */
static json_t *make_wish(const struct link_facts *facts, bool *failed)
{
    if (facts->renew_token == NULL)
        return NULL;
    json_t *annotations = json_object();
    set_text(annotations, SECRET_RENEW_TOKEN, facts->renew_token, failed);
    return annotations;
}

/* Appends the right to write the Secret whose token is renewed. */
static void append_rights(json_t *objects, const struct link_facts *facts, bool *failed)
{
    char name[LINK_SECRET_NAME_BYTES];
    if (facts->renew_token == NULL)
        return;
    link_objects_secret_name(facts->cluster_name, name);
    *failed = !link_renewal_append(objects, facts->cluster_name, facts->namespace, facts->namespace, name) || *failed;
}

static json_t *managed_by(void) { return json_pack("{s:s}", K8S_APP_MANAGED_BY, LINK_MANAGED_BY); }

/* For Linkerd's destination controller, which resolves services by remote discovery with it. */
static json_t *make_linkerd_secret(const struct link_facts *facts)
{
    json_t *labels =
        json_pack("{s:s, s:s}", K8S_APP_MANAGED_BY, LINK_MANAGED_BY, L5D_STORE_CLUSTER_NAME, facts->cluster_name);
    json_t *annotations = json_pack("{s:s, s:s}", L5D_STORE_CLUSTER_DOMAIN, facts->cluster_domain,
                                    L5D_STORE_TRUST_DOMAIN, facts->trust_domain);
    return annotate(make_secret(facts->cluster_name, facts->linkerd_namespace, facts->linkerd_kubeconfig, labels),
                    annotations);
}

enum err_code link_objects_secret(const struct link_facts *facts, json_t **ret_objects, struct err *reterr)
{
    json_t *annotations =
        json_pack("{s:s, s:s, s:s}", L5D_SECRET_CLUSTER_NAME, facts->cluster_name, L5D_SECRET_CLUSTER_DOMAIN,
                  facts->cluster_domain, L5D_SECRET_L5D_NS, facts->linkerd_namespace);
    bool failed = false;
    set_text(annotations, SECRET_RENEW_TOKEN, facts->renew_token, &failed);
    json_t *secret =
        annotate(make_secret(facts->cluster_name, facts->namespace, facts->kubeconfig, managed_by()), annotations);
    json_t *objects = json_pack("[o]", secret);
    append_rights(objects, facts, &failed);
    if (objects == NULL || failed) {
        json_decref(objects);
        return no_memory(reterr);
    }
    *ret_objects = objects;
    return ERR_OK;
}

/* ---- the Link ---- */

static json_t *make_texts(const char *const *texts, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++)
        if (json_array_append_new(array, json_string(texts[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *make_expression(const struct selector_requirement *requirement)
{
    static const char *const names[] = {[SELECTOR_IN] = "In",
                                        [SELECTOR_NOT_IN] = "NotIn",
                                        [SELECTOR_EXISTS] = "Exists",
                                        [SELECTOR_DOES_NOT_EXIST] = "DoesNotExist"};
    json_t *expression = json_pack("{s:s, s:s}", "key", requirement->key, "operator", names[requirement->op]);
    if (requirement->value_count == 0 ||
        json_object_set_new(expression, "values", make_texts(requirement->values, requirement->value_count)) == 0)
        return expression;
    json_decref(expression);
    return NULL;
}

/* A LabelSelector: plain equality as matchLabels, as kubectl writes it, unless a key is asked for twice. */
static json_t *make_selector(const struct selector *selector)
{
    json_t *labels = json_object(), *expressions = json_array();
    bool failed = false;
    for (uint32_t i = 0; i < selector->count; i++) {
        const struct selector_requirement *requirement = &selector->requirements[i];
        bool plain = requirement->op == SELECTOR_IN && requirement->value_count == 1 &&
                     json_object_get(labels, requirement->key) == NULL;
        failed = (plain ? json_object_set_new(labels, requirement->key, json_string(requirement->values[0]))
                        : json_array_append_new(expressions, make_expression(requirement))) != 0 ||
                 failed;
    }
    bool any_labels = json_object_size(labels) > 0, any_expressions = json_array_size(expressions) > 0;
    json_t *made = json_pack("{s:o*, s:o*}", "matchLabels", any_labels ? json_incref(labels) : NULL, "matchExpressions",
                             any_expressions ? json_incref(expressions) : NULL);
    json_decref(labels);
    json_decref(expressions);
    if (!failed)
        return made;
    json_decref(made);
    return NULL;
}

/* @return new array of the words of a comma list; NULL when the list is NULL or memory ran out. */
static json_t *make_list(const char *list, bool *failed)
{
    size_t length = 0;
    if (list == NULL)
        return NULL;
    json_t *array = json_array();
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length))
        *failed = json_array_append_new(array, json_stringn(word, length)) != 0 || *failed;
    return array;
}

static json_t *make_probe(const struct probe_spec *probe)
{
    char period[32], port[8];
    struct strbuf path;
    text_format_duration_ms(probe->period_ms, period, sizeof(period));
    (void)snprintf(port, sizeof(port), "%u", (unsigned)probe->port);
    strbuf_init(&path, TEXT_REQUEST_PATH_MAX + 2);
    /* Linkerd of today puts no slash before a Link's path, as 2.8 did before a gateway's. */
    strbuf_printf(&path, "%s%s", probe->path[0] == '/' ? "" : "/", probe->path);
    json_t *made = json_pack("{s:s, s:s, s:s}", "path", strbuf_text(&path), "port", port, "period", period);
    bool whole = strbuf_error(&path) == ERR_OK;
    strbuf_done(&path);
    if (whole)
        return made;
    json_decref(made);
    return NULL;
}

/* @param is_followed  the gateway's Service says what stands in no field. */
static void set_gateway(json_t *spec, const struct gateway_spec *gateway, bool is_followed, bool *failed)
{
    char port[8];
    struct strbuf addresses;
    strbuf_init(&addresses, TEXT_BYTES);
    for (uint32_t i = 0; i < gateway->address_count; i++)
        strbuf_printf(&addresses, "%s%s", i > 0 ? "," : "", gateway->addresses[i]);
    (void)snprintf(port, sizeof(port), "%u", (unsigned)gateway->port);
    *failed = strbuf_error(&addresses) != ERR_OK || *failed;
    if (!is_followed || gateway->address_count > 0)
        set(spec, "gatewayAddress", json_string(strbuf_text(&addresses)), failed);
    if (!is_followed || gateway->port != 0)
        set(spec, "gatewayPort", json_string(port), failed);
    if (!is_followed)
        set(spec, "gatewayIdentity", json_string(gateway->identity), failed);
    if (!is_followed && gateway->probe.enabled)
        set(spec, "probeSpec", make_probe(&gateway->probe), failed);
    strbuf_done(&addresses);
}

static json_t *make_spec(const struct link_facts *facts, bool *failed)
{
    char secret[LINK_SECRET_NAME_BYTES];
    bool has_federated = strcmp(facts->version, "v1alpha1") != 0, has_lists = strcmp(facts->version, "v1alpha3") == 0;
    link_objects_secret_name(facts->cluster_name, secret);
    json_t *spec = json_pack("{s:s, s:s, s:s, s:s}", "targetClusterName", facts->cluster_name, "targetClusterDomain",
                             facts->cluster_domain, "targetClusterLinkerdNamespace", facts->linkerd_namespace,
                             "clusterCredentialsSecret", secret);
    if (facts->gateway != NULL) {
        set_gateway(spec, facts->gateway, facts->gateway_service != NULL, failed);
        set(spec, "selector", make_selector(&facts->selector), failed);
    }
    set(spec, "remoteDiscoverySelector", make_selector(&facts->remote_discovery_selector), failed);
    if (has_federated)
        set(spec, "federatedServiceSelector", make_selector(&facts->federated_selector), failed);
    json_t *annotations = has_lists ? make_list(facts->excluded_annotations, failed) : NULL;
    json_t *labels = has_lists ? make_list(facts->excluded_labels, failed) : NULL;
    if (annotations != NULL)
        set(spec, "excludedAnnotations", annotations, failed);
    if (labels != NULL)
        set(spec, "excludedLabels", labels, failed);
    return spec;
}

static json_t *make_link(const struct link_facts *facts)
{
    bool failed = false;
    json_t *spec = make_spec(facts, &failed);
    json_t *annotations = json_pack("{s:s}", "linkerd.io/created-by", "svcmirror/cli " SVCMIRROR_VERSION);
    set_text(annotations, EXPORT_HEADLESS, facts->headless ? NULL : "false", &failed);
    set_text(annotations, LINK_GATEWAY, facts->gateway_service, &failed);
    json_t *link = json_pack("{s:s+, s:s, s:{s:s, s:s, s:o, s:o}, s:o}", "apiVersion", L5D_LINK_GROUP "/",
                             facts->version, "kind", "Link", "metadata", "name", facts->cluster_name, "namespace",
                             facts->namespace, "labels", managed_by(), "annotations", annotations, "spec", spec);
    if (!failed)
        return link;
    json_decref(link);
    return NULL;
}

enum err_code link_objects_link(const struct link_facts *facts, json_t **ret_objects, struct err *reterr)
{
    json_t *objects = json_array();
    bool failed = false;
    json_t *secret = make_secret(facts->cluster_name, facts->namespace, facts->kubeconfig, managed_by());
    json_t *wish = make_wish(facts, &failed);
    if (secret != NULL && wish != NULL)
        secret = annotate(secret, wish);
    else
        json_decref(wish);
    failed = json_array_append_new(objects, secret) != 0 || failed;
    if (facts->trust_domain != NULL)
        failed = json_array_append_new(objects, make_linkerd_secret(facts)) != 0 || failed;
    append_rights(objects, facts, &failed);
    failed = json_array_append_new(objects, make_link(facts)) != 0 || failed;
    if (failed) {
        json_decref(objects);
        return no_memory(reterr);
    }
    *ret_objects = objects;
    return ERR_OK;
}
