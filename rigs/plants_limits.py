"""Plants for `plants.py`: faults in authorities, limits, what was recalled, approvals and suppliers (D2, D3, D5, D9).

Library. They need what history.py made.
"""
from plants_standing import change_event
from tamper import flip, planter

PLANTS = []
finds = planter(PLANTS)

RECALLED = "(SELECT id FROM issuance WHERE state = 4)"


# ---- What is known from marks ----

@finds(("D2", "it was recalled, and its row says otherwise"))
def a_recalled_certificate_is_recorded_as_open(copy):
    copy.change("UPDATE issuance SET state = 0 WHERE state = 4")


@finds(("D2", "it is known from the marks, and not in the audit log"))
def a_recall_is_left_out_of_the_log(copy):
    copy.without("recalled")


@finds(("D2", "it is known from the marks only, and has a certificate"))
def a_recalled_certificate_has_octets(copy):
    copy.change(f"INSERT INTO certificate SELECT {RECALLED}, ?", copy.device()["der"])


@finds(("D5", "it was recalled for another subject than its grant's"))
def a_recalled_certificate_is_of_another_grant(copy):
    copy.change("UPDATE issuance SET grant_id = 1 WHERE state = 4")


@finds(("D5", "it counts 0 uses, 1 stand"))
def the_grant_of_a_recalled_certificate_is_free_again(copy):
    copy.change("UPDATE grant_ SET used = 0 WHERE id = (SELECT grant_id FROM issuance WHERE state = 4)")


# ---- Authorities ----

@finds(("D5", "the log and the row disagree on whether it was replaced"))
def an_authority_that_was_replaced_is_back(copy):
    copy.change("UPDATE authority SET retired = 0 WHERE retired = 1")


@finds(("D5", "an authority was replaced, and is not there"))
def an_authority_that_was_replaced_has_another_name(copy):
    copy.change("UPDATE authority SET name = 'elsewhere' WHERE retired = 1")


@finds(("D5", "was intended after it was replaced"))
def an_authority_issues_after_it_was_replaced(copy):
    entries = copy.entries()
    place = copy.event(entries, "authority-retired")
    retired = entries.pop(place)
    before = [n for n, one in enumerate(entries[:place]) if "intended" in one["event"]]
    entries.insert(before[-1], retired)
    copy.rewrite(entries)


@finds(("D2", "it has another key than the log says"))
def an_authority_was_made_with_another_key(copy):
    change_event(copy, "authority-created", lambda of: of.update(key="00" * 32), authority="abroad")


@finds(("D3", "it was made, and has no certificate"))
def an_imported_authority_loses_its_certificate(copy):
    copy.change("UPDATE authority SET certificate = NULL WHERE key = 'offline:'")


@finds(("D3", "its certificate was never issued"))
def an_imported_authority_is_recorded_as_made_here(copy):
    copy.change("UPDATE authority SET key = 'file:abroad' WHERE key = 'offline:'")


@finds(("D2", "it is not signed by the issuer that its row names"))
def an_authority_names_another_issuer(copy):
    copy.change("UPDATE authority SET issuer = 'modules' WHERE name = 'factory'")


@finds(("D2", "it is not signed by the other key"), ("D3", "it was never issued"))
def one_bit_of_a_link_is_flipped(copy):
    link = copy.row("SELECT * FROM link WHERE kind = 0")
    copy.change("UPDATE link SET der = ? WHERE kind = 0", flip(link["der"], -1))


@finds(("D3", "it, or its authority's certificate, cannot be read"))
def a_link_is_cut_short(copy):
    copy.change("UPDATE link SET der = substr(der, 1, 99) WHERE kind = 1")


@finds(("D2", "it is not signed by the other key"), ("D3", "it is for another key or name"))
def the_links_are_swapped(copy):
    copy.change("UPDATE link SET der = (SELECT other.der FROM link other WHERE other.kind <> link.kind)")


@finds(("D3", "there are 1 of 2"))
def a_link_is_deleted(copy):
    copy.change("DELETE FROM link WHERE kind = 0")


@finds(("D5", "its limits are "))
def the_quota_of_an_authority_is_raised(copy):
    copy.change("UPDATE authority SET quota = quota + 1 WHERE name = 'factory'")


@finds(("D5", "its limits are "))
def the_end_of_an_authority_is_taken_away(copy):
    copy.change("UPDATE authority SET ends = NULL WHERE ends NOT NULL")


@finds(("D5", " certificates, and intended "))
def an_authority_counts_too_few(copy):
    copy.change("UPDATE authority SET issued = issued - 1 WHERE name = 'factory'")


@finds(("D5", "is more than the 2 that it may issue"))
def an_authority_issues_more_than_it_may(copy):
    change_event(copy, "authority-limited", lambda of: of.update(quota=2), authority="factory")
    copy.change("UPDATE authority SET quota = 2 WHERE name = 'factory'")


@finds(("D5", "was intended after its end"))
def an_authority_issues_after_its_end(copy):
    change_event(copy, "authority-limited", lambda of: of.update(ends=1), authority="factory")
    copy.change("UPDATE authority SET ends = 1 WHERE name = 'factory'")


# ---- Operators ----

@finds(("D5", " is in the log, and not kept"))
def the_word_of_an_operator_is_deleted(copy):
    copy.change("DELETE FROM approval WHERE operator = 'other'")


@finds(("D5", "other never said so"), ("D5", "was intended with 1 of 2 who approved"))
def the_word_of_an_operator_is_not_in_the_log(copy):
    copy.without("approved", operator="other")


@finds(("D5", " is in the log, and not kept"), ("D5", "never said so"))
def the_no_of_an_operator_becomes_a_yes(copy):
    change_event(copy, "approved", lambda of: of.update(approved=False), operator="other")


@finds(("D5", "was intended with 2 of 3 who approved"))
def a_request_needed_more_operators(copy):
    copy.change("UPDATE pending SET needed = 3")


@finds(("D5", "was intended with 0 of 2 who approved"))
def operators_approve_after_the_certificate(copy):
    entries = copy.entries()
    entries = [one for one in entries if "approved" not in one["event"]] + [
        one for one in entries if "approved" in one["event"]]
    copy.rewrite(entries)


@finds(("D5", "it is of no request"))
def a_request_is_deleted(copy):
    copy.change("DELETE FROM pending")


@finds(("D5", "an operator's word came after its end"))
def a_request_ended_before(copy):
    copy.change("UPDATE pending SET until = 0")


# ---- Suppliers ----

@finds(("D5", "it is 1 of acme, after 1"), ("D9", "the log and the row disagree on who sent it"))
def a_list_of_a_supplier_comes_twice(copy):
    copy.change("UPDATE list SET sequence = 1 WHERE sequence = 2")


@finds(("D9", "the log and the row disagree on who sent it"))
def the_supplier_of_a_list_is_forgotten(copy):
    copy.change("UPDATE list SET supplier = NULL, sequence = NULL WHERE sequence = 2")


@finds(("D9", "the log and the row disagree on who sent it"))
def a_list_is_deleted(copy):
    copy.change("DELETE FROM list WHERE sequence = 2")


@finds(("D5", "nobody knows acme"), ("D9", "its key was registered, and is gone"))
def a_supplier_is_deleted(copy):
    copy.change("DELETE FROM supplier")


@finds(("D9", "nobody registered its key"))
def a_supplier_has_another_key(copy):
    copy.change("UPDATE supplier SET spki = ?", flip(copy.row("SELECT spki FROM supplier")["spki"], -1))


@finds(("D5", "its last list was 2, and 1 is recorded"))
def the_number_of_a_supplier_goes_back(copy):
    copy.change("UPDATE supplier SET sequence = 1")
