//! The Prometheus text format, version 0.0.4.
//!
//! Own writer instead of the `metrics` recorder: its counters are whole numbers and half of ours are
//! seconds, and what a scrape shows is read anew from `stats` each time, so that a registry would
//! only be a second copy that forgets removed pools late.

use std::fmt::{Display, Write as _};

/// Type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A body in the making.
pub struct Text {
    out: String,
    series: usize,
    limit: usize,
    dropped: usize,
}

impl Text {
    /// Takes at most `limit` series.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            out: String::with_capacity(32 * 1024),
            series: 0,
            limit,
            dropped: 0,
        }
    }

    /// Opens a family; HELP and TYPE appear with its first sample.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &'a str) -> Family<'a> {
        Family {
            text: self,
            name,
            kind,
            help,
            is_open: false,
        }
    }

    /// A family with one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// Series left out because of the limit.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Makes room for the one sample that says how many are missing.
    pub fn extend_limit(&mut self) {
        self.limit = self.series + 1;
    }

    /// The body.
    pub fn finish(self) -> String {
        self.out
    }
}

/// A family that takes samples.
pub struct Family<'a> {
    text: &'a mut Text,
    name: &'a str,
    kind: Kind,
    help: &'a str,
    is_open: bool,
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// One histogram: `counts` per bucket, not cumulated, the last one beyond all `bounds_us`.
    pub fn histogram(
        &mut self,
        labels: [(&str, &str); 2],
        bounds_us: &[u64],
        counts: &[u64],
        sum_us: u64,
    ) {
        let [first, second] = labels;
        let mut total = 0;
        for (index, count) in counts.iter().enumerate() {
            total += count;
            let bound = bounds_us.get(index).map(|us| seconds(*us).to_string());
            let bound = bound.as_deref().unwrap_or("+Inf");
            self.suffixed("_bucket", &[first, second, ("le", bound)], total);
        }
        self.suffixed("_sum", &labels, seconds(sum_us));
        self.suffixed("_count", &labels, total);
    }

    fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        if self.text.series >= self.text.limit {
            self.text.dropped += 1;
            return;
        }
        self.text.series += 1;
        let out = &mut self.text.out;
        // Writing into a String cannot fail.
        if !self.is_open {
            self.is_open = true;
            let (name, kind) = (self.name, self.kind.word());
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", self.help);
        }
        out.push_str(self.name);
        out.push_str(suffix);
        push_labels(out, labels);
        let _ = writeln!(out, " {value}");
    }
}

fn push_labels(out: &mut String, labels: &[(&str, &str)]) {
    for (index, (name, value)) in labels.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        out.push_str(name);
        out.push_str("=\"");
        push_escaped(out, value);
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
}

fn push_escaped(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// Microseconds as seconds.
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_appears_with_its_first_sample() {
        let mut text = Text::with_limit(10);
        text.family("never_total", Kind::Counter, "Not there.");
        let mut family = text.family("x_seconds_total", Kind::Counter, "Time.");
        family.sample(&[("a", "1"), ("b", "quo\"te\\\n")], seconds(1_500_000));
        family.sample(&[], 2);
        assert_eq!(
            text.finish(),
            "# HELP x_seconds_total Time.\n# TYPE x_seconds_total counter\n\
             x_seconds_total{a=\"1\",b=\"quo\\\"te\\\\\\n\"} 1.5\nx_seconds_total 2\n"
        );
    }

    #[test]
    fn histograms_cumulate() {
        let mut text = Text::with_limit(10);
        let mut family = text.family("w_seconds", Kind::Histogram, "W.");
        family.histogram(
            [("a", "1"), ("b", "2")],
            &[1_000, 1_000_000],
            &[3, 2, 1],
            5_250_000,
        );
        assert_eq!(
            text.finish(),
            "# HELP w_seconds W.\n# TYPE w_seconds histogram\n\
             w_seconds_bucket{a=\"1\",b=\"2\",le=\"0.001\"} 3\n\
             w_seconds_bucket{a=\"1\",b=\"2\",le=\"1\"} 5\n\
             w_seconds_bucket{a=\"1\",b=\"2\",le=\"+Inf\"} 6\n\
             w_seconds_sum{a=\"1\",b=\"2\"} 5.25\nw_seconds_count{a=\"1\",b=\"2\"} 6\n"
        );
    }

    #[test]
    fn more_than_the_limit_is_counted_and_left_out() {
        let mut text = Text::with_limit(2);
        let mut family = text.family("x", Kind::Gauge, "X.");
        for n in 0..5 {
            family.sample(&[], n);
        }
        text.single("y", Kind::Gauge, "Y.", 1);
        assert_eq!(text.dropped(), 4);
        assert_eq!(text.finish(), "# HELP x X.\n# TYPE x gauge\nx 0\nx 1\n");
    }
}
