"""Octets that were taken out: only of certificates of devices that had expired and of lists that others took the place of,
and only where the audit log says so (D3, D7).

Library; `statements.py` has the other statements.
"""
from collections import Counter

from promises import Promises


class Purges(Promises):
    """What is absent must have been purged, and may have been."""

    def purges(self):
        told, before = Counter(), 0
        for event in self.events:
            if event.kind != "purged":
                continue
            told.update(certificates=event.of["certificates"], lists=event.of["lists"])
            before = max(before, event.of["before"])
            if event.of["before"] > event.at:
                self.find("D3", f"entry {event.number}", "what had not expired was purged")
        gone = [row for row in self.r.issuances if row.is_purged]
        if len(gone) != told["certificates"]:
            self.find("D3", f"{len(gone)} certificates", f"they have no octets, and {told['certificates']} were purged")
        for row in gone:
            self.purged_certificate(row, before)
        lists = [row for row in self.r.lists if row["der"] is None]
        if len(lists) != told["lists"]:
            self.find("D7", f"{len(lists)} lists", f"they have no octets, and {told['lists']} were purged")
        for row in lists:
            self.purged_list(row, before)

    def purged_certificate(self, row, before):
        if not self.stories[row.serial]["issued"]:
            self.find("D2", row.serial, "it was purged, and was never issued")
        if row.not_after * 1000 >= before // 1000 * 1000:
            self.find("D3", row.serial, "it was purged before it had expired, or too early")
        if not self.r.grants.get(row.grant, {}).get("subject", "").startswith("urn:"):
            self.find("D3", row.serial, "it was purged, and is of no device")

    def purged_list(self, row, before):
        place = f"CRL {row['number']} of authority {row['authority']}"
        if row["next_update"] >= before:
            self.find("D7", place, "it is gone, and is not long out of date")
        if not any(other["authority"] == row["authority"] and other["shard"] == row["shard"] and other["base"] is None
                   and other["number"] > row["number"] for other in self.r.lists):
            self.find("D7", place, "it is gone, and none took its place")
