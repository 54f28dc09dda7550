"""Replicas of the agent, each in a place of its own, as pods have: the audit log tells them apart by their addresses."""
from .netlab import Network

QUICK = ["--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "500ms"]
places = {}


def place(number):
    """Kept for all tests, because it costs a second."""
    if number not in places:
        places[number] = Network(50 + number)
    return places[number]


def starter(agent):
    """Of replicas, by the starter of agents: `replicas(3)`."""
    def start(count, first=0, flags=(), **more):
        return [agent(env={"HOSTNAME": f"replica-{number}"}, network=place(number), flags=flags, **more) for number in range(first, first + count)]
    return start
