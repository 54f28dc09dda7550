/* The values of Edge Stack's and Emissary's Helm charts that make the Service, the pods and the Module what `edge-stack prepare` makes them. */
#pragma once

#include "agent/commands/edge_stack.h"
#include "base/strbuf.h"

/** Appends them as YAML. Host, Listener and Mapping are no part of the charts. */
void edge_stack_write_values(const struct edge_stack_gateway *gateway, const struct edge_stack_plan *plan,
                             struct strbuf *text);
