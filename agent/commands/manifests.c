#include "agent/commands/manifests.h"

#include "agent/commands/output.h"
#include "base/mem.h"
#include "base/strbuf.h"

enum { OUTPUT_BYTES = 64 << 20 };

bool manifests_print(json_t *objects, bool json)
{
    struct strbuf text;
    json_t *object = NULL;
    size_t index = 0;
    bool whole = true;
    strbuf_init(&text, OUTPUT_BYTES);
    json_array_foreach(objects, index, object)
    {
        char *line = json ? json_dumps(object, JSON_COMPACT) : NULL;
        whole = whole && (!json || line != NULL);
        if (line != NULL)
            strbuf_printf(&text, "%s\n", line);
        else if (!json)
            strbuf_append(&text, index > 0 ? "---\n" : "");
        if (!json)
            output_yaml(object, &text);
        mem_free(line);
    }
    whole = whole && output_print(&text);
    strbuf_done(&text);
    return whole;
}
