"""How the agent ends while the API server holds one of its writes."""
import signal
import time

import pytest
from cluster.wait import wait_until


@pytest.fixture
def writing(source, east, agent):
    """An agent with a write under way that does not come to an end."""
    east.gateway.start()
    east.gateway_service()
    east.link_secret(source)
    one = agent()
    source.kube_apiserver.freeze()
    try:
        east.export("late")
        wait_until(lambda: one.metrics().get("svcmirror_writes_in_flight", 0) > 0, 10, "a write is under way")
        one.killed = True  # how it ends is the test's own business
        yield one
    finally:
        source.kube_apiserver.thaw()


def end(agent, seconds):
    began = time.monotonic()
    return agent.process.child.wait(seconds), time.monotonic() - began


def test_a_write_that_hangs_does_not_hold_it(writing):
    writing.process.child.send_signal(signal.SIGTERM)
    code, took = end(writing, 10)
    assert code == 0 and took < 5
    assert [entry["event"] for entry in writing.logs() if entry["event"] in ("stopping", "stop_slow", "stopped")] == ["stopping", "stopped"]


def test_a_second_signal_ends_it_at_once(writing):
    writing.process.child.send_signal(signal.SIGTERM)
    wait_until(lambda: writing.logs("stopping"), 5, "it begins to stop")
    assert "the agent is stopping" in writing.get("/ready")[1]
    writing.process.child.send_signal(signal.SIGINT)
    code, took = end(writing, 5)
    assert code == 1 and took < 1
