"""Plants for `plants.py`: faults in revocations, lists and the audit log (D6, D7, D9).

Library.
"""
from cryptography.hazmat.primitives.asymmetric import ed25519

from records import leaf_hash
from tamper import flip, planter

PLANTS = []
finds = planter(PLANTS)


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
    copy.change("INSERT INTO revocation (issuance, authority, shard, at, reason, not_after) "
                "VALUES (99999, 1, 0, 0, 0, 0)")


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
    copy.change("UPDATE crl SET der = (SELECT first.der FROM crl first WHERE first.number = 1 AND "
                "first.authority = crl.authority) WHERE number = (SELECT max(number) FROM crl WHERE base IS NULL)")


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


@finds(("D7", "was revoked before, and is not on it"), ("D7", "it takes into account what was said after it"))
def a_certificate_was_revoked_before_a_list_that_does_not_have_it(copy):
    copy.rows("SELECT * FROM crl", at_least=2)
    copy.change("UPDATE crl SET edge = (SELECT max(id) FROM revocation) WHERE number = 1")


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
