"""A TCP stream that survives its connection: carried over numbered legs, resumed by byte offset on the next one.

Both ends of the leg (the server's relay and the MN's terminal) hold one :class:`Splice` between a plain TCP connection
and the legs. What was sent is kept until the other end has acknowledged it; a new leg starts where the other end says
that it stopped; what comes twice, on two legs, is taken once. Frames: kind (8), length (32), offset (64), data.
"""

import asyncio
import contextlib
import struct

FRAME = struct.Struct("!BIQ")
DATA, ACK, END = 1, 2, 3
CHUNK_BYTES = 32768
MOST_UNACKED_BYTES = 1 << 20
MOST_FRAME_BYTES = MOST_UNACKED_BYTES + CHUNK_BYTES  # all that may be unacknowledged is sent anew in one frame


class Resumable:
    """Offsets and buffers of one stream in both directions, without input or output.

    The end of a stream counts as one byte, as in TCP.
    """

    def __init__(self) -> None:
        self.received = 0
        self.ended = False
        self._unacked = bytearray()
        self._acked = 0
        self._finished = self._end_acked = False

    @property
    def unacked(self) -> int:
        """Bytes that the other end has not acknowledged."""
        return len(self._unacked)

    @property
    def done(self) -> bool:
        """Whether both directions have ended and the other end knows."""
        return self.ended and self._end_acked

    def write(self, data: bytes) -> bytes:
        """Take data to be sent; returns the frame for the newest leg."""
        offset = self._acked + len(self._unacked)
        self._unacked += data
        return FRAME.pack(DATA, len(data), offset) + data

    def finish(self) -> bytes:
        """End our direction; returns the frame."""
        self._finished = True
        return FRAME.pack(END, 0, self._acked + len(self._unacked))

    def resume(self, offset: int) -> bytes:
        """Return the frames for a new leg whose other end has received ``offset`` bytes; raises ValueError."""
        self.acknowledged(offset)
        frames = b""
        if self._unacked:
            frames = FRAME.pack(DATA, len(self._unacked), self._acked) + self._unacked
        return frames + (self.finish() if self._finished and not self._end_acked else b"")

    def acknowledged(self, offset: int) -> None:
        """Forget what the other end has; raises ValueError for what was never sent."""
        end = self._acked + len(self._unacked)
        if offset > end + self._finished:
            raise ValueError(f"offset {offset} of {end} bytes")
        if offset > end:
            self._end_acked, offset = True, end
        if offset > self._acked:
            del self._unacked[: offset - self._acked]
            self._acked = offset

    def take(self, kind: int, offset: int, data: bytes) -> bytes:
        """Return what is new in a frame; raises ValueError when something is missing before it, or it is none."""
        if kind == ACK:
            self.acknowledged(offset)
            return b""
        if kind not in (DATA, END):
            raise ValueError(f"a frame of kind {kind}")
        if offset > self.received:
            raise ValueError(f"bytes {self.received} to {offset} are missing")
        if kind == END:
            self.ended = True
            return b""
        new = data[self.received - offset :]
        self.received += len(new)
        return new

    def ack(self) -> bytes:
        """Return the frame that acknowledges all we have."""
        return FRAME.pack(ACK, 0, self.received + self.ended)


class Splice:
    """A plain connection on one side, legs on the other; ``down``/``up`` count bytes from and to the plain side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stream = Resumable()
        self.down = self.up = 0
        self._reader, self._writer = reader, writer
        self._legs: dict[tuple[str, int], asyncio.StreamWriter] = {}
        self._newest: asyncio.StreamWriter | None = None
        self._room = asyncio.Event()
        self._tasks = {asyncio.create_task(self._read_plain()): None}  # ordered, as they are cancelled in this order
        self.closed = asyncio.Event()

    def attach(
        self, address: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, offset: int
    ) -> None:
        """Send on this leg from now on, beginning with what the other end lacks; read it beside the older ones."""
        try:
            frames = self.stream.resume(offset)
        except ValueError:
            writer.close()
            return
        self._legs[address], self._newest = writer, writer
        writer.write(frames)
        task = asyncio.create_task(self._read_leg(address, reader))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def detach(self, address: tuple[str, int]) -> None:
        """Close a leg."""
        writer = self._legs.pop(address, None)
        if writer is not None:
            writer.close()
            self._newest = None if writer is self._newest else self._newest

    def close(self) -> None:
        """Close everything; what is unsent is lost."""
        for task in self._tasks:
            task.cancel()
        for writer in (self._writer, *self._legs.values()):
            writer.close()
        self._legs.clear()
        self.closed.set()

    async def _read_plain(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(CHUNK_BYTES):
                self.down += len(data)
                self._send(self.stream.write(data))
                while self.stream.unacked > MOST_UNACKED_BYTES:
                    self._room.clear()
                    await self._room.wait()
        self._send(self.stream.finish())
        self._check_done()

    def _send(self, frame: bytes) -> None:
        if self._newest is not None:
            self._newest.write(frame)

    async def _read_leg(self, address: tuple[str, int], reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            while True:
                kind, length, offset = FRAME.unpack(await reader.readexactly(FRAME.size))
                if length > MOST_FRAME_BYTES:
                    raise ValueError(f"a frame of {length} bytes")
                data = await reader.readexactly(length) if length else b""
                ended = self.stream.ended
                new = self.stream.take(kind, offset, data)
                if kind == ACK:
                    self._room.set()
                    self._check_done()
                    continue
                self._send(self.stream.ack())
                if new:
                    self.up += len(new)
                    self._writer.write(new)
                    await self._writer.drain()
                if self.stream.ended and not ended:
                    self._writer.write_eof()
                self._check_done()
        self.detach(address)  # the stream itself waits for the next leg

    def _check_done(self) -> None:
        if self.stream.done:
            asyncio.get_running_loop().call_soon(self.close)
