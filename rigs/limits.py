"""What limits issuing from above: authorities and their names, keys, quotas and ends; quarantine after a restore;
operators who approve; suppliers and the numbers of their lists (D2, D5, D10).

Library; `statements.py` has the other statements.
"""
from collections import Counter, defaultdict

from cryptography.hazmat.primitives import serialization

from promises import Promises
from records import issued_by, key_digest, load_certificate, sha256

OFFLINE = "offline:"
# Of the certificates that connect an authority's keys. Source: schema.sql, table link; RFC 4210 §4.4.
OLD_WITH_NEW, NEW_WITH_OLD = range(2)
SIGNING = ("intended", "crl-intended")


class Limits(Promises):
    """Authorities, quarantine, approvals, suppliers."""

    # ---- Names ----

    def name_authorities(self):
        """Which authority a name meant, before each renaming: `self.ids` holds (first entry, names), the last first."""
        names = {row["name"]: id_ for id_, row in self.r.authorities.items()}
        self.ids = []
        self.named = defaultdict(set)
        for event in reversed([event for event in self.events if event.kind == "authority-retired"]):
            self.ids.append((event.number, names))
            old = names.get(event.of["renamed"])
            names = {name: id_ for name, id_ in names.items()
                     if name not in (event.of["authority"], event.of["renamed"])}
            if old is not None:
                names[event.of["authority"]] = old
        self.ids.append((-1, names))
        for _, names in self.ids:
            for name, id_ in names.items():
                self.named[name].add(id_)

    def ids_then(self, event):
        """The authorities by the names that they had when an entry was written; a renaming counts from its entry on."""
        return next(names for number, names in self.ids if event.number >= number)

    # ---- Authorities ----

    def authority_rows(self):
        keys, retired = {}, set()
        for event in self.events:
            if event.kind == "authority-created":
                keys[self.ids_then(event).get(event.of["authority"])] = event.of["key"]
            if event.kind == "authority-retired":
                retired.add(event.of["renamed"])
                if event.of["renamed"] not in self.r.authorities_by_name:
                    self.find("D5", event.of["renamed"], "an authority was replaced, and is not there")
        for id_, row in self.r.authorities.items():
            place = f"authority {row['name']}"
            if bool(row["retired"]) != (row["name"] in retired):
                self.find("D5", place, "the log and the row disagree on whether it was replaced")
            certificate = self.authorities.get(id_)
            if certificate is not None and keys.get(id_) != key_digest(certificate.public_key()):
                self.find("D2", place, "it has another key than the log says")
            if certificate is None and id_ in keys:
                self.find("D3", place, "it was made, and has no certificate")
        self.chains()
        self.links()
        self.limits()

    def chains(self):
        """Each authority's certificate is signed by the authority that its row names, or by itself."""
        for id_, certificate in self.authorities.items():
            row = self.r.authorities[id_]
            above = self.r.authorities_by_name.get(row["issuer"] or row["name"])
            issuer = self.authorities.get(above)
            if above is not None and (issuer is None or not issued_by(certificate, issuer)):
                self.find("D2", f"authority {row['name']}", "it is not signed by the issuer that its row names")

    def links(self):
        for row in self.r.links:
            name = self.r.authorities.get(row["authority"], {}).get("name")
            place = f"link {row['kind']} of {name}"
            new, link = self.authorities.get(row["authority"]), load_certificate(row["der"])
            if new is None or link is None:
                self.find("D3", place, "it, or its authority's certificate, cannot be read")
                continue
            olds = [self.authorities[id_] for id_, one in self.r.authorities.items() if one["retired"]
                    and id_ in self.authorities and id_ in self.named[name]]
            upper, lower = ([new], olds) if row["kind"] == OLD_WITH_NEW else (olds, [new])
            if not any(issued_by(link, ca) for ca in upper):
                self.find("D2", place, "it is not signed by the other key")
            keys = {key_digest(ca.public_key()) for ca in lower}
            if key_digest(link.public_key()) not in keys or link.subject not in [ca.subject for ca in lower]:
                self.find("D3", place, "it is for another key or name")
            if not any(issued.der == row["der"] for issued in self.r.issuances):
                self.find("D3", place, "it was never issued")
        kinds = Counter(row["authority"] for row in self.r.links)
        for id_, count in kinds.items():
            if count != 2:
                self.find("D3", f"links of {self.r.authorities.get(id_, {}).get('name')}", f"there are {count} of 2")

    def limits(self):
        """Replays what each authority was allowed, and what it intended since."""
        limits, count, gone = defaultdict(lambda: (None, None)), Counter(), {}
        for event in self.events:
            if event.kind == "authority-limited":
                id_ = self.ids_then(event).get(event.of["authority"])
                limits[id_], count[id_] = (event.of["quota"], event.of["ends"]), 0
            elif event.kind == "authority-retired":
                old, new = (self.ids_then(event).get(event.of[name]) for name in ("renamed", "authority"))
                gone[old] = event.number
                limits[new] = limits[old]
            elif event.kind == "intended" and event.of["serial"] in self.by_serial:
                self.allowed(event, self.by_serial[event.of["serial"]].authority, limits, count, gone)
        for id_, row in self.r.authorities.items():
            place = f"authority {row['name']}"
            if (row["quota"], row["ends"]) != limits[id_]:
                self.find("D5", place, f"its limits are {row['quota']}, {row['ends']}; the log gave {limits[id_]}")
            if row["quota"] is not None and row["issued"] != count[id_]:
                self.find("D5", place, f"it counts {row['issued']} certificates, and intended {count[id_]}")

    def allowed(self, event, id_, limits, count, gone):
        quota, ends = limits[id_]
        place = f"authority {self.r.authorities.get(id_, {}).get('name')}"
        count[id_] += quota is not None
        if quota is not None and count[id_] > quota:
            self.find("D5", place, f"{event.of['serial']} is more than the {quota} that it may issue")
        if ends is not None and event.at > ends:
            self.find("D5", place, f"{event.of['serial']} was intended after its end")
        if id_ in gone:
            self.find("D5", place, f"{event.of['serial']} was intended after it was replaced")

    # ---- D10 ----

    def quarantine(self):
        since = None
        for event in self.events:
            if event.kind == "restored":
                since = event.number
                if event.of["entries"] > event.number:
                    self.find("D10", f"entry {event.number}", "its backup had more entries than stand before it")
            elif event.kind == "quarantine-ended":
                if since is None:
                    self.find("D10", f"entry {event.number}", "a quarantine ended that had not begun")
                since = None
            elif event.kind in SIGNING and since is not None:
                self.find("D10", f"entry {event.number}", f"it was {event.kind} in the quarantine since entry {since}")
        if self.r.quarantined != (since is not None):
            self.find("D10", "the quarantine", "the log and the row disagree on whether it is in force")

    # ---- What is known of the time after a backup ----

    def recalled(self):
        told = [event for event in self.events if event.kind == "recalled"]
        serials = {event.of["serial"] for event in told}
        restored = [event.number for event in self.events if event.kind == "restored"]
        for event in told:
            row = self.by_serial.get(event.of["serial"])
            if row is None or not row.is_recalled:
                self.find("D2", event.of["serial"], "it was recalled, and its row says otherwise")
            elif self.r.grants.get(row.grant, {}).get("subject") != event.of["subject"]:
                self.find("D5", event.of["serial"], "it was recalled for another subject than its grant's")
            if not any(number < event.number for number in restored):
                self.find("D10", event.of["serial"], "it was recalled, and nothing was restored")
        for row in self.r.issuances:
            if row.is_recalled and row.serial not in serials:
                self.find("D2", row.serial, "it is known from the marks, and not in the audit log")
            if row.is_recalled and (row.der is not None or row.is_purged):
                self.find("D2", row.serial, "it is known from the marks only, and has a certificate")

    # ---- Operators and suppliers ----

    def approvals(self):
        said = Counter((event.of["transaction"], event.of["operator"], bool(event.of["approved"]))
                       for event in self.events if event.kind == "approved")
        kept = Counter()
        for row in self.r.approvals:
            of = self.r.pending.get(row["pending"])
            if of is None:
                self.find("D5", f"approval of {row['pending']}", "it is of no request")
                continue
            kept[of["transaction_id"].hex(), row["operator"], bool(row["approved"])] += 1
            if row["at"] > of["until"]:
                self.find("D5", f"transaction {of['transaction_id'].hex()}", "an operator's word came after its end")
        for (transaction, operator, _), _ in (said - kept).items():
            self.find("D5", f"transaction {transaction}", f"the word of {operator} is in the log, and not kept")
        for (transaction, operator, _), _ in (kept - said).items():
            self.find("D5", f"transaction {transaction}", f"{operator} never said so")
        for row in self.r.pending.values():
            self.approved_before(row["transaction_id"].hex(), row["needed"])

    def approved_before(self, transaction, needed):
        """What waited for operators was intended after enough of them said yes, and none no."""
        yes = set()
        for event in self.events:
            if event.of.get("transaction") != transaction:
                continue
            if event.kind == "approved" and event.of["approved"]:
                yes.add(event.of["operator"])
            elif event.kind == "approved":
                needed = float("inf")
            elif event.kind == "intended" and len(yes) < needed:
                self.find("D5", f"transaction {transaction}", f"{event.of['serial']} was intended with "
                          f"{len(yes)} of {needed} who approved")

    def suppliers(self):
        told = Counter((event.of["list"], event.of["digest"], event.of.get("supplier"), event.of.get("sequence"))
                       for event in self.events if event.kind == "list-imported")
        kept = Counter((row["name"], row["digest"].hex(), row["supplier"], row["sequence"]) for row in self.r.imports)
        for (name, *_), _ in ((told - kept) + (kept - told)).items():
            self.find("D9", f"list {name}", "the log and the row disagree on who sent it, or which it is")
        last = defaultdict(int)
        for row in self.r.imports:
            supplier = row["supplier"]
            if supplier is None:
                continue
            if row["sequence"] is None or row["sequence"] <= last[supplier]:
                self.find("D5", f"list {row['name']}", f"it is {row['sequence']} of {supplier}, after {last[supplier]}")
            last[supplier] = max(last[supplier], row["sequence"] or 0)
            if supplier not in self.r.suppliers:
                self.find("D5", f"list {row['name']}", f"nobody knows {supplier}")
        keys = {event.of["supplier"]: event.of["key"] for event in self.events if event.kind == "supplier-trusted"}
        for name, row in self.r.suppliers.items():
            if keys.get(name) != spki_digest(row["spki"]):
                self.find("D9", f"supplier {name}", "nobody registered its key")
            if row["sequence"] < last[name]:
                self.find("D5", f"supplier {name}",
                          f"its last list was {last[name]}, and {row['sequence']} is recorded")
        for name in keys.keys() - self.r.suppliers.keys():
            self.find("D9", f"supplier {name}", "its key was registered, and is gone")


def spki_digest(spki):
    try:
        return key_digest(serialization.load_der_public_key(spki))
    except (ValueError, TypeError):
        return sha256(spki).hex()
