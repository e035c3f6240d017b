"""What was promised, and to whom: the devices, the lines that the station printed, the boards (D3, and D5 of devices).

Library; `statements.py` has the other statements.
"""
import base64
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from records import CONFIRMED, MADE, PROVISIONED, REMOVED, issued_by, key_digest, serial_of, sha256, uris


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


class Promises:
    """Looks from outside: what others were told must be in the records."""

    def __init__(self, records, acknowledged, witnesses):
        self.r, self.acknowledged, self.witnesses = records, acknowledged, witnesses
        self.report = Report(note=records.note)
        self.events = []
        self.by_serial = {row.serial: row for row in records.issuances}
        self.by_number = {int(row.serial, 16): row for row in records.issuances}
        self.by_id = {row.id: row for row in records.issuances}
        # What was said of each certificate last is what stands, unless that was a release from hold.
        self.said = {row["issuance"]: row for row in records.revocations}
        self.revoked = {of: row for of, row in self.said.items() if row["reason"] != REMOVED}

    def find(self, statement, place, what):
        self.report.findings.append(Finding(statement, str(place), what))

    # ---- Devices ----

    def devices(self):
        used = Counter(row["certificate"] for row in self.r.devices.values() if row["certificate"])
        for event in self.events:
            if event.kind == "provisioned" and event.of["device"] not in self.r.devices:
                self.find("D3", event.of["device"], "it was provisioned, and is not recorded")
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
        if own is None or own.certificate is None and not own.is_purged:
            self.find("D3", name, "it is provisioned, and its certificate is not stored")
            return
        if own.state != CONFIRMED:
            self.find("D3", name, "it is provisioned, and its certificate is not confirmed")
        if provisioned and provisioned[-1].of["serial"] != row["certificate"]:
            self.find("D3", name, "it is not the certificate with which it was provisioned")
        if provisioned and provisioned[-1].of["board"] != row["board"]:
            self.find("D3", name, "it is not the board with which it was provisioned")
        if not own.is_purged and uris(own.certificate) != [name]:
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
        if issued is None or issued.der is None and not issued.is_purged:
            self.find("D3", place, "LOST: acknowledged, and not stored")
            return
        if issued.state != CONFIRMED:
            self.find("D3", place, "acknowledged, and not confirmed")
        if issued.id in self.revoked and not self.stories[serial]["revoked"]:
            self.find("D4", place, "acknowledged, and revoked by nobody")
        if not issued.is_purged and (issued.certificate is None or uris(issued.certificate) != [device]):
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
        if stored is None or stored.der is None and not stored.is_purged:
            self.find("D3", place, "LOST: released to the board, and not stored")
            return
        # Of what was purged the log still has the digest.
        said = {event.of["certificate"] for event in self.stories[stored.serial]["issued"]}
        if {sha256(der).hex()} != said if stored.is_purged else stored.der != der:
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


def pem_certificates(octets):
    return x509.load_pem_x509_certificates(base64.b64decode(octets)) if octets else []
