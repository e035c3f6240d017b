//! `cradle ceremony`: key ceremonies as data.

mod approvals;
mod around;
mod rehearse;
mod room;
mod run;
mod seal;
mod show;
mod split;
mod steps;

use super::{Common, shares};
use crate::compose::Workshop;
use crate::config::Config;
use crate::fault::{Exit, Failure, Result, exit_of};
use ceremony::{Finding, Plan};
use model::mode::Binding;
use model::{Mode, OperatorName, Reason};
use rehearse::{Real, Throwaway};
use room::Room;
use run::Run;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Key ceremonies: plans that several operators approve, and transcripts of what was done.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Say in plain words what a plan does, and everything that is wrong with it.
    Check {
        /// The plan, a TOML file (docs/ceremony.md).
        plan: PathBuf,
    },
    /// Carry a plan out with throw-away keys in a throw-away installation. Nothing of this installation changes.
    Rehearse {
        /// The plan.
        plan: PathBuf,
        /// Keep transcript, outputs and shares in this directory, which must be new or empty.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Approve a plan: the operator's key signs its digest.
    Approve {
        /// The plan.
        plan: PathBuf,
        /// Who approves it: the only operator, if nobody is named.
        #[arg(long, env = "CRADLE_OPERATOR")]
        operator: Option<OperatorName>,
    },
    /// Carry out a plan that enough operators approved. Needs the mode `ceremony`. After an interruption the same command
    /// goes on where it stopped.
    Run {
        /// The plan.
        plan: PathBuf,
        /// Write transcript, outputs and shares into this directory.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Check a transcript: its signatures, its journal, and the files beside it.
    Verify {
        /// The transcript, transcript.json.
        transcript: PathBuf,
        /// Check also that this is the plan that was carried out.
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// What is trusted: the certificate of the authority that certifies operators, or audit.pub. If nothing is named,
        /// those of this installation.
        #[arg(long = "anchor", value_name = "FILE")]
        anchors: Vec<PathBuf>,
    },
    /// List the ceremonies of this installation.
    List,
    /// Show how far a ceremony has come.
    Show {
        /// Its name, or the beginning of the digest of its plan.
        ceremony: String,
    },
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    match arguments.verb {
        Verb::Check { plan } => check(common, &plan),
        Verb::Rehearse { plan, to } => rehearse(common, &plan, to.as_deref()),
        Verb::Approve { plan, operator } => approve(common, &plan, operator.as_ref()),
        Verb::Run { plan, to } => live(common, &plan, &to),
        Verb::Verify { transcript, plan, anchors } => seal::verify(common, &transcript, plan.as_deref(), &anchors),
        Verb::List => show::list(common),
        Verb::Show { ceremony } => show::show(common, &ceremony),
    }
}

/// What a plan does, as numbered sentences.
fn told(plan: &Plan) -> String {
    let operators: Vec<_> = plan.operators.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{}: {}\nSHA-256 {}\n{} of {} operators must approve: {}\n",
        plan.ceremony,
        plan.purpose,
        plan.digest(),
        plan.approvals,
        plan.operators.len(),
        operators.join(", "),
    );
    for (n, step) in plan.steps.iter().enumerate() {
        text.push_str(&format!("{:>3}. {}\n", n + 1, ceremony::words(step)));
    }
    text
}

fn check(common: &Common, path: &Path) -> Result {
    let read =
        around::read(path)?.map_err(|findings| around::wrong(&findings, &format!("{} is no plan", path.display())))?;
    let mut findings = read.findings;
    let here = Config::read(&common.data).is_ok();
    if here {
        findings.extend(fitting(common, &read.plan)?);
    }
    let words: Vec<_> = read.plan.steps.iter().map(ceremony::words).collect();
    let plan = &read.plan;
    let wrong: Vec<_> = findings.iter().map(|f| json!({"step": f.step, "field": f.field, "what": f.what})).collect();
    let said = json!({
        "ceremony": plan.ceremony, "purpose": plan.purpose, "sha256": plan.digest(), "approvals": plan.approvals,
        "operators": plan.operators, "steps": words, "findings": wrong,
    });
    common.out().one(&said, || told(plan))?;
    if !here {
        common.out().say("There is no installation here: whether the plan fits one was not looked at.");
    }
    if findings.is_empty() {
        common.out().next(&format!("cradle ceremony rehearse {}", path.display()));
        return Ok(());
    }
    Err(around::wrong(&findings, "the plan cannot be carried out"))
}

/// Everything that keeps a plan from being carried out in this installation.
fn fitting(common: &Common, plan: &Plan) -> Result<Vec<Finding>> {
    let config = Config::read(&common.data)?;
    let store = common.records()?;
    Ok(ceremony::check(plan, &around::surroundings(&common.data, &config, &store)?))
}

fn rehearse(common: &Common, path: &Path, to: Option<&Path>) -> Result {
    let read = around::read_sound(path)?;
    let config = Config::read(&common.data)?;
    let store = common.records()?;
    let real = Real { data: &common.data, config: &config, store: &store };
    let findings = ceremony::check(&read.plan, &around::surroundings(&common.data, &config, &store)?);
    if !findings.is_empty() {
        return Err(around::wrong(&findings, "the plan cannot be carried out"));
    }
    let throwaway = Throwaway::new()?;
    let outputs = to.map_or_else(|| throwaway.0.join("outputs"), Path::to_owned);
    run::make_directory(&outputs)?;
    run::check_free(&read.plan, &outputs)?;
    let out = common.out();
    out.say("REHEARSAL: the keys of this are thrown away.");
    rehearse::rehearse(&real, &read, &throwaway, &outputs, &|line| out.say(line))?;
    let plan = &read.plan;
    let said = json!({"rehearsed": plan.ceremony, "sha256": plan.digest(), "steps": plan.steps.len(), "to": to});
    out.one(&said, || format!("REHEARSAL of {}: all {} steps can be carried out\n", plan.ceremony, plan.steps.len()))?;
    out.next(&format!("cradle ceremony approve {} --operator NAME, {} of them", path.display(), plan.approvals));
    Ok(())
}

fn approve(common: &Common, path: &Path, operator: Option<&OperatorName>) -> Result {
    let read = around::read_sound(path)?;
    let plan = &read.plan;
    let workshop = Workshop::open(&common.data, common.passphrase_file.as_deref())?;
    let findings = still_wrong(&workshop, plan)?;
    if !findings.is_empty() {
        return Err(around::wrong(&findings, "the plan cannot be carried out"));
    }
    let operator = workshop.operator(operator)?;
    approvals::approve(&workshop, plan, &operator)?;
    let given = approvals::count(&workshop, plan)?.approved.len();
    let said = json!({
        "approved": plan.ceremony, "sha256": plan.digest(), "operator": operator, "approvals": given, "needed": plan.approvals,
    });
    common.out().one(&said, || {
        format!("{operator} approves {} (SHA-256 {}): {given} of {}\n", plan.ceremony, plan.digest(), plan.approvals)
    })
}

/// What is wrong with a plan that has not begun; of one that has, its own doings would seem wrong.
fn still_wrong(workshop: &Workshop, plan: &Plan) -> Result<Vec<Finding>> {
    if Room::of(&workshop.places, plan.digest()).journal(plan.digest())?.opened().is_some() {
        return Ok(Vec::new());
    }
    Ok(ceremony::check(plan, &around::surroundings(workshop.places.data(), &workshop.config, &workshop.store)?))
}

fn live(common: &Common, path: &Path, to: &Path) -> Result {
    let read = around::read_sound(path)?;
    let plan = &read.plan;
    let installation = shares::open(common)?;
    let workshop = &installation.workshop;
    let room = Room::of(&workshop.places, plan.digest());
    let journal = room.journal(plan.digest())?;
    let begun = journal.opened().is_some();
    let findings = still_wrong(workshop, plan)?;
    if !findings.is_empty() {
        return Err(around::wrong(&findings, "the plan cannot be carried out"));
    }
    let approved = approvals::enough(workshop, plan)?;
    let binding = installation.supervisor.row().binding;
    if binding != Binding::settled(Mode::Ceremony) {
        let wrong = Reason::WrongMode;
        return Err(Failure::new(exit_of(wrong), wrong.code(), "the ceremony was not begun")
            .because(format!("the mode is {}", binding.current))
            .next("`cradle mode set ceremony`, then repeat the command"));
    }
    if !begun {
        run::check_free(plan, to)?;
        split::check_free(workshop, plan)?;
    }
    run::make_directory(to)?;
    let out = common.out();
    if begun {
        out.say(&format!("The ceremony goes on: {} of {} steps are done.", journal.steps_done(), plan.steps.len()));
    }
    let tell = |line: &str| out.say(line);
    let (inputs, installation, stand_ins) = (&read.inputs, &installation, BTreeSet::new());
    let mut run = Run { plan, inputs, installation, room, to, journal, stand_ins, tell: &tell };
    run.open(approved, false)?;
    run.go()?;
    seal::write(&run)?;
    let said = json!({"ceremony": plan.ceremony, "sha256": plan.digest(), "steps": plan.steps.len(), "to": to});
    out.one(&said, || {
        format!(
            "{}: all {} steps are done; the transcript: {}\n",
            plan.ceremony,
            plan.steps.len(),
            to.join("transcript.html").display()
        )
    })?;
    if to.join(run::SHARES).is_dir() {
        out.next(&format!(
            "give each custodian the file in {}, and leave no copy of it",
            to.join(run::SHARES).display()
        ));
    }
    out.next("cradle ceremony verify, then keep the transcript where nobody of this box can change it");
    Ok(())
}

/// A ceremony that is not here.
fn unknown(name: &str) -> Failure {
    Failure::new(Exit::NotFound, "ceremony-unknown", format!("there is no ceremony {name} here"))
        .because("no plan of this name or digest was approved or begun")
        .next("list them with `cradle ceremony list`")
}
