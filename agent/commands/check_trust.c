/* Whether the proxies of two clusters can take one another's certificates: what counts is the bundle that the proxies are given (the ConfigMap
 * linkerd-identity-trust-roots), and one root in both is enough. Installations that have none are judged by the configuration. */
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/kube/pem.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    MOST_ROOTS = 64,
    SHOWN_DIGITS = 16, /* of a fingerprint: enough to tell roots apart */
};

struct roots {
    struct pem_certificate list[MOST_ROOTS];
    unsigned count;
};

static void take_root(void *context, const struct pem_certificate *certificate)
{
    struct roots *roots = context;
    if (roots->count < MOST_ROOTS)
        roots->list[roots->count++] = *certificate;
}

/* Where today's charts ("values") and 2.8's ("global") have them. @param[out] ret_config  new: what the text is borrowed from, or NULL. */
static const char *configured_roots(const json_t *config_map, json_t **ret_config)
{
    static const char *const places[][2] = {{"data/values", "identityTrustAnchorsPEM"},
                                            {"data/values", "global/identityTrustAnchorsPEM"},
                                            {"data/global", "identityContext/trustAnchorsPem"}};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        const char *text = check_text(config_map, places[i][0]);
        json_t *config = NULL;
        if (text[0] == '\0' || yaml_parse(text, strlen(text), &config, NULL) != ERR_OK)
            continue;
        const char *pem = check_text(config, places[i][1]);
        if (pem[0] != '\0') {
            *ret_config = config;
            return pem;
        }
        json_decref(config);
    }
    return "";
}

/* @return whether there are roots; else `error` says why not, with ERR_NOT_FOUND where there is no Linkerd. */
static bool read_roots(const json_t *side, struct roots *ret_roots, struct err *error)
{
    json_t *config = NULL;
    const char *pem = check_text(check_fact(side, "trustRoots"), "data/ca-bundle.crt");
    if (pem[0] == '\0')
        pem = configured_roots(check_fact(side, "linkerdConfig"), &config);
    ret_roots->count = 0;
    bool absent =
        check_fact_is(side, "trustRoots", ERR_NOT_FOUND) && check_fact_is(side, "linkerdConfig", ERR_NOT_FOUND);
    if (pem[0] != '\0')
        error->code = pem_each(pem, take_root, ret_roots, error);
    else if (check_fact_error(side, "trustRoots")[0] != '\0')
        (void)err_set(error, absent ? ERR_NOT_FOUND : ERR_FORBIDDEN, "%s", check_fact_error(side, "trustRoots"));
    else
        (void)err_set(error, ERR_INVALID, "ConfigMap linkerd-identity-trust-roots holds no certificate");
    json_decref(config);
    return error->code == ERR_OK;
}

static const struct pem_certificate *find_root(const struct roots *roots, const char *fingerprint)
{
    for (unsigned i = 0; i < roots->count; i++)
        if (strcmp(roots->list[i].fingerprint, fingerprint) == 0)
            return &roots->list[i];
    return NULL;
}

static bool has_ended(const struct pem_certificate *root, int64_t now_us)
{
    return validity_stage(&root->validity, now_us) == VALIDITY_ENDED;
}

static void write_roots(const struct roots *roots, char *buffer, size_t bytes)
{
    struct strbuf text;
    strbuf_init(&text, bytes - 1);
    for (unsigned i = 0; i < roots->count; i++) {
        char until[TEXT_TIME_BYTES];
        text_format_time(roots->list[i].validity.until_us, until);
        strbuf_printf(&text, "%s%.*s (until %s)", i > 0 ? ", " : "", SHOWN_DIGITS, roots->list[i].fingerprint, until);
    }
    memcpy(buffer, strbuf_text(&text), strlen(strbuf_text(&text)) + 1);
    strbuf_done(&text);
}

static void compare(const struct roots *here, const struct roots *there, const char *cluster, int64_t now_us,
                    struct check_report *report)
{
    char ours[512], theirs[512], until[TEXT_TIME_BYTES];
    const struct pem_certificate *shared = NULL;
    for (unsigned i = 0; i < there->count; i++) {
        const struct pem_certificate *root = find_root(here, there->list[i].fingerprint);
        if (root != NULL && (shared == NULL || root->validity.until_us > shared->validity.until_us))
            shared = root;
    }
    if (shared == NULL) {
        write_roots(here, ours, sizeof(ours));
        write_roots(there, theirs, sizeof(theirs));
        check_problem(report,
                      "* cluster %s: the clusters share no trust anchor: source has %s; %s has %s (SHA-256): put the "
                      "roots of both into the bundle of both",
                      cluster, ours, cluster, theirs);
        return;
    }
    text_format_time(shared->validity.until_us, until);
    switch (validity_stage(&shared->validity, now_us)) {
    case VALIDITY_ENDED:
        check_problem(report, "* cluster %s: the shared trust anchor %.*s has expired at %s", cluster, SHOWN_DIGITS,
                      shared->fingerprint, until);
        break;
    case VALIDITY_ENDS:
    case VALIDITY_ENDS_SOON:
        check_doubt(report, "* cluster %s: the shared trust anchor %.*s expires at %s", cluster, SHOWN_DIGITS,
                    shared->fingerprint, until);
        break;
    case VALIDITY_GOOD:
        check_note(report, "* %s: %.*s until %s", cluster, SHOWN_DIGITS, shared->fingerprint, until);
        break;
    }
}

static void compare_target(const json_t *target, const struct roots *here, int64_t now_us, struct check_report *report)
{
    const char *cluster = check_text(target, "cluster");
    struct roots there;
    struct err error = {0};
    if (read_roots(target, &there, &error))
        compare(here, &there, cluster, now_us, report);
    else if (error.code == ERR_FORBIDDEN)
        check_doubt(report,
                    "* cluster %s: cannot be judged: let its account get ConfigMap linkerd-identity-trust-roots in "
                    "namespace %s: %s",
                    cluster, check_text(target, "linkerdNamespace"), error.text);
    else
        check_problem(report, "* cluster %s: %s", cluster, error.text);
}

void check_trust_anchors(const json_t *snapshot, struct check_report *report)
{
    int64_t now_us = json_integer_value(json_object_get(snapshot, "now")) * 1000000;
    const json_t *target = NULL;
    size_t index = 0, seen = 0;
    struct roots here;
    struct err error = {0};
    if (!read_roots(json_object_get(snapshot, "source"), &here, &error)) {
        if (error.code == ERR_NOT_FOUND)
            check_skip(report); /* no Linkerd here: nobody verifies anybody */
        else if (error.code == ERR_FORBIDDEN)
            check_doubt(report, "cannot be judged: cluster source: %s", error.text);
        else
            check_problem(report, "cluster source: %s", error.text);
        return;
    }
    for (unsigned i = 0; i < here.count; i++)
        if (has_ended(&here.list[i], now_us))
            check_doubt(report, "cluster source: trust anchor %.*s has expired: take it out of the bundle",
                        SHOWN_DIGITS, here.list[i].fingerprint);
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        if (!target_concerns(target) || !target_answers(target))
            continue;
        seen++;
        compare_target(target, &here, now_us, report);
    }
    if (seen == 0)
        check_skip(report);
}
