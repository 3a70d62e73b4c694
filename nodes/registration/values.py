"""How the values of attributes are written and read (`wire`, whose table says which attribute has which)."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """How one sort of attribute value is written and read; ``decode`` raises ValueError."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def whole(size: int, of: Callable[[int], Any] = int, name: str = "") -> Kind:
    """A number of ``size`` bytes, big-endian; ``of`` makes a value of it."""

    def decode(data: bytes) -> Any:
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes instead of {size}")
        return of(int.from_bytes(data, "big"))

    return Kind(name or f"u{8 * size}", lambda value: int(value).to_bytes(size, "big"), decode)


def _read_text(data: bytes) -> str:
    text = data.decode()
    if not text or not text.isprintable():
        raise ValueError("empty or unprintable text")
    return text


def _read_address(data: bytes) -> str:
    if len(data) not in (4, 16):
        raise ValueError(f"{len(data)} bytes are no address")
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def _write_address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def _read_service(data: bytes) -> tuple[str, int]:
    if len(data) < 3:
        raise ValueError("no port and name")
    return _read_text(data[2:]), int.from_bytes(data[:2], "big")


def _write_service(service: tuple[str, int]) -> bytes:
    return service[1].to_bytes(2, "big") + service[0].encode()


TEXT = Kind("text", str.encode, _read_text)
SERVICE = Kind("service", _write_service, _read_service)
ADDRESS = Kind("address", _write_address, _read_address)
U16, U32, U64 = whole(2), whole(4), whole(8)
