"""Global unique IDs of MNs (draft 4.1): permanent, allocated once per credential, never used again for another.

A GUID is a version 5 UUID (RFC 9562, 5.5) of the credential's public ID, such as the NAI or certificate fingerprint
that a real network would know the MN by. It is the same wherever and whenever it is derived, so that a restart or a
second registration changes nothing. What derivation alone cannot promise (that two credentials never share an ID, and
that a name which was withdrawn is not handed out again) the ledger does: it is append-only.
"""

import base64
import json
import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path

from dmmlab.machine.errors import Refusal
from dmmlab.nodes.orders import LABEL

# the project's own namespace, itself derived: uuid5(NAMESPACE_DNS, "guid.dmmlab.invalid")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "guid.dmmlab.invalid")
MN_ID_OPTION = 8  # Mobile Node Identifier Option of MIPv6 (RFC 4283)
MN_ID_SUBTYPE_DUID = 8  # RFC 8371: the identifier is a DHCP unique identifier
DUID_UUID = 4  # RFC 6355: the DUID is a UUID

VERSION = 1  # of a ledger's tables, in its user_version
APPLICATION = 0x444D4D47  # "DMMG", in its application_id
_WAIT_S = 60.0  # for another run that is writing
SCHEMA = (
    "CREATE TABLE guids (credential TEXT PRIMARY KEY, guid TEXT NOT NULL UNIQUE, label TEXT NOT NULL UNIQUE, "
    "withdrawn INTEGER NOT NULL DEFAULT 0)",
    "CREATE TRIGGER kept BEFORE DELETE ON guids BEGIN SELECT RAISE(ABORT, 'a GUID is for ever'); END",
    "CREATE TRIGGER fixed BEFORE UPDATE OF credential, guid, label ON guids "
    "BEGIN SELECT RAISE(ABORT, 'a GUID is for ever'); END",
)


class GuidError(Refusal, ValueError):
    """An ID cannot be allocated (taken, withdrawn, or no good as a name), or a ledger cannot be used; one sentence."""


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
        """Raises GuidError for a file that is no ledger, is damaged, or is of another version."""
        self._path = path
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_S)
            self._open()
        except sqlite3.Error as error:
            raise GuidError(f"{path}: the ledger cannot be used: {error}; it is damaged, or none") from None

    def _open(self) -> None:
        """Makes what is empty a ledger; what was allocated survives a kill, for SQLite writes ahead."""
        if self._empty():
            self._database.execute("PRAGMA journal_mode = WAL")
            with self._database:
                self._database.execute("BEGIN EXCLUSIVE")
                if self._empty():  # nobody else was faster
                    self._database.execute(f"PRAGMA application_id = {APPLICATION}")
                    self._database.execute(f"PRAGMA user_version = {VERSION}")
                    for statement in SCHEMA:
                        self._database.execute(statement)
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._judge()

    def _empty(self) -> bool:
        return not (self._number("user_version") or self._database.execute("SELECT 1 FROM sqlite_master").fetchone())

    def _judge(self) -> None:
        kind, version = self._number("application_id"), self._number("user_version")
        if kind != APPLICATION:
            raise GuidError(f"{self._path}: no ledger of GUIDs; name a new file, or one that dmmlab made")
        if version != VERSION:
            raise GuidError(f"{self._path}: a ledger of version {version}, and this dmmlab reads {VERSION}")
        (verdict,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise GuidError(f"{self._path}: the ledger is damaged ({verdict}); take it from a copy")

    def _number(self, pragma: str) -> int:
        return int(self._database.execute(f"PRAGMA {pragma}").fetchone()[0])

    def allocate(self, credential: str, label: str | None = None) -> Guid:
        """Return the credential's GUID: the one it has, or a new one under the label (default: derived).

        Raises GuidError when the label is or was another credential's, when this credential goes by another label
        already, or when its GUID was withdrawn.
        """
        if (known := self._known(credential, label)) is not None:
            return known
        guid = derive(credential, label)
        try:
            self._database.execute(
                "INSERT INTO guids (credential, guid, label) VALUES (?, ?, ?)", (credential, str(guid.uuid), guid.label)
            )
        except sqlite3.IntegrityError as error:
            if (known := self._known(credential, label)) is not None:  # another run has just allocated the same
                return known
            raise GuidError(f"{guid.label} was allocated to another credential before") from error
        return guid

    def _known(self, credential: str, label: str | None) -> Guid | None:
        row = self._find(credential)
        if row is None:
            return None
        guid, withdrawn = row
        if withdrawn:
            raise GuidError(f"the GUID of {credential} was withdrawn, and is not given again")
        if label not in (None, guid.label):
            raise GuidError(f"{credential} is {guid.label} for ever, and cannot become {label}")
        return guid

    def knows(self, credential: str) -> bool:
        """Return whether the credential has, or had, a GUID."""
        return self._find(credential) is not None

    def gave(self, label: str) -> bool:
        """Return whether the label is, or was, somebody's."""
        return self._database.execute("SELECT 1 FROM guids WHERE label = ?", (label,)).fetchone() is not None

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
