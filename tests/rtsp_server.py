"""What `tests.rtsp_camera` runs: GStreamer's RTSP server, which sends pictures that say what they are.

    python -m tests.rtsp_server PORT CODEC PASSWORD

Port 0 is a free one; which, it says on standard output once it listens. It ends when its input does. One
pipeline serves everybody, from the first who asks to the last who goes, as a camera's encoder does.
"""

import sys
import threading
import time
from typing import Any

from tests.rtsp_picture import HEIGHT, WIDTH, stamped

RATE = 25
USER = "inspector"
CODECS = {
    "jpeg": "jpegenc ! rtpjpegpay name=pay0",
    # No B pictures and a whole one each second: as cameras send that are set to answer soon.
    "h264": "openh264enc gop-size=25 bitrate=2000000 ! h264parse "
    "! rtph264pay name=pay0 config-interval=1",
}
ABSENT = 77
"""Exit code: it cannot run here; its output says why."""


def gstreamer(codec: str) -> tuple[Any, Any, Any]:
    """GLib, Gst and GstRtspServer; raises ImportError or ValueError where something is not installed."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    encoder = CODECS[codec].partition(" ")[0]
    if Gst.ElementFactory.find(encoder) is None:
        raise ValueError(f"GStreamer has no {encoder}")
    return GLib, Gst, GstRtspServer


class Pictures:
    """A new one every 40 ms, numbered from 1 since the start, for whoever looks."""

    def __init__(self, gst: Any) -> None:
        self._gst = gst
        self._taken = 0
        self._sources: list[Any] = []

    def show(self, _factory: Any, media: Any) -> None:
        """Give them to a pipeline until it ends."""
        source = media.get_element().get_by_name("source")
        self._sources.append(source)
        media.connect("unprepared", lambda _: self._sources.remove(source))

    def take(self) -> bool:
        """The next one; True, so that the timer goes on."""
        self._taken += 1
        for source in list(self._sources):  # pipelines come and go on another thread
            pixels = stamped(self._taken, time.monotonic())
            source.emit("push-buffer", self._gst.Buffer.new_wrapped(pixels.tobytes()))
        return True


def serve(glib: Any, gst: Any, rtsp: Any, port: int, codec: str, password: str) -> None:
    """Until the input ends."""
    server, pictures = rtsp.RTSPServer(), Pictures(gst)
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory = rtsp.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(
        "( appsrc name=source is-live=true do-timestamp=true format=time "
        "max-buffers=2 leaky-type=downstream "
        f"caps=video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate={RATE}/1 "
        f"! videoconvert ! video/x-raw,format=I420 ! {CODECS[codec]} )"
    )
    factory.connect("media-configure", pictures.show)
    server.get_mount_points().add_factory("/camera", factory)
    if password:
        _ask_for(password, server, factory, rtsp)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    glib.timeout_add(1000 // RATE, pictures.take)
    print(server.get_bound_port(), flush=True)  # noqa: T201 - this is how it answers
    loop = glib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


def _ask_for(password: str, server: Any, factory: Any, rtsp: Any) -> None:
    auth, token, permissions = rtsp.RTSPAuth(), rtsp.RTSPToken(), rtsp.RTSPPermissions()
    token.set_string("media.factory.role", USER)
    auth.add_basic(rtsp.RTSPAuth.make_basic(USER, password), token)
    permissions.add_role(USER)
    for what in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(USER, what, True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


if __name__ == "__main__":
    asked_port, asked_codec, asked_password = sys.argv[1:]
    try:
        libraries = gstreamer(asked_codec)
    except (ImportError, ValueError) as exc:
        print(f"no RTSP server, apt install gir1.2-gst-rtsp-server-1.0: {exc}")  # noqa: T201
        sys.exit(ABSENT)
    serve(*libraries, int(asked_port), asked_codec, asked_password)
