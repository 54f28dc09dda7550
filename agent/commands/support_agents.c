/* What each replica of the agent says of itself, through the API server. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/look_replicas.h"
#include "agent/commands/support_bundle.h"
#include "base/mem.h"

enum {
    MOST_PODS = 32,
    NAME_BYTES = 300,
    PATH_BYTES = 700,
    LOG_BYTES = 12 << 20, /* below what one answer may have */
};

struct agent_pod {
    char name[LOOK_POD_NAME_BYTES];
    uint16_t port;
    bool runs, restarted;
};

struct agent_pods {
    struct agent_pod items[MOST_PODS];
    unsigned count;
};

/* Also those that do not run: their logs say why. */
static enum err_code take_pod(void *context, const json_t *pod)
{
    struct agent_pods *pods = context;
    const json_t *status = json_object_get(pod, "status"), *container = NULL;
    const char *name = object_meta_text(pod, "name"), *phase = json_string_value(json_object_get(status, "phase"));
    size_t index = 0;
    if (pods->count == MOST_PODS || name[0] == '\0' || strlen(name) >= LOOK_POD_NAME_BYTES)
        return ERR_OK;
    struct agent_pod *taken = &pods->items[pods->count++];
    *taken = (struct agent_pod){.port = look_replicas_admin_port(pod),
                                .runs = phase != NULL && strcmp(phase, "Running") == 0};
    (void)snprintf(taken->name, sizeof(taken->name), "%s", name);
    json_array_foreach(json_object_get(status, "containerStatuses"), index, container) taken->restarted =
        taken->restarted || json_integer_value(json_object_get(container, "restartCount")) > 0;
    return ERR_OK;
}

/* ---- one text ---- */

static enum err_code add(struct support_bundle *bundle, const char *pod, const char *file, const char *what,
                         const char *label, const char *path, struct err *reterr)
{
    char name[NAME_BYTES], *text = NULL;
    size_t bytes = 0;
    struct err error = {0};
    (void)snprintf(name, sizeof(name), "agent/%s/%s", pod, file);
    if (cluster_get_text(bundle->cluster, label, path, &text, &bytes, &error) != ERR_OK)
        return support_bundle_missing(bundle, name, &error, reterr);
    enum err_code code = support_bundle_text(bundle, name, what, text, bytes, reterr);
    mem_free(text);
    return code;
}

static enum err_code add_log(struct support_bundle *bundle, const struct agent_pod *pod, bool previous,
                             struct err *reterr)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path),
                   "/api/v1/namespaces/%s/pods/%s/log?timestamps=false&tailLines=%" PRIu64 "&limitBytes=%d%s",
                   bundle->namespace, pod->name, bundle->log_lines, LOG_BYTES, previous ? "&previous=true" : "");
    return previous
               ? add(bundle, pod->name, "previous.log", "its log before it was started again", "pods/log", path, reterr)
               : add(bundle, pod->name, "agent.log", "its log", "pods/log", path, reterr);
}

static enum err_code add_pod(struct support_bundle *bundle, const struct agent_pod *pod, struct err *reterr)
{
    static const struct {
        const char *path, *file, *what;
    } said[] = {{"/api/v1/links", "links.json", "what it says of links"},
                {"/api/v1/gateways", "gateways.json", "what it says of gateways"},
                {"/api/v1/services", "services.json", "what it says of exported services"},
                {"/metrics", "metrics.txt", "its metrics"}};
    command_complain("support-bundle", "asking pod %s", pod->name);
    for (size_t i = 0; pod->runs && i < ARRAY_COUNT(said); i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s:%u/proxy%s", bundle->namespace, pod->name,
                       pod->port, said[i].path);
        TRY(add(bundle, pod->name, said[i].file, said[i].what, "pods/proxy", path, reterr));
    }
    TRY(add_log(bundle, pod, false, reterr));
    return pod->restarted ? add_log(bundle, pod, true, reterr) : ERR_OK;
}

enum err_code support_bundle_agents(struct support_bundle *bundle, struct err *reterr)
{
    struct err error = {0};
    struct agent_pods *pods = NEW(struct agent_pods);
    if (pods == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = cluster_each(bundle->cluster, &RESOURCE_POD, bundle->namespace,
                                      "app.kubernetes.io/name=svcmirror", take_pod, pods, &error);
    if (code == ERR_OK && pods->count == 0)
        code = err_set(&error, ERR_NOT_FOUND, "namespace %s has no pod of the agent", bundle->namespace);
    if (code != ERR_OK)
        code = support_bundle_missing(bundle, "what agents say", &error, reterr);
    for (unsigned i = 0; code == ERR_OK && i < pods->count; i++)
        code = add_pod(bundle, &pods->items[i], reterr);
    mem_free(pods);
    return code;
}
