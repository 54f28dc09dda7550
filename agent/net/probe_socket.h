/* The sockets of health probes: what the kernel is asked to watch by itself, and what it can be asked about the transport.
 * Internal to agent/net. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** @return a new non-blocking socket that notices a silent peer within seconds, or -1 with errno. */
int probe_socket_open(int family, int type, int protocol);
/** Whether the handshake of TCP is still under way. Asks the kernel, so that a busy loop is not taken for a slow peer. */
bool probe_socket_connecting(int fd);
/** Whether bytes, an end or an error wait to be read. */
bool probe_socket_readable(int fd);
/** Whether some of what was sent is not acknowledged. */
bool probe_socket_unacknowledged(int fd);
/** The smoothed round-trip time, 0 when unknown. */
uint32_t probe_socket_rtt_ms(int fd);
/** Bytes received over the whole connection, 0 when unknown. */
uint64_t probe_socket_received_bytes(int fd);
/** 0 when unknown. */
uint16_t probe_socket_local_port(int fd);
/** How an idle connection that became readable ended: "closed" (FIN, or bytes that nobody asked for), "reset", "silent". */
const char *probe_socket_how_ended(int fd);
/** Shuts the connection down and empties it, so that its owner finds it at its end. */
void probe_socket_end(int fd);
