/* links: agent_kube base */
/* A kubeconfig out of a Secret is what somebody else wrote: whatever it is, it is resolved or refused with a text, and no file of
 * this machine is named by the result. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    arena_init(&arena, 4 << 20);
    enum err_code code =
        kubeconfig_parse(&arena, (const char *)data, bytes, NULL, KUBECONFIG_TARGET, NULL, &config, &error);
    if (code == ERR_OK ? config.server == NULL || config.token_file != NULL || config.ca_file != NULL ||
                             config.cert_file != NULL || config.key_file != NULL
                       : error.text[0] == '\0')
        abort();
    arena_done(&arena);
    return 0;
}
