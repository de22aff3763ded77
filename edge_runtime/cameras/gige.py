"""GigE Vision cameras through Aravis: `gige:SERIAL`, with the extra `gige` and gir1.2-aravis-0.8.

Owns the translation of Aravis's buffers and errors. Used by one thread; runs in a process of its own,
see `edge_runtime.capture`. A frame of which packets were lost becomes a frame without a picture, since
its part was there; one that never came is counted in `state`, by the camera's own numbers.

Tested against Aravis's fake camera, which streams real GVSP packets over loopback; no camera of glass
and metal has been at hand.
"""

import math
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np

from edge_runtime.cameras.base import EndOfStream, SourceState
from edge_runtime.contracts.frame import Frame, Pixels, Unreadable
from edge_runtime.errors import CameraError

BUFFERS = 8
"""Frames that Aravis may hold; whoever reads slower than the camera gives loses the newest."""
SILENCE_S = 2.0
"""After so long without a frame the camera is asked whether it is still there."""
_LAST_16_BIT_ID = 0xFFFF

# The numbers are those of the Pixel Format Naming Convention. OpenCV names a Bayer pattern by its second
# row and column, GenICam by its first.
_TO_RGB = {
    0x01080001: ("Mono8", cv2.COLOR_GRAY2RGB),
    0x01080008: ("BayerGR8", cv2.COLOR_BayerGB2RGB),
    0x01080009: ("BayerRG8", cv2.COLOR_BayerBG2RGB),
    0x0108000A: ("BayerGB8", cv2.COLOR_BayerGR2RGB),
    0x0108000B: ("BayerBG8", cv2.COLOR_BayerRG2RGB),
    0x02180014: ("RGB8", None),
    0x02180015: ("BGR8", cv2.COLOR_BGR2RGB),
}
_KNOWN = ", ".join(name for name, _ in _TO_RGB.values())


class GigeCamera:
    """A camera by its serial number, running freely.

    `part_id` is `SERIAL-NUMBER`, counted from 1 at each start, lost frames included. `captured_at` is
    when the first packet arrived. The camera keeps its settings; `pixel_format` sets one that this
    station can take.
    """

    def __init__(self, serial: str, *, pixel_format: str | None = None) -> None:
        """Find, open and start it; raises CameraError."""
        self._aravis, self._failed = aravis()
        self._serial = serial
        self._taken = self._lost = 0
        self._last_id: int | None = None
        self._last_frame = time.monotonic()
        self._camera: Any = None
        self._stream: Any = None
        try:
            self._camera = self._aravis.Camera.new(_device_id(self._aravis, serial))
            # Its last client may have been killed: it would go on sending to that one's address.
            with suppress(self._failed):  # as some do that do not send
                self._camera.stop_acquisition()
            if pixel_format is not None:
                self._camera.set_pixel_format_from_string(pixel_format)
            self._stream = self._camera.create_stream(None, None)
            payload = self._camera.get_payload()
            for _ in range(BUFFERS):
                self._stream.push_buffer(self._aravis.Buffer.new_allocate(payload))
            self._camera.start_acquisition()
        except self._failed as exc:
            self._camera = self._stream = None
            raise CameraError(
                f"GigE camera {serial} cannot be opened: {exc}; close what else uses it"
            ) from exc

    @property
    def state(self) -> SourceState:
        """The frames that the camera sent and the network or this machine lost."""
        return SourceState(lost=self._lost)

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None; raises CameraError once the camera does not answer."""
        if self._stream is None:
            raise EndOfStream
        buffer = self._stream.timeout_pop_buffer(max(round(timeout_s * 1e6), 0))
        if buffer is None:
            self._ask_for_life()
            return None
        try:
            frame = self._frame(buffer)
        finally:
            self._stream.push_buffer(buffer)
        self._last_frame = time.monotonic()
        return frame

    def close(self) -> None:
        """Stop the camera and let others have it."""
        camera, self._camera, self._stream = self._camera, None, None
        if camera is not None:
            try:
                camera.stop_acquisition()
            except self._failed:
                return  # it is out of reach, and stops by itself when nobody says that he lives

    def _frame(self, buffer: Any) -> Frame:
        now, now_utc = time.monotonic(), datetime.now(UTC)
        received_ns = buffer.get_system_timestamp()
        age = (
            now_utc - datetime.fromtimestamp(received_ns / 1e9, UTC) if received_ns else timedelta()
        )
        age = max(age, timedelta())
        self._count(buffer.get_frame_id())
        self._taken += 1
        counter = self._taken + self._lost
        status = buffer.get_status()
        image: Pixels | Unreadable
        if status == self._aravis.BufferStatus.SUCCESS:
            image = self._pixels(buffer)
        else:
            image = Unreadable(f"incomplete on the network: {status.value_nick}")
        return Frame(
            part_id=f"{self._serial}-{counter:08d}",
            counter=counter,
            captured_at=now_utc - age,
            arrived=now - age.total_seconds(),
            image=image,
        )

    def _pixels(self, buffer: Any) -> Pixels:
        pixel_format = buffer.get_image_pixel_format()
        if pixel_format not in _TO_RGB:
            raise CameraError(
                f"GigE camera {self._serial} gives pixel format {pixel_format:#010x}: set it to one of "
                f"{_KNOWN}, for example with gige:{self._serial}?format=Mono8"
            )
        _, conversion = _TO_RGB[pixel_format]
        height, width = buffer.get_image_height(), buffer.get_image_width()
        data = np.frombuffer(buffer.get_data(), np.uint8)
        shape = (height, width, 3) if pixel_format >> 24 == 2 else (height, width)  # 2: colour
        # get_data has made a copy already, which stays valid when the buffer goes back.
        image = data[: math.prod(shape)].reshape(shape)
        return np.asarray(image if conversion is None else cv2.cvtColor(image, conversion))

    def _count(self, frame_id: int) -> None:
        """Frames missing between two numbers; those of 16 bits go round from 65535 to 1."""
        if self._last_id is not None:
            missing = frame_id - self._last_id - 1
            if missing < 0 and self._last_id <= _LAST_16_BIT_ID:
                missing += _LAST_16_BIT_ID
            # More than half a round is a camera that counts from the start again, no loss.
            if 0 < missing < _LAST_16_BIT_ID // 2:
                self._lost += missing
        self._last_id = frame_id

    def _ask_for_life(self) -> None:
        if time.monotonic() - self._last_frame < SILENCE_S:
            return
        try:
            self._camera.get_payload()
        except self._failed as exc:
            raise CameraError(
                f"GigE camera {self._serial} does not answer any more ({exc}): "
                "check its power and cable"
            ) from exc


def aravis() -> tuple[Any, type[Exception]]:
    """Aravis, and the exception it raises; raises CameraError where it is not installed."""
    try:
        import gi

        gi.require_version("Aravis", "0.8")
        from gi.repository import Aravis, GLib
    except (ImportError, ValueError) as exc:
        raise CameraError(
            f"GigE cameras need Aravis ({exc}): apt install gir1.2-aravis-0.8 and "
            "pip install 'edge-inspect[gige]'"
        ) from exc
    return Aravis, GLib.Error


def serials(library: Any) -> dict[str, tuple[str, str]]:
    """The GigE cameras that answer now: serial number to Aravis's id and a description. Takes 1 s."""
    library.update_device_list()
    return {
        library.get_device_serial_nbr(index): (
            library.get_device_id(index),
            " ".join(
                (
                    library.get_device_vendor(index),
                    library.get_device_model(index),
                    "at",
                    library.get_device_address(index),
                )
            ),
        )
        for index in range(library.get_n_devices())
        if library.get_device_protocol(index) == "GigEVision"
    }


def _device_id(library: Any, serial: str) -> str:
    present = serials(library)
    if serial not in present:
        seen = f"there are {', '.join(sorted(present))}" if present else "no GigE camera answers"
        raise CameraError(
            f"no GigE camera with the serial number {serial}: {seen}; check its power and cable, and "
            "that it has an address in this machine's network"
        )
    return present[serial][0]
