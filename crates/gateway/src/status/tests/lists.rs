use super::*;
use crate::status::lists::{LISTS_MAX, OCTETS_MAX};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

fn lists(list: impl Fn(&CurrentCrl) -> Result<CurrentCrlShown, Fault> + Send + Sync + 'static) -> Arc<Lists> {
    Arc::new(Lists::new(Arc::new(Double { list: Box::new(list), ..Double::default() })))
}
fn shown(crl: Vec<u8>, len: usize, number: u64) -> CurrentCrlShown {
    let len = u64::try_from(len).unwrap();
    CurrentCrlShown { crl: crl.into(), len, number, this_update: NOW, next_update: NOW.plus_s(100) }
}
fn short(number: u64) -> CurrentCrlShown {
    shown(number.to_be_bytes().to_vec(), 8, number)
}

/// One list is asked for at these seconds, while km has these, none if 0; what is told, and how often km was asked.
#[track_caller]
fn check(steps: &[(u64, u64, Option<u64>)], asked: u64) {
    let (number, count) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let lists = {
        let (number, count) = (Arc::clone(&number), Arc::clone(&count));
        lists(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            match number.load(Ordering::Relaxed) {
                0 => Err(Fault::unavailable("km is off")),
                number => Ok(short(number)),
            }
        })
    };
    for (s, has, expected) in steps {
        number.store(*has, Ordering::Relaxed);
        let told = lists.get(&list("factory", 0, false), NOW.plus_s(*s));
        assert_eq!(told.ok().map(|kept| kept.number), *expected, "after {s} s");
    }
    assert_eq!(count.load(Ordering::Relaxed), asked);
}

#[test]
fn however_many_ask_km_is_asked_once_in_five_seconds() {
    check(&[(0, 1, Some(1)), (1, 2, Some(1)), (4, 2, Some(1)), (5, 2, Some(2)), (9, 3, Some(2))], 2);
}
#[test]
fn while_km_is_away_a_list_is_told_as_long_as_it_holds() {
    check(&[(0, 1, Some(1)), (50, 0, Some(1)), (100, 0, Some(1)), (101, 0, None)], 4);
}
#[test]
fn an_older_list_does_not_take_the_place_of_a_newer_one() {
    check(&[(0, 7, Some(7)), (10, 6, Some(7)), (20, 8, Some(8))], 3);
}
#[test]
fn under_a_clock_that_goes_back_km_is_asked() {
    check(&[(50, 1, Some(1)), (49, 2, Some(2))], 2);
}
#[test]
fn what_is_not_there_is_asked_again() {
    check(&[(0, 0, None), (0, 1, Some(1))], 2);
}
#[test]
fn while_km_is_away_it_is_not_asked_for_each_who_asks() {
    check(&[(0, 1, Some(1)), (10, 0, Some(1)), (12, 0, Some(1)), (14, 0, Some(1)), (15, 2, Some(2))], 3);
}
#[test]
fn under_a_clock_that_went_back_nothing_is_told_that_km_does_not_tell_now() {
    check(&[(50, 1, Some(1)), (49, 0, None)], 2);
    check(&[(50, 7, Some(7)), (49, 6, Some(6))], 2);
}

#[test]
fn who_asks_for_one_list_waits_for_nobody_who_asks_for_another() {
    let all: Arc<OnceLock<Arc<Lists>>> = Arc::default();
    let in_between = Arc::clone(&all);
    let made = lists(move |call| {
        if call.authority == name("slow") {
            let lists = Arc::clone(in_between.get().unwrap());
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || tell.send(lists.get(&list("factory", 0, false), NOW).is_ok()));
            if told.recv_timeout(Duration::from_secs(5)) != Ok(true) {
                return Err(Fault::unavailable("another list was waited for"));
            }
        }
        Ok(short(1))
    });
    let _once = all.set(Arc::clone(&made));
    assert!(made.get(&list("slow", 0, false), NOW).is_ok());
}
#[test]
fn names_that_are_none_take_no_room() {
    let lists = lists(|_| Err(NOT_ASKED));
    for n in 0..10 {
        assert!(lists.get(&list(&format!("none-{n}"), 0, false), NOW).is_err());
    }
    assert_eq!(lists.count_of(), 0);
}
#[test]
fn lists_that_are_there_take_no_more_room_than_so_many() {
    let lists = lists(|_| Ok(short(1)));
    for n in 0..2 * LISTS_MAX {
        assert!(lists.get(&list(&format!("one-{n}"), 0, false), NOW).is_ok());
        assert!(lists.count_of() <= LISTS_MAX);
    }
}
#[test]
fn nor_than_so_many_octets() {
    let long = OCTETS_MAX / 2 - 1;
    let lists = lists(move |_| Ok(shown(vec![0; long], long, 1)));
    for (n, kept) in [1, 2, 1, 2].into_iter().enumerate() {
        assert!(lists.get(&list(&format!("one-{n}"), 0, false), NOW).is_ok());
        assert_eq!(lists.count_of(), kept, "after {n}");
    }
}
#[test]
fn a_list_its_shard_and_what_changed_are_three() {
    let lists = lists(|call| Ok(short(u64::from(call.shard) * 2 + u64::from(call.delta))));
    for (shard, delta, number) in [(0, false, 0), (0, true, 1), (3, false, 6), (3, true, 7), (0, false, 0)] {
        assert_eq!(lists.get(&list("factory", shard, delta), NOW).unwrap().number, number);
    }
}

/// km has this list, and tells at most so many octets of it at once. From its so manieth message on it has the next one.
fn in_parts(octets: &'static [u8], at_once: usize, next_from: u64) -> Arc<Lists> {
    let messages = AtomicU64::new(0);
    lists(move |call| {
        let number = if messages.fetch_add(1, Ordering::Relaxed) + 1 >= next_from { 8 } else { 7 };
        let offset = match call.from {
            None => 0,
            Some(from) if from.number == number => usize::try_from(from.offset).unwrap(),
            Some(_) => return Err(Fault::malformed("there is another list by now")),
        };
        let rest = &octets[offset..];
        Ok(shown(rest[..rest.len().min(at_once)].to_vec(), octets.len(), number))
    })
}

#[test]
fn a_list_that_is_longer_than_a_message_comes_in_several() {
    for at_once in 1..=12 {
        let told = in_parts(b"a long list", at_once, u64::MAX).get(&list("factory", 0, false), NOW).unwrap();
        assert_eq!((told.der.as_ref(), told.number), (&b"a long list"[..], 7), "{at_once} at once");
    }
}
#[test]
fn where_another_takes_its_place_meanwhile_it_is_that_one() {
    for next_from in 2..=4 {
        let told = in_parts(b"a long list", 3, next_from).get(&list("factory", 0, false), NOW).unwrap();
        assert_eq!((told.der.as_ref(), told.number), (&b"a long list"[..], 8), "from message {next_from} on");
    }
}
#[test]
fn one_that_changes_for_ever_is_given_up() {
    let messages = AtomicU64::new(0);
    let lists = lists(move |call| match call.from {
        None => Ok(shown(vec![1], 2, messages.fetch_add(1, Ordering::Relaxed))),
        Some(_) => Err(Fault::malformed("there is another list by now")),
    });
    assert!(matches!(lists.get(&list("factory", 0, false), NOW), Err(Fault::Unavailable(_))));
}
#[test]
fn a_part_of_another_list_and_one_that_is_empty_are_not_taken() {
    for (number, part) in [(9, vec![1]), (7, vec![])] {
        let lists = lists(move |call| {
            Ok(match call.from {
                None => shown(vec![1], 2, 7),
                Some(_) => shown(part.clone(), 2, number),
            })
        });
        assert!(lists.get(&list("factory", 0, false), NOW).is_err());
    }
}
#[test]
fn one_without_end_is_not_begun() {
    let lists = lists(|call| match call.from {
        None => Ok(shown(vec![1], usize::MAX, 7)),
        Some(_) => panic!("it was begun"),
    });
    assert!(matches!(lists.get(&list("factory", 0, false), NOW), Err(Fault::Unavailable(_))));
}
