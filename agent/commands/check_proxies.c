/* Linkerd's proxies beside the pods in the agent's namespace: those of the agent, where it is in the mesh, and of gateways that stand there too. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/commands/resource.h"
#include "base/text.h"

#define PROXY "linkerd-proxy"

enum { VERSION_BYTES = 128 };

const json_t *check_container(const json_t *pod, const char *list, const char *name)
{
    const json_t *container = NULL;
    size_t index = 0;
    json_array_foreach(check_at(pod, list), index, container)
    {
        if (strcmp(check_text(container, "name"), name) == 0)
            return container;
    }
    return NULL;
}

/* The entry of the proxy: Kubernetes' own sidecars are init containers that go on. */
static const json_t *proxy_in(const json_t *pod, const char *list, const char *init_list)
{
    const json_t *container = check_container(pod, list, PROXY);
    return container != NULL ? container : check_container(pod, init_list, PROXY);
}

static const json_t *proxy_of(const json_t *pod)
{
    bool ended = strcmp(check_text(pod, "status/phase"), "Succeeded") == 0;
    return ended ? NULL : proxy_in(pod, "spec/containers", "spec/initContainers");
}

static bool has_proxies(const json_t *pods)
{
    const json_t *pod = NULL;
    size_t index = 0;
    json_array_foreach(pods, index, pod)
    {
        if (proxy_of(pod) != NULL)
            return true;
    }
    return false;
}

/* @return the pods, of which some have proxies; NULL, and the report says why, when there is nothing to judge. */
static const json_t *pods_to_judge(const json_t *snapshot, struct check_report *report)
{
    const json_t *pods = check_needed_items(report, json_object_get(snapshot, "source"), "pods", "source");
    if (pods == NULL || has_proxies(pods))
        return pods;
    check_skip(report);
    return NULL;
}

void check_proxies_healthy(const json_t *snapshot, struct check_report *report)
{
    const json_t *pods = pods_to_judge(snapshot, report), *pod = NULL;
    size_t index = 0;
    json_array_foreach(pods, index, pod)
    {
        const json_t *status = proxy_in(pod, "status/containerStatuses", "status/initContainerStatuses");
        const char *phase = check_text(pod, "status/phase"), *why = check_text(status, "state/waiting/reason");
        if (proxy_of(pod) != NULL && !json_is_true(json_object_get(status, "ready")))
            check_problem(report, "* the proxy of pod %s/%s is not ready: %s", object_meta_text(pod, "namespace"),
                          object_meta_text(pod, "name"), why[0] != '\0' ? why : phase);
    }
}

/* ---- versions ---- */

/* The line "linkerdVersion: X" of the values that Linkerd was installed with; "" when there is none. */
static void read_control_plane_version(const json_t *source, char ret_version[VERSION_BYTES])
{
    static const char key[] = "linkerdVersion:";
    const char *line = check_text(check_fact(source, "linkerdConfig"), "data/values");
    ret_version[0] = '\0';
    while (line != NULL && strncmp(line, key, strlen(key)) != 0) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    if (line == NULL)
        return;
    line += strlen(key) + strspn(line + strlen(key), " \"'");
    (void)snprintf(ret_version, VERSION_BYTES, "%.*s", (int)strcspn(line, " \"'\r\n"), line);
}

/* The tag of an image; "" when it has none. */
static void read_tag(const char *image, char ret_tag[VERSION_BYTES])
{
    const char *slash = strrchr(image, '/');
    const char *name = slash != NULL ? slash + 1 : image, *colon = strchr(name, ':');
    size_t end = strcspn(name, "@");
    bool tagged = colon != NULL && (size_t)(colon - name) < end;
    (void)snprintf(ret_tag, VERSION_BYTES, "%.*s", tagged ? (int)(name + end - colon - 1) : 0, tagged ? colon + 1 : "");
}

/* @param who  what is of the version `wanted`. @param remedy  for a proxy of another. */
static void compare_proxies(const json_t *pods, const char *wanted, const char *who, const char *remedy,
                            struct check_report *report)
{
    const json_t *pod = NULL;
    size_t index = 0;
    json_array_foreach(pods, index, pod)
    {
        char tag[VERSION_BYTES];
        read_tag(check_text(proxy_of(pod), "image"), tag);
        if (tag[0] != '\0' && strcmp(tag, wanted) != 0)
            check_problem(report, "* pod %s/%s has proxy version %s, and %s %s: %s", object_meta_text(pod, "namespace"),
                          object_meta_text(pod, "name"), tag, who, wanted, remedy);
    }
}

void check_proxy_versions(const json_t *snapshot, struct check_report *report)
{
    const json_t *pods = pods_to_judge(snapshot, report);
    char wanted[VERSION_BYTES];
    read_control_plane_version(json_object_get(snapshot, "source"), wanted);
    if (pods != NULL && wanted[0] == '\0') {
        check_doubt(report, "cannot be judged: ConfigMap %s/linkerd-config does not tell the version of Linkerd",
                    check_text(snapshot, "linkerdNamespace"));
        return;
    }
    compare_proxies(pods, wanted, "the control plane is", "make the pod anew", report);
}

/* ---- and Linkerd's CLI ---- */

/* Linkerd's CLI is not there to be asked: what is known of its version is who made the Links, or what the user says. */
void check_proxy_cli_versions(const json_t *snapshot, struct check_report *report)
{
    static const char linkerd[] = "linkerd/cli ", older[] = "upgrade the older of them";
    const json_t *pods = pods_to_judge(snapshot, report), *target = NULL;
    const char *told = check_text(snapshot, "linkerdCli");
    size_t index = 0, seen = 0;
    if (pods == NULL)
        return;
    if (told[0] != '\0') {
        compare_proxies(pods, told, "Linkerd's CLI is", older, report);
        return;
    }
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        const char *by = object_meta_entry(json_object_get(target, "link"), "annotations", "linkerd.io/created-by");
        char who[VERSION_BYTES * 2];
        if (!target_concerns(target) || by == NULL || !text_starts_with(by, linkerd))
            continue;
        seen++;
        (void)snprintf(who, sizeof(who), "%s was made by Linkerd's CLI", check_text(target, "declaredBy"));
        compare_proxies(pods, by + strlen(linkerd), who, older, report);
    }
    if (seen == 0)
        check_skip(report);
}
