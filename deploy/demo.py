"""The steps of the demo. Runs in the laboratory's own namespaces (tests/cluster/enter); started by deploy/demo."""
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from cluster.lab import Lab  # noqa: E402
from cluster.wait import wait_until  # noqa: E402

BOLD, DIM, OFF = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
AUTHORITY = "qotm.default.svc.cluster.local"


def step(text):
    print(f"\n{BOLD}=> {text}{OFF}", flush=True)


def note(text):
    print(f"{DIM}   {text}{OFF}", flush=True)


def show(command, output):
    print(f"   $ {command}")
    for line in output.rstrip().splitlines():
        print(f"   {line}")
    sys.stdout.flush()


class Demo:
    def __init__(self, folder):
        self.folder = folder
        self.lab = Lab(targets=("east",), folder=folder)
        self.source, self.east = self.lab.source, self.lab.targets[0]
        self.agent = None

    def kubectl(self, cluster, *argv):
        result = cluster.kubectl(*argv)
        show(f"kubectl --context {cluster.name} {' '.join(argv)}", result.stdout + result.stderr)

    def gateways(self):
        show("svcmirror gateways", self.agent.command("gateways", "--address", f"http://{self.agent.address}").stdout)

    def quote(self):
        """A request from the source side, through the mirror's ClusterIP."""
        address = self.source.api.get("services", "qotm-east", "default")["spec"]["clusterIP"]
        began = time.monotonic()
        result = subprocess.run(["curl", "-sS", "--max-time", "5", "-H", f"Host: {AUTHORITY}", f"http://{address}/"], text=True, capture_output=True, check=False)
        show(f"curl -H 'Host: {AUTHORITY}' http://{address}/        # qotm-east's ClusterIP in the source", result.stdout + result.stderr)
        note(f"{'failed' if result.returncode else 'answered'} after {(time.monotonic() - began) * 1000:.0f} ms")
        return result.returncode == 0

    def wait_for(self, addresses, what, timeout=15):
        began = time.monotonic()
        wait_until(lambda: self.source.ready_addresses("qotm-east", "default") == addresses, timeout, what)
        note(f"{what}: {time.monotonic() - began:.2f} s later")

    def run(self):
        step("Starting two real control planes: source, and the target east (etcd, kube-apiserver, kube-controller-manager, kube-proxy)")
        self.lab.start(gateways=False)
        step("In east: the quote service qotm, exported by its two annotations")
        self.east.qotm()
        self.kubectl(self.east, "get", "service", "qotm", "-o", "jsonpath={.metadata.annotations}")
        step("In east: the gateway, an Envoy configured as Edge Stack would be (Host with Route, health Mapping)")
        self.east.gateway.start()
        self.east.gateway_service()
        note("Its listener on 4143 stands for Linkerd's proxy, which is not part of this demo: it routes by the authority that the proxy on the")
        note("source side would set, and which curl sets here by hand.")
        self.kubectl(self.east, "-n", "ambassador", "get", "service", "ambassador")
        step("In source: the agent, linked to east by a 2.8 credentials Secret (rights: get, list, watch on services and endpointslices)")
        self.east.link_secret(self.source)
        self.agent = self.lab.agent().start()
        self.wait_for(self.east.gateway.addresses, "mirrored and ready")
        step("What is there now")
        self.kubectl(self.source, "get", "service", "qotm-east", "--show-labels")
        self.kubectl(self.source, "get", "endpointslices", "-l", "kubernetes.io/service-name=qotm-east")
        self.gateways()
        step("A request from the source side, through the mirror and the gateway")
        if not wait_until(self.quote, 10, "a quote"):
            raise RuntimeError("no quote")
        step("The gateway is stopped")
        self.east.gateway.stop()
        self.wait_for([], "endpoints not ready")
        self.gateways()
        self.kubectl(self.source, "get", "endpointslices", "-l", "kubernetes.io/service-name=qotm-east", "-o", "jsonpath={.items[*].endpoints}")
        note("The request now fails at once instead of hanging:")
        wait_until(lambda: not self.quote(), 5, "the request fails")
        step("The gateway is back")
        self.east.gateway.start()
        self.wait_for(self.east.gateway.addresses, "endpoints ready again")
        self.gateways()
        wait_until(self.quote, 10, "a quote")

    def hold(self):
        """Opens the ways in from outside and waits for Ctrl-C."""
        self._open_sockets({"agent.sock": ("127.0.0.1", 9999), "source.sock": (self.source.host, 6443), "east.sock": (self.east.host, 6443)})
        for cluster, port in ((self.source, 16443), (self.east, 16444)):
            with open(cluster.admin_kubeconfig, encoding="ascii") as file:
                text = file.read().replace(cluster.server, f"https://127.0.0.1:{port}")
            with open(os.path.join(self.folder, f"{cluster.name}.kubeconfig"), "w", encoding="ascii") as file:
                file.write(text)
        step("Holding until Ctrl-C. Look around from another terminal:")
        kubectl = os.path.join(self.source.bin, "kubectl")
        for cluster in (self.source, self.east):
            print(f"   {kubectl} --kubeconfig {self.folder}/{cluster.name}.kubeconfig get services,endpointslices -A")
        print("   http://127.0.0.1:19999/                     status page")
        print("   http://127.0.0.1:19999/metrics              Prometheus metrics")
        print("   http://127.0.0.1:19999/api/v1/gateways      and links, services")
        print(f"   {ROOT}/build/release/svcmirror gateways --address http://127.0.0.1:19999 -o wide")
        print(f"   logs: {self.folder}", flush=True)
        signal.pause()

    def _open_sockets(self, targets):
        async def pump(reader, writer):
            try:
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            except (ConnectionError, OSError):
                pass
            finally:
                writer.close()

        async def forward(reader, writer, target):
            try:
                inner_reader, inner_writer = await asyncio.open_connection(*target)
            except OSError:
                writer.close()
                return
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

        async def serve():
            for name, target in targets.items():
                await asyncio.start_unix_server(lambda r, w, target=target: forward(r, w, target), os.path.join(self.folder, name))
            await asyncio.Event().wait()

        threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()

    def stop(self):
        if self.agent:
            self.agent.process.stop()
        self.lab.stop()


def interrupt(*_):
    """The first signal ends the demo; what is being taken down then is not disturbed by a second one."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    folder, once = sys.argv[1], "--once" in sys.argv
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    demo = Demo(folder)
    try:
        demo.run()
        if not once:
            demo.hold()
        step("Done.")
        return 0
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    except Exception as error:  # whatever it was: say which step's part failed and where to look
        print(f"\nThis did not work: {error}\n{demo.source.logs() if demo.source.processes else ''}", file=sys.stderr)
        return 1
    finally:
        demo.stop()


if __name__ == "__main__":
    sys.exit(main())
