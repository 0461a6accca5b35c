"""A real HTTP server of a few fixed answers, standing in for an engine that somebody else started."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    answers: Mapping[str, object] = {}

    def do_GET(self) -> None:
        known = self.path in self.answers
        body = json.dumps(self.answers.get(self.path, {"error": "not found"})).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def small_server(answers: Mapping[str, object]) -> Generator[int]:
    """Serves `answers` (path to JSON) on a free loopback port, which it yields."""
    handler = type("Handler", (_Handler,), {"answers": answers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
