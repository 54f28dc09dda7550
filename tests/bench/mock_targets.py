"""Many target clusters in one process: each a TLS port that serves list and watch of the same few Services and slices, as an API server does.

Run as a program: mock_targets.py CERT KEY ADDRESS FIRST_PORT COUNT SERVICES
"""
import asyncio
import json
import ssl
import sys
import urllib.parse

BOOKMARK_S = 60


def objects(services):
    meta = lambda n, kind: {"namespace": "links", "uid": f"00000000-0000-4000-8000-{n:012d}", "resourceVersion": "100", "creationTimestamp": "2026-01-01T00:00:00Z"}
    made = {"services": [{"metadata": {"name": f"web{n}", "labels": {"mirror.linkerd.io/exported": "true"}, **meta(n, 0)},
                          "spec": {"type": "ClusterIP", "clusterIP": "10.97.0.9", "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}]}}
                         for n in range(services)],
            "endpointslices": [{"metadata": {"name": f"web{n}-a", "labels": {"kubernetes.io/service-name": f"web{n}"}, **meta(n, 1)}, "addressType": "IPv4",
                                "endpoints": [{"addresses": ["10.201.1.10"], "conditions": {"ready": True}}], "ports": [{"name": "http", "protocol": "TCP", "port": 5000}]}
                               for n in range(services)],
        "members": []}
    kinds = {"services": ("v1", "ServiceList"), "endpointslices": ("discovery.k8s.io/v1", "EndpointSliceList"), "members": ("v1", "ServiceList")}
    return {name: json.dumps({"apiVersion": kinds[name][0], "kind": kinds[name][1], "metadata": {"resourceVersion": "100"}, "items": items}).encode()
            for name, items in made.items()}


class Target:
    def __init__(self, services):
        self.lists = objects(services)

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
                url = urllib.parse.urlsplit(target)
                resource, query = url.path.rsplit("/", 1)[-1], urllib.parse.parse_qs(url.query)
                if method != "GET" or resource not in ("services", "endpointslices"):
                    self.answer(writer, 404, json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}).encode())
                elif query.get("watch", ["0"])[0] in ("1", "true"):
                    return await self.watch(writer, resource)
                else:
                    self.answer(writer, 200, self.lists["members" if "federated" in query.get("labelSelector", [""])[0] else resource])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    @staticmethod
    def answer(writer, status, body):
        writer.write(f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    @staticmethod
    async def watch(writer, resource):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        kind = {"services": ("v1", "Service"), "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice")}[resource]
        line = json.dumps({"type": "BOOKMARK", "object": {"apiVersion": kind[0], "kind": kind[1], "metadata": {"resourceVersion": "100"}}}).encode() + b"\n"
        while True:
            await writer.drain()
            await asyncio.sleep(BOOKMARK_S)
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")


async def main(cert, key, address, first, count, services):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    target = Target(services)
    servers = [await asyncio.start_server(target.serve, address, first + n, ssl=context, backlog=64) for n in range(count)]
    print(f"{len(servers)} targets", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:7])))
