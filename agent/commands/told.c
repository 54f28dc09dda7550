#include "agent/commands/told.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/output.h"

enum { NAME_BYTES = 512, LINE_BYTES = 2048, OUTPUT_BYTES = 64 << 20 };

static const char *const run_words[] = {
    [TOLD_DONE] = "none", [TOLD_DRY_CLIENT] = "client", [TOLD_DRY_SERVER] = "server"};

/* How the one command of this process tells. */
static struct {
    const char *format; /* of options; NULL: text */
    json_t *all;        /* what is printed in the end; NULL: nothing is */
    unsigned count;     /* of objects that were told of */
    bool is_broken;     /* something could not be kept, or printed */
} state;

static bool is_format(const char *format) { return state.format != NULL && strcmp(state.format, format) == 0; }

enum told_run told_run_of(const char *dry_run)
{
    for (unsigned run = TOLD_DRY_CLIENT; dry_run != NULL && run <= TOLD_DRY_SERVER; run++)
        if (strcmp(dry_run, run_words[run]) == 0)
            return (enum told_run)run;
    return TOLD_DONE;
}

void told_begin(const struct options *options)
{
    if (!options_get(options, "output")->given)
        return;
    state.format = options_text(options, "output");
    if (is_format("json") || is_format("yaml")) {
        state.all = json_array();
        state.is_broken = state.all == NULL;
    }
}

/* ---- as it happens ---- */

static void print_line(const struct told *what)
{
    static const char *const marks[] = {
        [TOLD_DONE] = "", [TOLD_DRY_CLIENT] = " (dry run)", [TOLD_DRY_SERVER] = " (server dry run)"};
    char object[NAME_BYTES];
    struct strbuf line;
    resource_format(what->resource, what->name, object, sizeof(object));
    strbuf_init(&line, LINE_BYTES);
    output_text(object, &line);
    if (!is_format("name"))
        strbuf_printf(&line, " %s", what->outcome);
    if (!is_format("name") && what->with_namespace) {
        strbuf_append(&line, " in namespace ");
        output_text(what->namespace, &line);
    }
    strbuf_printf(&line, "%s\n", is_format("name") ? "" : marks[what->run]);
    if (!output_print(&line))
        state.is_broken = true;
    strbuf_done(&line);
}

/* ---- in the end ---- */

static void keep(const struct told *what)
{
    const struct resource *resource = what->resource;
    char version[NAME_BYTES];
    (void)snprintf(version, sizeof(version), "%s%s%s", resource->group, resource->group[0] != '\0' ? "/" : "",
                   resource->version);
    bool is_within = resource->namespaced && what->namespace != NULL && what->namespace[0] != '\0';
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s, s:s}", "cluster", cluster_name(what->cluster), "apiVersion", version,
                  "kind", resource->kind, "namespace", is_within ? what->namespace : NULL, "name", what->name,
                  "outcome", what->outcome, "dryRun", run_words[what->run]);
    if (json_array_append_new(state.all, record) != 0)
        state.is_broken = true;
}

void told(const struct told *what)
{
    state.count++;
    if (state.all != NULL)
        keep(what);
    else
        print_line(what);
}

void told_would_delete(const struct cluster *cluster, const struct resource *resource, const char *namespace,
                       const char *name)
{
    const struct told what = {.cluster = cluster,
                              .resource = resource,
                              .namespace = namespace,
                              .name = name,
                              .outcome = "deleted",
                              .run = TOLD_DRY_CLIENT};
    told(&what);
}

unsigned told_count(void) { return state.count; }

bool told_end(void)
{
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    if (state.all != NULL && is_format("json"))
        output_json(state.all, &text);
    else if (state.all != NULL)
        output_yaml(state.all, &text);
    bool whole = !state.is_broken && output_print(&text);
    strbuf_done(&text);
    json_decref(state.all);
    state.all = NULL;
    state.format = NULL;
    state.count = 0;
    state.is_broken = false;
    return whole;
}
