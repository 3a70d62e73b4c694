"""Which MACs are one mobile node: one with two radios says so by its DHCP client id (RFC 2132, 9.14)."""

from dmmlab.controllers.dhcp import DhcpMessage

MOST_CLIENT_IDS = 4  # of a MAC: with more it makes them up


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

    def forget(self, mac: str) -> None:
        """The mobile node is of no interest any more."""
        self._known = {radio: owner for radio, owner in self._known.items() if owner != mac}
        self._by_client_id = {each: owner for each, owner in self._by_client_id.items() if owner != mac}

    def clients(self) -> dict[bytes, str]:
        """By DHCP client id, the MAC that used it first."""
        return dict(self._by_client_id)

    def recall(self, client_id: bytes, mac: str) -> None:
        """Somebody here before heard this MAC use the client id."""
        self._by_client_id.setdefault(client_id, mac)

    def _may_say(self, message: DhcpMessage) -> bool:
        """Whether it is one of the client ids that this MAC has used, or may use besides."""
        if message.client_id in self._by_client_id:
            return True
        return list(self._by_client_id.values()).count(message.mac) < MOST_CLIENT_IDS

    def hear(self, message: DhcpMessage) -> str | None:
        """A client's message with a client id that another radio has used; the mobile node that it belongs to."""
        if message.client_id is None or not self._may_say(message):
            return None
        mac = self.of(self._by_client_id.setdefault(message.client_id, message.mac))
        return mac if mac != self.of(message.mac) else None
