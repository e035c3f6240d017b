//! What the broker lets each module do: every address is tried with the key of every module on a real server.

use crate::nats::{setting, site};
use crate::server::Server;
use adapters::bus::NatsBus;
use adapters::bus::nats::configuration::{Known, configuration};
use adapters::bus::nats::credentials::Login;
use adapters::bus::nats::events::{self, Follower};
use adapters::bus::nats::{EventLog, Permission, Setting, Site};
use adapters::clock::{SystemClock, SystemEntropy};
use async_nats::{Client, ConnectOptions, Event};
use futures_util::StreamExt;
use model::callers::{CALLERS_TOML, Callers};
use model::contract::Subject;
use model::{Fault, Module};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Two boxes, and somebody who signs in as a module of one of them.
struct Broker {
    server: Server,
    seeds: BTreeMap<(&'static str, Module), String>,
}

const BOXES: [&str; 2] = ["box", "other"];

impl Broker {
    fn start() -> Self {
        let callers = Callers::read(CALLERS_TOML).unwrap();
        let (mut seeds, mut users) = (BTreeMap::new(), Vec::new());
        for name in BOXES {
            for module in Module::ALL {
                let login = Login::make(&SystemEntropy::default()).unwrap();
                let permission = Permission::of(module, &site(name), &callers);
                seeds.insert((name, module), login.seed.to_string());
                users.push(Known { module, site: site(name), public_key: login.public_key, permission });
            }
        }
        let users: Vec<_> = users.iter().collect();
        let server = Server::with(&configuration("127.0.0.1:PORT", Path::new("DIR/jetstream"), &users));
        Self { server, seeds }
    }

    async fn sign_in(&self, name: &'static str, module: Module) -> Client_ {
        let denied: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let told = Arc::clone(&denied);
        let options = ConnectOptions::new()
            .nkey(self.seeds[&(name, module)].clone())
            .custom_inbox_prefix(site(name).inbox(module))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    told.lock().unwrap().insert(error.to_string());
                }
                async {}
            });
        let client = options.connect(self.server.address()).await.unwrap();
        let fence = client.new_inbox();
        let back = client.subscribe(fence.clone()).await.unwrap();
        Client_ { client, fence, back, denied }
    }
}

struct Client_ {
    client: Client,
    fence: String,
    back: async_nats::Subscriber,
    denied: Arc<Mutex<BTreeSet<String>>>,
}

impl Client_ {
    /// Waits until the server has said what it has to say.
    async fn settle(&mut self) -> bool {
        self.client.publish(self.fence.clone(), "".into()).await.unwrap();
        self.back.next().await.unwrap();
        // The library hands on errors on a task of its own, of this thread.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        self.denied.lock().unwrap().is_empty()
    }
    async fn may_publish(&mut self, address: &str) -> bool {
        self.denied.lock().unwrap().clear();
        self.client.publish(address.to_owned(), "".into()).await.unwrap();
        self.settle().await
    }
    async fn may_hear(&mut self, address: &str, group: Option<&str>) -> bool {
        self.denied.lock().unwrap().clear();
        let subscribed = match group {
            None => self.client.subscribe(address.to_owned()).await,
            Some(group) => self.client.queue_subscribe(address.to_owned(), group.to_owned()).await,
        };
        let _heard = subscribed.unwrap();
        self.settle().await
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// The address of a call of this box, and whether it is one that stays there. Written out here once more.
fn address(name: &str, to: Module, subject: Subject) -> (String, bool) {
    if subject == Subject::ModeLease || to == Module::Supervisor {
        (format!("cradle.test.box.{name}.{to}.{subject}"), true)
    } else if to == Module::Provisioning {
        (format!("cradle.test.station.{name}.{to}.{subject}"), true)
    } else {
        (format!("cradle.test.{to}.{subject}"), false)
    }
}

#[test]
fn a_module_may_publish_the_calls_that_it_may_make() {
    let callers: toml::Table = toml::from_str(CALLERS_TOML).unwrap();
    let may = |module: Module, subject: Subject| {
        callers[subject.as_str()].as_array().unwrap().iter().any(|name| name.as_str() == Some(module.name()))
    };
    let broker = Broker::start();
    run(async {
        let (mut allowed, mut tried) = (0, 0);
        for (name, module) in broker.seeds.keys() {
            let mut client = broker.sign_in(name, *module).await;
            for (subject, to, home) in everywhere() {
                let (address, stays) = address(home, to, *subject);
                let is_answered_there = *subject == Subject::ModeLease || subject.module() == to;
                let expected = may(*module, *subject) && is_answered_there && (!stays || home == *name);
                assert_eq!(client.may_publish(&address).await, expected, "{module} on {name} to {address}");
                (tried, allowed) = (tried + 1, allowed + usize::from(expected));
            }
        }
        assert_eq!(tried, 2 * 7 * Subject::ALL.len() * 7 * 2);
        assert!(allowed > 60, "{allowed}");
    });
}

/// Each subject to each module, on each box.
fn everywhere() -> impl Iterator<Item = (&'static Subject, Module, &'static str)> {
    let modules = || Module::ALL.into_iter().flat_map(|to| BOXES.map(|home| (to, home)));
    Subject::ALL.iter().flat_map(move |subject| modules().map(move |(to, home)| (subject, to, home)))
}

#[test]
fn a_module_hears_its_own_calls_and_answers_and_nothing_else() {
    let broker = Broker::start();
    run(async {
        for (name, module) in broker.seeds.keys() {
            let mut client = broker.sign_in(name, *module).await;
            for (home, other) in BOXES.into_iter().flat_map(|home| Module::ALL.map(|other| (home, other))) {
                let Site { domain, .. } = site(home);
                let is_own = other == *module && home == *name;
                let inbox = format!("_INBOX.{domain}.{home}.{other}.>");
                assert_eq!(client.may_hear(&inbox, None).await, is_own, "{module} on {name} hears {inbox}");
                let lease = format!("cradle.{domain}.box.{home}.{other}.mode.lease");
                assert_eq!(client.may_hear(&lease, None).await, is_own, "{module} on {name} hears {lease}");
                let (calls, is_own) = match other {
                    Module::Supervisor => (format!("cradle.{domain}.box.{home}.{other}.>"), is_own),
                    Module::Provisioning => (format!("cradle.{domain}.station.{home}.{other}.>"), is_own),
                    _ => (format!("cradle.{domain}.{other}.>"), other == *module),
                };
                let group = other.name();
                assert_eq!(client.may_hear(&calls, Some(group)).await, is_own, "{module} on {name} hears {calls}");
                assert!(!client.may_hear(&calls, None).await, "{module} on {name} hears all {calls}");
                assert!(!client.may_hear(&calls, Some("another")).await, "{module} on {name} hears all {calls}");
            }
            for all in [">", "cradle.>", "_INBOX.>", "$SYS.>", "$JS.>"] {
                assert!(!client.may_hear(all, None).await, "{module} on {name} hears {all}");
            }
        }
    });
}

#[test]
fn answers_go_to_callers_only() {
    let broker = Broker::start();
    run(async {
        for module in Module::ALL {
            let mut client = broker.sign_in("box", module).await;
            for (home, other) in BOXES.into_iter().flat_map(|home| Module::ALL.map(|other| (home, other))) {
                let inbox = format!("{}.forged.1", site(home).inbox(other));
                let is_own = other == module && home == "box";
                assert_eq!(client.may_publish(&inbox).await, is_own, "{module} into {inbox}");
            }
        }
        // Asked once, a module answers once.
        let (mut asker, mut asked) =
            (broker.sign_in("box", Module::Console).await, broker.sign_in("box", Module::Authority).await);
        let mut calls = asked.client.queue_subscribe("cradle.test.authority.>", "authority".to_owned()).await.unwrap();
        assert!(asked.settle().await);
        let reply_to = format!("{}.1", asker.client.new_inbox());
        let call = address("box", Module::Authority, Subject::AuthorityCrl).0;
        asker.client.publish_with_reply(call, reply_to.clone(), "".into()).await.unwrap();
        assert!(asker.settle().await);
        let call = calls.next().await.unwrap();
        assert_eq!(call.reply.unwrap().as_str(), reply_to);
        assert!(asked.may_publish(&reply_to).await);
        assert!(!asked.may_publish(&reply_to).await);
    });
}

#[test]
fn events_are_published_by_supervisors_and_managed_by_nobody_else() {
    let broker = Broker::start();
    run(async {
        for (name, module) in broker.seeds.keys() {
            let mut client = broker.sign_in(name, *module).await;
            for home in BOXES {
                let expected = *module == Module::Supervisor && home == *name;
                let address = format!("cradle.test.events.{home}");
                assert_eq!(client.may_publish(&address).await, expected, "{module} on {name} to {address}");
            }
            for verb in ["STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.DELETE", "STREAM.UPDATE"] {
                let address = format!("$JS.API.{verb}.CRADLE_EVENTS_test");
                assert!(!client.may_publish(&address).await, "{module} on {name} to {address}");
            }
        }
    });
}

#[test]
fn supervisors_publish_events_and_the_console_follows_them() {
    struct Seen(Mutex<Vec<u64>>);
    impl Follower for Seen {
        fn next(&self, _: &str) -> Result<u64, Fault> {
            Ok(self.0.lock().unwrap().len().try_into().unwrap())
        }
        fn take(&self, _: &str, event: &events::Event) -> Result<(), Fault> {
            self.0.lock().unwrap().push(event.number);
            Ok(())
        }
    }
    let broker = Broker::start();
    let bus = |name: &'static str, module: Module| {
        let seed = broker.server.directory.path().join(format!("{name}.{module}"));
        std::fs::write(&seed, &broker.seeds[&(name, module)]).unwrap();
        let setting = Setting { seed: Some(seed), ..setting(broker.server.address(), site(name), module) };
        NatsBus::open(&setting, Arc::new(SystemClock)).unwrap()
    };
    let supervisor = bus("box", Module::Supervisor);
    let log = EventLog::open(&supervisor).unwrap();
    for number in 0..3 {
        log.publish("log", &events::Event { number, octets: vec![1] }).unwrap();
    }
    let (console, seen) = (bus("other", Module::Console), Seen(Mutex::default()));
    let events = EventLog::open(&console).unwrap();
    assert_eq!(events.follow("console", &seen, Duration::from_millis(100)), Ok(3));
    assert_eq!(*seen.0.lock().unwrap(), [0, 1, 2]);
}
