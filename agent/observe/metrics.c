#include "agent/observe/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

enum {
    MAX_LABELS = 6,
    MAX_SERIES = 100000, /* about 30 MB of text: more than any Prometheus takes from one target */
    MAX_COLLECTORS = 16,
    KEY_BYTES = 1024, /* six label values; names of Kubernetes have at most 253 bytes */
};

struct metric_series {
    struct metric *metric;
    double value;      /* of counters and gauges; the sum of histograms */
    uint64_t count;    /* histograms */
    uint64_t *buckets; /* histograms: not cumulative, +Inf last */
    char *values[MAX_LABELS];
};

struct metric {
    struct metrics *registry;
    enum metric_type type;
    const char *name, *help;
    const char *labels[MAX_LABELS];
    unsigned label_count;
    const double *bounds;
    size_t bound_count;
    struct map *series; /* by label values, each ended by SEPARATOR */
};

struct collector {
    metrics_collect_fn fn;
    void *context;
};

struct metrics {
    struct map *families;
    size_t series_count;
    struct collector collectors[MAX_COLLECTORS];
    unsigned collector_count;
};

/* Less than every character of a label value, so that the map's order is the order of the values. */
#define SEPARATOR "\x1f"

static void free_series(void *value)
{
    struct metric_series *series = value;
    if (series == NULL)
        return;
    for (unsigned i = 0; i < MAX_LABELS; i++)
        mem_free(series->values[i]);
    mem_free(series->buckets);
    series->metric->registry->series_count--;
    mem_free(series);
}

static void free_family(void *value)
{
    struct metric *metric = value;
    if (metric == NULL)
        return;
    map_free(metric->series);
    mem_free(metric);
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = NEW(struct metrics);
    if (metrics == NULL)
        return NULL;
    metrics->families = map_new(free_family);
    if (metrics->families == NULL) {
        mem_free(metrics);
        return NULL;
    }
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    map_free(metrics->families);
    mem_free(metrics);
}

struct metric *metrics_register(struct metrics *metrics, enum metric_type type, const char *name, const char *help,
                                const char *const *labels, const double *buckets, size_t bucket_count)
{
    struct metric *metric = map_get(metrics->families, name);
    if (metric != NULL)
        return metric;
    metric = NEW(struct metric);
    if (metric == NULL)
        return NULL;
    *metric = (struct metric){.registry = metrics,
                              .type = type,
                              .name = name,
                              .help = help,
                              .bounds = buckets,
                              .bound_count = bucket_count,
                              .series = map_new(free_series)};
    for (; labels != NULL && labels[metric->label_count] != NULL; metric->label_count++) {
        if (metric->label_count == MAX_LABELS)
            abort(); /* the labels are constants of the program */
        metric->labels[metric->label_count] = labels[metric->label_count];
    }
    if (metric->series == NULL || map_put(metrics->families, name, metric) != ERR_OK) {
        free_family(metric);
        return NULL;
    }
    return metric;
}

/* ---- series ---- */

static struct metric_series *new_series(struct metric *metric, const char *key, const char *const *values)
{
    struct metrics *metrics = metric->registry;
    if (metrics->series_count >= MAX_SERIES)
        return NULL;
    struct metric_series *series = NEW(struct metric_series);
    if (series == NULL)
        return NULL;
    series->metric = metric;
    metrics->series_count++;
    bool complete = true;
    for (unsigned i = 0; i < metric->label_count; i++)
        complete = (series->values[i] = mem_strdup(values[i])) != NULL && complete;
    if (metric->type == METRIC_HISTOGRAM) {
        series->buckets = mem_zalloc((metric->bound_count + 1) * sizeof(uint64_t));
        complete = series->buckets != NULL && complete;
    }
    if (!complete || map_put(metric->series, key, series) != ERR_OK) {
        free_series(series);
        return NULL;
    }
    return series;
}

struct metric_series *metric_get(struct metric *metric, ...)
{
    if (metric == NULL)
        return NULL;
    const char *values[MAX_LABELS] = {0};
    char key[KEY_BYTES] = "";
    size_t used = 0;
    va_list args;
    va_start(args, metric);
    for (unsigned i = 0; i < metric->label_count && used < sizeof(key); i++) {
        values[i] = va_arg(args, const char *);
        int length = snprintf(key + used, sizeof(key) - used, "%s" SEPARATOR, values[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    va_end(args);
    if (used >= sizeof(key))
        return NULL;
    struct metric_series *series = map_get(metric->series, key);
    return series != NULL ? series : new_series(metric, key, values);
}

void metric_set(struct metric_series *series, double value)
{
    if (series != NULL)
        series->value = value;
}

void metric_add(struct metric_series *series, double value)
{
    if (series != NULL)
        series->value += value;
}

void metric_observe(struct metric_series *series, double value)
{
    if (series == NULL || series->buckets == NULL)
        return;
    const struct metric *metric = series->metric;
    size_t bucket = 0;
    while (bucket < metric->bound_count && value > metric->bounds[bucket])
        bucket++;
    series->buckets[bucket]++;
    series->count++;
    series->value += value;
}

double metric_value(const struct metric_series *series) { return series != NULL ? series->value : 0; }

static void forget_in(struct metric *metric, const char *label, const char *value)
{
    unsigned index = 0;
    while (index < metric->label_count && strcmp(metric->labels[index], label) != 0)
        index++;
    if (index == metric->label_count)
        return;
    for (struct map_entry *at = map_first(metric->series), *next; at != NULL; at = next) {
        next = map_next(at);
        const struct metric_series *series = map_value(at);
        if (strcmp(series->values[index], value) == 0)
            (void)map_remove(metric->series, map_key(at));
    }
}

void metrics_forget(struct metrics *metrics, struct metric *metric, const char *label, const char *value)
{
    if (metric != NULL) {
        forget_in(metric, label, value);
        return;
    }
    for (struct map_entry *at = map_first(metrics->families); at != NULL; at = map_next(at))
        forget_in(map_value(at), label, value);
}

enum err_code metrics_on_collect(struct metrics *metrics, metrics_collect_fn fn, void *context)
{
    if (metrics->collector_count == MAX_COLLECTORS)
        return ERR_LIMIT;
    metrics->collectors[metrics->collector_count++] = (struct collector){fn, context};
    return ERR_OK;
}

/* ---- exposition ---- */

/* The shortest text that reads back as the same number: 0.1, not 0.10000000000000001. */
static void put_number(struct strbuf *text, double value)
{
    char digits[32];
    if (isnan(value) || isinf(value)) {
        strbuf_append(text, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    strbuf_append(text, digits);
}

/* @param quotes  whether quotes are escaped too: in label values, not in help texts. */
static void put_escaped(struct strbuf *text, const char *value, bool quotes)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\\' || (*c == '"' && quotes))
            strbuf_append_char(text, '\\');
        if (*c == '\n')
            strbuf_append(text, "\\n");
        else
            strbuf_append_char(text, *c);
    }
}

/* @param bound  the `le` label, or NULL. */
static void put_labels(struct strbuf *text, const struct metric_series *series, const double *bound)
{
    const struct metric *metric = series->metric;
    if (metric->label_count == 0 && bound == NULL)
        return;
    strbuf_append_char(text, '{');
    for (unsigned i = 0; i < metric->label_count; i++) {
        strbuf_printf(text, "%s%s=\"", i > 0 ? "," : "", metric->labels[i]);
        put_escaped(text, series->values[i], true);
        strbuf_append_char(text, '"');
    }
    if (bound != NULL) {
        strbuf_append(text, metric->label_count > 0 ? ",le=\"" : "le=\"");
        put_number(text, *bound);
        strbuf_append_char(text, '"');
    }
    strbuf_append_char(text, '}');
}

static void put_sample(struct strbuf *text, const struct metric_series *series, const char *suffix, const double *bound,
                       double value)
{
    strbuf_printf(text, "%s%s", series->metric->name, suffix);
    put_labels(text, series, bound);
    strbuf_append_char(text, ' ');
    put_number(text, value);
    strbuf_append_char(text, '\n');
}

static void put_histogram(struct strbuf *text, const struct metric_series *series)
{
    static const double infinity = (double)INFINITY;
    const struct metric *metric = series->metric;
    uint64_t cumulative = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        cumulative += series->buckets[i];
        put_sample(text, series, "_bucket", i < metric->bound_count ? &metric->bounds[i] : &infinity,
                   (double)cumulative);
    }
    put_sample(text, series, "_sum", NULL, series->value);
    put_sample(text, series, "_count", NULL, (double)series->count);
}

static const char *const types[] = {
    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

static void put_family(struct strbuf *text, const struct metric *metric)
{
    if (map_count(metric->series) == 0)
        return; /* nothing is known of it yet: no 0 is claimed */
    strbuf_printf(text, "# HELP %s ", metric->name);
    put_escaped(text, metric->help, false);
    strbuf_printf(text, "\n# TYPE %s %s\n", metric->name, types[metric->type]);
    for (struct map_entry *at = map_first(metric->series); at != NULL; at = map_next(at)) {
        const struct metric_series *series = map_value(at);
        if (metric->type == METRIC_HISTOGRAM)
            put_histogram(text, series);
        else
            put_sample(text, series, "", NULL, series->value);
    }
}

void metrics_write(struct metrics *metrics, struct strbuf *text)
{
    for (unsigned i = 0; i < metrics->collector_count; i++)
        metrics->collectors[i].fn(metrics->collectors[i].context);
    for (struct map_entry *at = map_first(metrics->families); at != NULL; at = map_next(at))
        put_family(text, map_value(at));
}

void metrics_write_reference(struct metrics *metrics, struct strbuf *text)
{
    for (struct map_entry *at = map_first(metrics->families); at != NULL; at = map_next(at)) {
        const struct metric *metric = map_value(at);
        strbuf_printf(text, "| `%s` | %s | %s", metric->name, types[metric->type], metric->label_count == 0 ? "-" : "");
        for (unsigned i = 0; i < metric->label_count; i++)
            strbuf_printf(text, "%s`%s`", i > 0 ? ", " : "", metric->labels[i]);
        strbuf_printf(text, " | %s |\n", metric->help);
    }
}
