/* What client.c offers to request.c and list_watch*.c: raw calls with the client's credentials. Internal to agent/kube. */
#pragma once

#include "agent/kube/client.h"

/* Whoever has long calls on the client's connections, and so must open them again when the client's certificates change. */
struct transport_follower {
    /* The call has to be cancelled and started again; no callback of an owner from here. */
    void (*on_replaced)(void *context);
    void *context;
    struct transport_follower *next, *previous;
};
void transport_follow(struct kube_client *client, struct transport_follower *follower);
void transport_unfollow(struct kube_client *client, struct transport_follower *follower); /* idempotent */

/** http_start() with the credentials added; up to HTTP_MAX_HEADERS - 1 headers may be set. While an exec plugin is asked for credentials
 *  the call waits; end it with transport_cancel(). What fails then is told by on_done.
 *  @param[out] ret_generation  of the credentials, for transport_refresh(); written when it is sent. */
enum err_code transport_start(struct kube_client *client, struct http_call *call, unsigned *ret_generation,
                              struct err *reterr) MUST_USE;
/** Whether lists are to be streamed: asked for by the client's owner, and never refused by its server. */
bool transport_streams_lists(const struct kube_client *client);
/** Whether objects are to be asked for in protobuf, where this program reads their kind in it. */
bool transport_takes_protobuf(const struct kube_client *client);
/** What came in protobuf could not be read: JSON from now on. */
void transport_refuse_protobuf(struct kube_client *client);
/** The server refused to stream a list, or does not know what that is. */
void transport_refuse_streams(struct kube_client *client);
/** http_cancel(), also of a call that waits. */
void transport_cancel(struct kube_client *client, struct http_call *call);
/** After a 401, and after a handshake that failed: reads the token file and the files of certificates again, or has the plugin asked again.
 *  @return whether the credentials are others now than those of `generation`, or will be, so that the request is worth another try; false for
 *  every other answer. */
bool transport_refresh(struct kube_client *client, unsigned generation, const struct http_call *call,
                       const struct err *error);
/** An answer came, or will not come: tells the observers. */
void transport_observe(struct kube_client *client, const char *verb, const char *resource, const struct http_call *call,
                       uint64_t started_us);

/** Requests in flight, so that kube_client_free() can cancel them. */
void transport_link(struct kube_client *client, struct kube_request *request);
void transport_unlink(struct kube_client *client, struct kube_request *request);

struct loop *kube_client_loop(const struct kube_client *client);
