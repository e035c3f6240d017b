#!/usr/bin/env python3
"""Checks the records of an installation against the statements D1 to D10, with other eyes than `cradle verify --deep`.

    rigs/check.py DATA [--acknowledged FILE]... [--witness FILE]... [-o json]
    rigs/check.py --self-test DATA [--acknowledged FILE]...

Nothing here is taken from the program: the statements, the schema's own comments, and RFC 5280 and RFC 6962 are what it
is written after; certificates, lists and signatures are read by python's cryptography. So one mistake cannot hide in
both. It reads a copy of DATA, which nobody may be writing to, and changes nothing. Records of schema 1 are read as well.

D1  no two certificates have one issuer and one serial number
D2  every signature of an authority's key was intended before: serial number and digest stand in the audit log
D3  what was told survives: what `station run -o jsonl` printed (--acknowledged) and what boards hold is stored, octet
    for octet, leads to the root, and is for the right device and key
D4  what was refused is never usable: a closed or rejected issuance is revoked
D5  one effect each: no grant, right or authority is used more often or for longer than the log gave it, no transaction
    and no (device, profile) has two certificates that stand, what waited for operators was approved before, lists of a
    supplier only go forward
D6  revoked stays revoked: only a hold ends, by a release or by a revocation as old as the hold; every word of the log
    about the standing of certificates has its row, in the log's order
D7  lists of revoked certificates only go forward, are signed, and say what the records said at their edge: whole ones
    everything but what expired before the one before, differences what changed since their base, parts their part
D9  the audit log is whole: Merkle tree, tiles, signed checkpoint, and checkpoints that were kept elsewhere (--witness)
D10 nothing is signed between a restore and the end of its quarantine
P   (as D3 and D7) octets are absent only of certificates of devices that had expired and of lists that others took the
    place of, and only as many as the log says were purged
H   what must not happen twice has its high-water mark, in the directory beside DATA: more marks may be there, not fewer

Prints one line for each finding: statement, place, what. Exit status: 0 sound, 1 findings, 2 could not check.
The checks are in statements.py, revocations.py, limits.py, promises.py, purges.py and marks.py, what they read in records.py. Needs: python cryptography.
"""
import argparse
import json
import sqlite3
import sys
from pathlib import Path

from marks import read_marks
from records import Records
from statements import Check


def check(data, acknowledged=(), witnesses=()):
    """Checks an installation. `acknowledged` are lines of the station's report, as dictionaries."""
    records = Records(data)
    records.marks = read_marks(data, records.log_name, records.audit_key)
    return Check(records, list(acknowledged), list(witnesses)).run()


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
