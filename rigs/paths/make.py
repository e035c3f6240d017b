#!/usr/bin/env python3
"""Makes the paths in testdata/paths, after the sections of NIST's PKITS, with Python `cryptography`.

usage: rigs/paths/make.py FOLDER        (testdata/paths; everything in it is made anew, keys too)

Each case is one file of PEM blocks: the leaf, the certificates that may stand between, the lists. `root.pem` is the
anchor of all. `manifest.tsv` has a line for each case: name, verdict, demands, what it resembles, and what OpenSSL and
`cryptography` say of it where that is not the same: `same`, `-: why it is not asked`, `differs: why`, `before VERSION: why it differs until then`.
A verdict is `ok` or the name of the fault and the depth of the certificate, the leaf being 0.
"""
import datetime
import ipaddress
import itertools
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from cryptography.x509.oid import ObjectIdentifier as OID

UTC = datetime.timezone.utc
NOW = datetime.datetime(2027, 1, 1, tzinfo=UTC)
FROM = datetime.datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = datetime.datetime(2046, 1, 1, tzinfo=UTC)
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
P1, P2, P3 = (OID(f"1.3.6.1.4.1.32473.1.{n}") for n in (1, 2, 3))
ANY = OID("2.5.29.32.0")
UNKNOWN = x509.UnrecognizedExtension(OID("1.3.6.1.4.1.32473.9"), b"\x05\x00")
serials = itertools.count(0x1001)
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(6)]
keys = itertools.cycle(KEYS)


def cn(text, *more):
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"), *more, x509.NameAttribute(NameOID.COMMON_NAME, text)])


def o(text):
    return x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)


def usage(*names):
    every = ("digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign "
             "crl_sign encipher_only decipher_only").split()
    return x509.KeyUsage(**{name: name in names for name in every})


def sha(key):
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, mldsa.MLDSA65PrivateKey)) else hashes.SHA256()


class Node:
    def __init__(self, name, key, cert=None):
        self.name, self.key, self.cert = name, key, cert

    @property
    def serial(self):
        return self.cert.serial_number


def issue(issuer, name, exts=(), *, ca=None, pathlen=None, ku="default", frm=FROM, to=UNTIL, key=None, serial=None,
          issuer_name=None, bc=True, bc_critical=True, pss=False, aki=True):
    """`exts`: extensions, critical as RFC 5280 recommends, or pairs with criticality."""
    name = cn(name) if isinstance(name, str) else name
    key = key or next(keys)
    signer = issuer.key if issuer else key
    builder = (x509.CertificateBuilder().subject_name(name).public_key(key.public_key())
               .issuer_name(issuer_name or (issuer.name if issuer else name)).not_valid_before(frm).not_valid_after(to)
               .serial_number(serial or next(serials))
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    if aki:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    if ca and bc:
        builder = builder.add_extension(x509.BasicConstraints(True, pathlen), bc_critical)
    if ku == "default":
        ku = usage("key_cert_sign", "crl_sign") if ca else usage("digital_signature")
    if ku:
        builder = builder.add_extension(ku, True)
    for ext in exts:
        ext, critical = ext if isinstance(ext, tuple) else (ext, isinstance(
            ext, (x509.NameConstraints, x509.PolicyConstraints, x509.InhibitAnyPolicy)))
        builder = builder.add_extension(ext, critical)
    extra = {"rsa_padding": padding.PSS(padding.MGF1(hashes.SHA256()), 32)} if pss else {}
    return Node(name, key, builder.sign(signer, sha(signer), **extra))


def ca(issuer, name, exts=(), **more):
    return issue(issuer, name, exts, ca=True, **more)


SAN = x509.SubjectAlternativeName([x509.DNSName("sensor.plant.example"), x509.UniformResourceIdentifier("urn:dev:ops:1-a-b")])


def leaf(issuer, exts=(), name="leaf", **more):
    if not any(isinstance(e[0] if isinstance(e, tuple) else e, x509.SubjectAlternativeName) for e in exts):
        exts = [*exts, SAN]
    return issue(issuer, name, exts, **more)


def crl(issuer, entries=(), exts=(), *, number=1, this=NOW - DAY, nxt=NOW + DAY, key=None, name=None, entry_exts=()):
    key = key or issuer.key
    builder = (x509.CertificateRevocationListBuilder().issuer_name(name or issuer.name).last_update(this).next_update(nxt)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
               .add_extension(x509.CRLNumber(number), False))
    for ext in exts:
        critical = isinstance(ext, (x509.IssuingDistributionPoint, x509.DeltaCRLIndicator))
        ext, critical = ext if isinstance(ext, tuple) else (ext, critical)
        builder = builder.add_extension(ext, critical)
    for node, reason in entries:
        entry = x509.RevokedCertificateBuilder().serial_number(node.serial).revocation_date(FROM + DAY)
        if reason:
            entry = entry.add_extension(x509.CRLReason(getattr(x509.ReasonFlags, reason)), False)
        for ext, critical in entry_exts:
            entry = entry.add_extension(ext, critical)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, sha(key))


def full(uri):
    return [x509.UniformResourceIdentifier(uri)]


def idp(uri=None, user=False, authority=False, reasons=None, indirect=False, attribute=False):
    return x509.IssuingDistributionPoint(full(uri) if uri else None, None, user, authority, reasons, indirect, attribute)


def cdp(*uris, reasons=None, crl_issuer=None):
    return x509.CRLDistributionPoints([x509.DistributionPoint(full(uri), None, reasons, crl_issuer) for uri in uris])


def fresh(uri="http://pki.example/delta.crl"):
    return x509.FreshestCRL([x509.DistributionPoint(full(uri), None, None, None)])


def policies(*oids):
    return x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in oids])


def mappings(*pairs):
    def tlv(tag, body):
        return bytes([tag, len(body)]) + body

    def der(oid):
        arcs = [int(arc) for arc in oid.dotted_string.split(".")]
        out = bytes([arcs[0] * 40 + arcs[1]])
        for arc in arcs[2:]:
            septets = [arc & 0x7F]
            while arc := arc >> 7:
                septets.insert(0, arc & 0x7F | 0x80)
            out += bytes(septets)
        return tlv(6, out)

    body = b"".join(tlv(0x30, der(a) + der(b)) for a, b in pairs)
    return x509.UnrecognizedExtension(OID("2.5.29.33"), tlv(0x30, body)), True


def permit(*names):
    return x509.NameConstraints(list(names), None)


def exclude(*names):
    return x509.NameConstraints(None, list(names))


DNS, URI, MAIL = x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name
DIR = x509.DirectoryName


def net(text):
    return x509.IPAddress(ipaddress.ip_network(text))


def ip(text):
    return x509.IPAddress(ipaddress.ip_address(text))


def san(*names):
    return x509.SubjectAlternativeName(list(names))


def damaged(node):
    octets = bytearray(node.cert.public_bytes(DER))
    octets[-1] ^= 1
    return Node(node.name, node.key, x509.load_der_x509_certificate(bytes(octets)))


def damaged_crl(made):
    octets = bytearray(made.public_bytes(DER))
    octets[-1] ^= 1
    return x509.load_der_x509_crl(bytes(octets))


class Table:
    def __init__(self, folder):
        self.folder, self.lines = folder, []

    def add(self, case, verdict, demands, resembles, leaf, pool=(), crls=(), openssl="same", cryptography=None, anchor=None):
        if cryptography is None:
            asked = [word for word in ("revocation", "policy", "explicit", "inhibit") if word in demands]
            cryptography = f"-: it knows no {'revocation' if 'revocation' in asked else 'policies'}" if asked else "same"
        parts = [node.cert for node in (leaf, *pool)] + list(crls)
        text = b"".join(part.public_bytes(PEM) for part in parts)
        (self.folder / f"{case}.pem").write_bytes(text)
        if anchor:
            (self.folder / f"{case}.anchor.pem").write_bytes(anchor.cert.public_bytes(PEM))
            demands = f"{demands} anchor".strip()
        line = (case, verdict, demands or "-", resembles, openssl, cryptography)
        assert not any("\t" in field for field in line)
        self.lines.append("\t".join(line))


ROOT = ca(None, "root", key=KEYS[0])
ALL = "revocation=all"


def signatures(t):
    mid = ca(ROOT, "ca")
    t.add("signature-valid", "ok", "", "4.1.1", leaf(mid), [mid])
    t.add("signature-of-ca-broken", "BadSignature:1", "", "4.1.2", leaf(mid), [damaged(mid)])
    t.add("signature-of-leaf-broken", "BadSignature:0", "", "4.1.3", damaged(leaf(mid)), [mid])
    other = Node(mid.name, next(keys))
    t.add("signed-by-another-key-of-the-name", "BadSignature:0", "", "4.1.3", leaf(other, aki=False), [mid],
          cryptography="same")
    for what, key, pss in (("rsa", rsa.generate_private_key(65537, 2048), False), ("p384", ec.generate_private_key(ec.SECP384R1()), False),
                      ("p521", ec.generate_private_key(ec.SECP521R1()), False), ("ed25519", ed25519.Ed25519PrivateKey.generate(), False),
                      ("ml-dsa-65", mldsa.MLDSA65PrivateKey.generate(), False), ("pss", rsa.generate_private_key(65537, 2048), True)):
        mid = ca(ROOT, f"{what} ca", key=key)
        beyond = {}
        if what == "ml-dsa-65":
            beyond["openssl"] = "before 3.5: it knows no ML-DSA"
        if what == "ed25519":
            beyond["cryptography"] = "differs: web PKI algorithms only"
        t.add(f"signature-{what}", "ok", "", "4.1.4", leaf(mid, pss=pss), [mid], **beyond)


def validity(t):
    mid = ca(ROOT, "ca")
    t.add("validity-ca-not-yet", "NotYetValid:1", "", "4.2.1", *pair(ca(ROOT, "ca", frm=NOW + SECOND)))
    t.add("validity-leaf-not-yet", "NotYetValid:0", "", "4.2.2", leaf(mid, frm=NOW + SECOND), [mid])
    t.add("validity-leaf-first-second", "ok", "", "4.2.3", leaf(mid, frm=NOW), [mid])
    t.add("validity-ca-expired", "Expired:1", "", "4.2.5", *pair(ca(ROOT, "ca", to=NOW - SECOND)))
    t.add("validity-leaf-expired", "Expired:0", "", "4.2.6", leaf(mid, to=NOW - SECOND), [mid])
    t.add("validity-leaf-last-second", "ok", "", "4.2.6", leaf(mid, to=NOW), [mid],
          openssl="differs: notAfter is exclusive there, inclusive in RFC 5280 §4.1.2.5")
    t.add("validity-2050", "ok", "", "4.2.8", leaf(mid, to=datetime.datetime(2050, 1, 1, tzinfo=UTC)), [mid])
    t.add("validity-no-expiry", "ok", "", "4.2.8", leaf(mid, to=datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)), [mid])


def pair(mid):
    return leaf(mid), [mid]


def chaining(t):
    mid = ca(ROOT, "ca")
    t.add("names-wrong-issuer", "NoIssuer:0", "", "4.3.1", leaf(mid, issuer_name=cn("other")), [mid])
    ordered = ca(ROOT, cn("ca", o("a"), o("b")))
    t.add("names-wrong-order", "NoIssuer:0", "", "4.3.2", leaf(ordered, issuer_name=cn("ca", o("b"), o("a"))), [ordered])
    spaced = ca(ROOT, cn("The CA"))
    byte_wise = "differs: it compares names octet by octet"
    t.add("names-spaces-and-case", "ok", "", "4.3.5", leaf(spaced, issuer_name=cn("  the   ca ")), [spaced], cryptography=byte_wise)
    printable = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"), x509.NameAttribute(
        NameOID.COMMON_NAME, "ca", x509.name._ASN1Type.PrintableString)])
    t.add("names-string-types", "ok", "", "4.3.11", leaf(mid, issuer_name=printable), [mid], cryptography=byte_wise)
    shuffled = ca(mid, "second"), mid, ca(ROOT, "decoy"), ca(ROOT, "ca", key=KEYS[5])
    t.add("names-unordered-pool-with-decoys", "ok", "", "4.5.1", leaf(shuffled[0]), [shuffled[3], *shuffled[:3]])
    a = Node(cn("loop a"), KEYS[1])
    b = ca(a, "loop b", key=KEYS[2])
    a = ca(b, "loop a", key=KEYS[1])
    t.add("names-loop", "NoIssuer:2", "", "-", leaf(a), [a, b])
    t.add("names-no-anchor", "NoIssuer:1", "", "-", *pair(ca(ca(None, "foreign root", key=KEYS[4]), "ca")))


def revocation(t):
    mid = ca(ROOT, "ca")
    end = leaf(mid)
    top = crl(ROOT)

    def case(name, verdict, resembles, *crls, demands=ALL, node=end, pool=(mid,), **more):
        t.add(name, verdict, demands, resembles, node, pool, crls, **more)

    case("crl-none", "CrlMissing:1", "4.4.1")
    case("crl-of-ca-only", "CrlMissing:0", "4.4.1", top)
    case("crl-both", "ok", "4.4.1", top, crl(mid))
    case("crl-leaf-only-asked", "ok", "-", crl(mid), demands="revocation=leaf")
    case("crl-ca-revoked", "Revoked:1", "4.4.2", crl(ROOT, [(mid, "key_compromise")]), crl(mid))
    case("crl-leaf-revoked", "Revoked:0", "4.4.3", top, crl(mid, [(end, None)]))
    case("crl-leaf-on-hold", "OnHold:0", "4.4.3", top, crl(mid, [(end, "certificate_hold")]))
    case("crl-bad-signature", "CrlBadSignature:0", "4.4.4", top, damaged_crl(crl(mid)))
    case("crl-wrong-issuer-name", "CrlMissing:0", "4.4.5", top, crl(mid, name=cn("other")))
    case("crl-of-another-key", "CrlBadSignature:0", "4.4.6", top, crl(mid, key=KEYS[5]))
    two = crl(mid, [(end, "superseded")], number=1, this=NOW - 2 * DAY), crl(mid, number=2)
    case("crl-the-newer-counts", "ok", "4.4.7", top, *two)
    case("crl-the-newer-counts-and-revokes", "Revoked:0", "4.4.7", top, crl(mid, this=NOW - 2 * DAY),
         crl(mid, [(end, "superseded")], number=2))
    case("crl-unknown-critical-entry-extension", "CrlMissing:0", "4.4.8", top, crl(mid, [(ROOT, None)], entry_exts=[(UNKNOWN, True)]))
    case("crl-unknown-critical-extension", "CrlMissing:0", "4.4.9", top, crl(mid, exts=[(UNKNOWN, True)]))
    case("crl-expired", "CrlExpired:0", "4.4.11", top, crl(mid, this=NOW - 3 * DAY, nxt=NOW - SECOND))
    case("crl-last-second", "ok", "4.4.11", top, crl(mid, nxt=NOW),
         openssl="differs: nextUpdate is exclusive there")
    case("crl-from-the-future", "CrlNotYetValid:0", "4.4.12", top, crl(mid, this=NOW + SECOND))
    ocsp = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    case("crl-none-and-nocheck", "ok", "-", demands="revocation=leaf", node=leaf(mid, [ocsp, x509.OCSPNoCheck()]),
         openssl="differs: it heeds id-pkix-ocsp-nocheck for OCSP only")
    case("crl-none-and-nocheck-of-another", "CrlMissing:0", "-", demands="revocation=leaf", node=leaf(mid, [x509.OCSPNoCheck()]))
    long = leaf(mid, serial=(1 << 158) + 7)
    case("crl-long-serial", "ok", "4.4.16", top, crl(mid), node=long)
    case("crl-long-serial-revoked", "Revoked:0", "4.4.17", top, crl(mid, [(long, None)]), node=long)
    mute = ca(ROOT, "mute ca", ku=usage("key_cert_sign"))
    case("crl-key-may-not-sign-it", "CrlBadSignature:0", "4.7.4", top, crl(mute), node=leaf(mute), pool=[mute])
    apart = ca(ROOT, "ca", ku=usage("crl_sign"), key=KEYS[5])
    only = ca(ROOT, "ca", ku=usage("key_cert_sign"), key=KEYS[4])
    case("crl-of-a-separate-key", "CrlBadSignature:0", "4.4.19", top, crl(apart), node=leaf(only), pool=[only, apart],
         openssl="differs: with -extended_crl it takes lists of a second key of the name; here they are refused")


def rollover(t):
    old, new = ca(ROOT, "ca", key=KEYS[1]), ca(ROOT, "ca", key=KEYS[2])
    link = ca(Node(new.name, new.key), "ca", key=KEYS[1])
    t.add("self-issued-old-with-new", "ok", "", "4.5.1", leaf(old), [new, link])
    short = ca(ROOT, "ca", key=KEYS[2], pathlen=0)
    t.add("self-issued-does-not-count-for-length", "ok", "", "4.6.15", leaf(old), [short, link],
          cryptography="differs: it counts self-issued certificates")
    below = ca(Node(old.name, old.key), "below", key=KEYS[3])
    t.add("self-issued-length-still-counts-others", "PathTooLong:3", "", "4.6.16", leaf(below), [short, link, below])
    t.add("self-issued-two-keys-chosen-by-identifier", "ok", "", "4.5.3", leaf(new), [old, new])


def basic_constraints(t):
    t.add("constraints-missing", "NotAuthority:1", "", "4.6.1", *pair(ca(ROOT, "ca", bc=False)))
    no = issue(ROOT, "ca", [(x509.BasicConstraints(False, None), True)], ku=usage("key_cert_sign"))
    t.add("constraints-no-ca", "NotAuthority:1", "", "4.6.2", *pair(no))
    t.add("constraints-not-critical", "ok", "", "4.6.4", *pair(ca(ROOT, "ca", bc_critical=False)),
          cryptography="differs: it demands that basicConstraints are critical")
    zero = ca(ROOT, "zero", pathlen=0)
    t.add("length-zero-and-leaf", "ok", "", "4.6.7", *pair(zero))
    sub = ca(zero, "sub")
    t.add("length-zero-and-another-ca", "PathTooLong:2", "", "4.6.5", leaf(sub), [zero, sub])
    t.add("length-zero-and-ca-as-leaf", "ok", "", "4.6.8", sub, [zero])
    one = ca(ROOT, "one", pathlen=1)
    two = ca(one, "two", pathlen=5)
    three = ca(two, "three")
    t.add("length-one-kept", "ok", "", "4.6.13", leaf(two), [one, two])
    t.add("length-one-not-widened-below", "PathTooLong:3", "", "4.6.9", leaf(three), [one, two, three])


def key_usage(t):
    for case, ku, verdict in (("no-cert-sign", usage("crl_sign"), "MayNotSign:1"), ("absent", None, "ok"),
                              ("cert-sign-only", usage("key_cert_sign"), "ok")):
        more = {"cryptography": "differs: it demands a key usage of authorities"} if ku is None else {}
        t.add(f"usage-{case}", verdict, "", "4.7.1", *pair(ca(ROOT, "ca", ku=ku)), **more)


def policy(t):
    def chain(*levels, end=(P1,)):
        above, pool = ROOT, []
        for n, exts in enumerate(levels):
            above = ca(above, f"policy ca {n}", exts)
            pool.append(above)
        return leaf(above, [policies(*end)] if end else ()), pool

    explicit = "explicit"
    t.add("policy-same", "ok", explicit, "4.8.1", *chain([policies(P1)]))
    t.add("policy-none-and-none-demanded", "ok", "policy=" + P1.dotted_string, "4.8.2", *chain([], end=()))
    t.add("policy-none-and-one-demanded", "NoPolicy:0", explicit, "4.8.2", *chain([policies(P1)], end=()))
    t.add("policy-ca-has-none", "NoPolicy:1", explicit, "4.8.3", *chain([]))
    t.add("policy-another-below", "NoPolicy:0", explicit, "4.8.3", *chain([policies(P2)]))
    t.add("policy-one-of-two", "ok", explicit, "4.8.6", *chain([policies(P1, P2)], [policies(P1, P3)]))
    t.add("policy-nothing-in-common", "NoPolicy:0", explicit, "4.8.7", *chain([policies(P1, P2)], [policies(P3, P1)], end=(P2,)))
    t.add("policy-any-above", "ok", explicit, "4.8.11", *chain([policies(ANY)]))
    t.add("policy-any-everywhere", "ok", explicit + " policy=" + P1.dotted_string, "4.8.11", *chain([policies(ANY)], end=(ANY,)))
    t.add("policy-not-the-demanded-one", "NoPolicy:0", explicit + " policy=" + P2.dotted_string, "4.8.1", *chain([policies(P1)]))
    t.add("policy-any-inhibited", "NoPolicy:1", explicit + " inhibit-any", "4.8.12", *chain([policies(ANY)]))
    require = [policies(P1), x509.PolicyConstraints(0, None)]
    t.add("policy-required-by-ca", "NoPolicy:0", "", "4.9.1", *chain(require, end=()), cryptography="-: it knows no policies")
    t.add("policy-required-by-ca-and-there", "ok", "", "4.9.2", *chain(require), cryptography="-: it knows no policies")
    later = [policies(P1), x509.PolicyConstraints(5, None)]
    t.add("policy-required-too-late", "ok", "", "4.9.1", *chain(later, end=()), cryptography="-: it knows no policies")
    stop = [policies(ANY), x509.InhibitAnyPolicy(0)]
    t.add("policy-any-inhibited-by-ca", "NoPolicy:1", explicit, "4.12.1", *chain(stop, [policies(ANY)]))
    t.add("policy-any-inhibited-later", "ok", explicit, "4.12.2", *chain([policies(ANY), x509.InhibitAnyPolicy(1)], [policies(ANY)]))
    t.add("policy-mapped", "ok", explicit + " policy=" + P1.dotted_string, "4.10.1", *chain([policies(P1), mappings((P1, P2))], end=(P2,)))
    t.add("policy-mapped-away", "NoPolicy:0", explicit + " policy=" + P1.dotted_string, "4.10.1", *chain([policies(P1), mappings((P1, P2))]))
    t.add("policy-mapping-inhibited", "NoPolicy:0", explicit + " inhibit-map", "4.10.2", *chain([policies(P1), mappings((P1, P2))], end=(P2,)))
    ban = [policies(P1), x509.PolicyConstraints(0, 0)]
    t.add("policy-mapping-inhibited-by-ca", "NoPolicy:0", "", "4.11.1", *chain(ban, [policies(P1), mappings((P1, P2))], end=(P2,)),
          cryptography="-: it knows no policies")
    t.add("policy-mapped-twice", "ok", explicit + " policy=" + P1.dotted_string, "4.10.3",
          *chain([policies(P1), mappings((P1, P2))], [policies(P2), mappings((P2, P3))], end=(P3,)))
    t.add("policy-mapped-from-any-above", "ok", explicit + " policy=" + P1.dotted_string, "4.10.12",
          *chain([policies(ANY), mappings((P1, P2))], end=(P2,)))
    t.add("policy-mapping-of-any", "BadExtension:1", explicit, "4.10.7", *chain([policies(ANY), mappings((ANY, P1))]))
    t.add("policy-mapping-to-any", "BadExtension:1", explicit, "4.10.8", *chain([policies(P1), mappings((P1, ANY))]))
    silent = {"cryptography": "-: it knows no policies"}
    t.add("policy-required-after-one", "NoPolicy:0", "", "4.9.4", *chain([policies(P1), x509.PolicyConstraints(1, None)], end=()), **silent)
    t.add("policy-required-by-the-leaf", "NoPolicy:0", "", "4.9.3",
          *(lambda mid: (leaf(mid, [x509.PolicyConstraints(0, None)]), [mid]))(ca(ROOT, "policy ca")), **silent)
    for case, exts, again_exts, end, resembles in (
            ("policy-any-inhibited-but-self-issued", [policies(P1), x509.InhibitAnyPolicy(0), x509.PolicyConstraints(0, None)],
             [policies(ANY)], [policies(P1)], "4.12.7"),
            ("policy-self-issued-does-not-count", [x509.PolicyConstraints(2, None)], [], [], "4.9.6")):
        old = ca(ROOT, "policy ca", exts, key=KEYS[1])
        again = ca(old, "policy ca", again_exts, key=KEYS[2])
        t.add(case, "ok", "", resembles, leaf(again, end), [old, again], **silent)


def name_constraints(t):
    def case(name, verdict, resembles, constraint, *names, subject="leaf", more=(), **known):
        mid = ca(ROOT, "named ca", [constraint])
        t.add(name, verdict, "", resembles, leaf(mid, [san(*names)] if names else [], name=subject), [mid, *more], **known)

    inside, outside = cn("x", o("plant")), cn("x", o("office"))
    tree = x509.Name(list(inside)[:2])
    ignored = "differs: it does not compare directory names"
    case("name-directory-inside", "ok", "4.13.1", permit(DIR(tree)), subject=inside, cryptography=ignored)
    case("name-directory-outside", "NameForbidden:0", "4.13.2", permit(DIR(tree)), subject=outside)
    case("name-directory-inside-otherwise-spelled", "ok", "4.13.1", permit(DIR(tree)), subject=cn("x", o(" PLANT")), cryptography=ignored)
    case("name-directory-excluded", "NameForbidden:0", "4.13.7", exclude(DIR(tree)), subject=inside)
    case("name-directory-not-excluded", "ok", "4.13.8", exclude(DIR(tree)), subject=outside, cryptography=ignored)
    case("name-directory-alternative-outside", "NameForbidden:0", "4.13.3", permit(DIR(tree)), DNS("a.example"), DIR(outside), subject=inside)
    case("name-dns-inside", "ok", "4.13.30", permit(DNS("plant.example")), DNS("a.plant.example"))
    case("name-dns-itself", "ok", "4.13.30", permit(DNS("plant.example")), DNS("plant.example"))
    case("name-dns-outside", "NameForbidden:0", "4.13.31", permit(DNS("plant.example")), DNS("a.office.example"))
    case("name-dns-no-dot-between", "NameForbidden:0", "4.13.38", permit(DNS("plant.example")), DNS("myplant.example"))
    case("name-dns-one-of-two-outside", "NameForbidden:0", "4.13.31", permit(DNS("plant.example")), DNS("a.plant.example"), DNS("x.test"))
    case("name-dns-excluded", "NameForbidden:0", "4.13.33", exclude(DNS("plant.example")), DNS("a.plant.example"))
    case("name-dns-not-excluded", "ok", "4.13.32", exclude(DNS("plant.example")), DNS("a.office.example"))
    case("name-dns-wildcard-over-excluded", "NameForbidden:0", "-", exclude(DNS("a.plant.example")), DNS("*.plant.example"),
         openssl="differs: it does not ask what a wildcard stands for")
    case("name-mail-host", "ok", "4.13.21", permit(MAIL("plant.example")), MAIL("a@plant.example"),
         cryptography="-: it does not compare mailboxes")
    case("name-mail-below-host", "NameForbidden:0", "4.13.22", permit(MAIL("plant.example")), MAIL("a@b.plant.example"))
    case("name-mail-domain", "ok", "4.13.23", permit(MAIL(".plant.example")), MAIL("a@b.plant.example"),
         cryptography="-: it does not compare mailboxes")
    case("name-mail-excluded", "NameForbidden:0", "4.13.24", exclude(MAIL("plant.example")), MAIL("a@plant.example"))
    mailbox = x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@office.example")
    case("name-mail-in-subject-outside", "NameForbidden:0", "4.13.29", permit(MAIL("plant.example")), subject=cn("x", mailbox),
         cryptography="-: it does not look for mailboxes in the subject")
    case("name-uri-domain", "ok", "4.13.34", permit(URI(".plant.example")), URI("https://a.plant.example/x"),
         cryptography="-: it does not compare URIs")
    case("name-uri-outside", "NameForbidden:0", "4.13.35", permit(URI(".plant.example")), URI("https://a.office.example/x"))
    case("name-uri-excluded", "NameForbidden:0", "4.13.37", exclude(URI("plant.example")), URI("https://plant.example/x"))
    case("name-uri-without-host", "NameForbidden:0", "-", permit(URI(".plant.example")), URI("urn:dev:ops:1-a-b"))
    case("name-address-inside", "ok", "-", permit(net("10.1.0.0/16")), ip("10.1.2.3"))
    case("name-address-outside", "NameForbidden:0", "-", permit(net("10.1.0.0/16")), ip("10.2.2.3"))
    case("name-address-of-the-other-family", "NameForbidden:0", "-", permit(net("10.1.0.0/16")), ip("2001:db8::1"))
    case("name-address-excluded", "NameForbidden:0", "-", exclude(net("2001:db8::/32")), ip("2001:db8::1"))
    case("name-of-another-kind", "ok", "-", permit(DNS("plant.example")), ip("10.1.2.3"))
    wide = ca(ROOT, "wide", [permit(DNS("example"))])
    narrow = ca(wide, "narrow", [permit(DNS("plant.example"))])
    end = leaf(narrow, [san(DNS("a.plant.example"))])
    t.add("name-constraints-in-two-authorities", "ok", "", "4.13.4", end, [wide, narrow])
    far = ca(wide, "far", [permit(DNS("test"))])
    t.add("name-constraints-do-not-widen", "NameForbidden:0", "", "4.13.5", leaf(far, [san(DNS("a.test"))]), [wide, far])
    mid = ca(ROOT, cn("named", o("office")), [permit(DIR(tree))], key=KEYS[1])
    again = ca(mid, mid.name, key=KEYS[2])
    t.add("name-constraints-pass-over-self-issued", "ok", "", "4.13.19", leaf(again, name=inside), [mid, again], cryptography=ignored)
    t.add("name-constraints-of-a-self-issued-leaf", "NameForbidden:0", "", "4.13.20", again, [mid],
          cryptography="-: a leaf must not be an authority in the web PKI")
    t.add("name-constraints-hold-for-authorities", "NameForbidden:1", "", "4.13.2",
          *(lambda m: (leaf(m, name=inside), [mid, m]))(ca(mid, cn("m", o("office")))))


def shards(t):
    here, there = "http://pki.example/1.crl", "http://pki.example/2.crl"
    mid = ca(ROOT, "ca")
    end = leaf(mid, [cdp(here)])
    both = leaf(mid, [x509.CRLDistributionPoints([x509.DistributionPoint(full(here) + full(there), None, None, None)])])
    top = crl(ROOT)

    def case(name, verdict, resembles, *crls, node=end, **more):
        t.add(name, verdict, ALL, resembles, node, [mid], [top, *crls], **more)

    case("shard-of-the-certificate", "ok", "4.14.1", crl(mid, exts=[idp(here)]))
    case("shard-revokes", "Revoked:0", "4.14.2", crl(mid, [(end, "key_compromise")], [idp(here)]))
    case("shard-of-others", "CrlOutOfScope:0", "4.14.3", crl(mid, exts=[idp(there)]))
    case("shard-of-one-of-its-names", "ok", "4.14.4", crl(mid, exts=[idp(there)]), node=both)
    case("shard-and-no-point", "CrlOutOfScope:0", "4.14.9", crl(mid, exts=[idp(here)]), node=leaf(mid))
    case("shard-users-only", "ok", "4.14.13", crl(mid, exts=[idp(user=True)]))
    case("shard-authorities-only", "CrlOutOfScope:0", "4.14.11", crl(mid, exts=[idp(authority=True)]))
    case("shard-attributes-only", "CrlOutOfScope:0", "4.14.14", crl(mid, exts=[idp(attribute=True)]))
    t.add("shard-users-only-for-an-authority", "CrlOutOfScope:1", ALL, "4.14.12", leaf(mid), [mid],
          [crl(ROOT, exts=[idp(user=True)]), crl(mid)])
    elsewhere = x509.CRLDistributionPoints([x509.DistributionPoint(full(here), None, None, [DIR(cn("list issuer"))])])
    case("shard-that-another-should-sign", "CrlOutOfScope:0", "4.14.23", crl(mid, exts=[idp(here)]), node=leaf(mid, [elsewhere]))
    flags = x509.ReasonFlags
    some = frozenset([flags.key_compromise, flags.ca_compromise])
    rest = frozenset(set(flags) - some - {flags.unspecified, flags.remove_from_crl})
    case("shard-some-reasons", "CrlOutOfScope:0", "4.14.17", crl(mid, exts=[idp(reasons=some)]))
    two = crl(mid, exts=[idp(reasons=some)]), crl(mid, exts=[idp(reasons=rest)])
    case("shard-all-reasons-in-two", "ok", "4.14.18", *two)
    case("shard-all-reasons-in-two-revoked", "Revoked:0", "4.14.19", two[0], crl(mid, [(end, "superseded")], [idp(reasons=rest)]))
    helper = ca(ROOT, "list issuer", key=KEYS[5])
    point = x509.CRLDistributionPoints([x509.DistributionPoint(full(here), None, None, [DIR(helper.name)])])
    t.add("shard-indirect", "CrlMissing:0", ALL, "4.14.22", leaf(mid, [point]), [mid, helper],
          [top, crl(helper, exts=[idp(here, indirect=True)])],
          openssl="differs: with -extended_crl it takes lists of other issuers; here they are refused")


def deltas(t):
    mid = ca(ROOT, "ca")
    end = leaf(mid)
    top = crl(ROOT)
    f = fresh()

    def base(*entries, **more):
        return crl(mid, entries, [f], number=5, this=NOW - 2 * DAY, **more)

    def delta(*entries, at=3, number=6, **more):
        return crl(mid, entries, [x509.DeltaCRLIndicator(at)], number=number, **more)

    def case(name, verdict, resembles, *crls, **more):
        t.add(name, verdict, ALL + " deltas", resembles, end, [mid], [top, *crls], **more)

    case("delta-says-nothing", "ok", "4.15.1", base(), delta())
    case("delta-revokes", "Revoked:0", "4.15.3", base(), delta((end, "key_compromise")))
    case("delta-holds", "OnHold:0", "4.15.4", base(), delta((end, "certificate_hold")))
    case("delta-ends-a-hold", "ok", "4.15.5", base((end, "certificate_hold")), delta((end, "remove_from_crl")))
    case("delta-makes-a-hold-final", "Revoked:0", "4.15.6", base((end, "certificate_hold")), delta((end, "key_compromise")))
    case("delta-does-not-speak-of-what-is-revoked", "Revoked:0", "4.15.7", base((end, "superseded")), delta())
    case("delta-of-a-newer-base", "OnHold:0", "4.15.9", base((end, "certificate_hold")), delta((end, "remove_from_crl"), at=6, number=7))
    case("delta-alone", "CrlMissing:0", "4.15.1", delta())
    case("delta-of-another-key", "OnHold:0", "-", base((end, "certificate_hold")), delta((end, "remove_from_crl"), key=KEYS[5]))
    expired = delta((end, "remove_from_crl"), this=NOW - 2 * DAY, nxt=NOW - DAY)
    case("delta-expired", "OnHold:0", "-", base((end, "certificate_hold")), expired,
         openssl="differs: it takes a delta list that has expired, as long as the complete one has not")
    shard = idp("http://pki.example/9.crl")
    case("delta-of-another-shard", "OnHold:0", "-", base((end, "certificate_hold")),
         crl(mid, [(end, "remove_from_crl")], [x509.DeltaCRLIndicator(3), shard], number=6))
    case("delta-of-another-scope", "OnHold:0", "-", base((end, "certificate_hold")),
         crl(mid, [(end, "remove_from_crl")], [x509.DeltaCRLIndicator(3), idp(user=True)], number=6))


def extensions(t):
    mid = ca(ROOT, "ca")
    t.add("unknown-critical-in-leaf", "UnknownCritical:0", "", "4.16.2", leaf(mid, [(UNKNOWN, True)]), [mid])
    t.add("unknown-not-critical", "ok", "", "4.16.1", leaf(mid, [(UNKNOWN, False)]), [mid])
    t.add("unknown-critical-in-ca", "UnknownCritical:1", "", "4.16.2", *pair(ca(ROOT, "ca", [(UNKNOWN, True)])))
    client, server = (x509.ExtendedKeyUsage([x]) for x in (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH))
    t.add("purpose-fits", "ok", "purpose=client", "-", leaf(mid, [client]), [mid])
    t.add("purpose-other", "WrongPurpose:0", "purpose=client", "-", leaf(mid, [server]), [mid])
    t.add("purpose-absent", "ok", "purpose=client", "-", leaf(mid), [mid])
    t.add("dns-name-fits", "ok", "dns=sensor.plant.example", "-", leaf(mid), [mid])
    t.add("dns-name-other", "WrongName:0", "dns=actor.plant.example", "-", leaf(mid), [mid])
    t.add("dns-name-wildcard", "ok", "dns=a.plant.example", "-", leaf(mid, [san(DNS("*.plant.example"))]), [mid])
    t.add("dns-name-wildcard-two-labels", "WrongName:0", "dns=a.b.plant.example", "-", leaf(mid, [san(DNS("*.plant.example"))]), [mid])
    t.add("uri-fits", "ok", "uri=urn:dev:ops:1-a-b", "-", leaf(mid), [mid], openssl="-: it compares no URIs", cryptography="-: it compares no URIs")
    t.add("uri-other", "WrongName:0", "uri=urn:dev:ops:1-a-c", "-", leaf(mid), [mid], openssl="-: it compares no URIs", cryptography="-: it compares no URIs")
    t.add("places-are-passed-over", "ok", "", "-", leaf(mid, [x509.AuthorityInformationAccess([x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, URI("http://ocsp.example"))])]), [mid])


def anchors(t):
    """Constraints of the anchor's own certificate (RFC 5937), and the longest path."""
    def case(name, verdict, root, *authorities, **more):
        t.add(name, verdict, "", "-", leaf((root, *authorities)[-1]), authorities, anchor=root, **more)

    case("anchor-expired", "Expired:1", ca(None, "old root", to=NOW - SECOND))
    case("anchor-no-authority", "NotAuthority:1", ca(None, "no root", bc=False),
         openssl="differs: for it a self-signed certificate with keyCertSign is an authority")
    zero = ca(None, "short root", pathlen=0)
    case("anchor-path-length", "PathTooLong:2", zero, ca(zero, "ca"))
    narrow = ca(None, "narrow root", [permit(DNS("office.example"))])
    case("anchor-name-constraints", "NameForbidden:0", narrow)
    strict = ca(None, "strict root", [x509.PolicyConstraints(0, None)])
    case("anchor-requires-a-policy", "NoPolicy:0", strict, openssl="differs: it takes no policy constraints from an anchor",
         cryptography="-: it knows no policies")
    chain = [ROOT]
    for n in range(15):
        chain.append(ca(chain[-1], f"step {n}", key=KEYS[1]))
    short = "differs: it goes eight authorities deep"
    t.add("length-sixteen", "ok", "", "-", leaf(chain[14]), chain[1:15], cryptography=short)
    t.add("length-seventeen", "NoIssuer:15", "", "-", leaf(chain[15]), chain[1:16], openssl="differs: it goes a hundred deep")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.pem"):
        old.unlink()
    (folder / "root.pem").write_bytes(ROOT.cert.public_bytes(PEM))
    table = Table(folder)
    for section in (signatures, validity, chaining, revocation, rollover, basic_constraints, key_usage, policy,
                    name_constraints, shards, deltas, extensions, anchors):
        section(table)
    names = [line.split("\t")[0] for line in table.lines]
    assert len(names) == len(set(names))
    head = "\t".join(("case", "verdict", "demands", "PKITS", "OpenSSL", "cryptography"))
    (folder / "manifest.tsv").write_text("\n".join((head, *table.lines)) + "\n")
    print(f"{len(names)} cases")


if __name__ == "__main__":
    main()
