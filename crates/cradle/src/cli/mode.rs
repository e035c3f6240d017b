//! `cradle mode`: which modules may be awake.

use super::Common;
use crate::compose::{Installation, open_box_to_read};
use crate::fault::{Exit, Failure, Result};
use model::mode::{Leave, Order, TABLE};
use model::{Module, OperatorName};
use ports::store::ModeStore;
use ports::store::mode::ModeRow;
use serde::Serialize;
use std::path::Path;
use utoipa::ToSchema;

/// The operation mode: which modules may be awake.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Show the mode of this box.
    Show,
    /// Show which modules may be awake in which mode.
    Table,
    /// Order another mode. Signed with the operator's key and recorded.
    Set {
        /// A mode of `cradle mode table`, or `provision`: software then certificates, switched for each tray.
        mode: String,
        /// Why, for the record.
        #[arg(long, default_value = "")]
        reason: String,
        /// Who orders it: the only operator, if nobody is named. To leave `sealed` name two, where there are two.
        #[arg(long = "operator", env = "CRADLE_OPERATOR", value_delimiter = ',', value_name = "OPERATOR")]
        operators: Vec<OperatorName>,
    },
}

/// The mode of a box.
#[derive(Serialize, ToSchema)]
#[schema(as = ModeShown)]
pub(crate) struct Shown {
    order: String,
    mode: String,
    changing_to: Option<String>,
    epoch: u64,
    awake: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    mode: String,
    gateway: String,
    software: String,
    authority: String,
    provisioning: String,
    identity: String,
}

pub(crate) fn run(common: &Common, arguments: Arguments) -> Result {
    let out = common.out();
    match arguments.verb {
        Verb::Show => show(common, &of_box(&common.data)?),
        Verb::Table => {
            let lines: Vec<_> = TABLE.iter().map(line).collect();
            out.rows(&["mode", "gateway", "software", "authority", "provisioning", "identity"], &lines)?;
            if out.is_human() {
                out.say("`cradle mode set provision` orders provision-software and provision-certificate by turns.");
            }
            Ok(())
        }
        Verb::Set { mode, reason, operators } => {
            let order = order_of(&mode)?;
            let installation = Installation::open(&common.data, common.passphrase_file.as_deref())?;
            let row = set_in(&installation, order, &operators, &reason)?;
            for trouble in installation.supervisor.troubles() {
                out.say(&format!("{trouble}"));
            }
            show(common, &row)
        }
    }
}

/// The mode that a box keeps.
pub(crate) fn of_box(data: &Path) -> Result<ModeRow> {
    let row = open_box_to_read(data)?.mode()?;
    row.ok_or_else(|| Failure::new(Exit::NotFound, "no-mode", "no mode was ever ordered"))
}

/// What is ordered by a name.
pub(crate) fn order_of(mode: &str) -> Result<Order> {
    Order::by_name(mode).ok_or_else(|| {
        let names: Vec<_> = Order::all().iter().map(|o| o.name()).collect();
        Failure::new(Exit::Usage, "mode", format!("there is no mode {mode:?}"))
            .because(format!("the modes are {}", names.join(", ")))
            .next("see `cradle mode table`")
    })
}

/// Has operators order a mode; the only one there is, if nobody is named.
pub(crate) fn set_in(
    installation: &Installation,
    order: Order,
    operators: &[OperatorName],
    reason: &str,
) -> Result<ModeRow> {
    let operators = match operators {
        [] => vec![installation.workshop.operator(None)?],
        named => named.iter().map(|name| installation.workshop.operator(Some(name))).collect::<Result<_>>()?,
    };
    installation.supervisor.order(order, &operators, reason)
}

pub(crate) fn shown(row: &ModeRow) -> Shown {
    Shown {
        order: row.order.to_string(),
        mode: row.binding.current.to_string(),
        changing_to: row.binding.pending.map(|mode| mode.to_string()),
        epoch: row.epoch,
        awake: Module::ALL.into_iter().filter(|m| row.binding.permits(*m)).map(|m| m.to_string()).collect(),
    }
}

fn show(common: &Common, row: &ModeRow) -> Result {
    let shown = shown(row);
    common.out().one(&shown, || {
        let mut text = format!("order  {}\nmode   {}\nawake  {}\n", shown.order, shown.mode, shown.awake.join(", "));
        if let Some(to) = &shown.changing_to {
            text.push_str(&format!(
                "A change to {to} was interrupted: only what both modes allow is awake.\nNext: cradle mode set {}\n",
                shown.order
            ));
        }
        text
    })
}

fn line(row: &model::mode::Row) -> Line {
    let word = |leave| match leave {
        Leave::On => "on",
        Leave::Optional => "optional",
        Leave::Off => "off",
    };
    Line {
        mode: row.mode.to_string(),
        gateway: word(row.gateway).into(),
        software: word(row.software).into(),
        authority: word(row.authority).into(),
        provisioning: word(row.provisioning).into(),
        identity: word(row.identity).into(),
    }
}
