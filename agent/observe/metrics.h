/* The registry of Prometheus metrics: families registered once, series that come and go with what they measure, the text exposition
 * format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). One thread, no locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

struct metrics;
struct metric;        /* a family */
struct metric_series; /* one set of label values of a family */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/** @param labels  names, NULL-terminated, at most 6; may be NULL. @param buckets  upper bounds, ascending, for histograms (borrowed). Registering the
 *  same name twice returns the first. @return borrowed family, NULL when out of memory. */
struct metric *metrics_register(struct metrics *metrics, enum metric_type type, const char *name, const char *help,
                                const char *const *labels, const double *buckets, size_t bucket_count);
/** The series with these label values (as many as the family has labels), made when absent. NULL when out of memory or over 100,000 series: every
 *  function below takes NULL and does nothing. */
struct metric_series *metric_get(struct metric *metric, ...); /* const char * values */
void metric_set(struct metric_series *series, double value);
void metric_add(struct metric_series *series, double value);
void metric_observe(struct metric_series *series, double value);
double metric_value(const struct metric_series *series);
/** Removes every series of the family whose first `count` labels, at most all it has, have these values: what metric_get() gave of them is freed. */
void metric_forget(struct metric *metric, unsigned count, ...); /* const char * values */
/** Removes every series of all families whose first label is `label`, with this value. */
void metrics_forget(struct metrics *metrics, const char *label, const char *value);

/** Called before each exposition, to fill gauges that are cheaper to read than to keep. At most 16. */
typedef void (*metrics_collect_fn)(void *context);
enum err_code metrics_on_collect(struct metrics *metrics, metrics_collect_fn fn, void *context) MUST_USE;
/** Appends the exposition: families by name, series by label values, HELP and TYPE lines; labels escaped. */
void metrics_write(struct metrics *metrics, struct strbuf *text);
/** Appends one row of a Markdown table for each family, whether it has series or not: name, type, labels, help. What docs/metrics.md holds. */
void metrics_write_reference(struct metrics *metrics, struct strbuf *text);
