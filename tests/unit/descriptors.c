#include "tests/unit/descriptors.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static unsigned long asked, refused_from, refused_until;

unsigned long descriptors_count(void) { return asked; }

void descriptors_fail_at(unsigned long n, unsigned long calls)
{
    refused_from = n != 0 ? asked + n : 0;
    refused_until = calls < ULONG_MAX - refused_from ? refused_from + calls : ULONG_MAX;
}

static bool is_refused(void)
{
    asked++;
    if (refused_from == 0 || asked < refused_from || asked >= refused_until)
        return false;
    errno = EMFILE;
    return true;
}

/* ---- the calls of libc that are stood in for ---- */

/* What the caller would have called. */
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        abort();
    return found;
}

/* A function that gives a descriptor, or -1. Its parameters' types are libc's. */
#define STANDS_IN(name, parameters, ...)                                                                               \
    __attribute__((visibility("default"))) int name parameters                                                         \
    {                                                                                                                  \
        int(*libc) parameters = NULL;                                                                                  \
        *(void **)&libc = real(#name);                                                                                 \
        return is_refused() ? -1 : libc(__VA_ARGS__);                                                                  \
    }

STANDS_IN(socket, (int domain, int type, int protocol), domain, type, protocol)
STANDS_IN(socketpair, (int domain, int type, int protocol, int fds[2]), domain, type, protocol, fds)
STANDS_IN(pipe, (int fds[2]), fds)
STANDS_IN(pipe2, (int fds[2], int flags), fds, flags)
STANDS_IN(eventfd, (unsigned count, int flags), count, flags)
STANDS_IN(epoll_create, (int size), size)
STANDS_IN(epoll_create1, (int flags), flags)
STANDS_IN(timerfd_create, (clockid_t clock, int flags), clock, flags)
STANDS_IN(signalfd, (int fd, const sigset_t *mask, int flags), fd, mask, flags)
STANDS_IN(pidfd_open, (pid_t pid, unsigned flags), pid, flags)
STANDS_IN(inotify_init, (void))
STANDS_IN(inotify_init1, (int flags), flags)

/* The mode is read whether it was given or not, as libc's own wrappers do on these machines. */
#define STANDS_IN_FOR_OPEN(name)                                                                                       \
    __attribute__((visibility("default"))) int name(const char *path, int flags, ...)                                  \
    {                                                                                                                  \
        int (*libc)(const char *, int, ...) = NULL;                                                                    \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;                                 \
        va_end(more);                                                                                                  \
        *(void **)&libc = real(#name);                                                                                 \
        return is_refused() ? -1 : libc(path, flags, mode);                                                            \
    }

STANDS_IN_FOR_OPEN(open)
STANDS_IN_FOR_OPEN(open64)

#define STANDS_IN_FOR_FOPEN(name)                                                                                      \
    __attribute__((visibility("default"))) FILE *name(const char *path, const char *mode)                              \
    {                                                                                                                  \
        FILE *(*libc)(const char *, const char *) = NULL;                                                              \
        *(void **)&libc = real(#name);                                                                                 \
        return is_refused() ? NULL : libc(path, mode);                                                                 \
    }

STANDS_IN_FOR_FOPEN(fopen)
STANDS_IN_FOR_FOPEN(fopen64)

static DIR *open_folder(const char *path)
{
    DIR *(*libc)(const char *) = NULL;
    *(void **)&libc = real("opendir");
    return libc(path);
}

__attribute__((visibility("default"))) DIR *opendir(const char *path)
{
    return is_refused() ? NULL : open_folder(path);
}

/* ---- sweeping ---- */

unsigned descriptors_open(void)
{
    unsigned count = 0;
    DIR *folder = open_folder("/proc/self/fd");
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.' ? 1 : 0;
    (void)closedir(folder);
    return count - 1; /* the folder itself */
}

/* @return how many descriptors were asked for. */
static unsigned long run(sweep_fn scenario, void *context, unsigned long n, unsigned long calls,
                         enum err_code *ret_code)
{
    unsigned open_before = descriptors_open();
    unsigned long before = asked;
    descriptors_fail_at(n, calls);
    *ret_code = scenario(context);
    descriptors_fail_at(0, 0);
    unsigned open_after = descriptors_open();
    if (open_after > open_before)
        fail_msg("after descriptor %lu%s was refused, %u descriptors are left open", n,
                 calls > 1 ? " and all others" : "", open_after - open_before);
    return asked - before;
}

unsigned long sweep_descriptors(sweep_fn scenario, void *context)
{
    static const unsigned long CALLS[] = {1, ULONG_MAX};
    enum err_code code = ERR_OK;
    unsigned long used = run(scenario, context, 0, 0, &code), most = 0;
    for (unsigned long n = 1; n <= used; n++) {
        for (size_t i = 0; i < ARRAY_COUNT(CALLS); i++) {
            unsigned long in_vain = run(scenario, context, n, CALLS[i], &code);
            most = in_vain > most ? in_vain : most;
            (void)run(scenario, context, 0, 0, &code);
            if (code != ERR_OK)
                fail_msg("once there are descriptors again after number %lu was refused, the scenario ends with %s", n,
                         err_code_name(code));
        }
    }
    if (most > 100 * (used + 1))
        fail_msg("a run in want of descriptors asks for %lu of them, and not for %lu: it does not back off", most,
                 used);
#ifdef SWEEP_CHECKS_LEAKS
    if (__lsan_do_recoverable_leak_check() != 0)
        fail_msg("a leak after one of %lu descriptors was refused", used);
#endif
    return used;
}
