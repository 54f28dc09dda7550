"""The library's HTTP server, without its look-up of its own name, which waits for a resolver that may not be here, and with room for all the connections
a client opens at once: the library queues five, and one more is dropped by the kernel and tried again a second later."""
import http.server
import socketserver


class WebServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
