#include "agent/commands/link_wait.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum { POLL_MS = 500, STATE_BYTES = 384 };

static const struct resource events = {"events.k8s.io", "v1", "events", "Event", true};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* ---- mirrors ---- */

static void note_name(struct link_mirrors *mirrors, const json_t *service)
{
    size_t used = strlen(mirrors->names);
    int length = snprintf(mirrors->names + used, sizeof(mirrors->names) - used, "%s%s/%s", used > 0 ? ", " : "",
                          object_meta_text(service, "namespace"), object_meta_text(service, "name"));
    if (length < 0 || used + (size_t)length + sizeof(", ...") < sizeof(mirrors->names))
        return;
    (void)snprintf(mirrors->names + used, sizeof(mirrors->names) - used, "%s",
                   text_ends_with(mirrors->names, "...") ? "" : ", ...");
}

/* Whether "service@cluster" is among the members. */
static bool is_member(const json_t *service, const char *cluster_name)
{
    const char *list = object_meta_entry(service, "annotations", L5D_REMOTE_DISCOVERY);
    size_t length = 0, wanted = strlen(cluster_name);
    if (list == NULL)
        return false;
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length)) {
        const char *at = memchr(word, '@', length);
        if (at != NULL && (size_t)(word + length - at - 1) == wanted && strncmp(at + 1, cluster_name, wanted) == 0)
            return true;
    }
    return false;
}

static enum err_code count_mirror(void *context, const json_t *item)
{
    struct link_mirrors *mirrors = context;
    if (object_meta_entry(item, "labels", L5D_MIRRORED_GATEWAY) != NULL)
        return ERR_OK;
    if (text_equal(object_meta_entry(item, "labels", L5D_CLUSTER_NAME), mirrors->cluster_name)) {
        note_name(mirrors, item);
        mirrors->count++;
    } else if (is_member(item, mirrors->cluster_name)) {
        note_name(mirrors, item);
        mirrors->federated++;
    }
    return ERR_OK;
}

enum err_code link_wait_count(struct cluster *source, struct link_mirrors *mirrors, struct err *reterr)
{
    *mirrors = (struct link_mirrors){.cluster_name = mirrors->cluster_name};
    return cluster_each(source, &RESOURCE_SERVICE, NULL, L5D_MIRRORED_SERVICE "=true", count_mirror, mirrors, reterr);
}

/* ---- why nothing is mirrored ---- */

/* What the running agent says of the link. @return false when it has nothing to say, or there is none. */
static bool ask_agent(const struct link_wait *wait, char why[STATE_BYTES])
{
    char path[512];
    json_t *links = NULL;
    const json_t *link = NULL;
    size_t index = 0;
    bool told = false;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services/svcmirror:admin/proxy/api/v1/links?cluster=%s",
                   wait->namespace, wait->cluster_name);
    if (cluster_get_path(wait->source, "services/proxy", path, &links, NULL) != ERR_OK)
        return false;
    json_array_foreach(links, index, link)
    {
        const char *problem = text_of(link, "problem");
        const json_t *exported = json_object_get(link, "exportedServices");
        if (problem[0] != '\0')
            (void)snprintf(why, STATE_BYTES, "%s", problem);
        else if (json_is_integer(exported) && json_integer_value(exported) == 0)
            (void)snprintf(why, STATE_BYTES, "cluster %s exports no service yet: `export` does that",
                           wait->cluster_name);
        else
            continue;
        told = true;
    }
    json_decref(links);
    return told;
}

/* A service that the Link's status calls not mirrored. */
static bool read_status(const json_t *link, char why[STATE_BYTES])
{
    static const char *const lists[] = {"mirrorServices", "federatedServices"};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        const json_t *list = json_object_get(json_object_get(link, "status"), lists[i]), *entry = NULL;
        size_t index = 0;
        json_array_foreach(list, index, entry)
        {
            const json_t *condition = json_array_get(json_object_get(entry, "conditions"), 0);
            const json_t *remote = json_object_get(entry, "remoteRef");
            if (strcmp(text_of(condition, "status"), "False") != 0)
                continue;
            (void)snprintf(why, STATE_BYTES, "service %s/%s is not mirrored: %s: %s", text_of(remote, "namespace"),
                           text_of(remote, "name"), text_of(condition, "reason"), text_of(condition, "message"));
            return true;
        }
    }
    return false;
}

/* The latest warning about an object. */
struct event_search {
    const char *uid;
    char at[64];
    char text[STATE_BYTES];
};

static enum err_code take_event(void *context, const json_t *item)
{
    struct event_search *search = context;
    const json_t *series = json_object_get(item, "series");
    const char *at = json_is_object(series) ? text_of(series, "lastObservedTime") : text_of(item, "eventTime");
    if (strcmp(text_of(item, "type"), "Warning") != 0 ||
        strcmp(text_of(json_object_get(item, "regarding"), "uid"), search->uid) != 0 || strcmp(at, search->at) < 0)
        return ERR_OK;
    (void)snprintf(search->at, sizeof(search->at), "%s", at);
    (void)snprintf(search->text, sizeof(search->text), "%s: %s", text_of(item, "reason"), text_of(item, "note"));
    return ERR_OK;
}

static bool read_events(const struct link_wait *wait, const json_t *declaration, char why[STATE_BYTES])
{
    struct event_search search = {.uid = object_meta_text(declaration, "uid")};
    if (cluster_each(wait->source, &events, wait->namespace, NULL, take_event, &search, NULL) != ERR_OK ||
        search.text[0] == '\0')
        return false;
    (void)snprintf(why, STATE_BYTES, "%s", search.text);
    return true;
}

static void find_reason(const struct link_wait *wait, char why[STATE_BYTES])
{
    json_t *declaration = NULL;
    if (cluster_get(wait->source, wait->declared_by, wait->namespace, wait->name, &declaration, NULL) != ERR_OK) {
        (void)snprintf(why, STATE_BYTES, "%s %s/%s cannot be read", wait->declared_by->kind, wait->namespace,
                       wait->name);
        return;
    }
    bool told = ask_agent(wait, why) || read_status(declaration, why) || read_events(wait, declaration, why);
    json_decref(declaration);
    if (!told)
        (void)snprintf(why, STATE_BYTES,
                       "no agent says anything of it yet: does one run for namespace %s of cluster %s, and does "
                       "cluster %s export a service?",
                       wait->namespace, cluster_name(wait->source), wait->cluster_name);
}

/* ---- waiting ---- */

static enum err_code look_for_mirror(const struct link_wait *wait, bool *ret_done, char state[STATE_BYTES],
                                     struct err *reterr)
{
    struct link_mirrors mirrors = {.cluster_name = wait->cluster_name};
    TRY(link_wait_count(wait->source, &mirrors, reterr));
    *ret_done = mirrors.count + mirrors.federated > 0;
    if (*ret_done)
        (void)snprintf(state, STATE_BYTES, "mirrored: %.300s", mirrors.names);
    else
        find_reason(wait, state);
    return ERR_OK;
}

/* A Link of the target that was deleted and is held by a finalizer. */
struct held_search {
    const char *cluster_name;
    char text[STATE_BYTES];
};

static enum err_code take_held(void *context, const json_t *item)
{
    struct held_search *search = context;
    const json_t *finalizers = json_object_get(json_object_get(item, "metadata"), "finalizers");
    const char *finalizer = json_string_value(json_array_get(finalizers, 0));
    if (strcmp(text_of(json_object_get(item, "spec"), "targetClusterName"), search->cluster_name) == 0)
        (void)snprintf(search->text, sizeof(search->text), "Link %s is still there%s%s", object_meta_text(item, "name"),
                       finalizer != NULL ? ", held by finalizer " : "", finalizer != NULL ? finalizer : "");
    return ERR_OK;
}

static enum err_code look_for_none(const struct link_wait *wait, bool *ret_done, char state[STATE_BYTES],
                                   struct err *reterr)
{
    struct link_mirrors mirrors = {.cluster_name = wait->cluster_name};
    struct held_search held = {.cluster_name = wait->cluster_name};
    TRY(link_wait_count(wait->source, &mirrors, reterr));
    if (wait->link_resource != NULL)
        TRY(cluster_each(wait->source, wait->link_resource, wait->namespace, NULL, take_held, &held, reterr));
    unsigned left = mirrors.count + mirrors.federated;
    *ret_done = left == 0 && held.text[0] == '\0';
    if (left > 0)
        (void)snprintf(state, STATE_BYTES, "%u are left: %.300s", left, mirrors.names);
    else if (!*ret_done)
        (void)snprintf(state, STATE_BYTES, "%s", held.text);
    else
        (void)snprintf(state, STATE_BYTES, "no mirror of cluster %s is left", wait->cluster_name);
    return ERR_OK;
}

typedef enum err_code (*look_fn)(const struct link_wait *wait, bool *ret_done, char state[STATE_BYTES],
                                 struct err *reterr);

static enum err_code wait_for(const struct link_wait *wait, uint64_t wait_ms, look_fn look, struct err *reterr)
{
    char told[STATE_BYTES] = "", state[STATE_BYTES] = "", waited[32];
    uint64_t deadline_ms = session_now_ms(wait->session) + wait_ms;
    text_format_duration_ms(wait_ms, waited, sizeof(waited));
    for (;;) {
        bool done = false;
        TRY(look(wait, &done, state, reterr));
        if (done || strcmp(told, state) != 0)
            command_complain(wait->command, "%s%s", done ? "" : "waiting: ", state);
        (void)snprintf(told, sizeof(told), "%s", state);
        if (done)
            return ERR_OK;
        if (session_interrupted(wait->session))
            return err_set(reterr, ERR_CANCELLED, "interrupted while waiting: %s", state);
        if (session_now_ms(wait->session) >= deadline_ms)
            return err_set(reterr, ERR_TIMEOUT, "after %s: %s", waited, state);
        session_sleep(wait->session, POLL_MS);
    }
}

enum err_code link_wait_mirrored(const struct link_wait *wait, uint64_t wait_ms, struct err *reterr)
{
    return wait_for(wait, wait_ms, look_for_mirror, reterr);
}

enum err_code link_wait_gone(const struct link_wait *wait, uint64_t wait_ms, struct err *reterr)
{
    return wait_for(wait, wait_ms, look_for_none, reterr);
}
