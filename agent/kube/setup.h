/* Once per process, before anything else of agent/kube. */
#pragma once

/** Has jansson allocate through base/mem. */
void kube_setup(void);
