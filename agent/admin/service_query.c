#include "agent/admin/service_query.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

static const char *parameter(const struct admin_request *request, const char *name)
{
    const char *value = admin_request_query(request, name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

struct service_query service_query_parse(const struct admin_request *request)
{
    return (struct service_query){.cluster = parameter(request, "cluster"),
                                  .namespace = parameter(request, "namespace"),
                                  .mirrored = parameter(request, "mirrored"),
                                  .words = parameter(request, "q")};
}

static char fold(char c) { return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

/* With 100,000 services this looks at millions of characters while probes wait, so that hardly any may cost a call. */
static bool contains(const char *text, const char *word, size_t length)
{
    char first = fold(word[0]);
    for (; text != NULL && *text != '\0'; text++)
        if (fold(*text) == first && strncasecmp(text, word, length) == 0)
            return true;
    return false;
}

/* `shop/cart` is a name as people see it: the part before the slash ends the namespace, the other begins the name. */
static bool is_key(const struct service_info *info, const char *word, size_t length)
{
    const char *slash = memchr(word, '/', length);
    if (slash == NULL)
        return false;
    size_t before = (size_t)(slash - word), after = length - before - 1, namespace = strlen(info->namespace);
    return before <= namespace && strncasecmp(info->namespace + namespace - before, word, before) == 0 &&
           strncasecmp(info->name, slash + 1, after) == 0;
}

static bool has_word(const struct service_info *info, const char *word, size_t length)
{
    const char *const texts[] = {info->cluster, info->namespace, info->name,   info->mirror,
                                 info->mode,    info->gateway,   info->reason, info->message};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (contains(texts[i], word, length))
            return true;
    return is_key(info, word, length);
}

static bool is_wanted(const char *wanted, const char *value) { return wanted == NULL || strcmp(wanted, value) == 0; }

bool service_query_matches(const struct service_query *query, const struct service_info *info)
{
    if (!is_wanted(query->cluster, info->cluster) || !is_wanted(query->namespace, info->namespace) ||
        !is_wanted(query->mirrored, info->mirrored ? "true" : "false"))
        return false;
    const char *words = query->words != NULL ? query->words : "", *word = NULL;
    size_t length = 0;
    while ((word = text_next_word(&words, &length)) != NULL)
        if (!has_word(info, word, length))
            return false;
    return true;
}

bool service_query_is_narrow(const struct service_query *query)
{
    return query->cluster != NULL || query->namespace != NULL || query->mirrored != NULL || query->words != NULL;
}
