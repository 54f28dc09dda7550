#include "agent/control/preview_entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control/write_changes.h"
#include "agent/control/write_manifest.h"
#include "base/mem.h"
#include "mirror/names.h"

enum {
    TEXTS_BYTES = 1 << 30, /* some 400 bytes a write: more writes than etcd holds objects */
    CHANGES_BYTES = 8 << 10,
};

struct preview_entry {
    struct preview_write
        write;     /* texts are in the arena, the object is ours; first, so that sorted writes are sorted entries */
    size_t number; /* in the order of planning */
    struct preview_entry *next;
};

void preview_object_format(char text[PREVIEW_OBJECT_BYTES], enum write_kind kind, const char *namespace,
                           const char *name)
{
    (void)snprintf(text, PREVIEW_OBJECT_BYTES, "%s %s/%s", write_kind_name(kind), namespace, name);
}

enum err_code preview_entries_init(struct preview_entries *entries)
{
    *entries = (struct preview_entries){.last = map_new(NULL)};
    arena_init(&entries->texts, TEXTS_BYTES);
    return entries->last != NULL ? ERR_OK : ERR_NOMEM;
}

/* jansson counts references in objects that one only reads. */
static void release(const json_t *object) { json_decref(mem_unconst(object)); }

void preview_entries_done(struct preview_entries *entries)
{
    for (const struct preview_entry *entry = entries->first; entry != NULL; entry = entry->next)
        release(entry->write.object);
    map_free(entries->last);
    mem_free(entries->sorted);
    arena_done(&entries->texts);
    *entries = (struct preview_entries){0};
}

/* ---- adding ---- */

static const char *cluster_of(const struct mirror *mirror)
{
    const struct claim *claim = mirror_first_claim(mirror);
    const struct service *service = mirror_service(mirror);
    if (claim != NULL)
        return world_link_declaration(claim_link(claim))->cluster_name;
    const char *label = service != NULL ? kv_get(&service->meta.labels, L5D_CLUSTER_NAME) : NULL;
    return label != NULL ? label : "";
}

/* What is planned twice for one object is one write with the newer content; only what was deleted is made anew. */
static struct preview_entry *obtain(struct preview_entries *entries, const struct write *write)
{
    char key[PREVIEW_OBJECT_BYTES];
    preview_object_format(key, write->kind, write->namespace, write->name);
    struct preview_entry *entry = map_get(entries->last, key);
    if (entry != NULL && entry->write.verb != WRITE_DELETE && write->verb == WRITE_UPDATE)
        return entry;
    entry = ARENA_NEW(&entries->texts, struct preview_entry);
    if (entry == NULL || map_put(entries->last, key, entry) != ERR_OK)
        return NULL;
    entry->number = entries->count++;
    entry->next = entries->first;
    /* Whole from the beginning: it is sorted with the others whatever fails from here on. */
    entry->write = (struct preview_write){.verb = write->verb,
                                          .kind = write_kind_name(write->kind),
                                          .namespace = "",
                                          .name = "",
                                          .mirror = "",
                                          .cluster = "",
                                          .reason = write->reason,
                                          .changes = ""};
    entries->first = entry;
    return entry;
}

static const char *changes_of(struct preview_entries *entries, const struct write *write)
{
    struct strbuf text;
    strbuf_init(&text, CHANGES_BYTES);
    write_changes(write, &text);
    const char *copy = arena_strdup(&entries->texts, strbuf_text(&text));
    strbuf_done(&text);
    return copy;
}

enum err_code preview_entries_add(struct preview_entries *entries, const struct mirror *mirror,
                                  const struct write *write)
{
    struct preview_entry *entry = obtain(entries, write);
    struct arena *texts = &entries->texts;
    json_t *object = NULL;
    if (entry == NULL)
        return ERR_NOMEM;
    TRY(write_manifest(write, &object));
    release(entry->write.object);
    entry->write = (struct preview_write){
        .verb = entry->write.verb,
        .kind = write_kind_name(write->kind),
        .namespace = arena_strdup(texts, write->namespace),
        .name = arena_strdup(texts, write->name),
        .mirror = arena_strdup(texts, mirror_key(mirror)),
        .cluster = arena_strdup(texts, cluster_of(mirror)),
        .reason = entry->write.reason,
        .changes = entry->write.verb == WRITE_UPDATE ? changes_of(entries, write) : "",
        .object = object,
    };
    return arena_failed(texts) ? ERR_NOMEM : ERR_OK;
}

enum err_code preview_entries_add_link(struct preview_entries *entries, const struct preview_write *write)
{
    struct arena *texts = &entries->texts;
    struct preview_entry *entry = ARENA_NEW(texts, struct preview_entry);
    if (entry == NULL)
        return ERR_NOMEM;
    entry->number = entries->count++;
    entry->next = entries->first;
    entry->write = (struct preview_write){.verb = write->verb,
                                          .kind = PREVIEW_LINK,
                                          .namespace = arena_strdup(texts, write->namespace),
                                          .name = arena_strdup(texts, write->name),
                                          .mirror = "",
                                          .cluster = arena_strdup(texts, write->cluster),
                                          .reason = write->reason,
                                          .changes = arena_strdup(texts, write->changes)};
    entries->first = entry;
    return arena_failed(texts) ? ERR_NOMEM : ERR_OK;
}

/* ---- sorting ---- */

/* Namespaces, then mirror by mirror, then the Links themselves. */
static int rank(const struct preview_write *write)
{
    if (strcmp(write->kind, write_kind_name(WRITE_NAMESPACE)) == 0)
        return 0;
    return strcmp(write->kind, PREVIEW_LINK) == 0 ? 2 : 1;
}

/* A text that there was no memory for. */
static const char *text_of(const char *text) { return text != NULL ? text : ""; }

static int compare(const void *a, const void *b)
{
    const struct preview_entry *x = *(const struct preview_entry *const *)a;
    const struct preview_entry *y = *(const struct preview_entry *const *)b;
    int x_rank = rank(&x->write), y_rank = rank(&y->write);
    if (x_rank != y_rank)
        return x_rank - y_rank;
    bool by_mirror = x_rank == 1;
    int order = strcmp(text_of(by_mirror ? x->write.mirror : x->write.name),
                       text_of(by_mirror ? y->write.mirror : y->write.name));
    return order != 0 ? order : x->number < y->number ? -1 : 1;
}

enum err_code preview_entries_sort(struct preview_entries *entries)
{
    size_t at = 0;
    entries->sorted = mem_zalloc((entries->count + 1) * sizeof(struct preview_write *));
    if (entries->sorted == NULL)
        return ERR_NOMEM;
    for (struct preview_entry *entry = entries->first; entry != NULL; entry = entry->next)
        entries->sorted[at++] = &entry->write;
    qsort(entries->sorted, entries->count, sizeof(struct preview_write *), compare);
    return ERR_OK;
}
