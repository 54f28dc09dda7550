#include "agent/commands/view_changes.h"

#include <string.h>

#include "agent/commands/record.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"

enum { KEY_BYTES = 64 << 10 };

struct view_changes {
    const char *const *identity, *const *news;
    struct map *seen; /* identity as text -> json_t, the record */
};

static void free_json(void *value) { json_decref(value); }

struct view_changes *view_changes_new(const char *const *identity, const char *const *news)
{
    struct view_changes *changes = NEW(struct view_changes);
    struct map *seen = map_new(free_json);
    if (changes == NULL || seen == NULL) {
        mem_free(changes);
        map_free(seen);
        return NULL;
    }
    *changes = (struct view_changes){.identity = identity, .news = news, .seen = seen};
    return changes;
}

void view_changes_free(struct view_changes *changes)
{
    if (changes == NULL)
        return;
    map_free(changes->seen);
    mem_free(changes);
}

int view_compare(const json_t *a, const json_t *b, const char *const *identity)
{
    int order = 0;
    for (const char *const *key = identity; *key != NULL && order == 0; key++)
        order = strcmp(record_text(a, *key), record_text(b, *key));
    return order;
}

static enum err_code write_key(const struct view_changes *changes, const json_t *record, struct strbuf *key)
{
    strbuf_clear(key);
    for (const char *const *at = changes->identity; *at != NULL; at++)
        strbuf_printf(key, "%s\x1f", record_text(record, *at));
    return strbuf_error(key);
}

/* Of objects, those in lists too, only these keys count: an address's latency is no more news than its gateway's. Two that are absent are equal. */
static bool is_news(const json_t *before, const json_t *now, const char *const *news)
{
    bool differs = false;
    if (json_is_array(before) && json_is_array(now)) {
        differs = json_array_size(before) != json_array_size(now);
        for (size_t i = 0; !differs && i < json_array_size(now); i++)
            differs = is_news(json_array_get(before, i), json_array_get(now, i), news);
        return differs;
    }
    if (!json_is_object(before) || !json_is_object(now))
        return before != now && !json_equal(before, now);
    for (const char *const *key = news; !differs && *key != NULL; key++)
        differs = is_news(json_object_get(before, *key), json_object_get(now, *key), news);
    return differs;
}

/* Moves what is seen into `now`; what is left over in `seen` is gone. */
static enum err_code take_one(struct view_changes *changes, struct map *now, struct strbuf *key, json_t *record,
                              json_t *changed)
{
    TRY(write_key(changes, record, key));
    if (map_get(now, strbuf_text(key)) != NULL)
        return ERR_OK; /* what cannot be told apart is one */
    json_t *before = map_get(changes->seen, strbuf_text(key));
    if ((before == NULL || is_news(before, record, changes->news)) && json_array_append(changed, record) != 0)
        return ERR_NOMEM;
    TRY(map_put(now, strbuf_text(key), record));
    (void)json_incref(record);
    (void)map_remove(changes->seen, strbuf_text(key));
    return ERR_OK;
}

enum err_code view_changes_take(struct view_changes *changes, const json_t *records, json_t **ret_changed,
                                json_t **ret_gone)
{
    struct map *now = map_new(free_json);
    json_t *changed = json_array(), *gone = json_array(), *record = NULL;
    size_t index = 0;
    struct strbuf key;
    enum err_code code = now != NULL && changed != NULL && gone != NULL ? ERR_OK : ERR_NOMEM;
    strbuf_init(&key, KEY_BYTES);
    json_array_foreach(records, index, record)
    {
        code = code == ERR_OK ? take_one(changes, now, &key, record, changed) : code;
    }
    for (const struct map_entry *at = map_first(changes->seen); at != NULL && code == ERR_OK; at = map_next(at))
        code = json_array_append(gone, map_value(at)) == 0 ? ERR_OK : ERR_NOMEM;
    strbuf_done(&key);
    if (code != ERR_OK) { /* of no further use: what was seen is half moved */
        map_free(now);
        json_decref(changed);
        json_decref(gone);
        return code;
    }
    map_free(changes->seen);
    changes->seen = now;
    *ret_changed = changed;
    *ret_gone = gone;
    return ERR_OK;
}
