"""Plants for `plants.py`: octets that are absent, and should not be (D2, D3, D7).

Library. They need what history.py made.
"""
from plants_standing import change_event
from tamper import planter

PLANTS = []
finds = planter(PLANTS)

PURGED = "id = (SELECT id FROM certificate WHERE length(der) = 0)"


@finds(("D3", "they have no octets, and 1 were purged"), ("D3", "it was purged before it had expired, or too early"))
def a_certificate_is_emptied_in_silence(copy):
    copy.change("UPDATE certificate SET der = x'' WHERE id = ?", copy.device()["issuance"])


@finds(("D3", "it was purged before it had expired, or too early"))
def a_certificate_was_purged_too_early(copy):
    change_event(copy, "purged", lambda of: of.update(before=of["before"] - 3_600_000))


@finds(("D3", "what had not expired was purged"))
def a_purge_reaches_into_the_future(copy):
    change_event(copy, "purged", lambda of: of.update(before=of["before"] + 3_600_000))


@finds(("D3", "it was purged, and is of no device"))
def the_certificate_of_a_module_is_purged(copy):
    copy.change("UPDATE certificate SET der = x'' WHERE id = (SELECT i.id FROM issuance i JOIN grant_ g "
                "ON g.id = i.grant_id WHERE g.subject LIKE 'module:%')")


@finds(("D3", "they have no octets, and 0 were purged"))
def a_purge_is_not_in_the_log(copy):
    copy.without("purged")


@finds(("D2", "it was purged, and was never issued"))
def what_was_purged_was_never_issued(copy):
    copy.without("issued", serial=copy.row(f"SELECT lower(hex(serial)) AS serial FROM issuance WHERE {PURGED}")["serial"])


@finds(("D7", "they have no octets, and 0 were purged"), ("D7", "it is gone, and none took its place"))
def the_last_list_is_gone(copy):
    copy.change("UPDATE crl SET der = NULL WHERE number = (SELECT max(number) FROM crl n WHERE n.base IS NULL "
                "AND n.authority = crl.authority AND n.shard = crl.shard)")


@finds(("D3", "the board holds other octets than are stored"))
def the_log_says_that_a_purged_certificate_was_another(copy):
    device = copy.device()
    copy.change("UPDATE certificate SET der = x'' WHERE id = ?", device["issuance"])
    change_event(copy, "issued", lambda of: of.update(certificate="00" * 32), serial=device["certificate"])
