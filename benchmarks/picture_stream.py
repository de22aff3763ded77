"""An HTTP camera for benchmarks: MJPEG at an even pace, to as many as ask, as often as they ask."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_BOUNDARY = "picture"


@contextmanager
def picture_stream(pictures: Sequence[bytes], rate: float) -> Iterator[str]:
    """Serve these JPEG files over and over, `rate` a second; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.end_headers()
            began, number = time.monotonic(), 0
            while not over.wait(max(0.0, began + number / rate - time.monotonic())):
                picture = pictures[number % len(pictures)]
                number += 1
                head = (
                    f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}"
                )
                try:
                    self.wfile.write(f"{head}\r\n\r\n".encode() + picture + b"\r\n")
                except OSError:
                    return  # whoever watched was killed

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    over = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/line.mjpeg"
        finally:
            over.set()
            server.shutdown()
            thread.join()
