"""The high-water marks, which lie beside the data directory and outlive it (H).

A mark may tell of what never came to be: it is written before the commit that it is of. What came to be must have its
mark, or a backup brings back a number that was used. Library; `check.py` says what is looked for.
"""
import hashlib
import json
import shutil
import tomllib
from collections import defaultdict
from pathlib import Path

from records import key_digest

SUFFIX = ".marks"
# Digits of the log's name with which its files begin.
PREFIX_LEN = 16


def copy_installation(data, to, **how):
    """Copies a data directory and the marks beside it."""
    data, to = Path(data), Path(to)
    shutil.copytree(data, to, **how)
    marks = data.with_name(data.name + SUFFIX)
    if marks.is_dir():
        shutil.copytree(marks, to.with_name(to.name + SUFFIX), **how)


class MarkFiles:
    """The files of one installation: where they begin, and their lines."""

    def __init__(self, directory, name):
        prefix = hashlib.sha256(name.encode()).hexdigest()[:PREFIX_LEN]
        self.name, self.begins, self.marks, self.broken = name, [], [], []
        for path in sorted(directory.glob(f"{prefix}-*{SUFFIX}")) if directory.is_dir() else ():
            begins = int(path.stem.partition("-")[2])
            self.begins.append(begins)
            self.read(path, begins)

    def read(self, path, begins):
        lines = path.read_bytes().split(b"\n")
        read = [mark_of(line) for line in lines]
        if read[0] != ("begin", {"log": self.name, "entries": begins}):
            self.broken.append((path.name, "it does not begin as its name says"))
        for number, (line, mark) in enumerate(zip(lines, read), 1):
            last = number == len(lines)
            if mark is not None:
                self.marks.append(mark)
            # A line that was cut by a power failure is followed by nothing, or by the mark of the next opening.
            elif line and not last and read[number] and read[number][0] not in ("epoch",):
                self.broken.append((path.name, f"line {number} cannot be read"))


def mark_of(line):
    try:
        ((kind, of),) = json.loads(line).items()
        return kind, of
    except (ValueError, AttributeError):
        return None


def directory_of(data):
    """Where an installation keeps its marks."""
    data = Path(data).resolve()
    settings = data / "cradle.toml"
    asked = tomllib.loads(settings.read_text()).get("marks") if settings.exists() else None
    return Path(asked) if asked else data.with_name(data.name + SUFFIX)


def read_marks(data, log_name, audit_key):
    return MarkFiles(directory_of(data), f"{log_name} {key_digest(audit_key)}")


class Marks:
    """Holds the log against the marks."""

    def high_water(self):
        files = self.r.marks
        for name, what in files.broken:
            self.find("H", name, what)
        if not files.begins:
            # The first opening makes the records, and every later one begins a file if there is none.
            if self.r.openings > 1 and self.r.schema > 1:
                self.find("H", "the marks", "there are none of this installation")
            return
        begins, size = min(files.begins), len(self.r.log)
        # Later files may begin behind the end: a restore brings a shorter log back.
        if begins > size:
            self.find("H", "the marks", f"they begin at entry {begins}, and the log ends at {size}")
        self.marked = defaultdict(list)
        for kind, of in files.marks:
            self.marked[self.what_of(kind, of)].append(of)
        for event in self.events:
            if event.number >= begins:
                self.marks_of(event)

    @staticmethod
    def what_of(kind, of):
        """What a mark is of."""
        if kind == "crl":
            return kind, of.get("authority"), of.get("number")
        if kind == "list":
            return kind, of.get("supplier"), of.get("sequence")
        if kind == "maker-list":
            return kind, of.get("maker"), of.get("number")
        if kind in ("issued", "released"):
            return kind, of.get("serial")
        if kind == "revoked":
            return kind, of.get("serial"), of.get("reason")
        return kind, str(of)

    def marks_of(self, event):
        """What an entry makes impossible to happen again."""
        of, kind = event.of, event.kind
        if kind in ("issued", "intent-closed", "recalled"):
            self.issued_mark(of["serial"])
        if kind in ("revoked", "intent-closed"):
            self.must_be_marked(of["serial"], "revoked", of["serial"], of.get("reason", "unspecified"))
        if kind == "released":
            self.must_be_marked(of["serial"], kind, of["serial"])
        if kind in ("crl-intended", "crl-number-raised"):
            self.must_be_marked(f"CRL {of['number']} of {of['authority']}", "crl", of["authority"], of["number"])
        if kind == "list-imported" and of.get("supplier") is not None:
            self.must_be_marked(f"list {of['sequence']} of {of['supplier']}", "list", of["supplier"], of["sequence"])
        if kind in ("maker-list-taken", "maker-list-raised"):
            self.must_be_marked(f"list {of['number']} of {of['maker']}", "maker-list", of["maker"], of["number"])

    def must_be_marked(self, place, *what):
        if what not in self.marked:
            self.find("H", place, f"it has no mark as {what[0]}")

    def issued_mark(self, serial):
        """The mark of a certificate also says what it takes to revoke it, when the records are gone."""
        self.must_be_marked(serial, "issued", serial)
        row = self.by_serial.get(serial)
        for mark in self.marked.get(("issued", serial), ()) if row is not None else ():
            authorities = {name for name, ids in self.named.items() if row.authority in ids}
            said = (mark["not_after"], mark["shard"])
            if said != (row.not_after * 1000, row.shard) or mark["authority"] not in authorities:
                self.find("H", serial, "its mark says otherwise than its row")
