/* Who this process is to the other replicas: the host's name, the place where it runs (the kernel's boot and the network namespace), and
 * chance. And whether the process of another identity has ended, which can be proven only of one in the same place: each keeps an abstract
 * Unix socket of its identity's name bound while it lives, and the kernel takes it away with the process, however that ends. The containers of
 * a pod share one network namespace through all their restarts; no two pods do, but on the host's own network.
 *
 * The number of a network namespace is used again only when the namespace is gone, and with it all its processes: a name that is not bound
 * in a namespace of the same number belongs to no living process either way. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct identity;

/** @param host  at most 100 bytes of it are used. @return new, NULL when out of memory. Where no socket can be bound, or /proc is not there,
 *  it names no place, and its end can be proven by nobody. */
struct identity *identity_new(const char *host);
void identity_free(struct identity *identity); /* takes NULL; from here others can tell that it ended */
/** "<host>_<boot>-<namespace>-<chance>", or "<host>_<chance>". */
const char *identity_text(const struct identity *identity);
/** "<host>-<chance>", fit for the name of an object when put behind a prefix that begins with a letter. */
const char *identity_name(const struct identity *identity);
/** Whether `other` is the identity of a process in our place that has ended. */
bool identity_is_gone(const struct identity *identity, const char *other);
