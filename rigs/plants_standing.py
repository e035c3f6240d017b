"""Plants for `plants.py`: faults in holds, in parts and differences of lists, in quarantines, and in the high-water marks
(D6, D7, D10, H).

Library. They need what history.py made.
"""
from history import History
from marks import SUFFIX, directory_of
from tamper import planter

PLANTS = []
finds = planter(PLANTS)

HELD = "issuance IN (SELECT issuance FROM revocation WHERE reason = 6)"
# Only the undivided lists of one authority have come so far.
LAST_WHOLE = "number = (SELECT max(number) FROM crl WHERE base IS NULL AND shard = 0)"


def change_event(copy, kind, change, **of):
    """Changes an entry of the log."""
    entries = copy.entries()
    change(entries[copy.event(entries, kind, **of)]["event"][kind])
    copy.rewrite(entries)


# ---- D6 ----

@finds(("D6", "its revocation was ended by no later word about it"))
def a_hold_is_ended_by_nothing(copy):
    copy.change("UPDATE revocation SET ended = 99999 WHERE reason = 6")


@finds(("D6", "a revocation was ended that was final"))
def a_final_revocation_is_ended(copy):
    copy.change("UPDATE revocation SET ended = id + 1 WHERE reason = 4")


@finds(("D6", "the log says 1, and its row 9"))
def the_reason_of_a_revocation_is_changed(copy):
    copy.change("UPDATE revocation SET reason = 9 WHERE reason = 1")


@finds(("D6", "its revocation does not go back to that"))
def a_certificate_that_was_held_is_revoked_from_later_on(copy):
    copy.change(f"UPDATE revocation SET at = at + 1000 WHERE reason = 1 AND {HELD}")


@finds(("D6", "at a time after it was said"))
def a_revocation_begins_later_than_it_was_said(copy):
    copy.change("UPDATE revocation SET at = at + 3600000 WHERE reason = 4")


@finds(("D6", "its revocation has another shard or end than itself"))
def a_revocation_is_of_another_part(copy):
    copy.change("UPDATE revocation SET shard = shard + 1 WHERE shard = 1")


@finds(("D6", "its revocation has another shard or end than itself"))
def a_revocation_ends_before_its_certificate(copy):
    copy.change("UPDATE revocation SET not_after = 0 WHERE reason = 4")


@finds(("D6", " stand of it"), ("D6", "the word before the last does not say what ended it"))
def a_hold_stands_beside_its_release(copy):
    copy.connection.execute("DROP INDEX revocation_stands")
    copy.change("UPDATE revocation SET ended = NULL WHERE reason = 6")


@finds(("D6", "its word in the log is another's row"))
def two_revocations_are_swapped(copy):
    one, other = copy.rows("SELECT * FROM revocation WHERE reason = 4", at_least=2)[:2]
    copy.connection.execute("DROP INDEX revocation_stands")
    for row, of in ((one, other), (other, one)):
        copy.change("UPDATE revocation SET issuance = ? WHERE id = ?", of["issuance"], row["id"])


@finds(("D6", "words about certificates that are revoked"))
def a_release_is_left_out_of_the_log(copy):
    copy.without("released")


@finds(("D6", "it was released when its standing was 4"))
def a_certificate_is_released_that_was_revoked_for_good(copy):
    entries = copy.entries()
    serial = entries[copy.event(entries, "released")]["event"]["released"]["serial"]
    entries[copy.event(entries, "revoked", serial=serial)]["event"]["revoked"]["reason"] = "superseded"
    copy.rewrite(entries)
    copy.change("UPDATE revocation SET reason = 4 WHERE reason = 6 AND issuance = "
                "(SELECT id FROM issuance WHERE serial = ?)", bytes.fromhex(serial))


# ---- D7 ----

@finds(("D7", "its digest is another's"), ("D7", "it is not the list that was issued"))
def the_digest_of_a_list_is_changed(copy):
    copy.change("UPDATE crl SET digest = zeroblob(32) WHERE number = 1")


@finds(("D7", "it is gone, and is not long out of date"))
def a_list_that_is_valid_is_gone(copy):
    copy.change("UPDATE crl SET der = NULL WHERE number = 1")


@finds(("D7", "it is a difference to no whole list of its scope"), ("D7", "it does not say what it is a difference to"))
def the_base_of_a_difference_is_changed(copy):
    copy.change("UPDATE crl SET base = 999 WHERE base NOT NULL")


@finds(("D7", "it does not say what it is a difference to"), ("D7", "was revoked before, and is not on it"))
def a_difference_is_recorded_as_a_whole_list(copy):
    copy.change("UPDATE crl SET base = NULL WHERE base NOT NULL")


@finds(("D7", "it does not say which certificates it is of"))
def a_part_is_recorded_as_undivided(copy):
    copy.change("UPDATE crl SET shard = 0 WHERE shard = 2")


@finds(("D7", "it goes back behind the list before it"), ("D6", "is on it, and is not revoked"),
       ("D7", "it leaves out that "))
def the_edge_of_a_list_is_lowered(copy):
    copy.change(f"UPDATE crl SET edge = 0 WHERE {LAST_WHOLE}")


@finds(("D7", "is on it with another reason or time"))
def a_revocation_is_dated_back(copy):
    copy.change("UPDATE revocation SET at = at - 5000 WHERE shard = 2")


@finds(("D3", "its row has another end than itself"), ("D6", "was on the list before it, and is not any more"))
def a_certificate_that_left_its_list_lasts_longer(copy):
    for table in ("issuance", "revocation"):
        copy.change(f"UPDATE {table} SET not_after = not_after + 99999999 WHERE shard = 1")


@finds(("D7", "it was intended after the number "))
def a_number_was_never_raised(copy):
    copy.without("crl-number-raised")


@finds(("D7", "its number was raised from "))
def a_number_is_raised_to_what_was_used(copy):
    copy.again("crl-number-raised")


@finds(("D7", "it was issued after one of this number, or a higher one"))
def lists_are_issued_in_another_order(copy):
    copy.again("crl-issued", number=2)


@finds(("D7", "its last number is "))
def a_number_is_reserved_that_nobody_told_of(copy):
    copy.change("UPDATE authority SET crl_number = crl_number + 1 WHERE name = 'factory'")


@finds(("D7", "there is no such authority"))
def a_list_is_of_an_authority_that_nobody_knows(copy):
    change_event(copy, "crl-issued", lambda of: of.update(authority="nobody"), number=1)


@finds(("D7", "two of them name the same certificate"), ("D7", "is on it, and names another list"))
def two_parts_name_one_certificate(copy):
    history = History(copy)
    one = copy.row("SELECT lower(hex(i.serial)) AS serial, r.at FROM revocation r JOIN issuance i ON i.id = r.issuance "
                   "WHERE r.shard = 1 ORDER BY r.id DESC")
    history.crl(history.factory, [(one["serial"], 4, one["at"] // 1000)], 2)
    history.close()


@finds(("D7", "is revoked, and on none of them"))
def a_part_is_empty(copy):
    history = History(copy)
    history.crl(history.factory, [], 2)
    history.close()


@finds(("D7", "it names a certificate twice"))
def a_list_names_a_certificate_twice(copy):
    history = History(copy)
    history.crl(history.factory, [*history.due(), history.due()[0]])
    history.close()


@finds(("D7", "it does not say which certificates it is of"))
def what_a_part_is_of_may_be_ignored(copy):
    history = History(copy)
    history.crl(history.factory, history.due(2), 2, critical=False)
    history.close()


@finds(("D7", "it does not say what it is a difference to"))
def what_a_list_is_a_difference_to_may_be_ignored(copy):
    history = History(copy)
    base = copy.row("SELECT max(number) AS number FROM crl WHERE base IS NULL AND shard = 0")["number"]
    lines = [line for line in history.lines(history.factory) if line[1] == 1][-1:]
    history.crl(history.factory, lines, base=base, critical=False)
    history.close()


@finds(("D7", "it does not say which certificates it is of"))
def an_undivided_list_is_only_of_some(copy):
    history = History(copy)
    history.crl(history.factory, history.due(), narrow=True)
    history.close()


# ---- D10 ----

@finds(("D10", "it was intended in the quarantine since "), ("D10", "it was crl-intended in the quarantine since "))
def a_quarantine_ends_later(copy):
    entries = copy.entries()
    ended = entries.pop(copy.event(entries, "quarantine-ended"))
    copy.rewrite([*entries, ended])


@finds(("D10", "the log and the row disagree on whether it is in force"))
def a_quarantine_is_in_force_that_ended(copy):
    copy.change("INSERT INTO counter VALUES ('quarantine', 1)")


@finds(("D10", "a quarantine ended that had not begun"), ("D10", "it was recalled, and nothing was restored"))
def a_restore_is_left_out_of_the_log(copy):
    copy.without("restored")


@finds(("D10", "its backup had more entries than stand before it"))
def a_backup_was_longer_than_the_log(copy):
    change_event(copy, "restored", lambda of: of.update(entries=99999))


# ---- H ----

def drop(copy, *kinds):
    copy.change_marks(lambda kind, of: None if kind in kinds else (kind, of))


@finds(("H", "it has no mark as issued"))
def the_marks_of_certificates_are_gone(copy):
    drop(copy, "issued")


@finds(("H", "it has no mark as revoked"))
def the_marks_of_revocations_are_gone(copy):
    drop(copy, "revoked")


@finds(("H", "it has no mark as released"))
def the_marks_of_releases_are_gone(copy):
    drop(copy, "released")


@finds(("H", "it has no mark as crl"))
def the_marks_of_lists_are_gone(copy):
    drop(copy, "crl")


@finds(("H", "it has no mark as list"))
def the_marks_of_suppliers_are_gone(copy):
    drop(copy, "list")


@finds(("H", "its mark says otherwise than its row"))
def a_mark_lets_a_certificate_end_before_it_does(copy):
    copy.change_marks(lambda kind, of: (kind, of | {"not_after": 0} if kind == "issued" else of))


@finds(("H", "there are none of this installation"))
def the_marks_are_gone(copy):
    for path in directory_of(copy.data).glob(f"*{SUFFIX}"):
        path.unlink()


@finds(("H", "it does not begin as its name says"))
def the_marks_are_of_another_log(copy):
    copy.change_marks(lambda kind, of: (kind, of | {"log": "elsewhere"} if kind == "begin" else of))


@finds(("H", "and the log ends at "))
def the_marks_begin_behind_the_end(copy):
    (path,) = directory_of(copy.data).glob(f"*{SUFFIX}")
    path.rename(path.with_name(f"{path.name.partition('-')[0]}-{99999:020}{SUFFIX}"))


@finds(("H", "line 2 cannot be read"))
def a_mark_in_the_middle_is_cut(copy):
    (path,) = directory_of(copy.data).glob(f"*{SUFFIX}")
    lines = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith('{"epoch"')]
    path.write_text("".join([lines[0], lines[1][:9] + "\n", *lines[2:]]))
