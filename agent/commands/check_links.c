/* Whether the declarations of targets are good, and whether somebody serves them. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/commands/resource.h"
#include "agent/kube/codec.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/link.h"
#include "mirror/names.h"
#include "version.h"

enum { DECODED_BYTES = 4 << 20 };

#define WRITE_LEASE_PREFIX "service-mirror-write-"

/* ---- the type ---- */

void check_link_type(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source");
    const char *older = check_text(source, "linksVersion");
    if (check_items(source, "links") != NULL) {
        if (older[0] != '\0')
            check_doubt(report,
                        "Links are served as %s, and not as v1alpha3: the agent works with them; `svcmirror install "
                        "--apply --link-crd=always` brings v1alpha3",
                        older);
        return;
    }
    if (!check_fact_is(source, "links", ERR_NOT_FOUND))
        check_problem(report, "Links cannot be listed: %s", check_fact_error(source, "links"));
    else if (json_array_size(json_object_get(snapshot, "targets")) > 0)
        check_skip(report); /* 2.8's Secrets need no Links */
    else
        check_problem(report, "multicluster.linkerd.io/v1alpha3 Links are not served in the source cluster: "
                              "`svcmirror install --apply` brings the type");
}

/* ---- what they say ---- */

static enum err_code judge(const json_t *target, struct err *reterr)
{
    const json_t *link = json_object_get(target, "link"), *secret = json_object_get(target, "declaration");
    const struct link *judged = NULL;
    struct arena arena;
    arena_init(&arena, DECODED_BYTES);
    enum err_code code = ERR_OK;
    if (link != NULL) {
        struct link_resource resource = {0};
        code = codec_link(&arena, link, &resource, reterr);
        if (code == ERR_OK)
            code = link_from_resource(&arena, &resource, &judged, reterr);
    } else {
        struct link_secret decoded = {0};
        const char *type = NULL, *kubeconfig = NULL;
        size_t bytes = 0;
        code = codec_secret(&arena, secret, &decoded, &type, &kubeconfig, &bytes, reterr);
        if (code == ERR_OK)
            code = link_from_secret(&arena, &decoded, &judged, reterr);
    }
    arena_done(&arena);
    return code;
}

/* @return what declared the same cluster before this one, or NULL. */
static const char *earlier_declaration(const json_t *targets, size_t before, const char *cluster)
{
    for (size_t i = 0; i < before; i++)
        if (strcmp(check_text(json_array_get(targets, i), "cluster"), cluster) == 0)
            return check_text(json_array_get(targets, i), "declaredBy");
    return NULL;
}

void check_links_valid(const json_t *snapshot, struct check_report *report)
{
    const json_t *targets = json_object_get(snapshot, "targets"), *target = NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(targets, index, target)
    {
        const char *cluster = check_text(target, "cluster"), *declared_by = check_text(target, "declaredBy");
        const char *earlier = earlier_declaration(targets, index, cluster);
        struct err error = {0};
        if (!target_concerns(target))
            continue;
        seen++;
        if (judge(target, &error) != ERR_OK)
            check_problem(report, "* %s: %s", declared_by, error.text);
        else if (earlier != NULL)
            check_problem(report, "* %s: cluster %s is linked by %s already: delete one of them", declared_by, cluster,
                          earlier);
        else
            check_note(report, "* %s", cluster);
    }
    const char *wanted = check_text(snapshot, "cluster");
    if (seen == 0 && wanted[0] != '\0')
        check_problem(report,
                      "cluster %s is not linked: namespace %s has neither a Link nor a credentials Secret for it",
                      wanted, check_text(snapshot, "namespace"));
    else if (seen == 0)
        check_skip(report); /* as Linkerd: no links detected */
}

void check_links_version(const json_t *snapshot, struct check_report *report)
{
    static const char ours[] = "svcmirror/cli ";
    const json_t *target = NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        const json_t *link = json_object_get(target, "link");
        const char *by = object_meta_entry(link, "annotations", "linkerd.io/created-by");
        if (link == NULL || !target_concerns(target))
            continue;
        seen++;
        if (by == NULL)
            check_problem(report, "* %s: unable to determine version", check_text(target, "declaredBy"));
        else if (text_starts_with(by, ours) && strcmp(by + strlen(ours), SVCMIRROR_VERSION) != 0)
            check_problem(report, "* %s: CLI: %s, link: %s: `svcmirror link` writes it anew",
                          check_text(target, "declaredBy"), SVCMIRROR_VERSION, by + strlen(ours));
    }
    if (seen == 0)
        check_skip(report);
}

/* ---- who serves them ---- */

/* @return who holds the Lease now, or NULL. */
static const char *holder_of(const json_t *leases, const char *name, int64_t now_us)
{
    const json_t *lease = NULL;
    size_t index = 0;
    json_array_foreach(leases, index, lease)
    {
        const char *holder = check_text(lease, "spec/holderIdentity");
        int64_t renewed_us = 0;
        if (strcmp(object_meta_text(lease, "name"), name) != 0 || holder[0] == '\0' ||
            text_parse_time_us(check_text(lease, "spec/renewTime"), &renewed_us, NULL) != ERR_OK)
            continue;
        int64_t lasts_us = json_integer_value(check_at(lease, "spec/leaseDurationSeconds")) * 1000000;
        return renewed_us + lasts_us > now_us ? holder : NULL;
    }
    return NULL;
}

/* What the agent itself says of the link. @return borrowed, or NULL when it does not know it, or does not answer. */
static const json_t *agent_record(const json_t *snapshot, const char *declared_by)
{
    const json_t *record = NULL;
    size_t index = 0;
    json_array_foreach(check_fact(json_object_get(snapshot, "source"), "agentLinks"), index, record)
    {
        char name[320];
        (void)snprintf(name, sizeof(name), "%s/%s", strcmp(check_text(record, "kind"), "Link") == 0 ? "link" : "secret",
                       check_text(record, "name"));
        if (strcmp(name, declared_by) == 0)
            return record;
    }
    return NULL;
}

static void judge_served(const json_t *snapshot, const json_t *leases, const json_t *target,
                         struct check_report *report)
{
    const char *declared_by = check_text(target, "declaredBy"), *cluster = check_text(target, "cluster");
    const json_t *link = json_object_get(target, "link"), *record = agent_record(snapshot, declared_by);
    int64_t now_us = json_integer_value(json_object_get(snapshot, "now")) * 1000000;
    char lease[320];
    (void)snprintf(lease, sizeof(lease), WRITE_LEASE_PREFIX "%s",
                   link != NULL ? object_meta_text(link, "name") : cluster);
    const char *holder = holder_of(leases, lease, now_us), *problem = check_text(record, "problem");
    if (json_is_true(json_object_get(record, "refused")) || (record != NULL && problem[0] != '\0'))
        check_problem(report, "* %s: the agent says: %s", declared_by, problem);
    else if (record != NULL && !json_is_true(json_object_get(record, "synced")))
        check_problem(report, "* %s: the agent has not listed cluster %s yet", declared_by, cluster);
    else if (holder == NULL && record == NULL)
        check_problem(
            report,
            "* %s: no agent serves it: nobody holds Lease %s/%s, and the agent's status API does not know it: "
            "see the agent's log",
            declared_by, check_text(target, "namespace"), lease);
    else
        check_note(report, "* %s%s%s", cluster, holder != NULL ? ": " : "", holder != NULL ? holder : "");
}

void check_links_served(const json_t *snapshot, struct check_report *report)
{
    const json_t *target = NULL, *source = json_object_get(snapshot, "source");
    const json_t *leases = check_items(source, "leases");
    size_t index = 0, seen = 0;
    if (leases == NULL && check_fact(source, "agentLinks") == NULL) {
        check_doubt(report, "cannot be judged: %s; %s", check_fact_error(source, "agentLinks"),
                    check_fact_error(source, "leases"));
        return;
    }
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        if (!target_concerns(target))
            continue;
        seen++;
        judge_served(snapshot, leases, target, report);
    }
    if (seen == 0)
        check_skip(report);
}
