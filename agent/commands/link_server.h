/* Whether an API server's address that serves a person at a terminal would serve an agent in a pod of another cluster. Pure. */
#pragma once

#include "base/err.h"

/** @param url  of a kubeconfig's server, or as given for --api-server-address. @param what  names it in texts: "server".
 *  @return ERR_OK as far as can be known, ERR_INVALID (no URL with a host; or a host that is the own machine for whoever asks, as kind, k3d
 *  and tunnels have it; with the remedy). */
enum err_code link_server_check(const char *url, const char *what, struct err *reterr) MUST_USE;
/** The same of a kubeconfig's proxy-url, which may be socks5:// too. */
enum err_code link_server_check_proxy(const char *url, struct err *reterr) MUST_USE;
