//! `cradle cert expiry`: what expires when, as a table and as a picture.

use crate::bench::number;
use crate::cli::Common;
use crate::fault::Result;
use crate::progress;
use crate::survey::{PAGE, module_authority_row};
use adapters::clock::SystemClock;
use adapters::store::SqlStore;
use model::UnixTime;
use ports::Clock;
use ports::store::AuthorityStore;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use x509::Certificate;

/// Certificates that expire in one month, by who holds them. Revoked ones do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    authorities: u64,
    holders: u64,
    devices: u64,
}

/// Months since the year 0.
type Month = u64;

/// What expires when.
#[derive(Clone, Debug, Default)]
struct Histogram {
    months: BTreeMap<Month, Held>,
    /// Those that say that they have no end.
    endless: u64,
    unreadable: u64,
}

#[derive(Serialize)]
struct Row {
    month: String,
    state: &'static str,
    authorities: u64,
    modules_and_operators: u64,
    devices: u64,
    total: u64,
}

#[derive(Serialize)]
struct Shown {
    months: Vec<Row>,
    without_end: u64,
}

/// Counts and prints what expires when.
pub(super) fn run(common: &Common, svg: Option<&Path>) -> Result {
    let store = common.records()?;
    let histogram = count(common, &store)?;
    let now = SystemClock.now();
    if let Some(path) = svg {
        let picture = picture(&histogram, now);
        crate::cli::publish(path, picture.as_bytes(), |older| older.starts_with(b"<svg "))?;
    }
    let months = histogram.months.iter().map(|(month, held)| row(*month, held, now)).collect();
    let shown = Shown { months, without_end: histogram.endless };
    common.out().one(&shown, || text(&shown))?;
    if let Some(path) = svg {
        common.out().say(&format!("The picture is in {}.", path.display()));
    }
    if histogram.unreadable > 0 {
        common.out().say(&format!("{} certificates could not be read: `cradle verify --deep`", histogram.unreadable));
    }
    Ok(())
}

fn count(common: &Common, store: &SqlStore) -> Result<Histogram> {
    let modules = module_authority_row(&store.authorities()?);
    let bar = progress::bar(common.out(), "certificates", store.totals()?.intents);
    let mut histogram = Histogram::default();
    let mut after = Some(0);
    while let Some(from) = after {
        bar.set_position(from);
        after = store.pass(from, PAGE, |passing| {
            // Of what was purged there is nothing to see: it expired long ago.
            if !passing.revoked && !passing.der.is_empty() {
                histogram.see(passing.der, Some(passing.authority) == modules);
            }
        })?;
    }
    bar.finish_and_clear();
    Ok(histogram)
}

impl Histogram {
    fn see(&mut self, der: &[u8], is_ours: bool) {
        let Ok(certificate) = Certificate::decode(der) else {
            self.unreadable += 1;
            return;
        };
        let not_after = certificate.tbs().not_after;
        if not_after == UnixTime::NO_EXPIRY {
            self.endless += 1;
            return;
        }
        let held = self.months.entry(month_of(not_after)).or_default();
        let is_authority = certificate.basic_constraints().is_some_and(|constraints| constraints.ca);
        match (is_authority, is_ours) {
            (true, _) => held.authorities += 1,
            (false, true) => held.holders += 1,
            (false, false) => held.devices += 1,
        }
    }
}

impl Held {
    const fn total(self) -> u64 {
        self.authorities + self.holders + self.devices
    }
}

fn month_of(at: UnixTime) -> Month {
    let civil = at.civil();
    civil.year * 12 + civil.month - 1
}

fn name(month: Month) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

fn row(month: Month, held: &Held, now: UnixTime) -> Row {
    let state = match month.cmp(&month_of(now)) {
        std::cmp::Ordering::Less => "expired",
        std::cmp::Ordering::Equal => "now",
        std::cmp::Ordering::Greater => "valid",
    };
    Row {
        month: name(month),
        state,
        authorities: held.authorities,
        modules_and_operators: held.holders,
        devices: held.devices,
        total: held.total(),
    }
}

/// Width of the longest bar in a terminal.
const BAR: u64 = 40;

fn text(shown: &Shown) -> String {
    let mut text = format!("{:<9}{:<9}{:>12}{:>9}{:>12}\n", "month", "state", "authorities", "ours", "devices");
    let most = shown.months.iter().map(|row| row.total).max().unwrap_or(0).max(1);
    for row in &shown.months {
        // Whatever expires has a mark, however few there are.
        let len = usize::try_from((row.total * BAR).div_ceil(most)).unwrap_or_default();
        // Writing into a String cannot fail.
        let _always_written = writeln!(
            text,
            "{:<9}{:<9}{:>12}{:>9}{:>12}  {}",
            row.month,
            row.state,
            row.authorities,
            row.modules_and_operators,
            row.devices,
            "#".repeat(len)
        );
    }
    let _always_written = writeln!(text, "{} have no end; revoked ones are not counted", shown.without_end);
    text
}

/// Size of the picture, and the place of the bars in it.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const PLOT_WIDTH: f64 = 860.0;
const PLOT_HEIGHT: f64 = 200.0;
/// More months than this stand too close: then a bar is a year.
const MONTHS_MAX: u64 = 60;
/// The kinds, their colours, and how each is taken from a month.
type Kind = (&'static str, &'static str, fn(&Held) -> u64);
const KINDS: [Kind; 3] = [
    ("devices", "#2b6cb0", |held| held.devices),
    ("modules, operators", "#dd6b20", |held| held.holders),
    ("authorities", "#c53030", |held| held.authorities),
];

/// A bar: what it stands for, and what is in it.
struct Bar {
    name: String,
    held: Held,
}

/// One bar for each month, or year, from this one on to the last in which something expires.
fn bars(histogram: &Histogram, now: UnixTime) -> Vec<Bar> {
    let now = month_of(now);
    let first = now;
    let last = histogram.months.keys().next_back().copied().unwrap_or(first).max(first);
    let step = if last - first >= MONTHS_MAX { 12 } else { 1 };
    let first = first / step * step;
    let starts = (0..=(last - first) / step).map(|n| first + n * step);
    let bars = starts.map(|start| {
        let held = histogram.months.range(start.max(now)..start + step).fold(Held::default(), |sum, (_, held)| Held {
            authorities: sum.authorities + held.authorities,
            holders: sum.holders + held.holders,
            devices: sum.devices + held.devices,
        });
        Bar { name: if step == 1 { name(start) } else { format!("{:04}", start / 12) }, held }
    });
    bars.collect()
}

fn picture(histogram: &Histogram, now: UnixTime) -> String {
    let bars = bars(histogram, now);
    let most = bars.iter().map(|bar| bar.held.total()).max().unwrap_or(0).max(1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let title = format!("Certificates by when they expire, on {}", now.to_string().split('T').next().unwrap_or(""));
    svg.push_str(&words(LEFT, 24.0, "start", &title));
    for (n, (kind, color, _)) in (0_u32..).zip(KINDS) {
        let x = LEFT + PLOT_WIDTH - 440.0 + 160.0 * f64::from(n);
        svg.push_str(&format!("<rect x=\"{x:.1}\" y=\"14\" width=\"12\" height=\"12\" fill=\"{color}\"/>\n"));
        svg.push_str(&words(x + 17.0, 24.0, "start", kind));
    }
    svg.push_str(&scale(most));
    let slot = PLOT_WIDTH / number(u64::try_from(bars.len()).unwrap_or(1).max(1));
    // As many names as fit side by side.
    let each = bars.len().div_ceil(15).max(1);
    for (n, bar) in bars.iter().enumerate() {
        let x = LEFT + slot * number(u64::try_from(n).unwrap_or_default());
        svg.push_str(&stack(x, slot, &bar.held, most));
        if n % each == 0 {
            svg.push_str(&words(x + slot / 2.0, TOP + PLOT_HEIGHT + 16.0, "middle", &bar.name));
        }
    }
    let past: u64 = histogram.months.range(..month_of(now)).map(|(_, held)| held.total()).sum();
    let below =
        format!("{} have no end; {past} expired before this month; revoked ones are not counted", histogram.endless);
    svg.push_str(&words(LEFT, TOP + PLOT_HEIGHT + 44.0, "start", &below));
    svg + "</svg>\n"
}

fn words(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

/// Lines at nothing, half and the most.
fn scale(most: u64) -> String {
    let mut svg = String::new();
    for (value, part) in [(0, 0.0), (most / 2, number(most / 2) / number(most)), (most, 1.0)] {
        let y = TOP + PLOT_HEIGHT * (1.0 - part);
        svg.push_str(&format!(
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#e2e8f0\"/>\n",
            LEFT + PLOT_WIDTH
        ));
        svg.push_str(&words(LEFT - 8.0, y + 4.0, "end", &value.to_string()));
    }
    svg
}

fn stack(x: f64, slot: f64, held: &Held, most: u64) -> String {
    let mut svg = String::new();
    let mut bottom = TOP + PLOT_HEIGHT;
    for (_, color, of) in KINDS {
        let count = of(held);
        if count == 0 {
            continue;
        }
        // A single authority among a million devices must be seen.
        let height = (PLOT_HEIGHT * number(count) / number(most)).max(2.0);
        bottom -= height;
        svg.push_str(&format!(
            "<rect x=\"{:.1}\" y=\"{bottom:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>\n",
            x + slot * 0.1,
            slot * 0.8
        ));
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15.
    const NOW: UnixTime = UnixTime::from_s(1_800_000_000);

    fn histogram(months: &[(Month, u64)]) -> Histogram {
        let held = |devices| Held { devices, ..Held::default() };
        Histogram { months: months.iter().map(|&(month, n)| (month, held(n))).collect(), ..Histogram::default() }
    }

    #[track_caller]
    fn barred(months: &[(Month, u64)], expected: &[(&str, u64)]) {
        let bars = bars(&histogram(months), NOW);
        let bars: Vec<_> = bars.iter().map(|bar| (bar.name.as_str(), bar.held.total())).collect();
        assert_eq!(bars, expected);
    }
    #[test]
    fn nothing_is_one_empty_month() {
        barred(&[], &[("2027-01", 0)]);
    }
    #[test]
    fn months_between_are_shown_and_those_before_are_not() {
        barred(
            &[(2026 * 12 + 11, 7), (2027 * 12, 1), (2027 * 12 + 2, 3)],
            &[("2027-01", 1), ("2027-02", 0), ("2027-03", 3)],
        );
    }
    #[test]
    fn many_months_become_years() {
        let months = [(2026 * 12 + 11, 9), (2027 * 12 + 3, 1), (2027 * 12 + 4, 2), (2032 * 12, 5)];
        barred(&months, &[("2027", 3), ("2028", 0), ("2029", 0), ("2030", 0), ("2031", 0), ("2032", 5)]);
    }
    #[test]
    fn a_picture_is_well_formed_and_has_a_bar_for_each_kind() {
        let mut histogram = histogram(&[(2027 * 12 + 1, 1_000_000)]);
        histogram.months.get_mut(&(2027 * 12 + 1)).unwrap().authorities = 1;
        let svg = picture(&histogram, NOW);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.contains(">1000001<") && svg.contains("height=\"2.0\""), "{svg}");
    }
}
