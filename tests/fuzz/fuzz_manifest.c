/* links: agent_kube base */
/* Manifests come from anywhere: a stream of them is cut into documents that cover it, and each is parsed or refused with a text, within
 * the bounds on depth and values, also where aliases multiply. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/setup.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void parse(const char *document, size_t bytes)
{
    struct err error = {0};
    json_t *root = NULL;
    enum err_code code = yaml_parse_manifest(document, bytes, &root, &error);
    if (code == ERR_OK) {
        char *text = root != NULL ? json_dumps(root, JSON_ENCODE_ANY) : NULL;
        if (root != NULL && text == NULL)
            abort();
        mem_free(text);
    } else if (error.text[0] == '\0' || root != NULL) {
        abort();
    }
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    kube_setup();
    char *text = mem_strndup((const char *)data, bytes);
    const char *at = text, *document = NULL;
    size_t length = 0;
    if (text == NULL)
        return 0;
    while (yaml_next_document(&at, &document, &length)) {
        if (document < text || document + length != at)
            abort();
        parse(document, length);
    }
    if (*at != '\0')
        abort();
    mem_free(text);
    return 0;
}
