//! Batches of intents: each of them is held to what it rests on itself, and leaves marks and entries of its own.

use crate::support::*;
use adapters::store::SqlStore;
use adapters::store::marks::{self, Mark};
use model::contract::authority::GrantOffer;
use model::{Reason, UnixTime};
use ports::directory::Caller;
use ports::keystore::KeyUri;
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityLimits, AuthorityRow, IntentDraft, IntentOutcome};

/// A store with two authorities.
fn two() -> (Box_, SqlStore, u64, u64) {
    let b = Box_::new();
    let store = b.open();
    let first = ready(&store);
    let (name, key) = ("other".parse().unwrap(), KeyUri("file:other".into()));
    let second = store.begin_authority(&name, &key, None, &"factory".parse().unwrap(), NOW).unwrap().unwrap();
    (b, store, first, second)
}
fn row_of(store: &SqlStore, id: u64) -> AuthorityRow {
    store.authorities().unwrap().into_iter().find(|row| row.id == id).unwrap()
}
fn limit(store: &SqlStore, id: u64, limits: AuthorityLimits) {
    store.limit(&row_of(store, id), limits, NOW).unwrap();
}
/// What became of each: its refusal, if it was refused.
fn refusals(outcomes: Vec<IntentOutcome>) -> Vec<Option<Reason>> {
    let refusal = |outcome| match outcome {
        IntentOutcome::Durable(_) => None,
        IntentOutcome::Refused(reason) => Some(reason),
        other => panic!("{other:?}"),
    };
    outcomes.into_iter().map(refusal).collect()
}

#[test]
fn a_quota_ends_in_the_middle_of_a_batch_and_binds_its_own_authority_only() {
    let (_b, store, first, second) = two();
    limit(&store, first, AuthorityLimits { quota: Some(2), ..Default::default() });
    let of = |n| draft(&store, if n % 2 == 0 { first } else { second }, n);
    let outcomes = store.intend((0..8).map(of).collect()).unwrap();
    let spent = Some(Reason::AuthoritySpent);
    assert_eq!(refusals(outcomes), [None, None, None, None, spent, None, spent, None]);
    assert_eq!((grant(&store, 2).used, grant(&store, 4).used), (1, 0), "what is refused reserves nothing");
}
#[test]
fn an_end_comes_in_the_middle_of_a_batch_and_binds_its_own_authority_only() {
    let (_b, store, first, second) = two();
    limit(&store, first, AuthorityLimits { ends: Some(NOW), ..Default::default() });
    let at = |authority, n: u8| IntentDraft { at: NOW.plus_ms(u64::from(n / 2)), ..draft(&store, authority, n) };
    let outcomes = store.intend(vec![at(first, 0), at(second, 1), at(first, 2), at(second, 3)]).unwrap();
    assert_eq!(refusals(outcomes), [None, None, Some(Reason::AuthorityEnded), None]);
}
#[test]
fn the_marks_of_a_batch_name_each_its_own() {
    let (b, store, first, second) = two();
    let other = GrantOffer { profile: "tls-server".parse().unwrap(), ..offer(9) };
    store.deposit("list b", std::slice::from_ref(&other), NOW).unwrap();
    let grant = store.grants(&[(&other.subject, &other.profile)]).unwrap().remove(0).unwrap().id;
    let drafts =
        vec![draft(&store, first, 1), IntentDraft { grant, ..draft(&store, second, 2) }, draft(&store, first, 3)];
    for (n, outcome) in (1..).zip(store.intend(drafts).unwrap()) {
        assert!(record(&store, row(outcome), n));
    }
    let mut found = Vec::new();
    let name = marks::name_of("test", b.key.public_key());
    marks::read(&b.dir.join("marks"), &name, 0, &mut |mark| {
        if let Mark::Issued(mark) = mark {
            found.push((mark.serial, mark.authority, mark.subject, mark.profile, mark.not_after, mark.shard));
        }
    })
    .unwrap();
    let expected = |n: u8, authority: &str, of: u32, profile: &str| {
        let not_after: UnixTime = NOW.plus_s(1000 + u64::from(n));
        let (serial, subject) = (serial(n).to_string(), device(of).to_string());
        (serial, authority.to_owned(), subject, profile.to_owned(), not_after, u32::from(n % 2) + 1)
    };
    let first = [expected(1, "factory", 1, "idevid"), expected(2, "other", 9, "tls-server")];
    assert_eq!(found, [&first[..], &[expected(3, "factory", 3, "idevid")]].concat());
}
#[test]
fn each_of_a_batch_is_repeated_for_who_asked_it() {
    let (_b, store, first, _) = two();
    let others = Caller { instance: "line-2".parse().unwrap(), ..station() };
    let drafts = vec![
        draft(&store, first, 1),
        IntentDraft { requester: others.clone(), ..draft(&store, first, 2) },
        draft(&store, first, 3),
    ];
    for (n, outcome) in (1..).zip(store.intend(drafts).unwrap()) {
        assert!(record(&store, row(outcome), n));
    }
    let again = |caller: &Caller, n: u8| {
        let id = grant(&store, u32::from(n)).id;
        store.repeated(caller, transaction(n), id, digest(n)).unwrap().is_some()
    };
    assert_eq!([again(&station(), 1), again(&others, 2), again(&station(), 3)], [true; 3]);
    assert_eq!([again(&others, 1), again(&station(), 2), again(&others, 3)], [false; 3]);
}
#[test]
fn an_authority_that_another_took_the_place_of_issues_nothing() {
    let (b, store, first, second) = two();
    drop(store);
    b.sql("UPDATE authority SET retired = 1 WHERE name = 'factory'");
    let store = b.open();
    let outcomes = store.intend(vec![draft(&store, first, 1), draft(&store, second, 2)]).unwrap();
    assert_eq!(refusals(outcomes), [Some(Reason::AuthorityEnded), None]);
}
