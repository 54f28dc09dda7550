"""Proxies for the laboratory: HTTP (CONNECT), the same over TLS, and SOCKS5. Each is a process of its own and writes a line for each tunnel.

usage: python -m cluster.proxies http|https|socks5 ADDRESS PORT [CERTIFICATE KEY]
"""
import asyncio
import os
import ssl
import struct
import sys

from .processes import Process


class Proxy:
    """`tunnels` are the "host:port" that it was asked for, in order."""

    def __init__(self, kind, address, port, folder, netns=None, certificate=()):
        self.url = f"{kind}://{address}:{port}"
        env = {"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
        self.process = Process(f"proxy-{kind}-{port}", [sys.executable, "-u", "-m", "cluster.proxies", kind, address, port, *certificate], folder, netns, env)

    def start(self):
        try:
            os.remove(self.process.log_path)
        except FileNotFoundError:
            pass
        self.process.start()
        return self

    def stop(self):
        self.process.stop()

    @property
    def ready(self):
        self.process.require()
        return "ready" in self.process.log()

    @property
    def tunnels(self):
        return [line.split(" ", 1)[1] for line in self.process.log().splitlines() if line.startswith("tunnel ")]


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def tunnel(reader, writer, host, port, good, bad):
    print(f"tunnel {host}:{port}", flush=True)
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.write(bad)
        writer.close()
        return
    writer.write(good)
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def http(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, target, _ = head.split("\r\n")[0].split(" ")
    if method != "CONNECT":
        writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        return
    host, port = target.rsplit(":", 1)
    await tunnel(reader, writer, host.strip("[]"), int(port), b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


async def socks5(reader, writer):
    _, count = await reader.readexactly(2)
    await reader.readexactly(count)
    writer.write(b"\x05\x00")
    _, _, _, kind = await reader.readexactly(4)
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    elif kind == 1:
        host = ".".join(str(b) for b in await reader.readexactly(4))
    else:
        host = ":".join(f"{n:x}" for n in struct.unpack("!8H", await reader.readexactly(16)))
    port = struct.unpack("!H", await reader.readexactly(2))[0]
    rest = b"\x00\x01\x00\x00\x00\x00\x00\x00"
    await tunnel(reader, writer, host, port, b"\x05\x00" + rest, b"\x05\x05" + rest)


async def serve(kind, address, port, certificate):
    context = None
    if kind == "https":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    server = await asyncio.start_server(socks5 if kind == "socks5" else http, address, int(port), ssl=context)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
