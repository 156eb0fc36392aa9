"""A stand-in for the service, so that there is something to see: it says who the gateway says is calling."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        user, token = self.headers["X-Patrol-User-Name"], self.headers["X-Patrol-Token-Name"]
        body = f"hello {user}, you come with the token {token}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 9000), Hello).serve_forever()
