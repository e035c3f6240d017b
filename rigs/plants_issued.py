"""Plants for `plants.py`: faults in what was issued and what was promised (the store itself, D1 to D5).

Library.
"""
import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tamper import flip, planter

PLANTS = []
finds = planter(PLANTS)

PAGE_LEN = 4096
UNKNOWN = "0123456789abcdef0123456789abcdef01234567"


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
    device = copy.device()
    copy.change("UPDATE issuance SET serial = ? WHERE id = ?", flip(bytes.fromhex(device["certificate"]), 0, 0x80),
                device["issuance"])


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


@finds(("D3", "its certificate cannot be read"), ("D2", "its authority did not sign it"))
def the_certificate_of_an_authority_is_cut_short(copy):
    copy.change("UPDATE authority SET certificate = substr(certificate, 1, 99) WHERE name = 'factory'")


@finds(("D2", "it is valid when its issuer is not"), ("D3", "its certificate was never issued"))
def an_authority_has_another_certificate_that_ends_before(copy):
    factory = x509.load_der_x509_certificate(
        copy.row("SELECT certificate FROM authority WHERE name = 'factory'")["certificate"])
    begins = factory.not_valid_before_utc
    builder = x509.CertificateBuilder().issuer_name(factory.issuer).subject_name(factory.subject).public_key(
        factory.public_key()).serial_number(factory.serial_number).not_valid_before(begins).not_valid_after(
        begins + datetime.timedelta(days=1))
    for extension in factory.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    certificate = builder.sign(copy.key("root"), hashes.SHA256())
    copy.change("UPDATE authority SET certificate = ? WHERE name = 'factory'",
                certificate.public_bytes(serialization.Encoding.DER))


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


@finds(("D3", "it was provisioned, and is not recorded"), ("D3", "LOST: acknowledged, and the device is not recorded"))
def a_device_is_deleted(copy):
    copy.change("DELETE FROM device WHERE id = ?", copy.device()["id"])


@finds(("D3", "acknowledged for another board than is recorded"),
       ("D3", "it is not the board with which it was provisioned"))
def a_device_is_recorded_with_another_board(copy):
    copy.change("UPDATE device SET board = 'OTHER-1' WHERE id = ?", copy.device()["id"])


@finds(("D3", "LOST: acknowledged, and not stored"), ("D5", "two certificates were acknowledged"))
def a_line_tells_of_a_certificate_that_nobody_knows(copy):
    copy.acknowledged.append(copy.line(copy.device()["name"]) | {"certificate": UNKNOWN})


@finds(("D3", "acknowledged for another device than it names"))
def a_line_tells_of_the_certificate_of_another(copy):
    one, other = copy.devices()[:2]
    copy.line(one["name"])["certificate"] = other["certificate"]


@finds(("D3", "acknowledged as flashed, and not recorded so"))
def an_image_was_told_of_and_is_not_recorded(copy):
    device = copy.device()
    copy.acknowledged.append(copy.line(device["name"]) | {"outcome": "flashed"})
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
    copy.change("INSERT INTO revocation (issuance, authority, shard, at, reason, not_after) "
                "SELECT id, authority, shard, at, 0, not_after FROM issuance WHERE id = ?", copy.device()["issuance"])


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
