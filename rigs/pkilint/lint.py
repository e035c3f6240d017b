#!/usr/bin/env python3
"""Lets pkilint judge certificates and lists that were issued under each profile.

    cargo test -p issue --test shipped
    pip install -r rigs/pkilint/requirements.txt
    rigs/pkilint/lint.py target/tmp/shipped

The directory has one folder for each profile, with certificates in DER or PEM, and `crl` with lists. A certificate is
linted alone (RFC 5280), and together with its issuer if the issuer's certificate is among the files. Every finding
that is a warning or worse must stand in allowed.csv, beside this file: the profile, the finding's code, a part of what
the linter says of it, and a reason. A row that is not found any more fails too, so that the list only holds what is true.

With `--allowed /dev/null` it must fail: that is its control run.
"""

import argparse
import collections
import csv
import pathlib
import sys

from pyasn1_alt_modules import rfc5280

from pkilint import loader, pkix
from pkilint.bin import lint_pkix_signer_signee_cert_chain as pair
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity

WORST_ALLOWED = ValidationFindingSeverity.NOTICE
LISTS = "crl"


def certificate_linter():
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


def list_linter():
    return crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )


def load(kind, path, *rest):
    """Reads DER or PEM."""
    octets = path.read_bytes()
    if octets.startswith(b"-----"):
        return kind.load_pem_document(octets.decode("ascii"), str(path), *rest)
    return kind.load_der_document(octets, str(path), *rest)


def findings(results):
    """What is worse than allowed: code, how bad, where, and what the linter says of it."""
    for result in results:
        for description in result.finding_descriptions:
            if description.finding.severity < WORST_ALLOWED:
                yield description.finding.code, description.finding.severity.name, str(result.node.path), description.message


class Chains:
    """Finds the issuer of a certificate among all that were read, and lints the two together."""

    def __init__(self, paths):
        self.by_key = {}
        kind = loader.RFC5280CertificateDocumentLoader()
        for path in paths:
            identifier = key_identifier(load(kind, path), rfc5280.id_ce_subjectKeyIdentifier)
            if identifier is not None:
                self.by_key.setdefault(identifier, path)
        self.decoding = pair.create_decoder_validation_container()
        self.issuer = pair.create_issuer_validation_container()
        self.subject = pair.create_subject_validation_container()

    def lint(self, path):
        kind = loader.RFC5280CertificateDocumentLoader()
        identifier = key_identifier(load(kind, path), rfc5280.id_ce_authorityKeyIdentifier)
        issuer_path = self.by_key.get(identifier)
        if issuer_path is None:
            return None
        together = {}
        together["issuer"] = load(kind, issuer_path, "issuer", together)
        together["subject"] = load(kind, path, "subject", together)
        results = []
        for document in together.values():
            results += self.decoding.validate(document.root)
        results += self.issuer.validate(together["issuer"].root)
        results += self.subject.validate(together["subject"].root)
        return results


def key_identifier(document, oid):
    """The octets of a key identifier in either extension."""
    from pyasn1.codec.der.decoder import decode

    for one in document.root.navigate("tbsCertificate.extensions").pdu:
        if one["extnID"] == oid:
            if oid == rfc5280.id_ce_subjectKeyIdentifier:
                return bytes(decode(bytes(one["extnValue"]), rfc5280.SubjectKeyIdentifier())[0])
            return bytes(decode(bytes(one["extnValue"]), rfc5280.AuthorityKeyIdentifier())[0]["keyIdentifier"])
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--allowed", type=pathlib.Path, default=pathlib.Path(__file__).with_name("allowed.csv"))
    arguments = parser.parse_args()
    allowed = {}
    with arguments.allowed.open(newline="") as file:
        for row in csv.DictReader(file):
            if not row["reason"]:
                sys.exit(f"{arguments.allowed}: {row['profile']} {row['code']} has no reason")
            allowed[row["profile"], row["code"], row["text"]] = row["reason"]
    folders = sorted(path for path in arguments.directory.iterdir() if path.is_dir())
    certificates = sorted(p for folder in folders if folder.name != LISTS for p in folder.iterdir())
    lists = sorted(p for folder in folders if folder.name == LISTS for p in folder.iterdir())
    if not certificates or not lists:
        sys.exit(f"{arguments.directory}: no certificates, or no lists: nothing was linted")
    one, many, chains = certificate_linter(), list_linter(), Chains(certificates)
    found = collections.defaultdict(list)
    counted = collections.Counter()
    for path in certificates:
        document = load(loader.RFC5280CertificateDocumentLoader(), path)
        results = one.validate(document.root)
        with_issuer = chains.lint(path)
        counted["chains"] += with_issuer is not None
        counted["certificates"] += 1
        for code, *rest in findings(results + (with_issuer or [])):
            found[path.parent.name, code].append((path.name, *rest))
    for path in lists:
        document = load(loader.RFC5280CertificateListDocumentLoader(), path)
        counted["lists"] += 1
        for code, *rest in findings(many.validate(document.root)):
            found[LISTS, code].append((path.name, *rest))
    wrong, used = 0, set()
    for (profile, code), places in sorted(found.items()):
        left = []
        for place in places:
            rows = [row for row in allowed if row[:2] == (profile, code) and row[2] in (place[3] or "")]
            used.update(rows)
            if not rows:
                left.append(place)
        if left:
            wrong += 1
            file, severity, where, message = left[0]
            print(f"{severity} {profile}: {code} in {len(left)} file(s), first {file} at {where}: {message or ''}")
    for profile, code, text in sorted(set(allowed) - used):
        wrong += 1
        print(f"allowed and not found: {profile}: {code}: {text}; take the row out")
    print(f"{counted['certificates']} certificates, {counted['chains']} with their issuer, {counted['lists']} lists, "
          f"{len(folders) - 1} profiles: {wrong} to look at")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
