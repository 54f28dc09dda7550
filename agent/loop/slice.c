#include "agent/loop/slice.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SLICE_NS = 100000,
    FLAG_RESET_ON_FORK = 1, /* SCHED_FLAG_RESET_ON_FORK; the others go with members that are not in this version */
};

/* The kernel's struct sched_attr in its first version, which old C libraries do not know. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

bool slice_shorten(void)
{
    struct attributes attributes = {0};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0 || attributes.policy != SCHED_OTHER)
        return false;
    attributes.size = sizeof(attributes);
    attributes.flags &= FLAG_RESET_ON_FORK;
    attributes.runtime_ns = SLICE_NS;
    return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}
