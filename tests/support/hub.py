"""A stand-in for a hub of models, as far as huggingface_hub asks one: a model's listing, HEAD and ranged GET.

Built from what the library sends and from the hub's public API pages.  Unlike the real one it redirects
nowhere, keeps one revision, and knows one token.
"""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """`repositories`: files by repository.  `asked`: the method and path of each request.

    `cut_after`: break the next download off after so many bytes.
    """

    daemon_threads = True

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.asked: list[tuple[str, str]] = []
        self.ranges: list[str] = []
        self.cut_after: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub  # ty: ignore[incompatible-mutable-override]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path))
        if self.path.startswith("/api/models/"):
            self._list(self.path.removeprefix("/api/models/").split("?")[0])
        else:
            self._file(with_body=True)

    def do_HEAD(self) -> None:
        self.server.asked.append(("HEAD", self.path))
        self._file(with_body=False)

    def _list(self, name: str) -> None:
        repository = "/".join(name.split("/")[:2])
        files = self.server.repositories.get(repository)
        if files is None:
            self._answer(401, b'{"error": "Invalid credentials"}', {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [{"rfilename": file, "size": len(content)} for file, content in files.items()]
        body = {
            "id": repository,
            "modelId": repository,
            "sha": COMMIT,
            "siblings": siblings,
            "private": False,
        }
        self._answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _file(self, with_body: bool) -> None:
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        content = self.server.repositories.get(repository, {}).get(rest.partition("/")[2])
        if content is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and with_body else 0
        if start:
            self.server.ranges.append(str(asked))
        headers = {
            "ETag": f'"{hash(content) & 0xFFFFFFFF:x}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, content[start:], headers, with_body)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str], with_body: bool = True) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, is_file = self.server.cut_after, "ETag" in headers
        if with_body and is_file and cut is not None:
            self.server.cut_after = None
            self.wfile.write(body[:cut])
            self.close_connection = True
            self.connection.shutdown(2)
        elif with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving(repositories: Mapping[str, Mapping[str, bytes]]) -> Generator[Hub]:
    hub = Hub(repositories)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join(5.0)
