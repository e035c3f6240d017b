"""What was said of the standing of certificates, and the lists that tell of it (D6, D7).

The log is replayed: each of its words about a certificate makes one row, in the log's order. A list must then hold what
the rows said up to its edge. Library; `statements.py` has the other statements.
"""
from collections import defaultdict
from dataclasses import dataclass

from cryptography import x509

from promises import Promises
from records import HOLD, REASONS, REMOVED, sha256

WORDS = ("revoked", "released", "intent-closed")
# Names of reasons in lists, by their codes. Source: RFC 5280 §5.3.1.
CODES = {"unspecified": 0, "key_compromise": 1, "ca_compromise": 2, "affiliation_changed": 3, "superseded": 4,
         "cessation_of_operation": 5, "certificate_hold": 6, "remove_from_crl": 8, "privilege_withdrawn": 9,
         "aa_compromise": 10}


@dataclass
class List:
    """A list that could be read, and the row beside it."""
    row: dict
    crl: object
    entries: dict  # serial number: (code of the reason, seconds)


class Revocations(Promises):
    """D6 and D7."""

    # ---- D6 ----

    def revocations(self):
        words = [event for event in self.events if event.kind in WORDS]
        self.replay_words(words)
        known = {row["id"]: row for row in self.r.revocations}
        unended = defaultdict(list)
        for row in self.r.revocations:
            issuance = self.by_id.get(row["issuance"])
            if issuance is None:
                self.find("D6", f"revocation {row['id']}", "it is of no issuance")
                continue
            self.revocation(row, issuance, known)
            if row["ended"] is None:
                unended[row["issuance"]].append(row["id"])
        for of, ids in unended.items():
            if len(ids) > 1:
                self.find("D6", self.by_id[of].serial, f"the rows {ids} stand of it")
        for serial, story in self.stories.items():
            # What was said last counts; that a release is said and not due, is found by the replay.
            said = sorted((event.number, kind) for kind in WORDS for event in story[kind])
            if said and said[-1][1] != "released":
                issuance = self.by_serial.get(serial)
                if issuance is None or issuance.id not in self.revoked:
                    self.find("D6", serial, "it was revoked, and is not any more")

    def revocation(self, row, issuance, known):
        """Checks one row by itself, and what took its place."""
        story = self.stories[issuance.serial]
        if not any(story[word] for word in WORDS):
            self.find("D6", issuance.serial, "that it was revoked is not in the audit log")
        if row["authority"] != issuance.authority:
            self.find("D6", issuance.serial, "it is revoked under another authority than its own")
        if (row["shard"], row["not_after"]) != (issuance.shard, issuance.not_after):
            self.find("D6", issuance.serial, "its revocation has another shard or end than itself")
        if row["ended"] is None:
            return
        if row["reason"] not in (HOLD, REMOVED):
            self.find("D6", issuance.serial, "a revocation was ended that was final")
        later = known.get(row["ended"])
        if later is None or later["issuance"] != row["issuance"] or later["id"] <= row["id"]:
            self.find("D6", issuance.serial, "its revocation was ended by no later word about it")

    def replay_words(self, words):
        """Every word of the log has its row: the n-th word the n-th row."""
        stands = {}
        rows = self.r.revocations
        if len(words) != len(rows):
            self.find("D6", f"{len(rows)} rows", f"the log has {len(words)} words about certificates that are revoked")
        for event, row in zip(words, rows):
            serial = event.of["serial"]
            before = stands.get(serial)
            issuance = self.by_id.get(row["issuance"])
            if issuance is None or issuance.serial != serial:
                self.find("D6", serial, "its word in the log is another's row")
                break  # From here on everything would be shifted.
            code = REMOVED if event.kind == "released" else REASONS.get(event.of.get("reason", "unspecified"))
            if row["reason"] != code:
                self.find("D6", serial, f"the log says {code}, and its row {row['reason']}")
            self.follows(serial, event, row, before)
            stands[serial] = row

    def follows(self, serial, event, row, before):
        """Whether a word may come after the one before it, and its time."""
        due = before["reason"] if before else None
        may = {"released": (HOLD,), "intent-closed": (None,)}.get(event.kind, (None, HOLD, REMOVED))
        if due not in may or (due == HOLD and row["reason"] == HOLD):
            self.find("D6", serial, f"it was {event.kind} when its standing was {due}")
        if before and before["ended"] != row["id"]:
            self.find("D6", serial, "the word before the last does not say what ended it")
        # What was not to be trusted while it was held is not good again when that is made final.
        if due == HOLD and row["reason"] not in (HOLD, REMOVED) and row["at"] != before["at"]:
            self.find("D6", serial, "it was held before, and its revocation does not go back to that")
        elif row["at"] > event.at:
            self.find("D6", serial, "it was revoked at a time after it was said")

    # ---- D7 ----

    def lists(self):
        intended, issued = {}, {}
        for event in self.events:
            if event.kind in ("crl-intended", "crl-issued"):
                name = event.of["authority"]
                place = (self.ids_then(event).get(name), event.of["number"])
                book = intended if event.kind == "crl-intended" else issued
                if place in book:
                    self.find("D7", f"CRL {place[1]} of {name}", f"the log has {event.kind} twice")
                book[place] = event
                if event.kind == "crl-issued" and place not in intended:
                    self.find("D2", f"CRL {place[1]} of {name}", "it was issued before it was intended")
        self.numbers()
        whole, latest = defaultdict(list), {}
        for row in self.r.lists:
            name = self.r.authorities.get(row["authority"], {}).get("name")
            place = f"CRL {row['number']} of {name}"
            key = (row["authority"], row["number"])
            said = issued.pop(key, None)
            digests = {row["digest"], sha256(row["der"]) if row["der"] is not None else row["digest"]}
            if said is None or digests != {bytes.fromhex(said.of["crl"])}:
                self.find("D7", place, "it is not the list that was issued")
            self.scope(place, row, whole[row["authority"], row["shard"]], latest, intended.get(key))
        for event in issued.values():
            self.find("D7", f"CRL {event.of['number']} of {event.of['authority']}", "it was issued, and is not stored")
        self.shards(whole)

    def numbers(self):
        """The numbers of an authority's lists follow each other, and are told in that order."""
        reserved, told = defaultdict(int), defaultdict(int)
        for event in self.events:
            if event.kind not in ("crl-intended", "crl-issued", "crl-number-raised"):
                continue
            id_, number = self.ids_then(event).get(event.of["authority"]), event.of["number"]
            place = f"CRL {number} of {event.of['authority']}"
            if id_ is None:
                self.find("D7", place, "there is no such authority")
            if event.kind == "crl-issued":
                if number <= told[id_]:
                    self.find("D7", place, "it was issued after one of this number, or a higher one")
                told[id_] = number
            elif event.kind == "crl-number-raised":
                if number <= reserved[id_]:
                    self.find("D7", place, f"its number was raised from {reserved[id_]}")
                reserved[id_] = max(number, reserved[id_])
            else:
                if number != reserved[id_] + 1:
                    self.find("D7", place, f"it was intended after the number {reserved[id_]}")
                reserved[id_] = max(number, reserved[id_])
        for id_, row in self.r.authorities.items():
            if row["crl_number"] != reserved[id_]:
                self.find("D7", row["name"], f"its last number is {row['crl_number']}; the log has {reserved[id_]}")

    def scope(self, place, row, whole, latest, intended):
        """Checks a list against those before it in its scope: the whole ones, and the last of all."""
        base = next((one for one in whole if one.row["number"] == row["base"]), None)
        before = whole[-1] if whole else None
        if row["base"] is not None and base is None:
            self.find("D7", place, "it is a difference to no whole list of its scope")
        last = latest.get((row["authority"], row["shard"]))
        if last and (row["this_update"] < last["this_update"] or row["edge"] < last["edge"]):
            self.find("D7", place, "it goes back behind the list before it")
        latest[row["authority"], row["shard"]] = row
        self.edge(place, row, intended)
        read = self.list(place, row, intended)
        if read is not None:
            self.says_what_is_due(place, read, base, before)
            if row["base"] is None and before is not None and before.crl is not None:
                self.goes_on(place, before, read)
        if row["base"] is None:
            whole.append(read or List(row, None, {}))

    def edge(self, place, row, intended):
        """A list takes into account what was said before it was begun, and nothing that was said after."""
        if intended is None:
            return
        before = [event for event in self.events if event.kind in WORDS and event.number < intended.number]
        ids = [said["id"] for said in self.r.revocations]
        until = sum(id_ <= row["edge"] for id_ in ids)
        # Of schema 1 only its own words are known to be on it.
        own = {said["id"] for said in self.r.revocations if said["authority"] == row["authority"]}
        for n, event in enumerate(before):
            if event.at < row["this_update"] // 1000 * 1000 and n < len(ids) and ids[n] in own and n >= until:
                self.find("D7", place, f"it leaves out that {event.of['serial']} was {event.kind} before it")
        if until > len(before):
            self.find("D7", place, "it takes into account what was said after it")

    def list(self, place, row, intended):
        """Checks one list by itself. Gives it, if it can be read."""
        if row["der"] is None:
            return None  # Whether it may: see purges.py.
        try:
            crl = x509.load_der_x509_crl(row["der"])
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            entries = {entry.serial_number: line_of(entry) for entry in crl}
        except (ValueError, x509.ExtensionNotFound):
            self.find("D7", place, "it cannot be read, or has no number")
            return None
        if sha256(row["der"]) != row["digest"]:
            self.find("D7", place, "its digest is another's")
        if len(entries) != len(crl):
            self.find("D7", place, "it names a certificate twice")
        authority = self.authorities.get(row["authority"])
        if authority is None or crl.issuer != authority.subject or not signature_holds(crl, authority):
            self.find("D7", place, "its authority did not sign it")
        times = (crl.last_update_utc.timestamp(), crl.next_update_utc.timestamp())
        if number != row["number"] or times != (row["this_update"] // 1000, row["next_update"] // 1000):
            self.find("D7", place, "its number or its times are not those of its row")
        if number > self.r.authorities.get(row["authority"], {}).get("crl_number", 0):
            self.find("D7", place, "its number was not reserved")
        if intended is None or intended.of["tbs"] != sha256(crl.tbs_certlist_bytes).hex():
            self.find("D2", place, "it is not the list that was intended")
        self.says_its_scope(place, row, crl, entries)
        return List(row, crl, entries)

    def says_its_scope(self, place, row, crl, entries):
        """A difference and a part say so, in extensions that nobody may ignore. Source: RFC 5280 §5.2.4, §5.2.5."""
        delta, part = extension(crl, x509.DeltaCRLIndicator), extension(crl, x509.IssuingDistributionPoint)
        if (delta.value.crl_number if delta else None) != row["base"] or (delta and not delta.critical):
            self.find("D7", place, "it does not say what it is a difference to")
        narrow = part is not None and any((
            part.value.only_contains_user_certs, part.value.only_contains_ca_certs,
            part.value.only_contains_attribute_certs, part.value.only_some_reasons, part.value.indirect_crl))
        named = part is not None and bool(part.value.full_name)
        if bool(row["shard"]) != named or (part and not part.critical) or (narrow and not row["shard"]):
            self.find("D7", place, "it does not say which certificates it is of")
        if not named:
            return
        own = {name.value for name in part.value.full_name}
        for number in entries:
            certificate = self.by_number[number].certificate if number in self.by_number else None
            # Only who is sent to this list by the certificate may rely on it (RFC 5280 §6.3.3 (b)).
            points = point_uris(certificate) if certificate else set()
            if points and not points & own:
                self.find("D7", place, f"{number:x} is on it, and names another list")

    def said_until(self, edge, authority, shard, after=0):
        """The last word about each certificate of a scope, of the rows from `after` to `edge`."""
        words = {}
        for row in self.r.revocations:
            of = self.by_id.get(row["issuance"])
            if of is not None and row["authority"] == authority and shard in (0, of.shard) and row["id"] <= edge:
                words[int(of.serial, 16)] = (row, of)
        return {number: said for number, said in words.items() if said[0]["id"] > after}

    def says_what_is_due(self, place, read, base, before):
        """A list names what was revoked at its edge, and nothing else: since its base, or all but what expired before
        the whole list before it was made."""
        row = read.row
        after = base.row["edge"] if base else 0
        cut_s = before.row["this_update"] // 1000 if before and row["base"] is None else 0
        due = {}
        for number, (said, of) in self.said_until(row["edge"], row["authority"], row["shard"], after).items():
            released = said["reason"] == REMOVED
            if not (released and row["base"] is None) and of.not_after >= cut_s:
                due[number] = (said["reason"], said["at"] // 1000)
        for number in due.keys() - read.entries.keys():
            self.find("D7", place, f"{number:x} was revoked before, and is not on it")
        for number in read.entries.keys() - due.keys():
            self.find("D6", place, f"{number:x} is on it, and is not revoked")
        for number in due.keys() & read.entries.keys():
            if due[number] != read.entries[number]:
                self.find("D7", place, f"{number:x} is on it with another reason or time: {read.entries[number]}")

    def goes_on(self, place, before, read):
        """Who was on the whole list before is on this one, unless expired when that was made, or released since."""
        made_s = before.row["this_update"] // 1000
        for number in before.entries.keys() - read.entries.keys():
            of = self.by_number.get(number)
            words = self.stories[of.serial]["released"] if of else ()
            if of is None or (of.not_after >= made_s and not words):
                self.find("D6", place, f"{number:x} was on the list before it, and is not any more")
        if read.crl.last_update_utc < before.crl.last_update_utc or read.crl.extensions.get_extension_for_class(
                x509.CRLNumber).value.crl_number <= number_of(before.crl):
            self.find("D7", place, "it goes back behind the list before it")

    def shards(self, whole):
        """The parts together name every certificate of a part that is revoked and has not expired, once."""
        parts = defaultdict(list)
        for (authority, shard), lists in whole.items():
            if shard and lists and lists[-1].crl is not None:
                parts[authority].append((shard, lists[-1]))
        for authority, last in parts.items():
            name = self.r.authorities.get(authority, {}).get("name")
            named = [number for _, one in last for number in one.entries]
            if len(named) != len(set(named)):
                self.find("D7", f"parts of {name}", "two of them name the same certificate")
            covered, edge = {shard for shard, _ in last}, min(one.row["edge"] for _, one in last)
            newest_s = max(one.row["this_update"] for _, one in last) // 1000
            for number, (said, of) in self.said_until(edge, authority, 0).items():
                due = of.shard in covered and said["reason"] != REMOVED and of.not_after >= newest_s
                if due and number not in named and self.said[of.id] is said:
                    self.find("D7", f"parts of {name}", f"{number:x} is revoked, and on none of them")


def line_of(entry):
    """What a line of a list says: code of the reason, and seconds."""
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.name
    except x509.ExtensionNotFound:
        reason = "unspecified"
    return CODES[reason], int(entry.revocation_date_utc.timestamp())


def extension(crl, kind):
    try:
        return crl.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def point_uris(certificate):
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return set()
    return {name.value for point in points for name in point.full_name or ()}


def signature_holds(crl, authority):
    try:
        return crl.is_signature_valid(authority.public_key())
    except (TypeError, ValueError):
        return False


def number_of(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

