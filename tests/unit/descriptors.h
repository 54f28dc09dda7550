/* Descriptor sweeps: as sweep.h does for allocations, so for everything that makes a descriptor. A test that links descriptors.c has the
 * calls of this program and of its libraries (libcurl, c-ares, libev ...) that make one under its control. Not among them: accept(), which is only called by
 * the test's own servers, and by libmicrohttpd, for which tests/e2e/test_endurance.py takes all descriptors away. */
#pragma once

#include "tests/unit/sweep.h"

/** How many descriptors were asked for so far: socket(), socketpair(), pipe(), eventfd(), epoll_create1(), timerfd_create(), signalfd(),
 *  inotify_init1(), pidfd_open(), open(), fopen(), opendir() and their relatives. */
unsigned long descriptors_count(void);

/** From the n-th on (1: the next) so many of these calls fail with EMFILE; n == 0: none does. */
void descriptors_fail_at(unsigned long n, unsigned long calls);

/** How many are open. */
unsigned descriptors_open(void);

/** Runs the scenario with its n-th descriptor refused, and with all from the n-th on, for each n; after each of these runs once more with
 *  none refused, which has to succeed. No run may leave a descriptor open that was not before, nor under AddressSanitizer memory. A run that
 *  ends with an error has to end with one that the scenario's comment allows: the scenario itself looks at that, and fails the test.
 *  @return how many descriptors the undisturbed scenario asks for. */
unsigned long sweep_descriptors(sweep_fn scenario, void *context);
