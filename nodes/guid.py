"""Global unique IDs of MNs (draft 4.1): permanent, allocated once per credential, never used again for another.

A GUID is a version 5 UUID (RFC 9562, 5.5) of the credential's public ID, such as the NAI or certificate fingerprint
that a real network would know the MN by. It is the same wherever and whenever it is derived, so that a restart or a
second registration changes nothing. What derivation alone cannot promise (that two credentials never share an ID, and
that a name which was withdrawn is not handed out again) the ledger does: it is append-only.
"""

import base64
import json
import re
import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path

# the project's own namespace, itself derived: uuid5(NAMESPACE_DNS, "guid.dmmlab.invalid")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "guid.dmmlab.invalid")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MN_ID_OPTION = 8  # Mobile Node Identifier Option of MIPv6 (RFC 4283)
MN_ID_SUBTYPE_DUID = 8  # RFC 8371: the identifier is a DHCP unique identifier
DUID_UUID = 4  # RFC 6355: the DUID is a UUID

SCHEMA = """
CREATE TABLE IF NOT EXISTS guids (
    credential TEXT PRIMARY KEY, guid TEXT NOT NULL UNIQUE, label TEXT NOT NULL UNIQUE,
    withdrawn INTEGER NOT NULL DEFAULT 0
);
CREATE TRIGGER IF NOT EXISTS kept BEFORE DELETE ON guids BEGIN SELECT RAISE(ABORT, 'a GUID is for ever'); END;
CREATE TRIGGER IF NOT EXISTS fixed BEFORE UPDATE OF credential, guid, label ON guids
    BEGIN SELECT RAISE(ABORT, 'a GUID is for ever'); END;
"""


class GuidError(ValueError):
    """An ID cannot be allocated: taken, withdrawn, or no good as a name."""


@dataclass(frozen=True, slots=True)
class Guid:
    """An MN's ID: the UUID, and the DNS label it goes by in the zone."""

    uuid: uuid.UUID
    label: str

    def fqdn(self, zone: str) -> str:
        """Return the FQDN form under the zone, without a dot at the end."""
        return f"{self.label}.{zone.strip('.')}"

    @property
    def mn_identifier(self) -> bytes:
        """The MN identifier of type DUID (RFC 8371), a DUID-UUID (RFC 6355): 18 bytes."""
        return DUID_UUID.to_bytes(2, "big") + self.uuid.bytes

    @property
    def mn_option(self) -> bytes:
        """The Mobile Node Identifier Option that carries it (RFC 4283, 3): type, length, subtype, identifier."""
        identifier = self.mn_identifier
        return bytes((MN_ID_OPTION, 1 + len(identifier), MN_ID_SUBTYPE_DUID)) + identifier


def derive(credential: str, label: str | None = None) -> Guid:
    """Return the GUID of a credential's public ID; without a label, the name follows from the UUID as well.

    Raises GuidError for an empty credential or a label that is no DNS host name.
    """
    if not credential:
        raise GuidError("an MN without a credential has no GUID")
    number = uuid.uuid5(NAMESPACE, credential)
    name = label or "mn-" + base64.b32encode(number.bytes).decode().rstrip("=").lower()
    if not LABEL.fullmatch(name):
        raise GuidError(f"{name!r} is no DNS label: letters a-z, digits and hyphens, 63 at most")
    return Guid(number, name)


class GuidLedger:
    """Every GUID that was ever allocated, in an SQLite file; rows are neither changed nor deleted."""

    def __init__(self, path: Path | str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(SCHEMA)

    def allocate(self, credential: str, label: str | None = None) -> Guid:
        """Return the credential's GUID: the one it has, or a new one under the label (default: derived).

        Raises GuidError when the label is or was another credential's, when this credential goes by another label
        already, or when its GUID was withdrawn.
        """
        row = self._find(credential)
        if row is not None:
            guid, withdrawn = row
            if withdrawn:
                raise GuidError(f"the GUID of {credential} was withdrawn, and is not given again")
            if label not in (None, guid.label):
                raise GuidError(f"{credential} is {guid.label} for ever, and cannot become {label}")
            return guid
        guid = derive(credential, label)
        try:
            self._database.execute(
                "INSERT INTO guids (credential, guid, label) VALUES (?, ?, ?)", (credential, str(guid.uuid), guid.label)
            )
        except sqlite3.IntegrityError as error:
            raise GuidError(f"{guid.label} was allocated to another credential before") from error
        return guid

    def withdraw(self, credential: str) -> None:
        """Take a GUID out of use; nobody gets it again, not even the same credential. Raises GuidError if unknown."""
        done = self._database.execute("UPDATE guids SET withdrawn = 1 WHERE credential = ?", (credential,))
        if done.rowcount == 0:
            raise GuidError(f"{credential} has no GUID")

    def _find(self, credential: str) -> tuple[Guid, bool] | None:
        query = "SELECT guid, label, withdrawn FROM guids WHERE credential = ?"
        row = self._database.execute(query, (credential,)).fetchone()
        return None if row is None else (Guid(uuid.UUID(row[0]), row[1]), bool(row[2]))

    def export(self) -> str:
        """Return the ledger as JSON, for a run's records."""
        rows = self._database.execute("SELECT credential, guid, label, withdrawn FROM guids ORDER BY credential")
        names = ("credential", "guid", "label", "withdrawn")
        return json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1)

    def close(self) -> None:
        """Release the file."""
        self._database.close()
