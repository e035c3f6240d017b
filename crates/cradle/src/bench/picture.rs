//! Pictures of measurements, as SVG.

use std::fmt::Write;

/// A duration with a name.
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
}

/// A duration for so many.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) x: u64,
    pub(crate) seconds: f64,
}

/// Width and height of the whole, and the place of the plots in it.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 80.0;
const PLOT: f64 = 430.0;

/// Durations run from a hundredth of a millisecond to a hundred seconds, so all scales are logarithmic.
const SECONDS_MIN: f64 = 1e-5;
const DECADES: u32 = 7;

fn along(seconds: f64) -> f64 {
    let decades = (seconds.max(SECONDS_MIN) / SECONDS_MIN).log10();
    PLOT * decades / f64::from(DECADES)
}

fn words(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Two pictures: requests on the device against requests at the station, and certificates end to end against the
/// reference.
pub(crate) fn paper(bars: &[Bar], ours: &[Point], reference: &[Point], machine: &str) -> String {
    let mut svg = String::new();
    let mut line = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    let height = 470.0;
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">"
    ));
    line("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>".into());
    line(text(LEFT, 26.0, "16", "Making 500 requests"));
    for (n, bar) in (0_u32..).zip(bars) {
        line(row(50.0 + 34.0 * f64::from(n), bar.seconds, "#2b6cb0", bar.name));
    }
    let top = 176.0;
    line(text(LEFT, top - 20.0, "16", "Certificates end to end: request, signed bus, two commits, certificate"));
    let mut y = top;
    for point in ours {
        line(row(y, point.seconds, "#2f855a", &format!("{} here", point.x)));
        y += 30.0;
        if let Some(other) = reference.iter().find(|other| other.x == point.x) {
            line(row(y, other.seconds, "#a0aec0", &format!("{} reference: EJBCA behind NATS, M3 Max", other.x)));
            y += 30.0;
        }
    }
    line(axis(top - 6.0, y));
    line(text(
        LEFT,
        y + 42.0,
        "11",
        &format!("{machine}. P-256; local bus; SQLite, synchronous=FULL. Scale: logarithmic."),
    ));
    line("</svg>".into());
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text(x: f64, y: f64, size: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\">{}</text>", escaped(words))
}

fn row(y: f64, seconds: f64, color: &str, name: &str) -> String {
    let width = along(seconds);
    let label = format!("{} · {name}", words(seconds));
    format!(
        "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"20\" fill=\"{color}\"/>\n{}",
        text(LEFT + width + 6.0, y + 15.0, "12", &label)
    )
}

fn axis(top: f64, bottom: f64) -> String {
    let mut svg = String::new();
    for decade in 0..=DECADES {
        let seconds = SECONDS_MIN * 10_f64.powi(i32::try_from(decade).unwrap_or_default());
        let x = LEFT + along(seconds);
        // A picture is never refused for want of memory: writing into a String cannot fail.
        let _always_written = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#e2e8f0\"/>{}",
            text(x - 14.0, bottom + 16.0, "11", &words(seconds))
        );
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_well_formed_and_says_its_numbers() {
        let bars = [Bar { name: "a & b", seconds: 0.02 }];
        let point = |x, seconds| Point { x, seconds };
        let svg = paper(&bars, &[point(1, 0.001), point(100, 0.012)], &[point(1, 0.18)], "cpu <1>");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.contains("a &amp; b") && svg.contains("cpu &lt;1&gt;"));
        for words in ["20.0 ms", "1.0 ms", "12.0 ms", "180.0 ms"] {
            assert!(svg.contains(words), "{words}");
        }
    }
    #[test]
    fn longer_is_longer() {
        assert!(along(1e-4) < along(1e-3) && along(1e-9) == 0.0);
    }
}
