#include "mirror/known.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"

#define KNOWN(text)                                                                                                    \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

static const struct {
    const char *text;
    size_t length;
} known[] = {
    KNOWN(L5D_MIRRORED_SERVICE),
    KNOWN(L5D_CLUSTER_NAME),
    KNOWN(L5D_REMOTE_GATEWAY_NAME),
    KNOWN(L5D_REMOTE_GATEWAY_NS),
    KNOWN(L5D_REMOTE_RESOURCE_VERSION),
    KNOWN(L5D_REMOTE_SVC_FQ_NAME),
    KNOWN(L5D_REMOTE_GATEWAY_RESOURCE_VERSION),
    KNOWN(L5D_REMOTE_GATEWAY_IDENTITY),
    KNOWN(L5D_REMOTE_DISCOVERY),
    KNOWN(L5D_REMOTE_SERVICE),
    KNOWN(L5D_HEADLESS_MIRROR),
    KNOWN(L5D_GATEWAY_NAME),
    KNOWN(L5D_GATEWAY_NS),
    KNOWN(L5D_EXPORTED),
    KNOWN(L5D_FEDERATED),
    KNOWN(K8S_SERVICE_NAME),
    KNOWN(K8S_MANAGED_BY),
    KNOWN(K8S_HEADLESS),
    KNOWN(K8S_MADE_BY_SELECTOR),
    KNOWN(K8S_MADE_OF_ENDPOINTS),
    KNOWN(SLICE_MANAGED_BY),
    KNOWN("app.kubernetes.io/name"),
    KNOWN("app.kubernetes.io/instance"),
    KNOWN("app.kubernetes.io/version"),
    KNOWN("app.kubernetes.io/part-of"),
    KNOWN("app.kubernetes.io/component"),
    KNOWN(K8S_APP_MANAGED_BY),
    KNOWN("app"),
    KNOWN("true"),
};

const char *known_text(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (known[i].length == length && memcmp(known[i].text, text, length) == 0)
            return known[i].text;
    return NULL;
}
