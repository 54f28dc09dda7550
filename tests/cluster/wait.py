"""Waiting for what should become true, with a limit, and telling what was seen last when it does not."""
import time


class Timeout(AssertionError):
    pass


def wait_until(check, timeout=10.0, what="", every=0.02):
    """Calls `check` until it returns something true, and returns that. An AssertionError in it counts as not yet."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = check()
            if last:
                return last
        except (AssertionError, KeyError, IndexError, OSError, LookupError) as error:
            last = error
        if time.monotonic() > end:
            raise Timeout(f"not within {timeout} s: {what or getattr(check, '__name__', 'condition')}; last seen: {last!r}")
        time.sleep(every)
