"""What cluster/leases.py makes of an audit log: made-up ones, with one thing in each that it has to find, or to let pass. No cluster takes part."""
import pytest
from cluster import leases

A, B = "10.0.0.1", "10.0.0.2"
LEASE = leases.PREFIX + "east"


def at(seconds):
    return leases.later("2026-01-01T00:00:00.000000Z", seconds)


def elector(address, received, holder="x", took=0.01, code=200, acquired=None):
    return {"userAgent": leases.ELECTOR, "verb": "update", "sourceIPs": [address], "objectRef": {"resource": "leases", "name": LEASE},
            "requestReceivedTimestamp": at(received), "stageTimestamp": at(received + took), "responseStatus": {"code": code},
            "requestObject": {"spec": {"holderIdentity": holder, "acquireTime": at(received if acquired is None else acquired)}}}


def write(address, received, took=0.01, name="web-east", code=200):
    return {"userAgent": "svcmirror/1", "verb": "update", "sourceIPs": [address], "objectRef": {"resource": "services", "name": name},
            "requestReceivedTimestamp": at(received), "stageTimestamp": at(received + took), "responseStatus": {"code": code}}


class Record:
    def __init__(self, *entries):
        self.entries = entries

    def writes(self, user_agent=""):
        return [entry for entry in self.entries if entry["userAgent"].startswith(user_agent)]


A_WINS, A_RENEWS, B_WINS = elector(A, 0), elector(A, 2, acquired=0), elector(B, 5)

GOOD = {
    "the holder's": [A_WINS, write(A, 1)],
    "after a renewal": [A_WINS, A_RENEWS, write(A, 4)],
    "each in its turn": [A_WINS, write(A, 1), B_WINS, write(B, 6)],
    "under way while it is lost": [A_WINS, write(A, 4.9, took=0.5), B_WINS],
    "under way while it is won": [A_WINS, B_WINS, write(B, 4.99, took=0.5)],
    "after a handover": [A_WINS, elector(A, 3, holder=""), elector(B, 3.1), write(B, 3.2)],
    "won in a request that was never logged": [A_WINS, elector(B, 9, acquired=5), write(B, 6)],
    "won again": [A_WINS, B_WINS, elector(A, 8), write(A, 9)],
}
WRONG = {
    "nobody's": [write(A, 1)],
    "before it is won": [A_WINS, B_WINS, write(B, 4)],
    "after it is lost": [A_WINS, B_WINS, write(A, 6)],
    "after a handover": [A_WINS, elector(A, 3, holder=""), write(A, 3.5)],
    "of another link's holder": [A_WINS, write(A, 1, name="web-north")],
    "won in a request that was refused": [A_WINS, elector(B, 5, code=409), write(B, 6)],
    "after another won in a request that was never logged": [A_WINS, elector(B, 9, acquired=5), write(A, 7)],
    "that failed, too": [A_WINS, B_WINS, write(A, 6, code=409)],
    "by two at once": [A_WINS, write(A, 1), write(B, 1)],
}


def found(entries, **more):
    return leases.trespasses(Record(*entries), at(0), lambda name: leases.PREFIX + name.rsplit("-", 1)[1], **more)


@pytest.mark.parametrize("case", GOOD)
def test_writes_that_pass(case):
    assert found(GOOD[case]) == []


@pytest.mark.parametrize("case", WRONG)
def test_writes_that_are_found(case):
    assert len(found(WRONG[case])) == 1


def test_what_was_before_does_not_count():
    assert leases.trespasses(Record(write(A, 1)), at(2), lambda name: LEASE) == []


def test_a_request_may_have_waited_for_an_api_server_that_stood_still():
    """It goes on at 5 s and finds both before it: A's write of before, and B's word that it takes over."""
    entries = [A_WINS, B_WINS, write(A, 5.3)]
    assert len(found(entries)) == 1
    assert found(entries, stalls=[(at(1), at(4.9))]) == []
    assert len(found([A_WINS, B_WINS, write(A, 6.5)], stalls=[(at(1), at(4.9))])) == 1, "but not for so long"
    assert len(found(entries, stalls=[(at(1), at(3))])) == 1, "and not for another stall"
