//! The bulk path of the benches leaves the same records as the normal one.

use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::sql::{FILE, Synthetic};
use ports::store::AuthorityStore;
use ports::store::authority::{IntentDraft, RecordDraft};
use rusqlite::types::Value;

/// Everything in a table, but what differs by chance: epochs, and the log's signature and its grouping.
fn contents(b: &Box_, table: &str) -> Vec<String> {
    if let Some(server) = &b.server {
        let mut client = postgres::Client::connect(&server.url, postgres::NoTls).unwrap();
        let rows = client.query(&format!("SELECT t::text FROM cradle.{table} t ORDER BY 1"), &[]).unwrap();
        return rows.iter().map(|row| row.get(0)).collect();
    }
    let connection = rusqlite::Connection::open(b.dir.join(FILE)).unwrap();
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values = (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<Vec<Value>>>()?;
        Ok(format!("{values:?}"))
    });
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}
fn certificate(n: u8) -> Vec<u8> {
    vec![0x30, n]
}
fn prepared(b: &Box_) -> (SqlStore, u64) {
    let store = b.open();
    let (name, profile) = ("factory".parse().unwrap(), "factory".parse().unwrap());
    let key = ports::keystore::KeyUri("file:factory".into());
    let id = store.begin_authority(&name, &key, None, &profile, NOW).unwrap().unwrap();
    (store, id)
}
fn intent(authority: u64, n: u8, grant: u64) -> IntentDraft {
    IntentDraft {
        transaction_id: transaction(n),
        requester: station(),
        authority,
        serial: serial(n),
        tbs_digest: digest(n),
        profile_digest: digest(200),
        grant,
        right: None,
        key: digest(n),
        at: NOW,
        not_after: NOW.plus_s(1000),
        shard: 0,
    }
}

#[test]
fn the_bulk_path_leaves_the_same_records() {
    let (one_by_one, bulk) = (Box_::new(), Box_::new());
    let (store, authority) = prepared(&one_by_one);
    let offers: Vec<_> = (0..9).map(offer).collect();
    store.deposit("bench", &offers, NOW).unwrap();
    let drafts: Vec<_> = (0..9).map(|n| intent(authority, n, grant(&store, u32::from(n)).id)).collect();
    let rows: Vec<_> = store.intend(drafts).unwrap().into_iter().map(row).collect();
    let records = rows.into_iter().zip(0..9).map(|(intent, n)| RecordDraft {
        intent,
        serial: serial(n),
        certificate: certificate(n),
        at: NOW,
    });
    store.record(records.collect()).unwrap();
    drop(store);
    let (store, authority) = prepared(&bulk);
    let synthetic = (0..9).map(|n| Synthetic {
        offer: offer(u32::from(n)),
        intent: intent(authority, n, 0),
        certificate: certificate(n),
    });
    assert_eq!(store.fill("bench", synthetic.collect()).unwrap(), 9);
    drop(store);
    for table in ["grant_", "issuance", "certificate", "word", "profile_version", "counter", "revocation", "authority"]
    {
        assert_eq!(contents(&bulk, table), contents(&one_by_one, table), "{table}");
    }
    // The log has the same entries and tree; here each kind stands together as in the normal path.
    assert_eq!(contents(&bulk, "audit"), contents(&one_by_one, "audit"));
}
