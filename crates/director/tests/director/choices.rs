//! What holds of every choice and every roll-out, whatever there is and whatever comes.

use crate::support::{House, Unit, id, name, offer, plan, refused};
use director::{
    Assignment, Audience, Catalogue, Conflict, Has, Image, Outcome, Plan, Requirement, Rollout, Scope, Standing, State,
    Subject, choose,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn device(n: u32) -> director::Device {
    let mut device = DEVICE.with(Clone::clone);
    device.id = id(&n.to_string());
    if n.is_multiple_of(7) {
        device.groups.insert(name("canary"));
    }
    device
}
thread_local! {
    static DEVICE: director::Device =
        Unit::new("0", &[("modem", "modem.a"), ("radio", "modem.a")], &[]).device;
}

fn outcomes() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(prop::bool::weighted(0.9), 0..200)
}
fn audience() -> impl Strategy<Value = Vec<(Audience, u64)>> {
    let percents = prop::collection::btree_set(1_u8..=100, 1..4);
    (any::<bool>(), percents, 1_u64..20).prop_map(|(canary, percents, answers)| {
        let canary = canary.then(|| (Audience::Group(name("canary")), answers));
        canary.into_iter().chain(percents.into_iter().map(|p| (Audience::Percent(p), answers))).collect()
    })
}
fn heard(rollout: &mut Rollout, installed: bool) {
    rollout.report(if installed { Outcome::Installed } else { Outcome::Failed });
}

proptest! {
    // Who got it at one stage gets it at the next; nobody new gets it while it is stopped.
    #[test]
    fn nobody_loses_it_by_progress(stages in audience(), outcomes in outcomes()) {
        let mut rollout = Rollout::begin(plan("p", "a", &stages), 1).unwrap();
        let given = |rollout: &Rollout| (0..50).map(|n| rollout.gives(&device(n))).collect::<Vec<_>>();
        let mut before = given(&rollout);
        for installed in outcomes {
            heard(&mut rollout, installed);
            let now = given(&rollout);
            match rollout.state() {
                State::Halted | State::Paused => prop_assert!(!now.contains(&true)),
                State::Running | State::Finished => {
                    prop_assert!(before.iter().zip(&now).all(|(before, now)| *now || !before));
                    before = now;
                }
            }
        }
    }
    // It goes on only when enough have answered and enough of them succeeded; it halts only when too many failed.
    #[test]
    fn it_goes_on_and_halts_for_a_reason(stages in audience(), outcomes in outcomes()) {
        let mut rollout = Rollout::begin(plan("p", "a", &stages), 1).unwrap();
        let (mut installed, mut failed) = (0_u64, 0_u64);
        for outcome in outcomes {
            let stage = rollout.stage();
            let was = rollout.state();
            heard(&mut rollout, outcome);
            if was != State::Running {
                prop_assert_eq!((rollout.state(), rollout.stage()), (was, stage), "it moved while it stood");
                continue;
            }
            if outcome { installed += 1 } else { failed += 1 }
            let answers = stages[stage].1;
            let all = installed + failed;
            let too_many = failed * 100 > 20 * all.max(answers);
            prop_assert_eq!(rollout.state() == State::Halted, too_many);
            let goes_on = !too_many && all >= answers && installed * 100 >= 80 * all;
            prop_assert_eq!(rollout.stage(), stage + usize::from(goes_on));
            if goes_on {
                (installed, failed) = (0, 0);
            }
        }
    }
    // So many of a hundred, more or less, and others for another roll-out.
    #[test]
    fn percentages_are_percentages(percent in 1_u8..=100) {
        let rollout = |called: &str| Rollout::begin(plan(called, "a", &[(Audience::Percent(percent), 1)]), 1).unwrap();
        let given = |rollout: &Rollout| (0..2000).filter(|n| rollout.gives(&device(*n))).collect::<Vec<_>>();
        let (one, other) = (given(&rollout("one")), given(&rollout("other")));
        let expected = usize::from(percent) * 20;
        prop_assert!(one.len().abs_diff(expected) < 150, "{} of {expected}", one.len());
        prop_assert!(percent > 90 || one != other);
    }
}

const IMAGES: [&str; 4] = ["a", "b", "c", "d"];
fn image() -> impl Strategy<Value = String> {
    prop::sample::select(IMAGES.to_vec()).prop_map(str::to_owned)
}
fn component() -> impl Strategy<Value = director::Name> {
    prop::sample::select(vec!["modem", "radio"]).prop_map(name)
}
fn catalogue() -> impl Strategy<Value = Catalogue> {
    let standing = prop::sample::select(vec![Standing::Offered, Standing::Deprecated, Standing::Recalled]);
    let hardware = prop::sample::select(vec!["modem.a", "modem.b"]);
    let about = (0_u64..4, standing, hardware);
    let images = prop::collection::vec(about, IMAGES.len()).prop_map(|all| {
        let image = |(called, (counter, standing, hardware)): (&&str, (u64, Standing, &str))| {
            ((*called).to_owned(), Image { offer: offer(called, counter, &[hardware]), standing })
        };
        IMAGES.iter().zip(all).map(image).collect::<BTreeMap<_, _>>()
    });
    let scope = prop_oneof![Just(Scope::Type("gateway".parse().unwrap())), Just(Scope::Group(name("canary")))];
    let assignment =
        (scope, component(), image()).prop_map(|(scope, component, image)| Assignment { scope, component, image });
    let required = prop::option::of((component(), 0_u64..4));
    let conflict = prop::option::of((component(), image()));
    let rollout = (component(), image(), required, conflict);
    let rollouts = prop::collection::vec(rollout, 0..4).prop_map(|all| {
        let rollout =
            |(n, (component, image, required, conflict)): (usize, (director::Name, String, Option<_>, Option<_>))| {
                let requires: Vec<_> = required
                    .filter(|(of, _)| *of != component)
                    .map(|(component, release_counter)| Requirement { component, release_counter })
                    .into_iter()
                    .collect();
                let conflicts = conflict.map(|(component, image)| Conflict { component, image }).into_iter().collect();
                let plan = plan(&format!("p{n}"), &image, &[(Audience::Percent(100), 1)]);
                Rollout::begin(Plan { component, requires, conflicts, ..plan }, n.try_into().unwrap()).unwrap()
            };
        all.into_iter().enumerate().map(rollout).collect::<Vec<_>>()
    });
    (images, prop::collection::vec(assignment, 0..4), rollouts).prop_map(|(images, assignments, rollouts)| Catalogue {
        images,
        assignments,
        rollouts,
    })
}

proptest! {
    #[test]
    fn every_choice_can_be_carried(
        catalogue in catalogue(),
        n in 0_u32..14,
        has in prop::collection::btree_map(component(), (image(), 0_u64..4, any::<bool>()), 0..3),
    ) {
        let device = device(n);
        let has: BTreeMap<_, _> = has
            .into_iter()
            .map(|(component, (image, release_counter, known))| (component, Has { image, release_counter, known }))
            .collect();
        let choice = choose(&Subject { device: &device, has: &has }, &catalogue);
        for (component, chosen) in &choice {
            let offer = &chosen.image.offer;
            let before = has.get(*component);
            let carries = before.is_some_and(|has| has.known && has.image == offer.name());
            prop_assert!(offer.hardware_ids().contains(&device.components[*component].hardware_id));
            prop_assert!(before.is_none_or(|has| offer.counter() >= has.release_counter));
            let may = match chosen.image.standing {
                Standing::Offered => true,
                Standing::Deprecated => carries,
                Standing::Recalled => false,
            };
            prop_assert!(may);
            let Some(rollout) = chosen.rollout.filter(|_| !carries) else { continue };
            for required in &rollout.plan().requires {
                let gets = choice.get(&required.component).map(|chosen| chosen.image.offer.counter());
                let had = has.get(&required.component).map(|has| has.release_counter);
                prop_assert!(gets.max(had) >= Some(required.release_counter));
            }
            for conflict in &rollout.plan().conflicts {
                let gets = choice.get(&conflict.component).map(|chosen| chosen.image.offer.name());
                let had = has.get(&conflict.component).map(|has| has.image.as_str());
                prop_assert!(gets != Some(&conflict.image) && had != Some(&conflict.image));
            }
        }
    }
}

#[test]
fn what_the_integrator_did_not_sign_is_neither_taken_nor_given() {
    let house = House::new();
    let signed_by = |agreeing: u64| {
        let kept = String::from_utf8(offer("os-1", 1, &["modem.a"]).keep()).unwrap();
        let kept = kept.replacen('{', &format!("{{\"agreeing\":{agreeing},"), 1);
        update::uptane::Offer::kept(kept.as_bytes()).unwrap()
    };
    let unit = Unit::modem("SN1");
    house.register(&unit);
    let demand = |roles| house.director.demand(&"modem.a".parse().unwrap(), roles).unwrap();
    demand(2);
    refused(house.director.take(signed_by(1)), "signed by 1 roles");
    house.director.take(signed_by(2)).unwrap();
    house.director.assign_to(&unit.device.id, &name("modem"), "os-1").unwrap();
    // Other hardware is not meant; what was taken before it was demanded is not given.
    house.director.take(offer("os-2", 1, &["radio.b"])).unwrap();
    demand(3);
    refused(house.director.assign_to(&unit.device.id, &name("modem"), "os-1"), "demands 3");
    // Who signs later is counted when it is taken again.
    house.director.take(signed_by(3)).unwrap();
    house.director.assign_to(&unit.device.id, &name("modem"), "os-1").unwrap();
}
