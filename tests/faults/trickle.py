"""A way to an API server on which answers come a byte a second, from a certain place in them on."""
import socket
import threading

PIECE = 65536
PERIOD_S = 1


class Trickle:
    """`what`: "heads" (from the first byte of each answer), "lists" (from the body on), "watches" (likewise, and lists come at once)."""

    def __init__(self, what, server_port):
        self.what, self.server_port = what, server_port
        self.hurries, self.sent = threading.Event(), 0  # sent: bytes that came slowly
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.hurries.set()
        self.listener.close()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.join, args=(client, server), daemon=True).start()

    def join(self, client, server):
        """The agent's requests come whole, and each after the answer to the one before."""
        asked = {"watch": False, "in_head": True}
        threading.Thread(target=self.answer, args=(client, server, asked), daemon=True).start()
        try:
            while request := client.recv(PIECE):
                asked.update(watch=b"watch=1" in request.split(b"\r\n")[0], in_head=True)
                server.sendall(request)
        except OSError:
            pass
        finally:
            server.close()

    def answer(self, client, server, asked):
        try:
            while data := server.recv(PIECE):
                head, mark, body = data.partition(b"\r\n\r\n") if asked["in_head"] else (b"", b"", data)
                asked["in_head"] = asked["in_head"] and not mark
                self.send(client, head + mark, self.what == "heads")
                self.send(client, body, self.what in ("heads", "watches" if asked["watch"] else "lists"))
            client.close()
        except OSError:
            pass

    def send(self, client, data, slow):
        for at in range(len(data)):
            if not slow or self.hurries.is_set():
                client.sendall(data[at:])
                return
            client.sendall(data[at:at + 1])
            self.sent += 1
            self.hurries.wait(PERIOD_S)
