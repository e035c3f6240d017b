"""Shows that check.py finds faults: plants them into copies of a sound installation, one by one.

Library of `check.py --self-test`; the faults are in `plants_*.py`. Needs python cryptography.
"""
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

import check
import plants_issued
import plants_limits
import plants_log
import plants_purged
import plants_standing
from tamper import Copy, Missing

PLANTS = (*plants_issued.PLANTS, *plants_log.PLANTS, *plants_standing.PLANTS, *plants_purged.PLANTS, *plants_limits.PLANTS)


def self_test(data, acknowledged):
    """Plants every fault into a copy of `data`. Gives 0 if that is sound and each fault was found, or 1."""
    sound = check.check(data, acknowledged).findings
    for finding in sound:
        print(f"not sound before anything: {finding}")
    missed, found = 0, Counter()
    for plant in PLANTS:
        error, findings = plant_one(plant, data, acknowledged)
        lacking = plant.lacking(findings)
        missed += bool(lacking)
        if lacking:
            verdict = f"MISSED ({error or 'no finding ' + ', '.join(lacking)})"
        else:
            verdict = "found"
            found.update(plant.statements())
        print(f"{'+'.join(plant.statements()):<9}{plant}: {verdict}", flush=True)
    by_statement = ", ".join(f"{n} {statement}" for statement, n in sorted(found.items()))
    print(f"self-test: {len(PLANTS)} faults planted, {len(PLANTS) - missed} found ({by_statement}), {missed} missed, "
          f"{len(sound)} findings before")
    return 1 if sound or missed or not PLANTS else 0


def plant_one(plant, data, acknowledged):
    """What went wrong with the plant itself, and the findings that it led to."""
    with tempfile.TemporaryDirectory(prefix="cradle-plant-") as scratch:
        try:
            copy = Copy(data, Path(scratch) / "data", acknowledged)
            try:
                plant.fault(copy)
            finally:
                copy.close()
            return "", check.check(copy.data, copy.acknowledged, copy.witnesses).findings
        except Missing as error:
            return f"DATA does not have what it needs: {error}", []
        except (OSError, ValueError, LookupError, sqlite3.Error) as error:
            return f"it could not be checked: {error!r}", []
