"""Reads the records of an installation: a copy of its store, the audit log's public key, what its boards hold.

The Merkle tree and its checkpoints are computed and verified here anew. Library; needs python cryptography.
"""
import base64
import fcntl
import hashlib
import json
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

# Issuances that stand, that ended without a certificate that may be used, and that only the high-water marks know of.
# Source: schema.sql, table issuance.
STANDING, CONFIRMED, CLOSED, REJECTED, RECALLED = range(5)
# Versions of the schema that are read. What the first does not have is filled in as it was meant.
SCHEMAS = (1, 2, 3, 4, 5, 6, 7, 8, 9)
# What is not known to end: the last second of the year 9999. Source: RFC 5280 §4.1.2.5.
NO_EXPIRY_S = 253_402_300_799
# How the words of the log for reasons stand in certificates and rows. Source: RFC 5280 §5.3.1.
REASONS = {"unspecified": 0, "key-compromise": 1, "ca-compromise": 2, "affiliation-changed": 3, "superseded": 4,
           "cessation-of-operation": 5, "certificate-hold": 6, "privilege-withdrawn": 9, "aa-compromise": 10}
HOLD, REMOVED = 6, 8
PLANNED, MADE, PROVISIONED = range(3)
# Hashes in a full tile. Source: C2SP tlog-tiles.
TILE = 256
ED25519_NOTE = 1

PUBLIC_DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# ---- The Merkle tree. Source: RFC 6962 §2.1 ----

def leaf_hash(entry):
    return sha256(b"\0", entry)


def tree_hash(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1", tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def tile_hashes(leaves):
    """The root of every full tile: {(level, number): hash}."""
    hashes, level, below = {}, 0, leaves
    while len(below) >= TILE:
        level += 1
        whole = len(below) // TILE
        below = [tree_hash(below[n * TILE:(n + 1) * TILE]) for n in range(whole)]
        hashes.update({(level, n): digest for n, digest in enumerate(below)})
    return hashes


# ---- Checkpoints. Source: C2SP signed-note, tlog-checkpoint ----

def note_key_hash(name, key):
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return sha256(name.encode(), b"\n", bytes([ED25519_NOTE]), raw)[:4]


def open_note(note, key):
    """The origin, size and root that a checkpoint signs; ValueError if it is none, or the signature does not hold."""
    text, separator, signatures = note.partition("\n\n")
    lines = text.split("\n")
    # An extension line may name the last entry of the log that tells of an operation mode.
    if not separator or not (len(lines) == 3 or len(lines) == 4 and lines[3].removeprefix("mode ").isdecimal()):
        raise ValueError("it is not a checkpoint")
    origin, size, root = lines[:3]
    for line in signatures.splitlines():
        name, _, octets = line.removeprefix("— ").rpartition(" ")
        octets = base64.b64decode(octets, validate=True)
        if line.startswith("— ") and name == origin and octets[:4] == note_key_hash(name, key):
            try:
                key.verify(octets[4:], (text + "\n").encode())
            except InvalidSignature:
                raise ValueError("its signature does not hold") from None
            return origin, int(size), base64.b64decode(root, validate=True)
    raise ValueError("the log's key did not sign it")


# ---- What is read ----

@dataclass
class Issuance:
    """A row of issuance, and the certificate beside it."""
    id: int
    serial: str
    authority: int
    transaction: str
    grant: int
    right: int
    key: str
    tbs: str
    at: int
    state: int
    not_after: int
    shard: int
    der: bytes
    certificate: object = None
    is_purged: bool = False

    @property
    def stands(self):
        return self.state not in (CLOSED, REJECTED)

    @property
    def is_recalled(self):
        return self.state == RECALLED


@dataclass
class Event:
    """An entry of the audit log."""
    number: int
    at: int
    kind: str
    of: dict


class Records:
    """Everything that is checked, read from a copy."""

    def __init__(self, data):
        data = Path(data)
        with tempfile.TemporaryDirectory() as scratch:
            copy_store(data, Path(scratch))
            with sqlite3.connect(Path(scratch) / "cradle.db") as connection:
                connection.row_factory = sqlite3.Row
                self.read(connection)
            connection.close()
        self.audit_key = serialization.load_pem_public_key((data / "audit.pub").read_bytes())
        self.log_name = self.note.partition("\n")[0]
        self.boards = {path.stem: json.loads(path.read_bytes()) for path in sorted((data / "boards").glob("*.json"))}

    def read(self, connection):
        def rows(sql):
            return [dict(row) for row in connection.execute(sql)]

        (self.schema,) = connection.execute("PRAGMA user_version").fetchone()
        if self.schema not in SCHEMAS:
            raise ValueError(f"its records are of schema {self.schema}, and schemas {SCHEMAS} are known here")
        self.integrity = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        self.unindexed = self.keys(connection) if self.schema >= 4 else []
        self.strays = [tuple(row) for row in connection.execute("PRAGMA foreign_key_check")]
        self.authorities = {row["id"]: row for row in rows("SELECT * FROM authority")}
        self.authorities_by_name = {row["name"]: id_ for id_, row in self.authorities.items()}
        self.issuances = [issuance(row) for row in rows(
            "SELECT i.*, c.der FROM issuance i LEFT JOIN certificate c ON c.id = i.id ORDER BY i.id")]
        # One certificate without an issuance would not be in the join.
        self.orphans = rows("SELECT id FROM certificate WHERE id NOT IN (SELECT id FROM issuance)")
        self.grants = {row["id"]: row for row in rows(
            "SELECT g.*, w.text AS profile_name FROM grant_ g LEFT JOIN word w ON w.id = g.profile")}
        self.rights = {row["id"]: row for row in rows("SELECT * FROM right_")}
        self.revocations = rows("SELECT * FROM revocation ORDER BY id")
        self.lists = rows("SELECT * FROM crl ORDER BY authority, number")
        self.log = rows("SELECT * FROM audit ORDER BY number")
        self.tiles = {(row["level"], row["number"]): row["hash"] for row in rows("SELECT * FROM audit_root")}
        note = connection.execute("SELECT note FROM checkpoint").fetchone()
        self.note = note[0] if note else ""
        self.devices = {row["name"]: row for row in rows("SELECT * FROM device")}
        self.jobs = {row["device"]: row for row in rows("SELECT * FROM job")}
        self.imports = rows("SELECT * FROM list ORDER BY id")
        self.openings = connection.execute("SELECT count(*) FROM epoch").fetchone()[0]
        quarantine = connection.execute("SELECT value FROM counter WHERE name = 'quarantine'").fetchone()
        self.quarantined = bool(quarantine and quarantine[0])
        if self.schema == 1:
            self.from_schema_1()
            return
        self.links = rows("SELECT * FROM link ORDER BY authority, kind")
        self.suppliers = {row["name"]: row for row in rows("SELECT * FROM supplier")}
        self.pending = {row["id"]: row for row in rows("SELECT * FROM pending")}
        self.approvals = rows("SELECT * FROM approval")

    @staticmethod
    def keys(connection):
        """Issuances to which the index of keys should lead and does not, and the other way round."""
        floor = connection.execute(
            "SELECT coalesce((SELECT value FROM counter WHERE name = 'key_index_floor'), 0)").fetchone()[0]
        rows = connection.execute("SELECT id, substr(key, 1, 8) FROM issuance WHERE id <= ?", (floor,))
        indexed = connection.execute("SELECT issuance, prefix FROM issuance_by_key")
        return sorted(row for row, _ in {tuple(row) for row in rows} ^ {tuple(row) for row in indexed})

    def from_schema_1(self):
        """Fills in what was not there yet: nothing was limited, held, sharded, signed by suppliers, or approved."""
        self.links, self.suppliers, self.pending, self.approvals = [], {}, {}, []
        for row in self.authorities.values():
            row.update(quota=None, issued=0, ends=None, retired=0)
        for row in self.imports:
            row.update(supplier=None, sequence=None)
        by_id = {row.id: row for row in self.issuances}
        for row in self.revocations:
            of = by_id.get(row["issuance"])
            row.update(shard=0, ended=None, not_after=of.not_after if of else NO_EXPIRY_S)
        for row in self.lists:
            edges = [said["id"] for said in self.revocations
                     if said["authority"] == row["authority"] and said["at"] <= row["this_update"]]
            row.update(shard=0, base=None, digest=sha256(row["der"]), edge=max(edges, default=0))


def copy_store(data, to):
    lock = data / "lock"
    with open(lock if lock.exists() else data / "cradle.db", "rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"a cradle process holds {data}") from None
        for name in ("cradle.db", "cradle.db-wal"):
            if (data / name).exists():
                shutil.copyfile(data / name, to / name)


def issuance(row):
    read = Issuance(
        row["id"], row["serial"].hex(), row["authority"], row["transaction_id"].hex(), row["grant_id"],
        row["right_id"], row["key"].hex(), row["tbs"].hex(), row["at"], row["state"], row.get("not_after"),
        row.get("shard", 0), row["der"])
    if read.der == b"":
        # Its octets are gone, and the row says that they were there. Source: schema.sql, table certificate.
        read.der, read.is_purged = None, True
    if read.der is not None:
        read.certificate = load_certificate(read.der)
    if read.not_after is None:
        read.not_after = ends_s(read.certificate) if read.certificate else NO_EXPIRY_S
    return read


def load_certificate(der):
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def ends_s(certificate):
    return int(certificate.not_valid_after_utc.timestamp())


def key_digest(public_key):
    return sha256(public_key.public_bytes(*PUBLIC_DER)).hex()


def serial_of(certificate):
    """The contents octets of the serial number in hexadecimal digits."""
    number = certificate.serial_number
    return number.to_bytes((number.bit_length() + 8) // 8, "big").hex()


def same_serial(certificate, hexadecimal):
    return certificate.serial_number == int(hexadecimal, 16)


def uris(certificate):
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def issued_by(certificate, issuer):
    """Whether that is the issuer: names, basic constraints and the signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    try:
        return constraints.ca and issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        # RFC 5280 §6.1.4 (n): it counts if it is there. Roots that others made may have none.
        return constraints.ca
