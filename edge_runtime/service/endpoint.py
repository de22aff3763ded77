"""A small HTTP server for probes and scrapes: a table of paths, and a text for each.

Knows no station. Reads no body, follows no link, keeps no connection open. Who asks slowly or too
often at once is hung up on, so that nobody can take threads or memory from the line.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

from edge_runtime.errors import ServiceError

_AT_ONCE: Final = 8
"""Requests at a time; further ones are closed unanswered."""
_PATIENCE_S: Final = 2.0
"""How long the next piece of a request may take, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Endpoint:
    """Answers GET from a table until it is closed."""

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Page]]) -> None:
        """Listens at once; `port` 0 takes a free one. Raises ServiceError when the address is taken."""
        try:
            self._server = _Server((host, port), type("Handler", (_Handler,), {"pages": pages}))
        except (OSError, OverflowError) as exc:
            raise ServiceError(
                f"http cannot listen on {host}:{port} ({exc}): give another with --http-port; "
                "each station of a machine needs its own"
            ) from exc
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="http"
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _AT_ONCE

    def __init__(self, *arguments: Any) -> None:
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is no event."""


class _Handler(BaseHTTPRequestHandler):
    pages: ClassVar[Mapping[str, Callable[[], Page]]] = {}
    timeout = _PATIENCE_S
    server_version = "edge-inspect"
    sys_version = ""

    def do_GET(self) -> None:
        answer = self.pages.get(self.path.partition("?")[0])
        page = Page(status=404, body=b"{}\n") if answer is None else answer()
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(page.body)

    def log_message(self, format: str, *_arguments: Any) -> None:  # noqa: A002 - http.server's name
        """Probes come every few seconds; they are not written down."""
