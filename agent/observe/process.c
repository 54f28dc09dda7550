#include "agent/observe/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* Families rather than series: a series made when the registry is full would be NULL for good. */
struct process_metrics {
    struct metric *cpu, *resident, *virtual, *open_fds, *max_fds, *start;
    double started_s;
};

static double seconds(const struct timeval *time) { return (double)time->tv_sec + (double)time->tv_usec / 1e6; }

static void collect_memory(const struct process_metrics *process)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC); /* pages: all, then resident */
    ssize_t bytes = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    (void)close(fd);
    if (bytes <= 0)
        return;
    text[bytes] = '\0';
    char *end = text;
    unsigned long long all = strtoull(text, &end, 10), resident = strtoull(end, NULL, 10);
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    metric_set(metric_get(process->virtual), (double)all * page_bytes);
    metric_set(metric_get(process->resident), (double)resident * page_bytes);
}

static void collect_fds(const struct process_metrics *process)
{
    struct rlimit limit;
    unsigned count = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metric_set(metric_get(process->max_fds), (double)limit.rlim_cur);
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.' ? 1 : 0;
    (void)closedir(folder);
    metric_set(metric_get(process->open_fds), count - 1); /* the folder itself */
}

static void collect(void *context)
{
    const struct process_metrics *process = context;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metric_set(metric_get(process->cpu), seconds(&usage.ru_utime) + seconds(&usage.ru_stime));
    metric_set(metric_get(process->start), process->started_s);
    collect_memory(process);
    collect_fds(process);
}

static struct metric *gauge(struct metrics *metrics, const char *name, const char *help)
{
    return metrics_register(metrics, METRIC_GAUGE, name, help, NULL, NULL, 0);
}

enum err_code process_metrics_new(struct metrics *metrics, const char *version, struct process_metrics **ret_process)
{
    static const char *const build_labels[] = {"version", NULL};
    struct timespec now;
    struct process_metrics *process = NEW(struct process_metrics);
    if (process == NULL)
        return ERR_NOMEM;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    process->started_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    process->cpu = metrics_register(metrics, METRIC_COUNTER, "process_cpu_seconds_total",
                                    "Total user and system CPU time spent in seconds.", NULL, NULL, 0);
    process->resident = gauge(metrics, "process_resident_memory_bytes", "Resident memory size in bytes.");
    process->virtual = gauge(metrics, "process_virtual_memory_bytes", "Virtual memory size in bytes.");
    process->open_fds = gauge(metrics, "process_open_fds", "Number of open file descriptors.");
    process->max_fds = gauge(metrics, "process_max_fds", "Maximum number of open file descriptors.");
    process->start =
        gauge(metrics, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.");
    struct metric *build =
        metrics_register(metrics, METRIC_GAUGE, "svcmirror_build_info",
                         "Always 1; the label is the version of this program.", build_labels, NULL, 0);
    bool complete = process->cpu != NULL && process->resident != NULL && process->virtual != NULL &&
                    process->open_fds != NULL && process->max_fds != NULL && process->start != NULL && build != NULL;
    metric_set(metric_get(build, version), 1);
    enum err_code code = complete ? metrics_on_collect(metrics, collect, process) : ERR_NOMEM;
    if (code != ERR_OK) {
        mem_free(process);
        return code;
    }
    *ret_process = process;
    return ERR_OK;
}

void process_metrics_free(struct process_metrics *process) { mem_free(process); }
