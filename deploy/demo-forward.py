"""Leads 127.0.0.1 ports of this machine to the sockets that the demo opens in its folder, which reach into its own network."""
import asyncio
import sys

PORTS = {19999: "agent.sock", 16443: "source.sock", 16444: "east.sock"}


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, OSError):
        pass
    finally:
        writer.close()


async def forward(reader, writer, path):
    try:
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))


async def main(folder):
    for port, name in PORTS.items():
        try:
            await asyncio.start_server(lambda r, w, path=f"{folder}/{name}": forward(r, w, path), "127.0.0.1", port)
        except OSError as error:
            print(f"(127.0.0.1:{port} is not available: {error.strerror})", file=sys.stderr)
    await asyncio.Event().wait()


try:
    asyncio.run(main(sys.argv[1]))
except KeyboardInterrupt:
    pass
