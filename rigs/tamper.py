"""What somebody can do who has the disk, and with the passphrase also the keys: changes rows and boards, rewrites the
audit log and signs it anew.

Library of `plants.py`; needs python cryptography.
"""
import base64
import json
import shutil
import sqlite3
from dataclasses import dataclass
from typing import Callable

from cryptography.hazmat.primitives import serialization

from marks import copy_installation, directory_of
from records import leaf_hash, note_key_hash, tile_hashes, tree_hash

# Devices as told of: provisioned, with the issuance of their certificate, which is not revoked.
DEVICES = """SELECT d.*, i.id AS issuance, i.grant_id, c.der FROM device d JOIN issuance i
  ON lower(hex(i.serial)) = d.certificate JOIN certificate c ON c.id = i.id
  WHERE d.custody = 2 AND i.id NOT IN (SELECT issuance FROM revocation) ORDER BY d.id"""


@dataclass(frozen=True)
class Plant:
    """A fault, and the findings that it must lead to: pairs of a statement and words of the finding."""
    fault: Callable
    expected: tuple

    def __str__(self):
        return self.fault.__name__.replace("_", " ")

    def statements(self):
        return sorted({statement for statement, _ in self.expected})

    def lacking(self, findings):
        """What was expected and is not among the findings."""
        return [f"{statement} {words!r}" for statement, words in self.expected if not any(
            finding.statement == statement and words in str(finding) for finding in findings)]


def planter(plants):
    """A decorator of functions whose names say what they do to a copy. Other findings may come with the expected ones,
    because one fault breaks many promises."""
    def finds(*expected):
        def register(fault):
            plants.append(Plant(fault, expected))
            return fault
        return register
    return finds


def flip(octets, place, bits=1):
    octets = bytearray(octets)
    octets[place] ^= bits
    return bytes(octets)


class Missing(Exception):
    """The installation does not have what the fault is to be planted into."""


class Copy:
    """A copy of an installation, and of what others know of it."""

    def __init__(self, data, to, acknowledged):
        copy_installation(data, to, ignore=shutil.ignore_patterns("*-shm"))
        self.open(to, acknowledged)

    @classmethod
    def of(cls, data):
        """No copy: the installation itself is changed."""
        copy = cls.__new__(cls)
        copy.open(data, [])
        return copy

    def open(self, data, acknowledged):
        self.data, self.acknowledged, self.witnesses = data, [dict(line) for line in acknowledged], []
        self.connection = sqlite3.connect(data / "cradle.db", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        # Who changes a disk does not ask the program's rules.
        for rule in ("ignore_check_constraints = ON", "foreign_keys = OFF", "legacy_alter_table = ON"):
            self.connection.execute(f"PRAGMA {rule}")

    def close(self):
        """Ends the changes, so that they can be read. Afterwards the store is one file."""
        self.connection.close()

    # ---- Rows ----

    def rows(self, sql, *values, at_least=1):
        found = self.connection.execute(sql, values).fetchall()
        if len(found) < at_least:
            raise Missing(f"{len(found)} of {at_least} rows: {' '.join(sql.split())}")
        return found

    def row(self, sql, *values):
        return self.rows(sql, *values)[0]

    def change(self, sql, *values):
        """Changes rows. One at least: a fault that changes nothing is none."""
        if self.connection.execute(sql, values).rowcount < 1:
            raise Missing(f"nothing was changed: {sql}")

    def free(self, table):
        """Makes a table anew without its UNIQUE rules and indexes."""
        sql = self.row("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", table)["sql"]
        self.connection.execute(sql.replace(table, "freed", 1).replace(" UNIQUE", ""))
        self.connection.execute(f"INSERT INTO freed SELECT * FROM {table}")
        self.connection.execute(f"DROP TABLE {table}")
        self.connection.execute(f"ALTER TABLE freed RENAME TO {table}")

    def devices(self):
        """Two devices and more that are provisioned, the one told of last first."""
        told = [line["device"] for line in self.acknowledged if line["outcome"] == "provisioned"]
        by_name = {row["name"]: row for row in self.rows(DEVICES)}
        found = [by_name[name] for name in reversed(told) if name in by_name]
        if len(found) < 2:
            raise Missing(f"{len(found)} of 2 devices that were told of")
        return found

    def device(self):
        return self.devices()[0]

    # ---- Marks ----

    def change_marks(self, change):
        """Changes the lines of the marks: `change` gets each as a kind and what it says, and gives it back, or None."""
        changed = 0
        for path in directory_of(self.data).glob("*.marks"):
            lines = []
            for line in path.read_text().splitlines():
                ((kind, of),) = json.loads(line).items()
                mark = change(kind, dict(of) if isinstance(of, dict) else of)
                changed += mark != (kind, of)
                lines += [json.dumps({mark[0]: mark[1]})] if mark else []
            path.write_text("".join(line + "\n" for line in lines))
        if not changed:
            raise Missing("a mark that was to be changed")

    # ---- Boards ----

    def memory(self, board, **changes):
        """What a board holds, after these changes."""
        path = self.data / "boards" / f"{board}.json"
        if not path.exists():
            raise Missing(f"the board {board}")
        memory = json.loads(path.read_bytes()) | changes
        path.write_text(json.dumps(memory))
        return memory

    def line(self, device):
        """The line that told of a device's certificate."""
        return next(line for line in self.acknowledged
                    if line["outcome"] == "provisioned" and line["device"] == device)

    # ---- The audit log ----

    def entries(self):
        return [json.loads(row["entry"]) for row in self.rows("SELECT entry FROM audit ORDER BY number")]

    def note(self):
        return self.row("SELECT note FROM checkpoint")["note"]

    def sign(self, size, key=None):
        """Signs a checkpoint of the first entries, with the log's key if no other is given."""
        leaves = [row["leaf"] for row in self.rows("SELECT leaf FROM audit ORDER BY number")][:size]
        key, name = key or self.key("audit"), self.note().split("\n")[0]
        text = f"{name}\n{size}\n{base64.b64encode(tree_hash(leaves)).decode()}\n"
        octets = note_key_hash(name, key.public_key()) + key.sign(text.encode())
        self.change("UPDATE checkpoint SET note = ?", f"{text}\n— {name} {base64.b64encode(octets).decode()}\n")

    def key(self, name):
        passphrase, key = self.data / "secrets" / "passphrase", self.data / "keys" / f"{name}.p8"
        if not passphrase.exists() or not key.exists():
            raise Missing(f"the key {name}, and its passphrase")
        return serialization.load_pem_private_key(key.read_bytes(), passphrase.read_bytes().strip())

    def write_log(self, octets):
        """Replaces the log: entries, tiles and checkpoint fit each other again."""
        leaves = [leaf_hash(entry) for entry in octets]
        self.connection.execute("BEGIN")
        self.connection.execute("DELETE FROM audit")
        self.connection.execute("DELETE FROM audit_root")
        self.connection.executemany("INSERT INTO audit VALUES (?, ?, ?)", [
            (number, entry, leaf) for number, (entry, leaf) in enumerate(zip(octets, leaves))])
        self.connection.executemany("INSERT INTO audit_root VALUES (?, ?, ?)", [
            (*place, digest) for place, digest in tile_hashes(leaves).items()])
        self.connection.execute("COMMIT")
        self.sign(len(octets))

    def rewrite(self, entries):
        self.write_log([json.dumps(entry, separators=(",", ":")).encode() for entry in entries])

    def event(self, entries, kind, **of):
        """The place of the first entry of a kind of which that holds."""
        for place, entry in enumerate(entries):
            if kind in entry["event"] and of.items() <= entry["event"][kind].items():
                return place
        raise Missing(f"an entry {kind} of {of}")

    def without(self, kind, **of):
        """Takes an entry out of the log."""
        entries = self.entries()
        del entries[self.event(entries, kind, **of)]
        self.rewrite(entries)

    def again(self, kind, **of):
        """Repeats an entry at the end of the log."""
        entries = self.entries()
        self.rewrite([*entries, entries[self.event(entries, kind, **of)]])
