"""An HTTP server for the laboratory: the library's, without its look-up of its own name, which waits for a resolver that is not here."""
import http.server
import socketserver


class WebServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
