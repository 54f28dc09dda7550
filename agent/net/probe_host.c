#include "agent/net/probe_host.h"

#include "base/text.h"

const char *probe_host(struct arena *arena, const char *declared, uint16_t port)
{
    char canonical[TEXT_IP_BYTES];
    bool v6 = text_parse_ip(declared, canonical) == IP_V6;
    if (port == 80)
        return arena_printf(arena, v6 ? "[%s]" : "%s", v6 ? canonical : declared);
    return arena_printf(arena, v6 ? "[%s]:%u" : "%s:%u", v6 ? canonical : declared, port);
}
