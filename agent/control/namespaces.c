#include "agent/control/namespaces.h"

#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"

struct wish {
    bool under_way;
    uint64_t retry_at_ms;
    char problem[ERR_TEXT_BYTES];
};

struct namespaces {
    struct map *wishes; /* by name; gone when the namespace is there */
};

struct namespaces *namespaces_new(void)
{
    struct namespaces *namespaces = NEW(struct namespaces);
    if (namespaces == NULL)
        return NULL;
    namespaces->wishes = map_new(mem_free);
    if (namespaces->wishes == NULL) {
        mem_free(namespaces);
        return NULL;
    }
    return namespaces;
}

void namespaces_free(struct namespaces *namespaces)
{
    if (namespaces == NULL)
        return;
    map_free(namespaces->wishes);
    mem_free(namespaces);
}

static struct wish *obtain(struct namespaces *namespaces, const char *name)
{
    struct wish *wish = map_get(namespaces->wishes, name);
    if (wish != NULL)
        return wish;
    wish = NEW(struct wish);
    if (wish == NULL || map_put(namespaces->wishes, name, wish) != ERR_OK) {
        mem_free(wish);
        return NULL;
    }
    return wish;
}

enum namespace_turn namespaces_ask(struct namespaces *namespaces, const char *name, uint64_t now_ms,
                                   uint64_t *ret_wait_ms, const char **ret_problem)
{
    struct wish *wish = obtain(namespaces, name);
    if (wish == NULL)
        return NAMESPACE_CREATE;
    if (wish->under_way)
        return NAMESPACE_UNDER_WAY;
    if (now_ms < wish->retry_at_ms) {
        *ret_wait_ms = wish->retry_at_ms - now_ms;
        *ret_problem = wish->problem;
        return NAMESPACE_FAILED;
    }
    wish->under_way = true;
    return NAMESPACE_CREATE;
}

void namespaces_created(struct namespaces *namespaces, const char *name) { (void)map_remove(namespaces->wishes, name); }

void namespaces_failed(struct namespaces *namespaces, const char *name, uint64_t now_ms, uint64_t retry_ms,
                       const char *problem)
{
    struct wish *wish = map_get(namespaces->wishes, name);
    if (wish == NULL)
        return;
    wish->under_way = false;
    wish->retry_at_ms = now_ms + retry_ms;
    (void)snprintf(wish->problem, sizeof(wish->problem), "%s", problem);
}
