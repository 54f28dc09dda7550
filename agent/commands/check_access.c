/* Whether the targets' API servers take the credentials that the agent has, and allow what it does there. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/kube/validity.h"
#include "base/mem.h"
#include "base/text.h"

enum rights { RIGHTS_ALLOWED, RIGHTS_REFUSED, RIGHTS_UNKNOWN };

/* Whether all verbs are allowed on the resource. @param[out] missing  the first that is not, or why it is not known. */
static enum rights judge_rights(const json_t *target, const char *resource, const char *const *verbs,
                                const char **ret_missing)
{
    const json_t *rights = json_object_get(target, "rights");
    for (; *verbs != NULL; verbs++) {
        char key[96];
        (void)snprintf(key, sizeof(key), "%s %s", *verbs, resource);
        const json_t *review = check_fact(rights, key);
        *ret_missing = review != NULL ? *verbs : check_fact_error(rights, key);
        if (review == NULL)
            return RIGHTS_UNKNOWN;
        if (!json_is_true(check_at(review, "status/allowed")))
            return RIGHTS_REFUSED;
    }
    return RIGHTS_ALLOWED;
}

static void judge_access(const json_t *target, struct check_report *report)
{
    static const char *const verbs[] = {"get", "list", "watch", NULL};
    const char *cluster = check_text(target, "cluster"), *problem = check_text(target, "problem"), *missing = NULL;
    if (problem[0] != '\0') {
        check_problem(report, "* cluster %s: secret %s/%s: %s", cluster, check_text(target, "namespace"),
                      check_text(target, "secret"), problem);
        return;
    }
    if (!target_answers(target)) {
        check_problem(report, "* cluster %s: %s", cluster, check_fact_error(target, "version"));
        return;
    }
    switch (judge_rights(target, "services", verbs, &missing)) {
    case RIGHTS_ALLOWED:
        check_note(report, "* %s", cluster);
        break;
    case RIGHTS_REFUSED:
        check_problem(report, "* cluster %s: missing permission to %s services: give its account that right there",
                      cluster, missing);
        break;
    case RIGHTS_UNKNOWN:
        check_doubt(report, "* cluster %s: whether services may be read cannot be judged: %s", cluster, missing);
        break;
    }
}

/* @return how many of the targets that are asked for `judge` was called with. */
static size_t each_target(const json_t *snapshot, bool (*takes)(const json_t *target),
                          void (*judge)(const json_t *target, struct check_report *report), struct check_report *report)
{
    const json_t *target = NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        if (!target_concerns(target) || !takes(target))
            continue;
        seen++;
        judge(target, report);
    }
    if (seen == 0)
        check_skip(report);
    return seen;
}

static bool takes_all(const json_t *target) { return target != NULL; }

void check_credentials(const json_t *snapshot, struct check_report *report)
{
    (void)each_target(snapshot, takes_all, judge_access, report);
}

static void judge_endpoint_rights(const json_t *target, struct check_report *report)
{
    static const char *const verbs[] = {"list", "watch", NULL};
    const char *cluster = check_text(target, "cluster"), *missing = NULL, *missing_old = NULL;
    enum rights slices = judge_rights(target, "endpointslices", verbs, &missing);
    enum rights endpoints = judge_rights(target, "endpoints", verbs, &missing_old);
    if (slices == RIGHTS_ALLOWED || endpoints == RIGHTS_ALLOWED)
        check_note(report, "* %s", cluster);
    else if (slices == RIGHTS_UNKNOWN)
        check_doubt(report, "* cluster %s: cannot be judged: %s", cluster, missing);
    else
        check_problem(report,
                      "* cluster %s: missing permission to %s endpointslices (discovery.k8s.io): mirrors do not follow "
                      "whether the service there has endpoints, and headless services have none",
                      cluster, missing);
}

void check_endpoint_rights(const json_t *snapshot, struct check_report *report)
{
    (void)each_target(snapshot, target_answers, judge_endpoint_rights, report);
}

/* ---- clocks ---- */

/* What Linkerd's identity allows: certificates are made for as much before now. */
enum { ALLOWED_SKEW_S = 20 };

void check_clocks(const json_t *snapshot, struct check_report *report)
{
    const json_t *here = check_at(snapshot, "source/ahead"), *target = NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        const json_t *there = json_object_get(target, "ahead");
        if (!json_is_integer(here) || !json_is_integer(there) || !target_concerns(target))
            continue;
        seen++;
        json_int_t skew = json_integer_value(there) - json_integer_value(here);
        if (skew > ALLOWED_SKEW_S || skew < -ALLOWED_SKEW_S)
            check_problem(
                report,
                "* cluster %s: its clock is %lld s %s the source's: proxies refuse certificates that are not valid "
                "yet: let both follow the same time",
                check_text(target, "cluster"), skew < 0 ? -skew : skew, skew < 0 ? "behind" : "ahead of");
        else
            check_note(report, "* %s", check_text(target, "cluster"));
    }
    if (seen == 0)
        check_skip(report);
}

/* ---- how long they last ---- */

static void judge_credential(const json_t *target, const json_t *credential, int64_t now_us,
                             struct check_report *report)
{
    const struct validity validity = {.from_us = json_integer_value(json_object_get(credential, "from")),
                                      .until_us = json_integer_value(json_object_get(credential, "until"))};
    const char *cluster = check_text(target, "cluster"), *kind = check_text(credential, "kind");
    char until[TEXT_TIME_BYTES];
    if (validity.until_us == 0)
        return;
    text_format_time(validity.until_us, until);
    switch (validity_stage(&validity, now_us)) {
    case VALIDITY_GOOD:
        check_note(report, "* %s: %s until %s", cluster, kind, until);
        break;
    case VALIDITY_ENDED:
        check_problem(report, "* cluster %s: the %s in secret %s/%s has expired at %s: link the cluster again", cluster,
                      kind, check_text(target, "namespace"), check_text(target, "secret"), until);
        break;
    case VALIDITY_ENDS:
    case VALIDITY_ENDS_SOON:
        check_problem(report, "* cluster %s: the %s in secret %s/%s expires at %s: link the cluster again before",
                      cluster, kind, check_text(target, "namespace"), check_text(target, "secret"), until);
        break;
    }
}

void check_expiry(const json_t *snapshot, struct check_report *report)
{
    int64_t now_us = json_integer_value(json_object_get(snapshot, "now")) * 1000000;
    const json_t *target = NULL, *credential = NULL;
    size_t index = 0, inner = 0, seen = 0;
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        json_array_foreach(json_object_get(target, "credentials"), inner, credential)
        {
            seen++;
            judge_credential(target, credential, now_us, report);
        }
    }
    if (seen == 0)
        check_skip(report);
}
