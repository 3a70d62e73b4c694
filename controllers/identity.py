"""Which MACs are one mobile node: one with two radios says so by its DHCP client id (RFC 2132, 9.14)."""

from dmmlab.controllers.dhcp import DhcpMessage


class Identities:
    """A mobile node goes by the MAC of its that was seen first; its other radios' MACs lead there."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._by_client_id: dict[bytes, str] = {}

    def of(self, radio: str) -> str:
        """The mobile node that this MAC belongs to; itself, unless another is known."""
        return self._known.get(radio, radio)

    def radios(self, mac: str) -> list[str]:
        """The MACs of a mobile node, in order."""
        return sorted({mac, *(radio for radio, owner in self._known.items() if owner == mac)})

    def join(self, radio: str, mac: str) -> bool:
        """This radio belongs to the mobile node ``mac``; whether that is news."""
        if self.of(radio) == self.of(mac):
            return False
        old, new = self.of(radio), self.of(mac)
        for each, owner in [*self._known.items(), (radio, old), (old, old)]:
            if owner == old:
                self._known[each] = new
        return True

    def hear(self, message: DhcpMessage) -> str | None:
        """A client's message with a client id that another radio has used; the mobile node that it belongs to."""
        if message.client_id is None:
            return None
        mac = self.of(self._by_client_id.setdefault(message.client_id, message.mac))
        return mac if mac != self.of(message.mac) else None
