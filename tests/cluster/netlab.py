"""The laboratory's network: this namespace holds the source cluster and the agent, each target cluster has one of its own, joined by a veth pair.

Addresses: the source is 10.201.0.x; target N is 10.201.N.x (.1 its API server, .2 to .9 gateways, .10 and up pods), also fd00:201:N::x.
"""
import subprocess


def run(*argv, check=True):
    return subprocess.run(argv, check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Network:
    """One cluster's place. `number` 0 is the laboratory itself."""

    def __init__(self, number):
        self.number = number
        self.netns = f"t{number}" if number else None
        self.device = f"lab{number}"
        self.gateway_addresses = [self.address(i) for i in range(2, 10)]
        self._build()

    def address(self, host):
        return f"10.201.{self.number}.{host}"

    def address6(self, host):
        return f"fd00:201:{self.number}::{host:x}"

    def _ip(self, *argv):
        prefix = ["ip", "-n", self.netns] if self.netns else ["ip"]
        return run(*prefix, *argv)

    def _build(self):
        peer = self.device + "p"
        if self.netns:
            run("ip", "netns", "add", self.netns)
            run("ip", "link", "add", peer, "type", "veth", "peer", "name", self.device, "netns", self.netns)
            run("ip", "addr", "add", self.address(254) + "/24", "dev", peer)
            run("ip", "addr", "add", self.address6(254) + "/64", "dev", peer, "nodad")
            run("ip", "link", "set", peer, "up")
            self._ip("link", "set", "lo", "up")
        else:
            run("ip", "link", "add", self.device, "type", "veth", "peer", "name", peer)
            run("ip", "link", "set", peer, "up")
        self._ip("link", "set", self.device, "up")
        for host in (*range(1, 10), *range(10, 20)):
            self._ip("addr", "add", f"{self.address(host)}/24", "dev", self.device)
        for host in range(1, 5):
            self._ip("addr", "add", f"{self.address6(host)}/64", "dev", self.device, "nodad")
        if self.netns:
            self._ip("route", "add", "default", "via", self.address(254))
            self._ip("-6", "route", "add", "default", "via", self.address6(254))

    def route_services(self, cidr):
        """The service range leads onto the veth, so that kube-proxy's rules see its packets."""
        self._ip("route", "replace", cidr, "dev", self.device)

    def argv(self, *argv):
        return (["ip", "netns", "exec", self.netns] if self.netns else []) + list(argv)

    # -- faults: rules in a table of our own, in this place only. They lie on the way into a target, not inside of it: its own processes go on
    #    reaching each other. The source has no such way, so there they hold for everything. --

    def _nft(self, text):
        subprocess.run(self.argv("nft", "-f", "-"), input=text, text=True, check=True, capture_output=True)

    def _fault(self, hook, address, port, verdict):
        side, way = ("d", "iifname") if hook == "input" else ("s", "oifname")
        family = "ip6" if address and ":" in address else "ip"
        match = (f'{way} "{self.device}" ' if self.netns else "") + (f"{family} {side}addr {address} " if address else "")
        match += f"tcp {side}port {port} " if port else ""
        self._nft(f"table inet faults {{ chain faults_{hook} {{ type filter hook {hook} priority -300; {match}{verdict}; }}\n}}\n")

    def drop(self, address=None, port=None):
        """A black hole: packets to and from the address (or port) vanish without an answer."""
        self._fault("input", address, port, "drop")
        self._fault("output", address, port, "drop")

    def reject(self, address=None, port=None):
        """A closed door: TCP to the address (or port) is answered by a reset, on new and on open connections."""
        self._fault("input", address, port, "meta l4proto tcp reject with tcp reset")

    def heal(self):
        """Takes back every fault of this place."""
        subprocess.run(self.argv("nft", "delete", "table", "inet", "faults"), capture_output=True, check=False)
