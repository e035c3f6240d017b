"""Goes on with an installation by hand: holds, parts and differences of lists, a new key of an authority, limits, a
restore, approvals, suppliers. Every record is written as the schema's comments and the standards say, by python's
cryptography.

So `cradle verify --deep` and `check.py` must both find it sound, and neither of them wrote it. Library of `self-test`;
needs the keys and the passphrase.
"""
import datetime
import json
import os
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from marks import SUFFIX
from records import HOLD, NO_EXPIRY_S, PUBLIC_DER, REASONS, REMOVED, key_digest, sha256
from tamper import Copy

WEEK_MS = 7 * 86_400_000
YEAR_S = 365 * 86_400
CODES = {code: name for name, code in {
    "key_compromise": 1, "superseded": 4, "cessation_of_operation": 5, "certificate_hold": 6,
    "remove_from_crl": 8}.items()}
PARTS = ("https://example.com/crl/1.crl", "https://example.com/crl/2.crl")
SUPPLIER = "acme"


@dataclass
class Authority:
    """An authority whose key is at hand."""
    id: int
    name: str
    key: object
    certificate: x509.Certificate


class History:
    """What happens, one thing a second."""

    def __init__(self, copy):
        self.copy, self.entries = copy, copy.entries()
        self.at = (max(entry["at"] for entry in self.entries) // 1000 + 2) * 1000
        (self.marks,) = copy.data.with_name(copy.data.name + SUFFIX).glob(f"*{SUFFIX}")
        row = copy.row("SELECT * FROM authority WHERE name = 'factory'")
        self.factory = Authority(row["id"], "factory", copy.key("factory"),
                                 x509.load_der_x509_certificate(row["certificate"]))
        self.subject = copy.row("SELECT subject FROM grant_ WHERE subject LIKE 'urn:%'")["subject"]

    def close(self):
        self.copy.connection.execute("UPDATE counter SET value = ? WHERE name = 'latest_ms'", (self.at,))
        self.copy.rewrite(self.entries)

    # ---- Small things ----

    def sql(self, sql, *values):
        return self.copy.connection.execute(sql, values)

    def one(self, sql, *values):
        return self.sql(sql, *values).fetchone()[0]

    def say(self, kind, **of):
        self.entries.append({"at": self.at, "by": "authority", "event": {kind: of}})

    def mark(self, kind, of):
        with open(self.marks, "a", encoding="utf-8") as file:
            file.write(json.dumps({kind: of}) + "\n")

    def later(self, seconds=1):
        self.at += seconds * 1000

    def word(self, text):
        self.sql("INSERT OR IGNORE INTO word (text) VALUES (?)", text)
        return self.one("SELECT id FROM word WHERE text = ?", text)

    # ---- Certificates ----

    def grant(self, subject, profile, quota=1):
        self.sql("INSERT OR IGNORE INTO grant_ (subject, profile, until, quota, origin) VALUES (?, ?, ?, ?, ?)",
                 subject, self.word(profile), self.at + WEEK_MS, quota, self.word("history"))
        return self.one("SELECT id FROM grant_ WHERE subject = ? AND profile = ?", subject, self.word(profile))

    def issue(self, by, subject, builder, key, profile="idevid", shard=0, transaction=None, quota=1):
        """Intends, signs and records a certificate. Gives it."""
        self.later()
        serial = bytes([1]) + os.urandom(19)
        builder = builder.serial_number(int.from_bytes(serial, "big")).public_key(key)
        certificate = builder.sign(by.key, hashes.SHA256())
        transaction, tbs = transaction or os.urandom(16), sha256(certificate.tbs_certificate_bytes)
        grant = self.grant(subject, profile, quota)
        self.sql("UPDATE grant_ SET used = used + 1 WHERE id = ?", grant)
        self.sql("UPDATE authority SET issued = issued + 1 WHERE id = ? AND quota NOT NULL", by.id)
        id_ = self.one("SELECT max(id) + 1 FROM issuance")
        ends = int(certificate.not_valid_after_utc.timestamp())
        self.sql("INSERT INTO issuance (id, serial, authority, transaction_id, requester, grant_id, profile, key, tbs, "
                 "at, state, not_after, shard) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, 1, ?, ?)", id_, serial, by.id,
                 transaction, self.word("history"), grant, sha256(key.public_bytes(*PUBLIC_DER)), tbs, self.at, ends,
                 shard)
        self.say("intended", serial=serial.hex(), tbs=tbs.hex(), grant=grant, transaction=transaction.hex())
        der = certificate.public_bytes(PUBLIC_DER[0])
        self.sql("INSERT INTO certificate VALUES (?, ?)", id_, der)
        self.issued_mark(serial.hex(), by.name, subject, profile, ends, shard)
        self.say("issued", serial=serial.hex(), certificate=sha256(der).hex())
        self.say("confirmed", serial=serial.hex(), accepted=True)
        return certificate

    def issued_mark(self, serial, authority, subject, profile, ends, shard):
        self.mark("issued", {"serial": serial, "authority": authority, "subject": subject, "profile": profile,
                             "not_after": ends * 1000, "shard": shard, "at": self.at})

    def device(self, label, shard=0, ends_ms=None, transaction=None):
        """A certificate of a device. Gives its serial number."""
        subject = f"{self.subject}{label}"
        begins = self.time(self.at)
        ends = self.time(ends_ms) if ends_ms else begins + datetime.timedelta(seconds=YEAR_S)
        builder = x509.CertificateBuilder().issuer_name(self.factory.certificate.subject).subject_name(name_of(label))
        builder = builder.not_valid_before(begins).not_valid_after(ends).add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject)]), False)
        if shard:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(PARTS[shard - 1])], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), False)
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return serial_of(self.issue(self.factory, subject, builder, key, shard=shard, transaction=transaction))

    @staticmethod
    def time(ms):
        return datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)

    def authority(self, name, row, key=None, by=None):
        """A certificate of a root, or one that connects two of its keys."""
        own = ec.generate_private_key(ec.SECP256R1())
        public = key or own.public_key()
        self.begins = getattr(self, "begins", self.time(self.at))
        signer = by or Authority(row, name, own, None)
        builder = authority_builder(name, self.begins).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False)
        certificate = self.issue(signer, f"authority:{name}", builder, public, "root", quota=9)
        return Authority(row, name, own, certificate)

    # ---- Standing ----

    def put(self, serial, code, at=None):
        of = self.copy.row("SELECT * FROM issuance WHERE serial = ?", bytes.fromhex(serial))
        next_ = self.one("SELECT coalesce(max(id), 0) + 1 FROM revocation")
        before = self.sql("SELECT at, reason FROM revocation WHERE issuance = ? AND ended IS NULL", of["id"]).fetchone()
        if before and before["reason"] == HOLD and code != REMOVED:
            at = before["at"]
        self.sql("UPDATE revocation SET ended = ? WHERE issuance = ? AND ended IS NULL", next_, of["id"])
        self.sql("INSERT INTO revocation VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", next_, of["id"], of["authority"],
                 of["shard"], at or self.at, code, of["not_after"])

    def revoke(self, serial, reason, at=None):
        self.later()
        self.put(serial, REASONS[reason], at)
        self.mark("revoked", {"serial": serial, "reason": reason, "at": self.at})
        self.say("revoked", serial=serial, reason=reason)

    def release(self, serial):
        self.later()
        self.put(serial, REMOVED)
        self.mark("released", {"serial": serial, "at": self.at})
        self.say("released", serial=serial)

    def crl(self, by, lines, shard=0, base=None, critical=True, narrow=False):
        """A list of these lines, (serial number, reason's code, seconds). Gives its number."""
        self.later()
        number = self.one("SELECT crl_number + 1 FROM authority WHERE id = ?", by.id)
        builder = x509.CertificateRevocationListBuilder().issuer_name(by.certificate.subject).last_update(
            self.time(self.at)).next_update(self.time(self.at + WEEK_MS)).add_extension(
            x509.CRLNumber(number), False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), False)
        if base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical)
        if shard or narrow:
            point = [x509.UniformResourceIdentifier(PARTS[shard - 1])] if shard else None
            builder = builder.add_extension(
                x509.IssuingDistributionPoint(point, None, narrow, False, None, False, False), critical)
        for serial, code, seconds in lines:
            line = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(
                self.time(seconds * 1000))
            if code:
                line = line.add_extension(x509.CRLReason(x509.ReasonFlags[CODES[code]]), False)
            builder = builder.add_revoked_certificate(line.build())
        crl = builder.sign(by.key, hashes.SHA256())
        der, tbs = crl.public_bytes(PUBLIC_DER[0]), sha256(crl.tbs_certlist_bytes).hex()
        self.sql("UPDATE authority SET crl_number = ? WHERE id = ?", number, by.id)
        self.mark("crl", {"authority": by.name, "number": number})
        self.say("crl-intended", authority=by.name, number=number, tbs=tbs)
        self.sql("INSERT INTO crl VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", by.id, number, self.at, self.at + WEEK_MS, der,
                 sha256(der), shard, base, self.one("SELECT coalesce(max(id), 0) FROM revocation"))
        self.say("crl-issued", authority=by.name, number=number, crl=sha256(der).hex())
        return number

    def lines(self, authority):
        """What stands of an authority's certificates."""
        rows = self.sql("SELECT lower(hex(i.serial)), r.reason, r.at / 1000 FROM revocation r JOIN issuance i ON "
                        "i.id = r.issuance WHERE r.ended IS NULL AND r.reason <> 8 AND r.authority = ?", authority.id)
        return [tuple(row) for row in rows.fetchall()]

    # ---- What happens ----

    def holds_and_differences(self):
        held, final = self.device("h1"), self.device("h2")
        self.revoke(held, "certificate-hold")
        self.revoke(final, "certificate-hold")
        since = self.at // 1000
        base = self.crl(self.factory, self.due())
        self.release(held)
        released = self.at // 1000
        self.revoke(final, "key-compromise")
        self.crl(self.factory, [(held, REMOVED, released), (final, 1, since)], base=base)

    def parts(self):
        short = self.device("p1", 1, self.at + 8_000)
        one, two = self.device("p2", 1), self.device("p3", 2)
        lines = []
        for serial in (short, one, two):
            self.revoke(serial, "superseded")
            lines.append((serial, 4, self.at // 1000))
        self.later(9)
        self.crl(self.factory, lines[:2], 1)
        self.crl(self.factory, lines[2:], 2)
        # What had expired when the part was made last has been shown, and may go.
        self.crl(self.factory, lines[1:2], 1)

    def limits(self):
        self.sql("UPDATE authority SET quota = 20, issued = 0, ends = ? WHERE id = ?", self.at + WEEK_MS,
                 self.factory.id)
        self.say("authority-limited", authority="factory", quota=20, ends=self.at + WEEK_MS)

    def new_key(self):
        """A root is made, gets limits and a new key; the old one goes on telling what it revoked."""
        def row(name):
            self.sql("INSERT INTO authority (name, key) VALUES (?, ?)", name, f"file:{name}")
            return self.one("SELECT id FROM authority WHERE name = ?", name)

        def set_certificate(of):
            der = of.certificate.public_bytes(PUBLIC_DER[0])
            self.sql("UPDATE authority SET certificate = ? WHERE id = ?", der, of.id)
            return key_digest(of.certificate.public_key())

        old = self.authority("line", row("line"))
        self.say("authority-created", authority="line", key=set_certificate(old))
        self.sql("UPDATE authority SET quota = 5 WHERE id = ?", old.id)
        self.say("authority-limited", authority="line", quota=5, ends=None)
        self.crl(old, [])
        new = self.authority("line", row("line.next"))
        links = [self.authority("line", new.id, key=old.key.public_key(), by=new),
                 self.authority("line", old.id, key=new.key.public_key(), by=old)]
        self.sql("UPDATE authority SET name = 'line-1', retired = 1 WHERE id = ?", old.id)
        self.sql("UPDATE authority SET name = 'line', quota = 5 WHERE id = ?", new.id)
        for kind, link in enumerate(links):
            self.sql("INSERT INTO link VALUES (?, ?, ?)", new.id, kind, link.certificate.public_bytes(PUBLIC_DER[0]))
        self.say("authority-retired", authority="line", renamed="line-1")
        self.say("authority-created", authority="line", key=set_certificate(new))
        self.crl(Authority(old.id, "line-1", old.key, old.certificate), [])
        self.crl(new, [])

    def imported(self):
        """An authority whose key is elsewhere: its certificate was never issued here."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority_builder("abroad", self.time(self.at)).public_key(key.public_key()).serial_number(
            77).sign(key, hashes.SHA256())
        self.sql("INSERT INTO authority (name, key, certificate) VALUES ('abroad', 'offline:', ?)",
                 certificate.public_bytes(PUBLIC_DER[0]))
        self.say("authority-created", authority="abroad", key=key_digest(key.public_key()))

    def restored(self):
        """A backup came back: a certificate, its revocation and a number were used since, and are known from marks."""
        self.later()
        self.say("restored", backup="yesterday", entries=len(self.entries))
        serial, subject = (bytes([1]) + os.urandom(19)), f"{self.subject}r1"
        grant = self.grant(subject, "idevid")
        self.sql("UPDATE grant_ SET used = used + 1 WHERE id = ?", grant)
        self.sql("INSERT INTO issuance SELECT max(id) + 1, ?, ?, zeroblob(16), ?, ?, NULL, 1, zeroblob(32), "
                 "zeroblob(32), ?, 4, max(id) + 1, ?, 0 FROM issuance", serial, self.factory.id, self.word("history"),
                 grant, self.at, NO_EXPIRY_S)
        self.issued_mark(serial.hex(), "factory", subject, "idevid", NO_EXPIRY_S, 0)
        self.say("recalled", serial=serial.hex(), subject=subject)
        self.revoke(serial.hex(), "key-compromise")
        number = self.one("SELECT crl_number + 3 FROM authority WHERE id = ?", self.factory.id)
        self.sql("UPDATE authority SET crl_number = ? WHERE id = ?", number, self.factory.id)
        self.mark("crl", {"authority": "factory", "number": number})
        self.say("crl-number-raised", authority="factory", number=number)
        self.say("read-back", certificates=1, revocations=1, lists=1)
        self.later()
        self.say("quarantine-ended", operators="operator, other")

    def approved(self):
        self.later()
        transaction = os.urandom(16)
        self.sql("INSERT INTO pending VALUES (1, ?, 'history', ?, 'idevid', zeroblob(32), 2, ?, ?)", transaction,
                 f"{self.subject}a1", self.at, self.at + WEEK_MS)
        for operator in ("operator", "other"):
            self.sql("INSERT INTO approval VALUES (1, ?, 'yes', 1, ?)", operator, self.at)
            self.say("approved", transaction=transaction.hex(), operator=operator, approved=True)
        self.device("a1", transaction=transaction)

    def purged(self):
        """A certificate expired, and its octets went."""
        serial = self.device("old", ends_ms=self.at + 5000)
        self.later(20)
        self.sql("UPDATE certificate SET der = x'' WHERE id = (SELECT id FROM issuance WHERE serial = ?)",
                 bytes.fromhex(serial))
        self.say("purged", before=self.at, certificates=1, lists=0, requests=0, operator="operator")

    def whole_list(self):
        """A whole list, on which stands what the parts have too."""
        self.crl(self.factory, self.due())

    def due(self, shard=0):
        """What must stand on the next whole list: not what had expired before the one before it."""
        made_s = self.one("SELECT max(this_update) / 1000 FROM crl WHERE authority = ? AND shard = ? AND base IS NULL",
                          self.factory.id, shard)
        last = {row["serial"].hex(): row for row in self.sql("SELECT * FROM issuance").fetchall()}
        return [line for line in self.lines(self.factory) if last[line[0]]["not_after"] >= made_s
                and shard in (0, last[line[0]]["shard"])]

    def suppliers(self):
        """Two lists of a supplier who signs them."""
        self.later()
        spki = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*PUBLIC_DER)
        self.sql("INSERT INTO supplier VALUES (?, ?, 2)", SUPPLIER, spki)
        self.say("supplier-trusted", supplier=SUPPLIER, key=sha256(spki).hex())
        for sequence in (1, 2):
            name, digest = f"list-{sequence}", os.urandom(32)
            self.sql("INSERT INTO list (name, digest, until, at, supplier, sequence) VALUES (?, ?, ?, ?, ?, ?)", name,
                     digest, self.at + WEEK_MS, self.at, SUPPLIER, sequence)
            self.mark("list", {"supplier": SUPPLIER, "sequence": sequence})
            self.say("list-imported", list=name, digest=digest.hex(), devices=0, supplier=SUPPLIER, sequence=sequence)


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def authority_builder(name, begins):
    """The part that all certificates of authorities have in common: for a year, and for signing both kinds."""
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return x509.CertificateBuilder().issuer_name(name_of(name)).subject_name(name_of(name)).not_valid_before(
        begins).not_valid_after(begins + datetime.timedelta(seconds=YEAR_S)).add_extension(
        x509.BasicConstraints(True, None), True).add_extension(usage, True)


def serial_of(certificate):
    return certificate.serial_number.to_bytes(20, "big").hex()


def go_on(data, to, told):
    """Copies an installation, and lets everything happen there that no command of a short run does."""
    write(Copy(data, to, told), "limits", "parts", "new_key", "imported", "restored", "approved", "purged", "whole_list")


def go_ahead(data):
    """Goes on with what the program itself does not read yet: suppliers, and releases on lists of differences."""
    write(Copy.of(data), "holds_and_differences", "suppliers")


def write(copy, *happens):
    history = History(copy)
    for what in happens:
        getattr(history, what)()
    history.close()
    copy.close()
