/* The machine behind list_watch.h; shared by list_watch*.c only.
 *
 *   list_watch.c         life, health, back-off, sending, delivering
 *   list_watch_list.c    listing: pages, what a refused or broken listing leads to
 *   list_watch_watch.c   watching: events, what a refused, broken or ended watch leads to
 *   list_watch_stream.c  a listing that is streamed and goes on as a watch; what a refused or broken one leads to
 *
 * Every function below that may run a callback of the owner may find `dead` set afterwards: the owner has freed the list_watch. Its memory
 * stays until the outermost function called by the loop returns (list_watch_leave()). */
#pragma once

#include "agent/kube/failure.h"
#include "agent/kube/json_split.h"
#include "agent/kube/list_watch.h"
#include "agent/kube/proto_split.h"
#include "agent/kube/proto_tree.h"
#include "agent/kube/transport.h"

enum {
    LIST_WATCH_BACKOFF_MS = 800, /* client-go's reflector: 0.8 s doubling to 30 s, and as much again at random */
    LIST_WATCH_BACKOFF_CAP_MS = 30000,
    LIST_WATCH_HEALTHY_MS = 120000,     /* healthy for so long: the next failure starts small again */
    LIST_WATCH_SECONDS_MIN = 300,       /* timeoutSeconds is random in [300, 600] */
    LIST_WATCH_SILENCE_MS = 90000,      /* bookmarks come each minute: longer silence is a dead connection */
    LIST_WATCH_LIST_SILENCE_MS = 60000, /* of a listing */
    /* Of a streamed list once it was answered: the bookmark that ends it comes within 6 s (KEP-3157), and is asked for each second. */
    LIST_WATCH_STREAM_SILENCE_MS = 15000,
    LIST_WATCH_SHORT_MS = 1000,        /* a watch that ends sooner without an event is an error */
    LIST_WATCH_SHORT_LIVES = 5,        /* so many in a row may end sooner with one */
    LIST_WATCH_OBJECT_BYTES = 4 << 20, /* etcd takes 1.5 MiB; JSON may be longer than what is stored */
    LIST_WATCH_TREE_BYTES =
        32 *
        LIST_WATCH_OBJECT_BYTES, /* a value of two bytes takes 48; in protobuf 80, and what no server sends runs out of memory */
    LIST_WATCH_VERSION_BYTES = 64, /* resourceVersions have up to 20 digits */
    LIST_WATCH_PAGE = 500,         /* client-go's page size */
    LIST_WATCH_OBJECTS =
        1000000, /* named by one listing, and pages of it: etcd's 8 GiB hold fewer, and a listing has to end */
    LIST_WATCH_SERVER_ERRORS = 5, /* 5xx on a watch in a row before a fresh listing is tried */
};

enum state {
    STATE_WAITING,   /* for the timer; then on to `next` */
    STATE_LISTING,   /* a page of a listing is under way */
    STATE_STREAMING, /* a streamed listing is under way; its call becomes the watch */
    STATE_WATCHING,  /* a watch is under way */
};

/* Which resourceVersion a listing asks for. */
enum list_from {
    LIST_FROM_CACHE,  /* "0": whatever the API server has at hand */
    LIST_FROM_LAST,   /* the last one seen: not older than what we know */
    LIST_FROM_QUORUM, /* none: the newest; after the server refused the other two */
};

struct list_watch {
    struct loop *loop;
    struct kube_client *client;
    struct list_watch_config config; /* its texts are copies */
    char *texts[5];                  /* behind them */
    struct list_watch_state state;   /* what the owner sees */

    enum state machine, next;
    struct loop_timer
        *timer; /* STATE_WAITING: due; STATE_STREAMING: silent for too long; else: the answer's head came */
    struct http_call call;
    struct transport_follower follower;
    struct json_split split;
    struct proto_split proto;               /* in its place, for an answer in protobuf */
    const struct proto_type *type;          /* of the objects; NULL: they are not asked for in protobuf */
    bool is_proto;                          /* the answer under way is in protobuf */
    struct arena piece;                     /* what it just split off, as a value: kept while data is taken */
    struct kube_failure stream_failure;     /* the ERROR event that ended the watch; code ERR_OK when there was none */
    char version[LIST_WATCH_VERSION_BYTES]; /* where to watch from */

    /* listing */
    enum list_from list_from;
    char *continue_token; /* of the next page, NULL for the first */
    bool unpaged;         /* a page's token had expired: all at once this time */
    bool plain;           /* a streamed listing broke: by pages this time */
    unsigned named;       /* objects and pages of the listing under way */
    bool begun;           /* on_begin was called for the listing under way */
    bool kind_known;      /* the answer under way has said that it is a list of the right kind */
    struct strbuf held;   /* items that came before that was known */

    /* watching */
    uint64_t signs;         /* events and bookmarks of this watch */
    unsigned silences;      /* watches in a row that told nothing for 90 s */
    unsigned server_errors; /* 5xx in a row */
    unsigned expiries;      /* places forgotten in a row */
    unsigned short_lives;   /* watches in a row that ended at once, whatever came on them */
    bool lost_an_object;    /* an object could not be taken: only a fresh listing brings it back */

    uint64_t started_us, began_ms; /* of the call under way */
    bool observed;                 /* the call under way was told to the client's observers */
    uint64_t healthy_since_ms;     /* 0 when not */
    unsigned failures;             /* in a row: exponent of the back-off */
    unsigned generation;           /* of the credentials that the call was sent with */
    bool retried_unauthorized;     /* since the last good answer */

    unsigned busy; /* depth of functions called by the loop that are running */
    bool dead;     /* freed by its owner while busy */
};

/* ---- list_watch.c ---- */

/** LIST_WATCH_OBJECTS; a seam for tests. */
extern unsigned list_watch_objects;

void list_watch_enter(struct list_watch *watch);
void list_watch_leave(struct list_watch *watch);

/** Goes on to `next` after `delay_ms`. */
void list_watch_wait(struct list_watch *watch, enum state next, uint64_t delay_ms);
/** The server answers as it should; runs on_state when that is news. */
void list_watch_set_healthy(struct list_watch *watch);
/** Backs off, then goes on to `next`; runs on_state. */
void list_watch_fail(struct list_watch *watch, enum state next, const struct kube_failure *failure);
/** What the call's end means. @param error  NULL when it was answered. */
void list_watch_describe_failure(struct list_watch *watch, const char *verb, const struct err *error,
                                 struct kube_failure *failure);
/** After a 401: goes on to `again` at once when there are other credentials now. @return whether that is so. */
bool list_watch_retry_unauthorized(struct list_watch *watch, const struct err *error, enum state again);
void list_watch_observe(struct list_watch *watch);

/** @param arena  emptied; holds the value. @return ERR_OK, ERR_PROTOCOL ("`what` is not JSON"), ERR_NOMEM. */
enum err_code list_watch_parse(struct arena *arena, const char *text, size_t bytes, const char *what,
                               const struct json_tree **ret_value, struct err *reterr) MUST_USE;
/** The same of an item of a list, or of an event (`is_event`), as the splitter gave it: in JSON or in protobuf. */
enum err_code list_watch_parse_piece(struct list_watch *watch, const char *text, size_t bytes, bool is_event,
                                     const struct json_tree **ret_value, struct err *reterr) MUST_USE;
/** Takes what arrives from now on for a new answer, to be split in that way. */
void list_watch_split(struct list_watch *watch, enum json_split_mode mode, json_split_fn fn);
/** The answer ended. @return ERR_OK, ERR_PROTOCOL: it is not whole. */
enum err_code list_watch_split_finish(struct list_watch *watch, struct err *reterr) MUST_USE;
/** Counts an object or a page of the listing under way. @return ERR_OK, ERR_LIMIT. */
enum err_code list_watch_count(struct list_watch *watch, struct err *reterr) MUST_USE;
bool list_watch_is_wanted(const struct list_watch *watch, const struct json_tree *object);
/** Hands an object to the owner. @return ERR_OK, ERR_NOMEM, ERR_CANCELLED (freed). */
enum err_code list_watch_deliver(struct list_watch *watch, enum change change, const struct json_tree *object,
                                 struct err *reterr) MUST_USE;
/** Remembers the object's resourceVersion as the place to go on from. @return false when it has none that can be one. */
bool list_watch_note_version(struct list_watch *watch, const struct json_tree *object);

/* A request's path while it is put together. */
struct list_watch_path {
    struct arena arena;
    struct strbuf text;
};
void list_watch_path_begin(struct list_watch *watch, struct list_watch_path *path);
void list_watch_path_add(struct list_watch_path *path, const char *name, const char *value);
/** Sends the request and enters `state`; failing to send is a failure like any other. Releases the path. */
void list_watch_send(struct list_watch *watch, struct list_watch_path *path, enum state state,
                     void (*on_done)(struct http_call *call, const struct err *error));

/* ---- list_watch_list.c ---- */

/** Streams the list where the server does. */
void list_watch_start_list(struct list_watch *watch);
/** Forgets how far the listing under way has come: it breaks, or starts over. */
void list_watch_reset_listing(struct list_watch *watch);
/** Runs on_begin, once for each listing: when its first answer arrives, for until then nothing is known to be different. */
void list_watch_begin(struct list_watch *watch);
/** Every object was named: runs on_end, and on_state. */
void list_watch_complete(struct list_watch *watch);

/* ---- list_watch_watch.c ---- */

void list_watch_start_watch(struct list_watch *watch);
void list_watch_end_watch(struct list_watch *watch, const struct err *error);
/** Takes what arrives for events, from now on. */
void list_watch_prepare_events(struct list_watch *watch);
/** The server is to end the watch after a while, each another. */
void list_watch_add_timeout(struct list_watch_path *path);

/* ---- list_watch_stream.c ---- */

bool list_watch_wants_stream(const struct list_watch *watch);
void list_watch_start_stream(struct list_watch *watch);
/** An event before the list is complete. @return what ends the call, as on_data does. */
enum err_code list_watch_take_initial(struct list_watch *watch, const char *type, const struct json_tree *object,
                                      struct err *reterr) MUST_USE;
void list_watch_stream_is_silent(struct list_watch *watch);
