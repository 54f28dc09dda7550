/* Error values: a code that programs act on, and a text that people read.
 *
 * A fallible function returns `enum err_code` and takes, as its last parameter, an optional `struct err *reterr` that
 * it fills on failure and leaves untouched on success. Callers on the way up add context with err_context(), so that the
 * text reads from the outside in: "link east: Secret linkerd-multicluster/x: key `kubeconfig` is missing".
 * Not for broken invariants: those abort. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/** What went wrong, in the terms in which the program reacts to it. */
enum err_code {
    ERR_OK = 0,
    ERR_NOMEM,        /* an allocation failed; the operation had no effect */
    ERR_INVALID,      /* input that no retry will make valid */
    ERR_LIMIT,        /* one of our own bounds was reached */
    ERR_NOT_FOUND,    /* 404, or no such entry */
    ERR_EXISTS,       /* 409 AlreadyExists */
    ERR_CONFLICT,     /* 409 Conflict: the object changed since it was read */
    ERR_EXPIRED,      /* 410 Gone: the resourceVersion or continue token is too old */
    ERR_FORBIDDEN,    /* 403 */
    ERR_UNAUTHORIZED, /* 401 */
    ERR_REJECTED,     /* 400, 422 and other answers in 4xx: the server will not take this request as it is */
    ERR_BUSY,         /* 429, or 503 with Retry-After: ask again later */
    ERR_SERVER,       /* other 5xx */
    ERR_RESOLVE,      /* the name has no address */
    ERR_CONNECT,      /* refused, unreachable, reset or closed before an answer */
    ERR_TLS,          /* handshake or certificate */
    ERR_TIMEOUT,      /* a deadline of ours passed */
    ERR_PROTOCOL,     /* the peer's answer makes no sense */
    ERR_UNSUPPORTED,  /* understood, and not offered here */
    ERR_IO,           /* local file or system call */
    ERR_CANCELLED,    /* the owner gave up */
};

enum { ERR_TEXT_BYTES = 512 };

/** A failure: code and text. Plain data; copy it freely. Zero-initialised means "no error". */
struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; /* UTF-8, cut at the bound, always NUL-terminated */
};

/** Fills `reterr` (may be NULL) and returns `code`, so that failing reads `return err_set(reterr, ERR_X, "...")`. */
enum err_code err_set(struct err *reterr, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/** Puts "<context>: " before the text of `reterr` (may be NULL); returns its code, or ERR_OK when NULL. */
enum err_code err_context(struct err *reterr, const char *format, ...) PRINTF_LIKE(2, 3);

/** The code's stable snake_case name, e.g. "not_found": for logs and metric labels. Never NULL. */
const char *err_code_name(enum err_code code);

/** Leaves the calling function with the code of `expression` when that is not ERR_OK. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        enum err_code try_code_ = (expression);                                                                        \
        if (try_code_ != ERR_OK)                                                                                       \
            return try_code_;                                                                                          \
    } while (0)
