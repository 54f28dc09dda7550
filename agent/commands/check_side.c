/* Which side of a link the cluster is on: one that is a target alone has nothing of a source, and nothing of that is missing there. */
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/resource.h"
#include "mirror/names.h"

/* A Link, or a Secret with a target's credentials, whether it declares the target itself (2.8) or a Link named it. */
static bool has_links(const json_t *source)
{
    const json_t *secret = NULL;
    size_t index = 0;
    if (json_array_size(check_items(source, "links")) > 0)
        return true;
    json_array_foreach(check_items(source, "secrets"), index, secret)
    {
        if (strcmp(check_text(secret, "type"), L5D_SECRET_TYPE) == 0)
            return true;
    }
    return false;
}

static bool has_agent(const json_t *source)
{
    unsigned count = 0;
    (void)check_find_agent(check_items(source, "deployments"), &count);
    return count > 0;
}

/* Something for other clusters to use, and nothing of theirs: mirrors without an agent are a source's that was left behind. */
static bool only_offers(const json_t *services)
{
    const json_t *service = NULL;
    size_t index = 0;
    bool offers = false;
    json_array_foreach(services, index, service)
    {
        if (object_meta_entry(service, "labels", L5D_MIRRORED_SERVICE) != NULL)
            return false;
        offers = offers || check_is_gateway(service) || check_is_exported(service);
    }
    return offers;
}

/* What cannot be read may be there. */
static bool is_known(const json_t *source)
{
    bool links = check_items(source, "links") != NULL || check_fact_is(source, "links", ERR_NOT_FOUND);
    return links && check_items(source, "secrets") != NULL && check_items(source, "deployments") != NULL;
}

bool check_is_target_alone(const json_t *snapshot)
{
    const json_t *source = json_object_get(snapshot, "source");
    bool asked_for_a_link = check_text(snapshot, "cluster")[0] != '\0';
    return !asked_for_a_link && is_known(source) && !has_links(source) && !has_agent(source) &&
           only_offers(check_items(source, "services"));
}

void check_target_alone(const json_t *snapshot, struct check_report *report)
{
    if (check_is_target_alone(snapshot))
        check_note(report,
                   "* nothing of a source is checked: namespace %s has no Link, no credentials Secret and no agent",
                   check_text(snapshot, "namespace"));
    else
        check_skip(report);
}
