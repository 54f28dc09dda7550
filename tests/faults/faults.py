"""What can go wrong with an answer. A fault takes the connection's handler and the right bytes, and says what it likes; of an event it returns true
when the watch may go on."""
import gzip
import json
import time

from api_server import status

PAGE = b"<html><body><h1>Please log in</h1></body></html>"
POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "stranger", "namespace": "demo", "uid": "u", "resourceVersion": "1"}}
TOO_LARGE = status(504, "Timeout", "Timeout: Too large resource version: 99999, current: 1",
                   details={"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1})


def says(code, body, content_type="application/json", **headers):
    """One whole answer in place of the right one."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def fault(handler, _):
        handler.head(code, content_type, len(data), **headers)
        handler.raw(data)
    return fault


def refuses(code, reason, **headers):
    return says(code, status(code, reason, f"refused for a test: {reason}"), **headers)


# -- of connections --

def reset_at_once(handler, _):
    handler.reset()


def closed_at_once(handler, _):
    handler.close()


def garbage(handler, _):
    handler.raw(b"\x16\x03\x01\x02 this is no HTTP\r\n\r\n")
    handler.close()


def reset_in_the_body(handler, data):
    handler.head()
    handler.chunk(data[:len(data) // 2])
    time.sleep(0.05)  # what was sent before a reset is lost with it
    handler.reset()


def shorter_than_it_says(handler, data):
    handler.head(length=len(data) + 10)
    handler.raw(data)
    handler.close()


def ends_in_the_middle(handler, data):
    """A clean end of HTTP, not of JSON."""
    handler.head()
    handler.chunk(data[:len(data) // 2])
    handler.end()


def ends_in_a_chunk(handler, data):
    handler.head()
    handler.raw(b"%x\r\n" % len(data) + data[:len(data) // 2])
    handler.close()


def chunk_twice(handler, data):
    handler.head()
    for piece in (data[:len(data) // 2], data[:len(data) // 2], data[len(data) // 2:]):
        handler.chunk(piece)
    handler.end()


def chunk_without_a_size(handler, data):
    handler.head()
    handler.raw(b"zz\r\n" + data + b"\r\n")
    handler.end()


def twice(handler, data):
    handler.head()
    handler.chunk(data + data)
    handler.end()


def stalls(handler, data):
    handler.head()
    handler.chunk(data[:len(data) // 2])
    time.sleep(2)
    handler.chunk(data[len(data) // 2:])
    handler.end()


def stalls_then_resets(handler, data):
    handler.head()
    handler.chunk(data[:len(data) // 2])
    time.sleep(1)
    handler.reset()


def trickles(handler, data):
    """One byte a second; not for all of it, or a test would take an hour."""
    handler.head()
    for byte in data[:4]:
        handler.chunk(bytes([byte]))
        time.sleep(1)
    handler.chunk(data[4:])
    handler.end()


# -- of encodings --

def compressed(damage):
    def fault(handler, data):
        packed = damage(gzip.compress(data))
        handler.head(length=len(packed), Content_Encoding="gzip")
        handler.raw(packed)
    return fault


def flipped(packed):
    middle = len(packed) // 2
    return packed[:middle] + bytes(byte ^ 0x5a for byte in packed[middle:middle + 20]) + packed[middle + 20:]


# -- of lists --

def changed(how):
    """The right list, but for one thing."""
    def fault(handler, data):
        body = json.loads(data)
        handler.whole(200, how(body))
    return fault


def of_another_kind(body):
    return {**body, "kind": "PodList", "items": [POD]}


def of_another_kind_said_last(body):
    bare = {k: v for k, v in POD.items() if k not in ("kind", "apiVersion")}
    return {"apiVersion": "v1", "items": [bare], "kind": "PodList", "metadata": body["metadata"]}


def with_a_stranger(body):
    return {**body, "items": [POD, *body["items"]]}


def nothing_in_it(body):
    """Looks like an empty collection, and is no list: would sweep everything."""
    return {"kind": "Status", "apiVersion": "v1", "items": [], "metadata": body["metadata"]}


TABLE = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "99999"}, "columnDefinitions": [], "rows": []}

STATUSES = {
    "401": refuses(401, "Unauthorized"),
    "410": refuses(410, "Expired"),
    "422": refuses(422, "Invalid"),
    "429": refuses(429, "TooManyRequests"),
    "429_with_retry_after": refuses(429, "TooManyRequests", Retry_After="1"),
    "500": refuses(500, "InternalError"),
    "502_page": says(502, PAGE, "text/html"),
    "503_with_retry_after": refuses(503, "ServiceUnavailable", Retry_After="1"),
    "504": refuses(504, "Timeout"),
    "504_too_large": says(504, TOO_LARGE),
    "302": says(302, b"", Location="http://127.0.0.1:1/login"),
    "page": says(200, PAGE, "text/html"),
    "page_as_json": says(200, PAGE),
    "reset_at_once": reset_at_once,
    "closed_at_once": closed_at_once,
    "garbage": garbage,
}

LISTS = {
    **STATUSES,
    "403": refuses(403, "Forbidden"),
    "reset_in_the_body": reset_in_the_body,
    "shorter_than_it_says": shorter_than_it_says,
    "ends_in_the_middle": ends_in_the_middle,
    "ends_in_a_chunk": ends_in_a_chunk,
    "chunk_twice": chunk_twice,
    "chunk_without_a_size": chunk_without_a_size,
    "twice": twice,
    "stalls": stalls,
    "stalls_then_resets": stalls_then_resets,
    "trickles": trickles,
    "gzip": compressed(lambda packed: packed),  # no fault: what the others differ from
    "gzip_flipped": compressed(flipped),
    "gzip_cut": compressed(lambda packed: packed[:len(packed) // 2]),
    "gzip_that_is_none": compressed(lambda packed: b"{\"kind\":\"ServiceList\"}"),
    "table": says(200, TABLE),
    "another_kind": changed(of_another_kind),
    "another_kind_said_last": changed(of_another_kind_said_last),
    "status_as_a_list": changed(nothing_in_it),
    "no_version": changed(lambda body: {**body, "metadata": {}}),
    "no_items": changed(lambda body: {k: v for k, v in body.items() if k != "items"}),
    "a_stranger_in_it": changed(with_a_stranger),
    "nothing": says(200, b""),
    "empty_object": says(200, {}),
    "malformed": says(200, b'{"kind":"ServiceList","metadata":{"resourceVersion":"9"},"items":[{"metadata":}]}'),
}

WATCHES = {**STATUSES, "ends_at_once": lambda handler, _: (handler.head(), handler.end())}


# -- of events --

def error_event(body):
    def fault(handler, _):
        handler.chunk(json.dumps({"type": "ERROR", "object": body}).encode() + b"\n")
        handler.end()
    return fault


def before(data):
    """Something else comes first, and then the event."""
    def fault(handler, right):
        handler.chunk(data)
        handler.chunk(right)
        return True
    return fault


def instead(data):
    """The stream makes no sense from here."""
    def fault(handler, _):
        handler.chunk(data)
        time.sleep(0.2)
        handler.close()
    return fault


def event_reset(handler, data):
    handler.chunk(data[:len(data) // 2])
    time.sleep(0.05)
    handler.reset()


def event_ends_in_the_middle(handler, data):
    handler.chunk(data[:len(data) // 2])
    handler.end()


def event_ends_in_a_chunk(handler, data):
    handler.raw(b"%x\r\n" % len(data) + data[:len(data) // 2])
    handler.close()


def event_chunk_twice(handler, data):
    handler.chunk(data[:len(data) // 2])
    handler.chunk(data[:len(data) // 2])
    handler.chunk(data[len(data) // 2:])
    time.sleep(0.2)
    handler.close()


def event_twice(handler, data):
    handler.chunk(data)
    handler.chunk(data)
    return True


def event_stalls(handler, data):
    handler.chunk(data[:len(data) // 2])
    time.sleep(2)
    handler.chunk(data[len(data) // 2:])
    return True


def event_trickles(handler, data):
    for byte in data[:4]:
        handler.chunk(bytes([byte]))
        time.sleep(1)
    handler.chunk(data[4:])
    return True


def event_lost(handler, _):
    """The connection ends where an event would begin."""
    handler.reset()


EVENTS = {
    "410": error_event(status(410, "Expired", "too old resource version")),
    "422": error_event(status(422, "Invalid", "no")),
    "429": error_event(status(429, "TooManyRequests", "storage is (re)initializing")),
    "500": error_event(status(500, "InternalError", "etcd is away")),
    "504": error_event(status(504, "Timeout", "too late")),
    "504_too_large": error_event(TOO_LARGE),
    "error_without_a_status": error_event({}),
    "reset": event_reset,
    "lost": event_lost,
    "ends_in_the_middle": event_ends_in_the_middle,
    "ends_in_a_chunk": event_ends_in_a_chunk,
    "chunk_twice": event_chunk_twice,
    "twice": event_twice,
    "stalls": event_stalls,
    "trickles": event_trickles,
    "another_kind": before(json.dumps({"type": "ADDED", "object": POD}).encode() + b"\n"),
    "table": before(json.dumps({"type": "ADDED", "object": TABLE}).encode() + b"\n"),
    "unknown_type": before(json.dumps({"type": "RENAMED", "object": POD}).encode() + b"\n"),
    "blank_lines": before(b"\n\n  \r\n"),
    "malformed": instead(b'{"type":"ADDED","object":{"metadata":}}\n'),
    "no_object": instead(b'{"type":"ADDED"}\n'),
    "page": instead(PAGE),
}
