"""Lists as streams (`--streaming-lists`), from a real API server: one that offers them, and one that does not."""
import pytest
from cluster.wait import wait_until


def requests(running, verb, code):
    """Of the target's Services."""
    wanted = ('cluster="east"', 'resource="services"', f'verb="{verb}"', f'code="{code}"')
    return sum(value for name, value in running.metrics().items()
               if name.startswith("svcmirror_api_requests_total") and all(label in name for label in wanted))


def names(source):
    return sorted(s["metadata"]["name"] for s in source.api.list("services", "streamed"))


@pytest.fixture
def exported(source, east):
    east.gateway.start()
    east.gateway_service()
    for number in range(3):
        east.export(f"web{number}", "streamed")
    east.link_secret(source)


def test_the_stream_that_lists_goes_on_as_the_watch(source, east, agent, exported):
    running = agent(flags=["--streaming-lists"])
    wait_until(lambda: names(source) == ["web0-east", "web1-east", "web2-east"], 15, "everything that was listed is mirrored")
    east.export("later", "streamed")
    east.api.delete("services", "web1", "streamed")
    wait_until(lambda: names(source) == ["later-east", "web0-east", "web2-east"], 10, "what came and went after it")
    assert (requests(running, "list", 200), requests(running, "watch", 200)) == (1, 0), "one request did all of it"


@pytest.fixture
def east_without_streams(east):
    """The API server of east as before Kubernetes 1.34."""
    flag = "--feature-gates=WatchList=false"

    def restart():
        east.kube_apiserver.stop()
        east.start_apiserver()
        wait_until(east._ready, 60, "east: API server ready")
    east.kube_apiserver.argv.append(flag)
    restart()
    yield east
    east.kube_apiserver.argv.remove(flag)
    restart()


def test_a_server_that_refuses_is_asked_once_and_listed_by_pages(source, east_without_streams, agent, exported):
    running = agent(flags=["--streaming-lists"])
    wait_until(lambda: names(source) == ["web0-east", "web1-east", "web2-east"], 15, "everything is mirrored")
    east_without_streams.export("later", "streamed")
    wait_until(lambda: "later-east" in names(source), 10, "what came after it")
    assert (requests(running, "list", 422), requests(running, "list", 200), requests(running, "watch", 200)) == (1, 1, 1)
    assert not running.logs("target_watch_failed"), "a refusal is no fault"
