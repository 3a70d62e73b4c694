"""Messages of the registration protocol in a TCP stream: each says how long it is (`wire`)."""

from dmmlab.nodes.registration.wire import HEADER, LARGEST, SMALLEST, VERSION, WireError


class Framer:
    """Cuts a TCP stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete now; raises WireError when the stream is none of ours."""
        self._buffer += data
        whole = []
        while (message := self.take()) is not None:
            whole.append(message)
        return whole

    def take(self) -> bytes | None:
        """Return the first complete message in the buffer, or None; raises WireError."""
        if len(self._buffer) < HEADER.size:
            return None
        length = int.from_bytes(self._buffer[2:4], "big")
        if self._buffer[0] != VERSION or not SMALLEST <= length <= LARGEST:
            raise WireError(f"version {self._buffer[0]}, length {length} in the stream")
        if len(self._buffer) < length:
            return None
        message = bytes(self._buffer[:length])
        del self._buffer[:length]
        return message

    def rest(self) -> bytes:
        """Return, and forget, what follows the last message that was taken."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest
