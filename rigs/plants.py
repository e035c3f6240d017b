"""Faults that are planted into copies of a sound installation, each with what check.py must say of it.

Library of `check.py --self-test`. A plant is a function whose name says what was done; its decorator says which findings
are demanded: statement and words. Others may come with them, because one fault breaks many promises.
"""
import base64
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import check
from records import leaf_hash
from tamper import Copy, Missing

PAGE_LEN = 4096
UNKNOWN = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Plant:
    """A fault, and the findings that it must lead to."""
    fault: Callable
    expected: tuple

    def __str__(self):
        return self.fault.__name__.replace("_", " ")


PLANTS = []


def finds(*expected):
    """Says which findings a plant must lead to: pairs of a statement and words of the finding."""
    def register(fault):
        PLANTS.append(Plant(fault, expected))
        return fault
    return register


def self_test(data, acknowledged):
    """Plants every fault into a copy of `data`. Gives 0 if that is sound and each fault was found, or 1."""
    sound = check.check(data, acknowledged).findings
    for finding in sound:
        print(f"not sound before anything: {finding}")
    missed, found = 0, Counter()
    for plant in PLANTS:
        error, findings = plant_one(plant, data, acknowledged)
        lacking = [f"{statement} {words!r}" for statement, words in plant.expected if not any(
            finding.statement == statement and words in str(finding) for finding in findings)]
        missed += bool(lacking)
        found.update({statement for statement, _ in plant.expected} if not lacking else ())
        verdict = f"MISSED ({error or 'no finding ' + ' nor '.join(lacking)})" if lacking else "found"
        print(f"{'+'.join(sorted({statement for statement, _ in plant.expected})):<9}{plant}: {verdict}", flush=True)
    by_statement = ", ".join(f"{n} {statement}" for statement, n in sorted(found.items()))
    print(f"self-test: {len(PLANTS)} faults planted ({by_statement}), {missed} missed, {len(sound)} findings without one")
    return 1 if sound or missed or not PLANTS else 0


def plant_one(plant, data, acknowledged):
    """What went wrong, if anything did, and the findings."""
    with tempfile.TemporaryDirectory(prefix="cradle-plant-") as scratch:
        try:
            copy = Copy(data, Path(scratch) / "data", acknowledged)
            try:
                plant.fault(copy)
            finally:
                copy.close()
            return "", check.check(copy.data, copy.acknowledged, copy.witnesses).findings
        except Missing as error:
            return f"DATA has not what it needs: {error}", []
        except (OSError, ValueError, LookupError, sqlite3.Error) as error:
            return f"it could not be checked: {error!r}", []


def flip(octets, place):
    octets = bytearray(octets)
    octets[place] ^= 1
    return bytes(octets)


# ---- The store itself ----

@finds(("store", "its list is not there"))
def a_device_is_of_a_list_that_is_not_there(copy):
    copy.change("UPDATE device SET list = 99 WHERE id = ?", copy.device()["id"])


@finds(("store", "the database is damaged"))
def a_page_of_an_index_is_emptied(copy):
    page = copy.row("SELECT rootpage FROM sqlite_master WHERE name = 'issuance_grant'")["rootpage"]
    copy.close()
    octets = bytearray((copy.data / "cradle.db").read_bytes())
    # The number of cells, after the page's type and its first free block. Source: SQLite file format §1.6.
    at = (page - 1) * PAGE_LEN + 3
    octets[at:at + 2] = bytes(2)
    (copy.data / "cradle.db").write_bytes(octets)


# ---- D1 ----

@finds(("D1", "are certificates of one name"), ("D3", "the certificate's own serial number is"))
def a_certificate_has_the_octets_of_another(copy):
    one, other = copy.devices()[:2]
    copy.change("UPDATE certificate SET der = ? WHERE id = ?", other["der"], one["issuance"])


@finds(("D1", "intended it 2 times"))
def a_serial_number_is_given_twice(copy):
    one, other = copy.devices()[:2]
    copy.free("issuance")
    copy.change("UPDATE issuance SET serial = (SELECT serial FROM issuance WHERE id = ?) WHERE id = ?",
                one["issuance"], other["issuance"])


@finds(("D1", "the log has it intended 2 times"))
def an_intent_stands_twice_in_the_log(copy):
    copy.again("intended", serial=copy.device()["certificate"])


@finds(("D1", "the log has it issued 2 times"))
def a_certificate_is_issued_twice_in_the_log(copy):
    copy.again("issued", serial=copy.device()["certificate"])


@finds(("D1", "it is no serial number of RFC 5280"))
def a_serial_number_is_negative(copy):
    copy.change("UPDATE issuance SET serial = x'80' || substr(serial, 2) WHERE id = ?", copy.device()["issuance"])


# ---- D2 ----

@finds(("D2", "its intent is not in the audit log"), ("D2", "it was issued before it was intended"))
def an_intent_is_left_out_of_the_log(copy):
    copy.without("intended", serial=copy.device()["certificate"])


@finds(("D2", "what was intended is not what is stored"))
def the_digest_that_was_intended_is_changed(copy):
    copy.change("UPDATE issuance SET tbs = ? WHERE id = ?", bytes(32), copy.device()["issuance"])


@finds(("D2", "the certificate is not the one that was intended"), ("D3", "it is not the certificate that was issued"),
       ("D3", "the board holds other octets than are stored"))
def one_bit_of_a_certificate_is_flipped(copy):
    device = copy.device()
    # Somewhere in its names, which still can be read.
    der = flip(device["der"], device["der"].index(device["serial"].encode()))
    copy.change("UPDATE certificate SET der = ? WHERE id = ?", der, device["issuance"])


@finds(("D2", "its authority did not sign it"))
def one_bit_of_a_signature_is_flipped(copy):
    device = copy.device()
    copy.change("UPDATE certificate SET der = ? WHERE id = ?", flip(device["der"], -1), device["issuance"])


@finds(("D2", "an intent of the audit log has no row"), ("D2", "it was never intended"),
       ("D3", "it was issued, and is not stored"), ("D3", "LOST: acknowledged, and not stored"))
def an_issuance_is_deleted(copy):
    copy.change("DELETE FROM issuance WHERE id = ?", copy.device()["issuance"])


@finds(("D2", "it was issued before it was intended"))
def a_certificate_is_issued_before_it_is_intended(copy):
    entries, serial = copy.entries(), copy.device()["certificate"]
    intended, issued = (copy.event(entries, kind, serial=serial) for kind in ("intended", "issued"))
    entries[intended], entries[issued] = entries[issued], entries[intended]
    copy.rewrite(entries)


@finds(("D2", "it was never intended"))
def a_certificate_stands_there_without_an_issuance(copy):
    copy.change("INSERT INTO certificate VALUES (99999, ?)", copy.device()["der"])


@finds(("D2", "that it was issued is not in the audit log"))
def an_issued_entry_is_left_out_of_the_log(copy):
    copy.without("issued", serial=copy.device()["certificate"])


@finds(("D2", "it is not the list that was intended"))
def the_intent_of_a_list_is_left_out_of_the_log(copy):
    copy.without("crl-intended", number=1)


# ---- D3 ----

@finds(("D3", "it was issued, and is not stored"), ("D3", "LOST: acknowledged, and not stored"),
       ("D3", "LOST: released to the board, and not stored"), ("D3", "its certificate is not stored"))
def a_certificate_is_deleted(copy):
    copy.change("DELETE FROM certificate WHERE id = ?", copy.device()["issuance"])


@finds(("D3", "it cannot be read"))
def a_certificate_is_cut_short(copy):
    device = copy.device()
    copy.change("UPDATE certificate SET der = ? WHERE id = ?", device["der"][:-1], device["issuance"])


@finds(("D3", "it is for another key"))
def the_key_of_an_issuance_is_changed(copy):
    copy.change("UPDATE issuance SET key = ? WHERE id = ?", bytes(32), copy.device()["issuance"])


@finds(("D3", "it is not for urn:"))
def the_subject_of_a_grant_is_changed(copy):
    copy.change("UPDATE grant_ SET subject = subject || '0' WHERE id = ?", copy.device()["grant_id"])


@finds(("D3", "its certificate was never issued"), ("D3", "it does not lead to a root"))
def the_certificate_of_a_root_is_changed(copy):
    root = copy.row("SELECT * FROM authority WHERE name = 'root'")
    copy.change("UPDATE authority SET certificate = ? WHERE id = ?", flip(root["certificate"], -1), root["id"])


@finds(("D3", "the log and the row disagree on whether it is provisioned"),
       ("D3", "LOST: acknowledged, and the device is not recorded as provisioned with it"))
def the_custody_of_a_device_is_taken_back(copy):
    copy.change("UPDATE device SET custody = 1 WHERE id = ?", copy.device()["id"])


@finds(("D3", "its certificate is another's"), ("D3", "its certificate is for another key"),
       ("D3", "it is not the certificate with which it was provisioned"), ("D5", "another device has its certificate"),
       ("D3", "the board holds another certificate than is recorded"))
def a_device_has_the_certificate_of_another(copy):
    one, other = copy.devices()[:2]
    copy.change("UPDATE device SET certificate = ? WHERE id = ?", other["certificate"], one["id"])


@finds(("D3", "it is provisioned, and its certificate is not confirmed"), ("D3", "acknowledged, and not confirmed"))
def a_confirmation_is_forgotten(copy):
    copy.change("UPDATE issuance SET state = 0 WHERE id = ?", copy.device()["issuance"])


@finds(("D3", "LOST: acknowledged, and the station has not recorded that it finished"))
def a_job_is_not_finished(copy):
    copy.change("UPDATE job SET finished = 0 WHERE device = ?", copy.device()["name"])


@finds(("D3", "acknowledged for another board than is recorded"))
def a_device_is_recorded_with_another_board(copy):
    copy.change("UPDATE device SET board = 'OTHER-1' WHERE id = ?", copy.device()["id"])


@finds(("D3", "LOST: acknowledged, and not stored"), ("D5", "two certificates were acknowledged"))
def a_line_tells_of_a_certificate_that_nobody_knows(copy):
    line = next(line for line in copy.acknowledged if line["device"] == copy.device()["name"])
    copy.acknowledged.append(line | {"certificate": UNKNOWN})


@finds(("D3", "acknowledged for another device than it names"))
def a_line_tells_of_the_certificate_of_another(copy):
    one, other = copy.devices()[:2]
    copy.line(one["name"], certificate=other["certificate"])


@finds(("D3", "acknowledged as flashed, and not recorded so"))
def an_image_was_told_of_and_is_not_recorded(copy):
    device = copy.device()
    copy.acknowledged.append({"outcome": "flashed", "device": device["name"]})
    copy.change("UPDATE device SET image = NULL WHERE id = ?", device["id"])


@finds(("D3", "the board holds another certificate than is recorded"),
       ("D3", "the board holds another key than its certificate's"))
def a_board_holds_the_chain_of_another(copy):
    one, other = copy.devices()[:2]
    copy.memory(one["board"], certificate_chain=copy.memory(other["board"])["certificate_chain"])


@finds(("D3", "it is provisioned, and holds no certificate"))
def a_board_holds_no_certificate(copy):
    copy.memory(copy.device()["board"], certificate_chain="")


@finds(("D3", "the board's chain does not lead to its trust anchors"))
def a_board_trusts_nobody(copy):
    copy.memory(copy.device()["board"], trust_anchors="")


@finds(("D3", "the board holds another key than its certificate's"))
def a_board_holds_another_key(copy):
    pkcs8 = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    board = copy.device()["board"]
    copy.memory(board, key=copy.memory(board)["key"] | {"pkcs8": base64.b64encode(pkcs8).decode()})


# ---- D4 ----

@finds(("D4", "it was closed or rejected, and is not revoked"), ("D6", "it was revoked, and is not any more"))
def the_revocation_of_a_closed_intent_is_deleted(copy):
    copy.change("DELETE FROM revocation WHERE issuance = (SELECT min(id) FROM issuance WHERE state = 2)")


@finds(("D4", "it was closed or rejected, and is not revoked"))
def the_revocation_of_a_rejected_certificate_is_deleted(copy):
    copy.change("DELETE FROM revocation WHERE issuance = (SELECT min(id) FROM issuance WHERE state = 3)")


@finds(("D4", "it was closed, and has a certificate"))
def a_closed_intent_has_a_certificate(copy):
    closed = copy.row("SELECT id FROM issuance WHERE state = 2")["id"]
    copy.change("INSERT INTO certificate VALUES (?, ?)", closed, copy.device()["der"])


@finds(("D4", "the log and the row disagree on whether it was closed"))
def a_closed_intent_is_open_again(copy):
    copy.change("UPDATE issuance SET state = 0 WHERE id = (SELECT min(id) FROM issuance WHERE state = 2)")


@finds(("D4", "the log and the row disagree on the requester's verdict"), ("D5", "stand"))
def a_rejected_certificate_is_accepted(copy):
    rejected = copy.row("SELECT id FROM issuance WHERE state = 3")["id"]
    copy.change("UPDATE issuance SET state = 1 WHERE id = ?", rejected)
    copy.change("DELETE FROM revocation WHERE issuance = ?", rejected)


@finds(("D3", "it has a verdict and no certificate"))
def a_closed_intent_is_confirmed_in_the_log(copy):
    entries = copy.entries()
    serial = copy.row("SELECT lower(hex(serial)) AS serial FROM issuance WHERE state = 2")["serial"]
    verdict = entries[copy.event(entries, "confirmed")]
    copy.rewrite([*entries, verdict | {"event": {"confirmed": {"serial": serial, "accepted": True}}}])


@finds(("D4", "acknowledged, and revoked by nobody"), ("D3", "its certificate is revoked, and nobody revoked it"),
       ("D6", "that it was revoked is not in the audit log"))
def a_certificate_is_revoked_by_nobody(copy):
    copy.change("INSERT INTO revocation (issuance, authority, at, reason) SELECT id, authority, at, 0 FROM issuance "
                "WHERE id = ?", copy.device()["issuance"])


# ---- D5 ----

@finds(("D5", "it counts 2 uses, 1 stand"))
def a_grant_is_used_once_more(copy):
    copy.change("UPDATE grant_ SET used = used + 1 WHERE id = ?", copy.device()["grant_id"])


@finds(("D5", "it was used 1 times of 0"))
def the_quota_of_a_grant_is_lowered(copy):
    copy.change("UPDATE grant_ SET quota = 0 WHERE id = ?", copy.device()["grant_id"])


@finds(("D5", "it was used, and is not there"))
def a_grant_is_deleted(copy):
    copy.change("DELETE FROM grant_ WHERE id = ?", copy.device()["grant_id"])


@finds(("D5", "uses, "))
def a_right_is_used_once_more(copy):
    copy.change("UPDATE right_ SET used = used + 1")


@finds(("D5", "; the log gave "))
def a_right_has_a_higher_quota_than_was_given(copy):
    copy.change("UPDATE right_ SET quota = quota + 1")


@finds(("D5", "right 1: it was used, and is not there"))
def a_right_is_deleted(copy):
    copy.change("DELETE FROM right_ WHERE id = 1")


@finds(("D5", "transaction "))
def a_transaction_has_two_issuances(copy):
    one, other = copy.devices()[:2]
    copy.change("UPDATE issuance SET attempt = id, transaction_id = (SELECT transaction_id FROM issuance WHERE id = ?) "
                "WHERE id = ?", one["issuance"], other["issuance"])


@finds(("D5", " as idevid: "))
def a_device_has_two_certificates_that_stand(copy):
    one, other = copy.devices()[:2]
    copy.change("UPDATE certificate SET der = ? WHERE id = ?", one["der"], other["issuance"])


@finds(("D5", "it was provisioned 2 times"))
def a_device_is_provisioned_twice_in_the_log(copy):
    copy.again("provisioned", device=copy.device()["name"])


# ---- D6 ----

@finds(("D6", "it was revoked, and is not any more"), ("D6", "is on it, and is not revoked"))
def a_revocation_is_deleted(copy):
    serial = copy.entries()[copy.event(copy.entries(), "revoked")]["event"]["revoked"]["serial"]
    copy.change("DELETE FROM revocation WHERE issuance = (SELECT id FROM issuance WHERE serial = ?)",
                bytes.fromhex(serial))


@finds(("D6", "it is revoked under another authority than its own"))
def a_revocation_is_of_another_authority(copy):
    copy.change("UPDATE revocation SET authority = authority - 1 WHERE id = (SELECT max(id) FROM revocation)")


@finds(("D6", "it is of no issuance"))
def a_revocation_is_of_no_issuance(copy):
    copy.change("INSERT INTO revocation (issuance, authority, at, reason) VALUES (99999, 1, 0, 0)")


@finds(("D6", "was on the list before it, and is not any more"), ("D7", "it goes back behind the list before it"))
def two_lists_are_swapped(copy):
    first, second = copy.rows("SELECT * FROM crl ORDER BY authority, number", at_least=2)[:2]
    for crl, other in ((first, second), (second, first)):
        copy.change("UPDATE crl SET der = ? WHERE authority = ? AND number = ?",
                    other["der"], crl["authority"], crl["number"])


# ---- D7 ----

@finds(("D7", "it was issued, and is not stored"))
def the_last_list_is_deleted(copy):
    copy.change("DELETE FROM crl WHERE number = (SELECT max(number) FROM crl)")


@finds(("D7", "it is not the list that was issued"), ("D7", "it goes back behind the list before it"),
       ("D7", "its number or its times are not those of its row"))
def the_last_list_is_replaced_by_an_older_one(copy):
    copy.rows("SELECT * FROM crl", at_least=2)
    copy.change("UPDATE crl SET der = (SELECT der FROM crl WHERE number = 1) WHERE number = (SELECT max(number) FROM crl)")


@finds(("D7", "its authority did not sign it"))
def one_bit_of_the_signature_of_a_list_is_flipped(copy):
    crl = copy.row("SELECT * FROM crl WHERE number = 1")
    copy.change("UPDATE crl SET der = ? WHERE number = 1", flip(crl["der"], -1))


@finds(("D7", "it cannot be read, or has no number"))
def a_list_is_cut_short(copy):
    crl = copy.row("SELECT * FROM crl WHERE number = 1")
    copy.change("UPDATE crl SET der = ? WHERE number = 1", crl["der"][:-1])


@finds(("D7", "its number or its times are not those of its row"))
def a_list_is_recorded_as_valid_for_longer(copy):
    copy.change("UPDATE crl SET next_update = next_update + 86400000 WHERE number = 1")


@finds(("D7", "its number was not reserved"))
def the_number_of_the_last_list_is_taken_back(copy):
    copy.change("UPDATE authority SET crl_number = crl_number - 1 WHERE crl_number > 0")


@finds(("D7", "was revoked before, and is not on it"))
def a_certificate_was_revoked_before_a_list_that_does_not_have_it(copy):
    copy.rows("SELECT * FROM crl", at_least=2)
    copy.change("UPDATE revocation SET at = 0 WHERE id = (SELECT max(id) FROM revocation)")


@finds(("D7", "the log has crl-issued twice"))
def a_list_is_issued_twice_in_the_log(copy):
    copy.again("crl-issued", number=1)


@finds(("D2", "it was issued before it was intended"), ("D7", "the log has crl-intended twice"))
def a_list_is_issued_before_it_is_intended(copy):
    entries = copy.entries()
    issued, intended = (copy.event(entries, kind, number=1) for kind in ("crl-issued", "crl-intended"))
    entries.insert(intended, entries[issued])
    copy.rewrite([*entries, entries[intended + 1]])


# ---- D9 ----

@finds(("D9", "entries were signed, "))
def the_last_entry_is_deleted(copy):
    copy.change("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)")


@finds(("D9", "stands in its place"))
def an_entry_in_the_middle_is_deleted(copy):
    copy.change("DELETE FROM audit WHERE number = (SELECT max(number) / 2 FROM audit)")


@finds(("D9", "the checkpoint: the first "))
def two_entries_are_swapped(copy):
    last = copy.row("SELECT max(number) AS number FROM audit")["number"]
    for number, to in ((last, -1), (last - 1, last), (-1, last - 1)):
        copy.change("UPDATE audit SET number = ? WHERE number = ?", to, number)


@finds(("D9", "it is not the entry whose hash is stored"))
def an_entry_is_edited(copy):
    copy.change("UPDATE audit SET entry = CAST(replace(CAST(entry AS TEXT), 'operator', 'nobody') AS BLOB) "
                "WHERE number = (SELECT max(number) FROM audit WHERE CAST(entry AS TEXT) LIKE '%operator%')")


@finds(("D9", "tile (1, 0): its root is not that of its entries"), ("D9", "the checkpoint: the first "))
def an_entry_is_edited_and_its_hash_too(copy):
    edited = copy.row("SELECT entry FROM audit WHERE number = 0")["entry"].replace(b'"at":1', b'"at":2')
    copy.change("UPDATE audit SET entry = ?, leaf = ? WHERE number = 0", edited, leaf_hash(edited))


@finds(("D9", "its root is not that of its entries"))
def a_tile_is_deleted(copy):
    copy.change("DELETE FROM audit_root")


@finds(("D9", "there is no such tile"))
def a_tile_is_there_too_many(copy):
    copy.change("INSERT INTO audit_root VALUES (1, 99, ?)", bytes(32))


@finds(("D9", ": it cannot be read"))
def an_entry_is_no_entry(copy):
    entries = copy.rows("SELECT entry FROM audit ORDER BY number")
    copy.write_log([*(row["entry"] for row in entries[:-1]), b"?"])


@finds(("D9", "it cannot be read"))
def an_entry_lacks_a_member(copy):
    entries = copy.entries()
    del entries[copy.event(entries, "intended")]["event"]["intended"]["tbs"]
    copy.rewrite(entries)


@finds(("D9", " on are not signed"))
def the_checkpoint_is_of_an_older_size(copy):
    copy.sign(len(copy.entries()) - 1)


@finds(("D9", "it is not a checkpoint"))
def the_checkpoint_is_deleted(copy):
    copy.change("DELETE FROM checkpoint")


@finds(("D9", "its signature does not hold"))
def the_checkpoint_is_of_another_size_than_was_signed(copy):
    size = len(copy.entries())
    copy.change("UPDATE checkpoint SET note = ?", copy.note().replace(f"\n{size}\n", f"\n{size - 1}\n"))


@finds(("D9", "the log's key did not sign it"))
def the_checkpoint_is_signed_by_another_key(copy):
    copy.sign(len(copy.entries()), ed25519.Ed25519PrivateKey.generate())


# The last three have the log's key: only what was kept elsewhere can tell.

@finds(("D9", "witness 0: the first "))
def the_log_is_written_anew_and_signed(copy):
    copy.witnesses.append(copy.note())
    entries = copy.entries()
    entries[copy.event(entries, "mode-ordered")]["event"]["mode-ordered"]["operator"] = "nobody"
    copy.rewrite(entries)


@finds(("D9", "witness 0: "))
def the_log_is_cut_off_and_signed(copy):
    copy.witnesses.append(copy.note())
    copy.rewrite(copy.entries()[:-1])


@finds(("D9", "witness 0: it is of another log"))
def a_checkpoint_was_kept_of_another_log(copy):
    sound = copy.note()
    copy.change("UPDATE checkpoint SET note = replace(note, ?, 'elsewhere')", sound.split("\n")[0])
    copy.sign(len(copy.entries()))
    copy.witnesses.append(copy.note())
    copy.change("UPDATE checkpoint SET note = ?", sound)
