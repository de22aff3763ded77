"""A TCP proxy between station and broker that can be told to misbehave.

A fault that swallows bytes ends with a reset of the connections it swallowed from, as when a router has
lost its state: TCP never takes a connection up again with a hole in it.

**Threads.** One event loop on a thread of its own; `inflict` and `heal` may be called from any other.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator
from enum import StrEnum
from types import TracebackType
from typing import Self

_CHUNK = 4096
_PUBACK = 4
LATE_S = 3.0
_DRIP_BYTES = 64
_DRIP_S = 0.02
_DELAY_S = 0.3


class Fault(StrEnum):
    """What the proxy does to what passes through it."""

    NONE = "none"
    CUT = "cut"
    """Connections are closed in order, new ones refused."""
    RESET = "reset"
    """Connections are reset, and so is each new one."""
    STALL = "stall"
    """Nothing moves; what was held back goes on when it is healed."""
    BLACK_HOLE = "black hole"
    """Everything is accepted and nothing comes out."""
    NO_WAY_OUT = "no way out"
    """Half open: nothing from the station reaches the broker."""
    NO_WAY_BACK = "no way back"
    """Half open: nothing from the broker reaches the station."""
    DRIP = "drip"
    """A few bytes at a time."""
    DELAY = "delay"
    """Whatever passes, passes later."""
    NO_ACKNOWLEDGEMENTS = "no acknowledgements"
    """The broker seems to take every message and acknowledges none."""
    LATE_ACKNOWLEDGEMENTS = "late acknowledgements"
    """The broker acknowledges each message some seconds later."""


_SWALLOWS_OUT = (Fault.BLACK_HOLE, Fault.NO_WAY_OUT)
_SWALLOWS_BACK = (Fault.BLACK_HOLE, Fault.NO_WAY_BACK)
_SWALLOWS = {*_SWALLOWS_OUT, *_SWALLOWS_BACK}


class Proxy:
    """Passes a port of its own on to `broker_port` at 127.0.0.1; a context manager."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._fault = Fault.NONE
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self.port = 0

    @property
    def address(self) -> str:
        """`mqtt://127.0.0.1:PORT`."""
        return f"mqtt://127.0.0.1:{self.port}"

    def inflict(self, fault: Fault) -> None:
        """Misbehave from now on."""
        self._do(fault)

    def heal(self) -> None:
        """Behave again."""
        self._do(Fault.NONE)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(Fault.NONE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- the loop's thread --------------------------------------------------------------------------

    def _do(self, fault: Fault) -> None:
        asyncio.run_coroutine_threadsafe(self._become(fault), self._loop).result(10.0)

    async def _become(self, fault: Fault) -> None:
        self._fault = fault
        self._changed.set()
        self._changed = asyncio.Event()
        if fault is Fault.CUT and self._server is not None:
            self._server.close()
            self._server = None
        elif fault is not Fault.CUT and self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        for link in tuple(self._links):
            if fault is Fault.CUT:
                link.close()
            elif fault is Fault.RESET or (fault is Fault.NONE and link.torn):
                link.reset()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in tuple(self._links):
            link.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            writer.close()
            return
        link = _Link(writer, to_broker[1])
        if self._fault is Fault.RESET:
            link.reset()
            return
        self._links.add(link)
        with contextlib.suppress(OSError):
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._outward(reader, link)),
                    asyncio.ensure_future(self._back(to_broker[0], link)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        # A way that swallows everything swallows the end of a connection, too.
        while self._fault in _SWALLOWS:
            await self._changed.wait()
        self._links.discard(link)
        link.close()

    async def _outward(self, reader: asyncio.StreamReader, link: "_Link") -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._fault in _SWALLOWS_OUT:
                    link.torn = True
                else:
                    await self._pass(data, link.to_broker)

    async def _back(self, reader: asyncio.StreamReader, link: "_Link") -> None:
        with contextlib.suppress(OSError):
            async for packet in _packets(reader):
                is_answer = packet[0] >> 4 == _PUBACK
                ignored = is_answer and self._fault is Fault.NO_ACKNOWLEDGEMENTS
                if ignored or self._fault in _SWALLOWS_BACK:
                    link.torn = True
                elif is_answer and self._fault is Fault.LATE_ACKNOWLEDGEMENTS:
                    self._loop.call_later(LATE_S, link.to_station.write, packet)
                else:
                    await self._pass(packet, link.to_station)

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while self._fault is Fault.STALL:
            await self._changed.wait()
        if self._fault is Fault.DELAY:
            await asyncio.sleep(_DELAY_S)
        step = _DRIP_BYTES if self._fault is Fault.DRIP else len(data)
        for begin in range(0, len(data), step):
            writer.write(data[begin : begin + step])
            await writer.drain()
            if step < len(data) and self._fault is Fault.DRIP:
                await asyncio.sleep(_DRIP_S)


class _Link:
    """One connection from the station, and the one to the broker that belongs to it."""

    def __init__(self, to_station: asyncio.StreamWriter, to_broker: asyncio.StreamWriter) -> None:
        self.to_station = to_station
        self.to_broker = to_broker
        self.torn = False
        """Bytes were swallowed: it can never go on."""

    def close(self) -> None:
        """End both sides in order."""
        self.to_station.close()
        self.to_broker.close()

    def reset(self) -> None:
        """End both sides with RST."""
        for writer in (self.to_station, self.to_broker):
            link = writer.get_extra_info("socket")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


async def _packets(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """MQTT control packets, whole: a type byte, the length in 7-bit groups, and so many bytes."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            head = await reader.readexactly(2)
            while head[-1] & 0x80:
                head += await reader.readexactly(1)
            length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(head[1:]))
            yield head + await reader.readexactly(length)
