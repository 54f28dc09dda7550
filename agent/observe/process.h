/* The metrics that Prometheus' client libraries have of their own process, by the same names, so that the usual dashboards and
 * alerts (memory, CPU, file descriptors, restarts) work. */
#pragma once

#include "agent/observe/metrics.h"
#include "base/err.h"

struct process_metrics;

/** Registers them and reads them before each exposition. @param version  of this program, for svcmirror_build_info.
 *  @param[out] ret_process  new; free it after `metrics`. @return ERR_OK, ERR_NOMEM, ERR_LIMIT (collectors). */
enum err_code process_metrics_new(struct metrics *metrics, const char *version, struct process_metrics **ret_process)
    MUST_USE;
void process_metrics_free(struct process_metrics *process); /* takes NULL */
