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
    MAX_BOUNDS = 32, /* of a histogram, without +Inf */
    NUMBER_BYTES = 32,
    MAX_SERIES = 100000, /* about 30 MB of text: more than any Prometheus takes from one target */
    MAX_COLLECTORS = 16,
    KEY_BYTES = 1024, /* six label values; names of Kubernetes have at most 253 bytes */
    LABELS_BYTES = 4 * KEY_BYTES,
};

static const double MAX_WHOLE = 1e15; /* below it each whole number is exact, and %g wrote it without an exponent */

struct metric_series {
    struct metric *metric;
    double value;      /* of counters and gauges; the sum of histograms */
    uint64_t count;    /* histograms */
    uint64_t *buckets; /* histograms: not cumulative, +Inf last */
    char *labels;      /* as they are written, without braces */
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
    mem_free(series->labels);
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
    if (bucket_count > MAX_BOUNDS)
        abort(); /* the bounds are constants of the program */
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

/* @param quotes  whether quotes are escaped too: in label values, not in help texts. */
static void put_escaped(struct strbuf *text, const char *value, bool quotes)
{
    const char *special = quotes ? "\\\n\"" : "\\\n";
    for (;;) {
        size_t plain = strcspn(value, special);
        strbuf_append_bytes(text, value, plain);
        value += plain;
        if (*value == '\0')
            return;
        strbuf_append_char(text, '\\');
        strbuf_append_char(text, *value == '\n' ? 'n' : *value);
        value++;
    }
}

/* Once for a series, because all are written at each scrape. @return new (mem_free()), NULL when out of memory. */
static char *write_labels(const struct metric *metric, const char *const *values)
{
    struct strbuf text;
    strbuf_init(&text, LABELS_BYTES);
    for (unsigned i = 0; i < metric->label_count; i++) {
        strbuf_printf(&text, "%s%s=\"", i > 0 ? "," : "", metric->labels[i]);
        put_escaped(&text, values[i], true);
        strbuf_append_char(&text, '"');
    }
    char *labels = strbuf_error(&text) == ERR_OK ? mem_strdup(strbuf_text(&text)) : NULL;
    strbuf_done(&text);
    return labels;
}

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
    series->labels = write_labels(metric, values);
    bool complete = series->labels != NULL;
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

/* What stands before all keys whose first `count` label values are these. @return false when it is longer than any key. */
static bool write_key(va_list args, unsigned count, const char **values, char ret_key[static KEY_BYTES])
{
    size_t used = 0;
    ret_key[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        values[i] = va_arg(args, const char *);
        int length = snprintf(ret_key + used, KEY_BYTES - used, "%s" SEPARATOR, values[i]);
        used += length > 0 ? (size_t)length : 0;
        if (used >= KEY_BYTES)
            return false;
    }
    return true;
}

struct metric_series *metric_get(struct metric *metric, ...)
{
    const char *values[MAX_LABELS] = {0};
    char key[KEY_BYTES];
    va_list args;
    if (metric == NULL)
        return NULL;
    va_start(args, metric);
    bool fits = write_key(args, metric->label_count, values, key);
    va_end(args);
    struct metric_series *series = fits ? map_get(metric->series, key) : NULL;
    return series != NULL || !fits ? series : new_series(metric, key, values);
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

static void forget_prefix(struct metric *metric, const char *prefix)
{
    size_t length = strlen(prefix);
    for (struct map_entry *at = map_seek(metric->series, prefix), *next;
         at != NULL && strncmp(map_key(at), prefix, length) == 0; at = next) {
        next = map_next(at);
        (void)map_remove(metric->series, map_key(at));
    }
}

void metric_forget(struct metric *metric, unsigned count, ...)
{
    const char *values[MAX_LABELS] = {0};
    char prefix[KEY_BYTES];
    va_list args;
    if (metric == NULL)
        return;
    if (count > metric->label_count)
        abort(); /* the labels are constants of the program */
    va_start(args, count);
    bool fits = write_key(args, count, values, prefix);
    va_end(args);
    if (fits)
        forget_prefix(metric, prefix);
}

void metrics_forget(struct metrics *metrics, const char *label, const char *value)
{
    for (struct map_entry *at = map_first(metrics->families); at != NULL; at = map_next(at)) {
        struct metric *metric = map_value(at);
        if (metric->label_count > 0 && strcmp(metric->labels[0], label) == 0)
            metric_forget(metric, 1, value);
    }
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
static void write_number(double value, char ret_text[static NUMBER_BYTES])
{
    if (isnan(value) || isinf(value)) {
        (void)snprintf(ret_text, NUMBER_BYTES, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (fabs(value) < MAX_WHOLE && value == trunc(value)) { /* nearly all are */
        (void)snprintf(ret_text, NUMBER_BYTES, "%lld", (long long)value);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(ret_text, NUMBER_BYTES, "%.*g", precision, value);
        if (strtod(ret_text, NULL) == value)
            break;
    }
}

/* @param bound  the `le` label, or NULL. */
static void put_sample(struct strbuf *text, const struct metric_series *series, const char *suffix, const char *bound,
                       double value)
{
    char number[NUMBER_BYTES];
    const char *labels = series->labels;
    strbuf_append(text, series->metric->name);
    strbuf_append(text, suffix);
    if (labels[0] != '\0' || bound != NULL) {
        strbuf_append_char(text, '{');
        strbuf_append(text, labels);
        if (bound != NULL) {
            strbuf_append(text, labels[0] != '\0' ? ",le=\"" : "le=\"");
            strbuf_append(text, bound);
            strbuf_append_char(text, '"');
        }
        strbuf_append_char(text, '}');
    }
    write_number(value, number);
    strbuf_append_char(text, ' ');
    strbuf_append(text, number);
    strbuf_append_char(text, '\n');
}

static void put_histograms(struct strbuf *text, const struct metric *metric)
{
    char bounds[MAX_BOUNDS + 1][NUMBER_BYTES];
    for (size_t i = 0; i <= metric->bound_count; i++)
        write_number(i < metric->bound_count ? metric->bounds[i] : (double)INFINITY, bounds[i]);
    for (struct map_entry *at = map_first(metric->series); at != NULL; at = map_next(at)) {
        const struct metric_series *series = map_value(at);
        uint64_t cumulative = 0;
        for (size_t i = 0; i <= metric->bound_count; i++) {
            cumulative += series->buckets[i];
            put_sample(text, series, "_bucket", bounds[i], (double)cumulative);
        }
        put_sample(text, series, "_sum", NULL, series->value);
        put_sample(text, series, "_count", NULL, (double)series->count);
    }
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
    if (metric->type == METRIC_HISTOGRAM) {
        put_histograms(text, metric);
        return;
    }
    for (struct map_entry *at = map_first(metric->series); at != NULL; at = map_next(at))
        put_sample(text, map_value(at), "", NULL, ((const struct metric_series *)map_value(at))->value);
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
