/* What json_split.h does to JSON, for answers in protobuf: cuts a list into its items, and a watch into its events, as they arrive. An item is an object
 * without its envelope, for proto_tree_read(); an event is for proto_tree_event(). What is known of a list before its items, and at its end, comes as
 * the same JSON that json_split.h gives; items and events are not ended by NUL. Bounded: a piece over `limit_bytes` is ERR_LIMIT. */
#pragma once

#include <stdint.h>

#include "agent/kube/json_split.h"

enum proto_split_state {
    PROTO_SPLIT_MAGIC,    /* of a list: "k8s\0" comes */
    PROTO_SPLIT_ENVELOPE, /* of a list: a field of the envelope comes */
    PROTO_SPLIT_LIST,     /* of a list: a field of the list itself comes */
    PROTO_SPLIT_EVENTS,   /* of a watch: the length of the next event comes */
};

struct proto_split {
    json_split_fn fn;
    void *context;
    size_t limit_bytes;
    /* private */
    enum proto_split_state state;
    struct strbuf pending; /* the beginning of what is not there whole yet */
    struct strbuf type_meta, list_meta;
    uint64_t other_bytes; /* of a list, of what is not its items */
    uint64_t left;        /* of the list's own bytes */
    bool had_list;        /* the envelope's list came */
};

void proto_split_init(struct proto_split *split, enum json_split_mode mode, size_t limit_bytes, json_split_fn fn,
                      void *context);
void proto_split_done(struct proto_split *split);
/** Feeds bytes, `limit_bytes` at most at a time; calls back for each completed piece, which may release `split` if it then returns an error.
 *  @return ERR_OK, ERR_LIMIT, ERR_NOMEM, ERR_PROTOCOL, or what `fn` returned. */
enum err_code proto_split_feed(struct proto_split *split, const char *data, size_t bytes, struct err *reterr) MUST_USE;
/** The stream ended. @return ERR_PROTOCOL when it ended inside a piece, or before its list. */
enum err_code proto_split_finish(struct proto_split *split, struct err *reterr) MUST_USE;
