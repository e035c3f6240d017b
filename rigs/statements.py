"""The statements D1 to D5 and D9, each looked for in what `records.py` read; the others are in `revocations.py` (D6,
D7), `limits.py` (D10, and D5 of authorities, operators and suppliers), `promises.py` and `marks.py`. `check.py` says
what they are.

Library.
"""
import json
from collections import Counter, defaultdict

from limits import OFFLINE, Limits
from marks import Marks
from purges import Purges
from records import (CLOSED, CONFIRMED, PROVISIONED, RECALLED, REJECTED, STANDING, Event, ends_s, issued_by,
                     key_digest, leaf_hash, load_certificate, open_note, same_serial, serial_of, sha256, tile_hashes,
                     tree_hash, uris)
from revocations import Revocations

# Longest chain from a device to its root.
CHAIN_MAX = 8
# What the statements need of each kind of entry.
MEMBERS = {
    "intended": {"serial", "tbs", "grant", "transaction"}, "issued": {"serial", "certificate"},
    "confirmed": {"serial", "accepted"}, "revoked": {"serial", "reason"}, "intent-closed": {"serial"},
    "released": {"serial"}, "recalled": {"serial", "subject"}, "crl-number-raised": {"authority", "number"},
    "authority-created": {"authority", "key"}, "authority-limited": {"authority", "quota", "ends"},
    "authority-retired": {"authority", "renamed"}, "approved": {"transaction", "operator", "approved"},
    "restored": {"entries"}, "list-imported": {"list", "digest"}, "supplier-trusted": {"supplier", "key"},
    "crl-intended": {"authority", "number", "tbs"}, "crl-issued": {"authority", "number", "crl"},
    "purged": {"before", "certificates", "lists"}, "entitled": {"station", "device_type", "quota"}, "provisioned": {"device", "board", "serial"},
}


class Check(Revocations, Limits, Marks, Purges):
    """Goes through the statements one by one."""

    def run(self):
        self.store()
        self.log()
        self.stories = self.replay()
        self.authorities = self.read_authorities()
        self.name_authorities()
        self.serial_numbers()
        self.certificates()
        self.intents()
        self.refused()
        self.grants_and_rights()
        self.standing()
        self.recalled()
        self.authority_rows()
        self.approvals()
        self.suppliers()
        self.quarantine()
        self.revocations()
        self.lists()
        self.purges()
        self.devices()
        self.promises()
        self.boards()
        self.high_water()
        self.count()
        return self.report

    def store(self):
        if self.r.integrity != "ok":
            self.find("store", self.r.integrity, "the database is damaged")
        for row in self.r.unindexed:
            self.find("store", f"issuance {row}", "its key is not where it is looked for")
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
                self.events.append(read_event(number, json.loads(row["entry"])))
            except (ValueError, KeyError, TypeError, AttributeError):
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
            if row.state == RECALLED:
                continue
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
            # What was imported, or is below one that was, was signed elsewhere; `chains` looks at its signature.
            above = self.r.authorities.get(self.r.authorities_by_name.get(row["issuer"]), row)
            elsewhere = any(one["key"].startswith(OFFLINE) for one in (row, above))
            if not elsewhere and not any(row["certificate"] == issued.der for issued in self.r.issuances):
                self.find("D3", f"authority {row['name']}", "its certificate was never issued")
        return read

    def leads_to_root(self, certificate, left=CHAIN_MAX):
        """Whether signatures lead from a certificate to one that signs itself. A key that took another's place may have
        the same name: every way counts."""
        if certificate.issuer == certificate.subject and issued_by(certificate, certificate):
            return True
        return left > 0 and any(issued_by(certificate, ca) and ca != certificate and self.leads_to_root(ca, left - 1)
                                for ca in self.authorities.values())

    def certificates(self):
        for row in self.r.orphans:
            self.find("D2", f"certificate {row['id']}", "it was never intended")
        for row in self.r.issuances:
            issued = self.stories[row.serial]["issued"]
            if row.der is None:
                if issued and not row.is_purged:
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
        if ends_s(certificate) != row.not_after:
            self.find("D3", row.serial, "its row has another end than itself")
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
            if row.state == CLOSED and (row.der is not None or row.is_purged):
                self.find("D4", row.serial, "it was closed, and has a certificate")
            if (row.state == CLOSED) != bool(story["intent-closed"]):
                self.find("D4", row.serial, "the log and the row disagree on whether it was closed")
            if verdicts != {CONFIRMED: {True}, REJECTED: {False}}.get(row.state, set()):
                self.find("D4", row.serial, "the log and the row disagree on the requester's verdict")
            if verdicts and row.der is None and not row.is_purged:
                self.find("D3", row.serial, "it has a verdict and no certificate")

    # ---- D5 ----

    def grants_and_rights(self):
        uses = Counter(row.grant for row in self.r.issuances if row.stands)
        logged = Counter()
        for story in self.stories.values():
            ended = story["intent-closed"] or any(not event.of["accepted"] for event in story["confirmed"])
            logged.update(event.of["grant"] for event in story["intended"] if not ended)
        logged.update(row.grant for row in self.r.issuances if row.state == RECALLED)
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
            if row.state != RECALLED:  # Nobody knows its transaction.
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

    def count(self):
        counts, rows = self.report.counts, self.r.issuances
        counts["entries"] = len(self.r.log)
        counts["intents"] = len(rows)
        counts["certificates"] = sum(row.der is not None or row.is_purged for row in rows)
        counts["open"] = sum(row.state == STANDING and row.der is None and not row.is_purged for row in rows)
        counts["closed"] = sum(row.state == CLOSED for row in rows)
        counts["rejected"] = sum(row.state == REJECTED for row in rows)
        counts["revoked"] = len(self.revoked)
        counts["lists"] = len(self.r.lists)
        counts["provisioned"] = sum(row["custody"] == PROVISIONED for row in self.r.devices.values())


def read_event(number, entry):
    """An entry of the log; ValueError, or what python says of another shape, if it is none."""
    ((kind, of),) = entry["event"].items()
    if not MEMBERS.get(kind, set()) <= of.keys():
        raise ValueError("a member is missing")
    return Event(number, entry["at"], kind, of)
