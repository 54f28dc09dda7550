/* The socket that the admin server listens on: from "ADDRESS:PORT" as people write it to a file descriptor. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

/** Where to listen. */
struct listener_address {
    char host[TEXT_IP_BYTES]; /* "": every address of both families */
    uint16_t port;            /* 0: any free one */
};

/** Parses ":9999", "127.0.0.1:9999", "[::1]:9999" or "localhost:9999". @return ERR_OK, ERR_INVALID (names the spellings). */
enum err_code listener_parse(const char *text, struct listener_address *ret_address, struct err *reterr) MUST_USE;
/** Opens a listening, non-blocking socket. Without IPv6 on this host every address means those of IPv4.
 *  @param[out] ret_fd  new. @return ERR_OK, ERR_IO (names the address, the cause and what to do). */
enum err_code listener_open(const struct listener_address *address, int *ret_fd, struct err *reterr) MUST_USE;
/** @return the port that the socket is bound to, 0 when it is none. */
uint16_t listener_port(int fd);
