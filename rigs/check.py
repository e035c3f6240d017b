#!/usr/bin/env python3
"""Checks the records of an installation against the statements D1 to D9, with other eyes than `cradle verify --deep`.

    rigs/check.py DATA [--acknowledged FILE]... [--witness FILE]... [-o json]
    rigs/check.py --self-test DATA [--acknowledged FILE]...

Nothing here is taken from the program: the statements, the schema's own comments, and RFC 5280 and RFC 6962 are what it
is written after; certificates, lists and signatures are read by python's cryptography. So one mistake cannot hide in
both. It reads a copy of DATA, which nobody may be writing to, and changes nothing.

D1  no two certificates have one issuer and one serial number
D2  every signature of an authority's key was intended before: serial number and digest stand in the audit log
D3  what was told survives: what `station run -o jsonl` printed (--acknowledged) and what boards hold is stored, octet for
    octet, leads to the root, and is for the right device and key
D4  what was refused is never usable: a closed or rejected issuance is revoked
D5  one effect each: no grant or right is used more often than it was given, no transaction and no (device, profile) has
    two certificates that stand
D6  revoked stays revoked
D7  lists of revoked certificates only go forward, are signed, complete
D9  the audit log is whole: Merkle tree, tiles, signed checkpoint, and checkpoints that were kept elsewhere (--witness)

Prints one line for each finding: statement, place, what. Exit status: 0 sound, 1 findings, 2 could not check.
Needs: python cryptography.
"""
import argparse
import base64
import fcntl
import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

# Issuances that stand, and that ended without a certificate that may be used. Source: schema.sql, table issuance.
STANDING, CONFIRMED, CLOSED, REJECTED = range(4)
PLANNED, MADE, PROVISIONED = range(3)
# Hashes in a full tile. Source: C2SP tlog-tiles.
TILE = 256
# Longest chain from a device to its root.
CHAIN_MAX = 8
ED25519_NOTE = 1

PUBLIC_DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""
    statement: str
    place: str
    what: str

    def __str__(self):
        return f"{self.statement}: {self.place}: {self.what}"


@dataclass
class Report:
    """What was found, and how much was looked at."""
    findings: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    note: str = ""  # the checkpoint, to be kept as a witness


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
    if not separator or len(lines) != 3:
        raise ValueError("it is not a checkpoint")
    origin, size, root = lines
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
    attempt: int
    der: bytes
    certificate: object = None

    @property
    def stands(self):
        return self.state < CLOSED


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
        self.boards = {path.stem: json.loads(path.read_bytes()) for path in sorted((data / "boards").glob("*.json"))}

    def read(self, connection):
        def rows(sql):
            return [dict(row) for row in connection.execute(sql)]

        self.integrity = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        self.strays = [tuple(row) for row in connection.execute("PRAGMA foreign_key_check")]
        self.authorities = {row["id"]: row for row in rows("SELECT * FROM authority")}
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
        row["right_id"], row["key"].hex(), row["tbs"].hex(), row["at"], row["state"], row["attempt"], row["der"])
    if read.der is not None:
        read.certificate = load_certificate(read.der)
    return read


def load_certificate(der):
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


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
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        return constraints.ca and usage.key_cert_sign
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False


# ---- The checks ----

class Check:
    """Goes through the statements one by one."""

    def __init__(self, records, acknowledged, witnesses):
        self.r, self.acknowledged, self.witnesses = records, acknowledged, witnesses
        self.report = Report(note=records.note)
        self.events = []
        self.by_serial = {row.serial: row for row in records.issuances}
        self.by_number = {int(row.serial, 16): row for row in records.issuances}
        self.by_id = {row.id: row for row in records.issuances}
        self.revoked = {row["issuance"]: row for row in records.revocations}

    def run(self):
        self.store()
        self.log()
        self.stories = self.replay()
        self.authorities = self.read_authorities()
        self.serial_numbers()
        self.certificates()
        self.intents()
        self.refused()
        self.grants_and_rights()
        self.standing()
        self.revocations()
        self.lists()
        self.devices()
        self.promises()
        self.boards()
        self.count()
        return self.report

    def find(self, statement, place, what):
        self.report.findings.append(Finding(statement, str(place), what))

    def store(self):
        if self.r.integrity != "ok":
            self.find("store", self.r.integrity, "the database is damaged")
        for table, row, parent, _ in self.r.strays:
            self.find("store", f"{table} {row}", f"its {parent} is not there")

    # ---- D9 ----

    def log(self):
        leaves = []
        for place, row in enumerate(self.r.log):
            number = row["number"]
            if number != place:
                self.find("D9", f"entry {place}", f"entry {number} stands in its place")
                break
            leaves.append(leaf_hash(row["entry"]))
            if row["leaf"] != leaves[-1]:
                self.find("D9", f"entry {number}", "it is not the entry whose hash is stored")
            try:
                entry = json.loads(row["entry"])
                ((kind, of),) = entry["event"].items()
                self.events.append(Event(number, entry["at"], kind, of))
            except (ValueError, KeyError, AttributeError):
                self.find("D9", f"entry {number}", "it cannot be read")
        for place, hash_of in tile_hashes(leaves).items():
            if self.r.tiles.pop(place, None) != hash_of:
                self.find("D9", f"tile {place}", "its root is not that of its entries")
        for place in self.r.tiles:
            self.find("D9", f"tile {place}", "there is no such tile")
        origin = self.checkpoint("the checkpoint", self.r.note, leaves, whole=True)
        for n, witness in enumerate(self.witnesses):
            if self.checkpoint(f"witness {n}", witness, leaves, whole=False) not in (origin, None):
                self.find("D9", f"witness {n}", "it is of another log")

    def checkpoint(self, place, note, leaves, whole):
        try:
            origin, size, root = open_note(note, self.r.audit_key)
        except ValueError as error:
            self.find("D9", place, str(error))
            return None
        if size > len(leaves):
            self.find("D9", place, f"{size} entries were signed, {len(leaves)} are there")
        elif tree_hash(leaves[:size]) != root:
            self.find("D9", place, f"the first {size} entries are not those that were signed")
        if whole and size < len(leaves):
            self.find("D9", place, f"the entries from {size} on are not signed")
        return origin

    # ---- What the log says of each serial number ----

    def replay(self):
        stories = defaultdict(lambda: defaultdict(list))
        for event in self.events:
            if "serial" in event.of:
                stories[event.of["serial"]][event.kind].append(event)
        return stories

    # ---- D1 ----

    def serial_numbers(self):
        seen = {}
        for row in self.r.issuances:
            if row.certificate is None:
                continue
            name = (row.certificate.issuer.public_bytes(), row.certificate.serial_number)
            if name in seen:
                self.find("D1", row.serial, f"issuances {seen[name]} and {row.id} are certificates of one name")
            seen[name] = row.id
        for (authority, serial), times in Counter((row.authority, row.serial) for row in self.r.issuances).items():
            if times > 1:
                self.find("D1", serial, f"authority {authority} intended it {times} times")
        for serial, story in self.stories.items():
            for kind in ("intended", "issued"):
                if len(story[kind]) > 1:
                    self.find("D1", serial, f"the log has it {kind} {len(story[kind])} times")
        for row in self.r.issuances:
            octets = bytes.fromhex(row.serial)
            if not 1 <= len(octets) <= 20 or octets[0] > 127 or not any(octets):
                self.find("D1", row.serial, "it is no serial number of RFC 5280 §4.1.2.2")

    # ---- D2 ----

    def intents(self):
        for row in self.r.issuances:
            intended = self.stories[row.serial]["intended"]
            if not intended:
                self.find("D2", row.serial, "its intent is not in the audit log")
                continue
            said = intended[0].of
            if (said["tbs"], said["grant"], said["transaction"]) != (row.tbs, row.grant, row.transaction):
                self.find("D2", row.serial, "what was intended is not what is stored")
            if row.certificate is not None and sha256(row.certificate.tbs_certificate_bytes).hex() != said["tbs"]:
                self.find("D2", row.serial, "the certificate is not the one that was intended")
        for serial, story in self.stories.items():
            if story["intended"] and serial not in self.by_serial:
                self.find("D2", serial, "an intent of the audit log has no row")
            for issued in story["issued"]:
                if not any(intended.number < issued.number for intended in story["intended"]):
                    self.find("D2", serial, "it was issued before it was intended")

    # ---- D3: what was issued is stored, and leads to the root ----

    def read_authorities(self):
        read = {}
        for id_, row in self.r.authorities.items():
            if row["certificate"] is None:
                continue
            certificate = load_certificate(row["certificate"])
            if certificate is None:
                self.find("D3", f"authority {row['name']}", "its certificate cannot be read")
                continue
            read[id_] = certificate
            if not any(row["certificate"] == issued.der for issued in self.r.issuances):
                self.find("D3", f"authority {row['name']}", "its certificate was never issued")
        return read

    def leads_to_root(self, certificate):
        """Whether signatures lead from a certificate to one that signs itself."""
        for _ in range(CHAIN_MAX):
            if certificate.issuer == certificate.subject:
                return issued_by(certificate, certificate)
            above = [ca for ca in self.authorities.values() if issued_by(certificate, ca)]
            if not above:
                return False
            certificate = above[0]
        return False

    def certificates(self):
        for row in self.r.orphans:
            self.find("D2", f"certificate {row['id']}", "it was never intended")
        for row in self.r.issuances:
            issued = self.stories[row.serial]["issued"]
            if row.der is None:
                if issued:
                    self.find("D3", row.serial, "it was issued, and is not stored")
                continue
            if not issued:
                self.find("D2", row.serial, "that it was issued is not in the audit log")
            elif issued[0].of["certificate"] != sha256(row.der).hex():
                self.find("D3", row.serial, "it is not the certificate that was issued")
            self.certificate(row)
        for serial, story in self.stories.items():
            if story["issued"] and serial not in self.by_serial:
                self.find("D3", serial, "it was issued, and is not stored")

    def certificate(self, row):
        certificate = row.certificate
        if certificate is None:
            self.find("D3", row.serial, "it cannot be read")
            return
        if not same_serial(certificate, row.serial):
            self.find("D3", row.serial, f"the certificate's own serial number is {serial_of(certificate)}")
        if key_digest(certificate.public_key()) != row.key:
            self.find("D3", row.serial, "it is for another key")
        authority = self.authorities.get(row.authority)
        if authority is None or not issued_by(certificate, authority):
            self.find("D2", row.serial, "its authority did not sign it")
        elif not self.leads_to_root(certificate):
            self.find("D3", row.serial, "it does not lead to a root")
        elif not (authority.not_valid_before_utc <= certificate.not_valid_before_utc
                  and certificate.not_valid_after_utc <= authority.not_valid_after_utc):
            self.find("D2", row.serial, "it is valid when its issuer is not")
        subject = self.r.grants.get(row.grant, {}).get("subject", "")
        if subject.startswith("urn:") and uris(certificate) != [subject]:
            self.find("D3", row.serial, f"it is not for {subject}")

    # ---- D4 ----

    def refused(self):
        for row in self.r.issuances:
            story = self.stories[row.serial]
            verdicts = {event.of["accepted"] for event in story["confirmed"]}
            if row.state in (CLOSED, REJECTED) and row.id not in self.revoked:
                self.find("D4", row.serial, "it was closed or rejected, and is not revoked")
            if row.state == CLOSED and row.der is not None:
                self.find("D4", row.serial, "it was closed, and has a certificate")
            if (row.state == CLOSED) != bool(story["intent-closed"]):
                self.find("D4", row.serial, "the log and the row disagree on whether it was closed")
            if verdicts != {CONFIRMED: {True}, REJECTED: {False}}.get(row.state, set()):
                self.find("D4", row.serial, "the log and the row disagree on the requester's verdict")
            if verdicts and row.der is None:
                self.find("D3", row.serial, "it has a verdict and no certificate")

    # ---- D5 ----

    def grants_and_rights(self):
        uses = Counter(row.grant for row in self.r.issuances if row.stands)
        logged = Counter()
        for story in self.stories.values():
            ended = story["intent-closed"] or any(not event.of["accepted"] for event in story["confirmed"])
            logged.update(event.of["grant"] for event in story["intended"] if not ended)
        for id_, grant in self.r.grants.items():
            place = f"grant {id_} ({grant['subject']}, {grant['profile_name']})"
            if grant["used"] != uses[id_]:
                self.find("D5", place, f"it counts {grant['used']} uses, {uses[id_]} stand")
            if max(uses[id_], logged[id_]) > grant["quota"]:
                self.find("D5", place, f"it was used {max(uses[id_], logged[id_])} times of {grant['quota']}")
        for id_ in (uses.keys() | logged.keys()) - self.r.grants.keys():
            self.find("D5", f"grant {id_}", "it was used, and is not there")
        vouched = Counter(row.right for row in self.r.issuances if row.stands and row.right is not None)
        given = defaultdict(int)
        for event in self.events:
            if event.kind == "entitled":
                name = (event.of["station"], event.of["device_type"])
                given[name] = max(given[name], event.of["quota"])
        for id_, right in self.r.rights.items():
            name = (right["station"], right["device_type"])
            place = f"right of {name[0]} for {name[1]}"
            if right["used"] != vouched[id_]:
                self.find("D5", place, f"it counts {right['used']} uses, {vouched[id_]} stand")
            if max(vouched[id_], right["quota"]) > given[name]:
                self.find("D5", place, f"it has {right['quota']}, {vouched[id_]} used; the log gave {given[name]}")
        for id_ in vouched.keys() - self.r.rights.keys():
            self.find("D5", f"right {id_}", "it was used, and is not there")

    def standing(self):
        transactions, names = defaultdict(list), defaultdict(list)
        for row in self.r.issuances:
            if not row.stands:
                continue
            transactions[row.transaction].append(row.serial)
            if row.certificate is not None and row.id not in self.revoked:
                profile = self.r.grants.get(row.grant, {}).get("profile_name")
                for uri in uris(row.certificate):
                    names[uri, profile].append(row.serial)
        for transaction, serials in transactions.items():
            if len(serials) > 1:
                self.find("D5", f"transaction {transaction}", f"{', '.join(serials)} stand")
        for (uri, profile), serials in names.items():
            if len(serials) > 1:
                self.find("D5", f"{uri} as {profile}", f"{', '.join(serials)} stand")

    # ---- D6 ----

    def revocations(self):
        for row in self.r.revocations:
            issuance_ = self.by_id.get(row["issuance"])
            if issuance_ is None:
                self.find("D6", f"revocation {row['id']}", "it is of no issuance")
                continue
            story = self.stories[issuance_.serial]
            if not story["revoked"] and not story["intent-closed"]:
                self.find("D6", issuance_.serial, "that it was revoked is not in the audit log")
            if row["authority"] != issuance_.authority:
                self.find("D6", issuance_.serial, "it is revoked under another authority than its own")
        for serial, story in self.stories.items():
            revoked = story["revoked"] or story["intent-closed"]
            known = self.by_serial.get(serial)
            if revoked and (known is None or known.id not in self.revoked):
                self.find("D6", serial, "it was revoked, and is not any more")

    # ---- D7 ----

    def lists(self):
        intended, issued = {}, {}
        for event in self.events:
            if event.kind in ("crl-intended", "crl-issued"):
                place = (event.of["authority"], event.of["number"])
                book = intended if event.kind == "crl-intended" else issued
                if place in book:
                    self.find("D7", f"CRL {place[1]} of {place[0]}", f"the log has {event.kind} twice")
                book[place] = event
                if event.kind == "crl-issued" and place not in intended:
                    self.find("D2", f"CRL {place[1]} of {place[0]}", "it was issued before it was intended")
        before = {}
        for row in self.r.lists:
            name = self.r.authorities[row["authority"]]["name"]
            place = f"CRL {row['number']} of {name}"
            said = issued.pop((name, row["number"]), None)
            if said is None or said.of["crl"] != sha256(row["der"]).hex():
                self.find("D7", place, "it is not the list that was issued")
            crl = self.list(place, row, intended.get((name, row["number"])))
            if crl is not None:
                self.goes_on(place, row["authority"], before.get(name), crl)
                before[name] = crl
        for name, number in issued:
            self.find("D7", f"CRL {number} of {name}", "it was issued, and is not stored")

    def list(self, place, row, intended):
        """Checks one list by itself. Gives it, if it can be read."""
        try:
            crl = x509.load_der_x509_crl(row["der"])
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (ValueError, x509.ExtensionNotFound):
            self.find("D7", place, "it cannot be read, or has no number")
            return None
        authority = self.authorities.get(row["authority"])
        if authority is None or crl.issuer != authority.subject or not signature_holds(crl, authority):
            self.find("D7", place, "its authority did not sign it")
        times = (crl.last_update_utc.timestamp(), crl.next_update_utc.timestamp())
        if number != row["number"] or times != (row["this_update"] // 1000, row["next_update"] // 1000):
            self.find("D7", place, "its number or its times are not those of its row")
        if number > self.r.authorities[row["authority"]]["crl_number"]:
            self.find("D7", place, "its number was not reserved")
        if intended is None or intended.of["tbs"] != sha256(crl.tbs_certlist_bytes).hex():
            self.find("D2", place, "it is not the list that was intended")
        return crl

    def goes_on(self, place, authority, before, crl):
        """Checks a list against the one before it, and against what was revoked by then."""
        listed = {entry.serial_number: entry for entry in crl}
        if before is not None:
            if number_of(crl) <= number_of(before) or crl.last_update_utc < before.last_update_utc:
                self.find("D7", place, "it goes back behind the list before it")
            for entry in before:
                # Only a certificate that had expired when the list before was made may be left out.
                known = self.by_number.get(entry.serial_number)
                certificate = known.certificate if known else None
                expired = certificate is not None and certificate.not_valid_after_utc < before.last_update_utc
                if entry.serial_number not in listed and not expired:
                    self.find("D6", place, f"{entry.serial_number:x} was on the list before it, and is not any more")
        this_update = int(crl.last_update_utc.timestamp()) * 1000
        for row in self.r.revocations:
            revoked = self.by_id.get(row["issuance"])
            if row["authority"] == authority and row["at"] < this_update and revoked is not None:
                if int(revoked.serial, 16) not in listed:
                    self.find("D7", place, f"{revoked.serial} was revoked before, and is not on it")
        known = {int(self.by_id[row["issuance"]].serial, 16) for row in self.r.revocations
                 if row["authority"] == authority and row["issuance"] in self.by_id}
        for number in listed.keys() - known:
            self.find("D6", place, f"{number:x} is on it, and is not revoked")

    # ---- Devices ----

    def devices(self):
        used = Counter(row["certificate"] for row in self.r.devices.values() if row["certificate"])
        for name, row in self.r.devices.items():
            provisioned = [event for event in self.events
                           if event.kind == "provisioned" and event.of["device"] == name]
            if (row["custody"] == PROVISIONED) != bool(provisioned):
                self.find("D3", name, "the log and the row disagree on whether it is provisioned")
            if len(provisioned) > 1:
                self.find("D5", name, f"it was provisioned {len(provisioned)} times")
            if row["custody"] == PROVISIONED:
                self.device(name, row, provisioned)
            if row["certificate"] and used[row["certificate"]] > 1:
                self.find("D5", name, "another device has its certificate")

    def device(self, name, row, provisioned):
        """A provisioned device has exactly one certificate, and no other that is valid."""
        own = self.by_serial.get(row["certificate"])
        if own is None or own.certificate is None:
            self.find("D3", name, "it is provisioned, and its certificate is not stored")
            return
        if own.state != CONFIRMED:
            self.find("D3", name, "it is provisioned, and its certificate is not confirmed")
        if provisioned and provisioned[-1].of["serial"] != row["certificate"]:
            self.find("D3", name, "it is not the certificate with which it was provisioned")
        if uris(own.certificate) != [name]:
            self.find("D3", name, "its certificate is another's")
        if row["key"] is None or row["key"].hex() != own.key:
            self.find("D3", name, "its certificate is for another key")
        # Only an operator may take it back afterwards; then the log says so.
        if own.id in self.revoked and not self.stories[own.serial]["revoked"]:
            self.find("D3", name, "its certificate is revoked, and nobody revoked it")

    # ---- D3: what was promised ----

    def promises(self):
        told = defaultdict(set)
        for line in self.acknowledged:
            outcome, device = line.get("outcome"), line.get("device")
            if outcome == "flashed":
                row = self.r.devices.get(device)
                if row is None or row["custody"] < MADE or row["image"] is None:
                    self.find("D3", device, "acknowledged as flashed, and not recorded so")
            elif outcome == "provisioned":
                self.report.counts["acknowledged"] += 1
                told[device].add(line["certificate"])
                self.promise(line)
        for device, serials in told.items():
            if len(serials) > 1:
                self.find("D5", device, f"two certificates were acknowledged: {', '.join(sorted(serials))}")

    def promise(self, line):
        device, serial = line["device"], line["certificate"]
        place = f"{serial} of {device}"
        row, issued = self.r.devices.get(device), self.by_serial.get(serial)
        if issued is None or issued.der is None:
            self.find("D3", place, "LOST: acknowledged, and not stored")
            return
        if issued.state != CONFIRMED:
            self.find("D3", place, "acknowledged, and not confirmed")
        if issued.id in self.revoked and not self.stories[serial]["revoked"]:
            self.find("D4", place, "acknowledged, and revoked by nobody")
        if issued.certificate is None or uris(issued.certificate) != [device]:
            self.find("D3", place, "acknowledged for another device than it names")
        if row is None or row["custody"] != PROVISIONED or row["certificate"] != serial:
            self.find("D3", place, "LOST: acknowledged, and the device is not recorded as provisioned with it")
        elif (row["board"], row["serial"]) != (line["board"], line["serial"]):
            self.find("D3", place, "acknowledged for another board than is recorded")
        job = self.r.jobs.get(device)
        if job is None or not job["finished"] or job["transaction_id"].hex() != issued.transaction:
            self.find("D3", place, "LOST: acknowledged, and the station has not recorded that it finished")

    # What a board holds was told to the world, whether or not a line was printed of it.
    def boards(self):
        by_board = {row["board"]: row for row in self.r.devices.values() if row["board"]}
        for board, memory in self.r.boards.items():
            row = by_board.get(board)
            chain = pem_certificates(memory["certificate_chain"])
            if row is not None and row["custody"] == PROVISIONED and not chain:
                self.find("D3", board, "it is provisioned, and holds no certificate")
            if chain:
                self.report.counts["released"] += 1
                self.board(board, row, memory, chain)

    def board(self, board, row, memory, chain):
        own = chain[0]
        stored = self.by_serial.get(serial_of(own))
        place = f"{serial_of(own)} on {board}"
        der = own.public_bytes(serialization.Encoding.DER)
        if stored is None or stored.der is None:
            self.find("D3", place, "LOST: released to the board, and not stored")
            return
        if stored.der != der:
            self.find("D3", place, "the board holds other octets than are stored")
        anchors = pem_certificates(memory["trust_anchors"])
        links = list(zip(chain, chain[1:]))
        if not all(issued_by(lower, upper) for lower, upper in links) or not any(
                issued_by(chain[-1], anchor) for anchor in anchors):
            self.find("D3", place, "the board's chain does not lead to its trust anchors")
        if row is None or row["custody"] != PROVISIONED:
            return
        if row["certificate"] != stored.serial:
            self.find("D3", place, "the board holds another certificate than is recorded")
        key = memory["key"] and serialization.load_der_private_key(base64.b64decode(memory["key"]["pkcs8"]), None)
        if not key or key_digest(key.public_key()) != stored.key:
            self.find("D3", place, "the board holds another key than its certificate's")

    def count(self):
        counts, rows = self.report.counts, self.r.issuances
        counts["entries"] = len(self.r.log)
        counts["intents"] = len(rows)
        counts["certificates"] = sum(row.der is not None for row in rows)
        counts["open"] = sum(row.state == STANDING and row.der is None for row in rows)
        counts["closed"] = sum(row.state == CLOSED for row in rows)
        counts["rejected"] = sum(row.state == REJECTED for row in rows)
        counts["revoked"] = len(self.r.revocations)
        counts["lists"] = len(self.r.lists)
        counts["provisioned"] = sum(row["custody"] == PROVISIONED for row in self.r.devices.values())


def signature_holds(crl, authority):
    try:
        return crl.is_signature_valid(authority.public_key())
    except (TypeError, ValueError):
        return False


def number_of(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def pem_certificates(octets):
    return x509.load_pem_x509_certificates(base64.b64decode(octets)) if octets else []


def check(data, acknowledged=(), witnesses=()):
    """Checks an installation. `acknowledged` are lines of the station's report, as dictionaries."""
    return Check(Records(data), list(acknowledged), list(witnesses)).run()


# ---- The program ----

def json_lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]


def main():
    description, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA", help="the data directory")
    parser.add_argument("--acknowledged", action="append", default=[], metavar="FILE",
                        help="what `cradle station run -o jsonl` printed")
    parser.add_argument("--witness", action="append", default=[], metavar="FILE",
                        help="a checkpoint of the audit log that was kept elsewhere")
    parser.add_argument("-o", "--output", choices=("human", "json"), default="human")
    parser.add_argument("--self-test", action="store_true",
                        help="plant faults into copies of DATA, which must be sound, and say whether each was found")
    asked = parser.parse_args()
    try:
        acknowledged = [line for path in asked.acknowledged for line in json_lines(path)]
        if asked.self_test:
            import plants
            return plants.self_test(Path(asked.data), acknowledged)
        witnesses = [Path(path).read_text() for path in asked.witness]
        report = check(asked.data, acknowledged, witnesses)
    except (OSError, ValueError, KeyError, sqlite3.Error) as error:
        print(f"check.py: {asked.data} could not be checked: {error!r}", file=sys.stderr)
        return 2
    if asked.output == "json":
        print(json.dumps({"findings": [vars(f) for f in report.findings], "counts": report.counts}, indent=1))
    else:
        for finding in report.findings:
            print(finding)
        counted = ", ".join(f"{n} {what}" for what, n in sorted(report.counts.items()))
        print(f"{len(report.findings)} findings in {counted}")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
