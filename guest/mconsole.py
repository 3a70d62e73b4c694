"""The management socket that every User-mode Linux kernel listens on; the one request made here is Ctrl-Alt-Del."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

MAGIC, VERSION, MAX_DATA = 0xCAFEBABE, 2, 512


def request(uml_directory: Path, command: str, timeout_s: float = 2.0) -> bool:
    """Send one command to the guest; True if it was acknowledged, False if there was nobody to do so.

    Delivered as an interrupt: it takes no virtual time and the guest need not be listening for it.
    """
    data = command.encode()
    message = struct.pack(f"<III{MAX_DATA}s", MAGIC, VERSION, len(data), data)
    answers = uml_directory / "client"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as endpoint:
        try:
            endpoint.bind(str(answers))
            endpoint.settimeout(timeout_s)
            endpoint.sendto(message, str(uml_directory / "mconsole"))
            error, _more, _length = struct.unpack_from("<III", endpoint.recv(12 + MAX_DATA))
            return bool(error == 0)
        finally:
            answers.unlink(missing_ok=True)
    return False
