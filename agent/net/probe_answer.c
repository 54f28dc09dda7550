#include "agent/net/probe_answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "agent/net/probe.h"

enum { MAX_HEADER_BYTES = 64 * 1024 };

/* Appends to a text of `used` bytes. What a gateway sends is shown in logs, JSON and terminals: only printable ASCII gets there. */
static void append_text(char *buffer, size_t buffer_bytes, size_t used, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && used < buffer_bytes - 1; i++) {
        bool printable = text[i] >= ' ' && text[i] <= '~', space = text[i] != '\0' && strchr("\r\n\t", text[i]) != NULL;
        buffer[used++] = printable ? text[i] : space ? ' ' : '?';
    }
    buffer[used] = '\0';
}

/* Copies the value of a header of this name, without the space around it. @return whether it was this one. */
static bool take_field(const char *line, size_t bytes, const char *name, char *buffer, size_t buffer_bytes)
{
    size_t name_length = strlen(name);
    if (bytes <= name_length || strncasecmp(line, name, name_length) != 0 || line[name_length] != ':')
        return false;
    const char *start = line + name_length + 1, *end = line + bytes;
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && strchr("\r\n \t", end[-1]) != NULL)
        end--;
    append_text(buffer, buffer_bytes, 0, start, (size_t)(end - start));
    return true;
}

/* "HTTP/1.1 200 OK": the number. curl has checked the form. */
static int status_of(const char *line, size_t bytes)
{
    const char *space = memchr(line, ' ', bytes);
    int status = 0;
    if (space == NULL)
        return 0;
    for (const char *c = space + 1; c < line + bytes && *c >= '0' && *c <= '9' && status < 1000; c++)
        status = status * 10 + (*c - '0');
    return status;
}

bool probe_answer_take_header(struct probe_answer *answer, const char *line, size_t bytes)
{
    struct probe_observation *seen = &answer->seen;
    char ignored[2];
    answer->header_bytes += bytes;
    if (answer->header_bytes > MAX_HEADER_BYTES)
        return false;
    if (answer->headers_complete)
        return true; /* a trailer */
    if (bytes > 5 && strncmp(line, "HTTP/", 5) == 0) {
        /* A further one follows when the last was 1xx. */
        seen->status = status_of(line, bytes);
        seen->server[0] = seen->location[0] = '\0';
        seen->upstream_time_header = false;
    } else if (bytes <= 2) {
        answer->headers_complete = seen->status >= 200;
    } else if (!take_field(line, bytes, "server", seen->server, sizeof(seen->server)) &&
               !take_field(line, bytes, "location", seen->location, sizeof(seen->location)) &&
               take_field(line, bytes, "x-envoy-upstream-service-time", ignored, sizeof(ignored))) {
        seen->upstream_time_header = true;
    }
    return true;
}

bool probe_answer_take_body(struct probe_answer *answer, const char *data, size_t bytes)
{
    struct probe_observation *seen = &answer->seen;
    if (seen->body_bytes < sizeof(seen->body) - 1)
        append_text(seen->body, sizeof(seen->body), (size_t)seen->body_bytes, data, bytes);
    seen->body_bytes += bytes;
    seen->body_truncated = seen->body_bytes > PROBE_BODY_BYTES;
    return !seen->body_truncated;
}

void probe_answer_describe(struct probe_answer *answer, const char *text)
{
    append_text(answer->seen.detail, sizeof(answer->seen.detail), 0, text, strlen(text));
}

/* --- how it ended --- */

static enum probe_end end_of_connect(long os_errno)
{
    switch (os_errno) {
    case ECONNREFUSED:
        return PROBE_REFUSED;
    case ETIMEDOUT:
        return PROBE_CONNECT_TIMEOUT;
    case ECONNRESET:
        return PROBE_RESET;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return PROBE_INTERNAL;
    default:
        return PROBE_UNREACHABLE;
    }
}

static enum probe_end end_of_transfer(long os_errno)
{
    switch (os_errno) {
    case 0: /* curl itself did not like what came */
        return PROBE_NOT_HTTP;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return PROBE_SILENT;
    default:
        return PROBE_RESET;
    }
}

enum probe_end probe_answer_end(const struct probe_answer *answer, CURLcode result, long os_errno,
                                uint64_t received_bytes)
{
    if (answer->headers_complete)
        return PROBE_ANSWERED;
    switch (result) {
    case CURLE_COULDNT_CONNECT:
        return end_of_connect(os_errno);
    case CURLE_OPERATION_TIMEDOUT:
        return PROBE_CONNECT_TIMEOUT; /* the rest is timed by probe.c */
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return end_of_transfer(os_errno);
    case CURLE_OK: /* the end came between header lines */
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return PROBE_CLOSED;
    case CURLE_OUT_OF_MEMORY: /* curl says so too when one header line is longer than it takes */
        return received_bytes > MAX_HEADER_BYTES ? PROBE_NOT_HTTP : PROBE_INTERNAL;
    case CURLE_FAILED_INIT:
    case CURLE_ABORTED_BY_CALLBACK:  /* a socket could not be watched */
    case CURLE_COULDNT_RESOLVE_HOST: /* a literal address: there was no memory to read it into */
        return PROBE_INTERNAL;
    default:
        return PROBE_NOT_HTTP;
    }
}
