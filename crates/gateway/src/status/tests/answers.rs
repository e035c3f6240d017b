use super::*;
use crate::status::answers::KEPT_MAX;
use model::contract::authority::STANDING_LENT_MS;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};

fn golden(answer: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rfc6960");
    std::fs::read(folder.join(format!("cryptography-50.0.2-response-{answer}.der"))).unwrap()
}

/// km, the clocks, and the answers.
struct Scene {
    edge: AtomicU64,
    is_away: AtomicBool,
    elapsed_ms: AtomicU64,
    now_s: AtomicU64,
    /// How many requests were in each message.
    messages: Mutex<Vec<usize>>,
    /// What the first message waits for.
    wait: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

struct At(Arc<Scene>);
impl Clock for At {
    fn now(&self) -> UnixTime {
        NOW.plus_s(self.0.now_s.load(Ordering::SeqCst))
    }
}

/// km says this, whatever it is asked.
fn scene(answer: &str) -> (Arc<Scene>, Arc<Answers>) {
    let scene = Arc::new(Scene {
        edge: AtomicU64::new(5),
        is_away: AtomicBool::new(false),
        elapsed_ms: AtomicU64::new(1000),
        now_s: AtomicU64::new(0),
        messages: Mutex::default(),
        wait: Mutex::default(),
    });
    let (km, clock, ticks) = (Arc::clone(&scene), At(Arc::clone(&scene)), Arc::clone(&scene));
    let answer = golden(answer);
    let ocsp = move |call: &AnswerOcsp| {
        km.messages.lock().unwrap().push(call.requests.len());
        let waits = km.wait.lock().unwrap().take();
        let edge = km.edge.load(Ordering::SeqCst);
        if let Some((here, go_on)) = waits {
            here.send(()).unwrap();
            go_on.recv().unwrap();
        }
        if km.is_away.load(Ordering::SeqCst) {
            return Err(NOT_ASKED);
        }
        Ok(OcspAnswered { responses: vec![answer.clone().into(); call.requests.len()], edge: Some(edge) })
    };
    let km = Arc::new(Double { ocsp: Box::new(ocsp), ..Double::default() });
    let elapsed_ms = Box::new(move || ticks.elapsed_ms.load(Ordering::SeqCst));
    (scene, Arc::new(Answers::new(km, Arc::new(clock), elapsed_ms)))
}

impl Scene {
    fn messages(&self) -> Vec<usize> {
        self.messages.lock().unwrap().clone()
    }
}

/// One who asks, while km holds back its answer.
struct Held {
    go_on: mpsc::Sender<()>,
    asking: std::thread::JoinHandle<bool>,
}

impl Held {
    fn new(scene: &Scene, answers: &Arc<Answers>) -> Self {
        let ((here, came), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
        *scene.wait.lock().unwrap() = Some((here, goes_on));
        let answers = Arc::clone(answers);
        let asking = std::thread::spawn(move || answers.to(vec![1]).is_ok());
        came.recv().unwrap();
        Self { go_on, asking }
    }
    fn go_on(self) {
        self.go_on.send(()).unwrap();
        assert!(self.asking.join().unwrap());
    }
}

/// The same is asked after so many milliseconds each; the messages that km had.
#[track_caller]
fn check(answer: &str, after_ms: &[u64], messages: &[usize]) {
    let (scene, answers) = scene(answer);
    for ms in after_ms {
        scene.elapsed_ms.fetch_add(*ms, Ordering::SeqCst);
        assert_eq!(answers.to(vec![1]).unwrap().response.as_ref(), golden(answer));
    }
    assert_eq!(scene.messages(), messages);
}

#[test]
fn what_was_said_is_said_again_while_kms_word_holds() {
    check("good-by-issuer", &[0, 0, 9], &[1]);
    check("revoked", &[0, 0, 9], &[1]);
}
#[test]
fn when_half_its_time_is_over_the_word_is_renewed_and_nothing_else_is_asked() {
    check("good-by-issuer", &[0, 10, 9, 1, 9], &[1, 0, 0]);
}
#[test]
fn when_its_time_is_over_nothing_is_said_that_km_does_not_say_now() {
    check("good-by-issuer", &[0, STANDING_LENT_MS, STANDING_LENT_MS], &[1, 1, 1]);
}
#[test]
fn an_answer_to_a_nonce_is_said_once() {
    check("good-nonce", &[0, 0, 0], &[1, 1, 1]);
}
#[test]
fn of_what_is_not_issued_km_is_asked_each_time() {
    check("unknown", &[0, 0, 0], &[1, 1, 1]);
}
#[test]
fn errors_are_not_kept() {
    check("try-later", &[0, 0], &[1, 1]);
    check("unauthorized", &[0, 0], &[1, 1]);
}

#[test]
fn when_something_is_revoked_km_is_asked_again() {
    let (scene, answers) = scene("good-by-issuer");
    answers.to(vec![1]).unwrap();
    scene.edge.store(6, Ordering::SeqCst);
    scene.elapsed_ms.fetch_add(STANDING_LENT_MS / 2, Ordering::SeqCst);
    answers.to(vec![1]).unwrap();
    // What was said before is not said again either when the word is lent anew.
    answers.to(vec![2]).unwrap();
    answers.to(vec![1]).unwrap();
    assert_eq!(scene.messages(), [1, 0, 1, 1]);
}
#[test]
fn the_time_counts_from_before_km_was_asked() {
    let (scene, answers) = scene("good-by-issuer");
    let held = Held::new(&scene, &answers);
    scene.elapsed_ms.fetch_add(STANDING_LENT_MS, Ordering::SeqCst);
    held.go_on();
    answers.to(vec![1]).unwrap();
    assert_eq!(scene.messages(), [1, 1]);
}
#[test]
fn while_one_renews_the_word_the_others_go_by_it_and_no_longer_than_it_holds() {
    let (scene, answers) = scene("good-by-issuer");
    answers.to(vec![1]).unwrap();
    scene.elapsed_ms.fetch_add(STANDING_LENT_MS / 2, Ordering::SeqCst);
    let held = Held::new(&scene, &answers);
    answers.to(vec![1]).unwrap();
    assert_eq!(scene.messages(), [1, 0]);
    scene.elapsed_ms.fetch_add(STANDING_LENT_MS / 2, Ordering::SeqCst);
    answers.to(vec![1]).unwrap();
    assert_eq!(scene.messages(), [1, 0, 1]);
    held.go_on();
}
#[test]
fn a_word_that_comes_late_does_not_take_the_place_of_a_newer_one() {
    let (scene, answers) = scene("good-by-issuer");
    answers.to(vec![1]).unwrap();
    scene.elapsed_ms.fetch_add(STANDING_LENT_MS / 2, Ordering::SeqCst);
    let held = Held::new(&scene, &answers);
    // Meanwhile something is revoked, and another question learns that.
    scene.edge.store(6, Ordering::SeqCst);
    scene.elapsed_ms.fetch_add(1, Ordering::SeqCst);
    answers.to(vec![2]).unwrap();
    held.go_on();
    let before = scene.messages().len();
    answers.to(vec![1]).unwrap();
    assert_eq!(scene.messages().len(), before + 1, "the older word was believed");
}
#[test]
fn without_km_nothing_is_said_behind_its_time() {
    let (scene, answers) = scene("good-by-issuer");
    answers.to(vec![1]).unwrap();
    scene.is_away.store(true, Ordering::SeqCst);
    assert!(answers.to(vec![1]).is_ok());
    scene.elapsed_ms.fetch_add(STANDING_LENT_MS, Ordering::SeqCst);
    assert!(answers.to(vec![1]).is_err());
}
#[test]
fn an_answer_is_kept_for_a_minute() {
    let (scene, answers) = scene("good-by-issuer");
    for (s, messages) in [(0, 1), (59, 1), (60, 2), (30, 3)] {
        scene.now_s.store(s, Ordering::SeqCst);
        answers.to(vec![1]).unwrap();
        assert_eq!(scene.messages().len(), messages, "after {s} s");
    }
}
#[test]
fn no_more_than_so_many_are_kept_and_no_long_ones() {
    let (scene, answers) = scene("good-by-issuer");
    for n in 0..=KEPT_MAX {
        answers.to(n.to_be_bytes().to_vec()).unwrap();
    }
    let before = scene.messages().len();
    answers.to(KEPT_MAX.to_be_bytes().to_vec()).unwrap();
    assert_eq!(scene.messages().len(), before);
    answers.to(0_usize.to_be_bytes().to_vec()).unwrap();
    assert_eq!(scene.messages().len(), before + 1);
    for _ in 0..2 {
        answers.to(vec![1; 513]).unwrap();
    }
    assert_eq!(scene.messages().len(), before + 3);
}
