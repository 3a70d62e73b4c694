"""Just enough neighbour discovery (RFC 4861, RFC 4862) to overhear which IPv6 addresses a mobile node uses.

There is no lease to overhear: a mobile node forms its addresses itself. But its router resolves an address before it
delivers to it, so the address is in a solicitation or an advertisement of the mobile node's before it is of use.
"""

import ipaddress

_ETHERNET, _IPV6 = 14, 40
_SOLICITATION, _ADVERTISEMENT = 135, 136
_UNSPECIFIED = bytes(16)


def claimed_address(frame: bytes) -> str | None:
    """The address that the sender of this untagged Ethernet frame says is its own; None if it says none.

    An advertisement claims its target; a solicitation its source, or in duplicate address detection its target.
    """
    message = _ETHERNET + _IPV6
    if len(frame) < message + 24 or frame[12:14] != b"\x86\xdd" or frame[_ETHERNET + 6] != 58:
        return None
    source, target = frame[_ETHERNET + 8 : _ETHERNET + 24], frame[message + 8 : message + 24]
    if frame[message] == _ADVERTISEMENT or (frame[message] == _SOLICITATION and source == _UNSPECIFIED):
        return str(ipaddress.IPv6Address(target))
    if frame[message] == _SOLICITATION:
        return str(ipaddress.IPv6Address(source))
    return None
