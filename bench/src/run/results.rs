//! What was measured, as Markdown tables for people and as JSON for later comparison.

use std::fmt::Write as _;

use serde::Serialize;

use super::load::{Sample, median};

/// Everything of one run of the benchmarks.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    /// What was done: data, sizes, durability.
    pub(crate) setting: Vec<String>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) targets: Vec<Target>,
    /// Parts that could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

/// The server beside the yardstick under the same load, in as many rounds as there are samples.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Comparison {
    pub(crate) part: &'static str,
    pub(crate) case: String,
    pub(crate) connections: u64,
    /// Arrivals a second; none: closed loop.
    pub(crate) rate: Option<u64>,
    pub(crate) ceiling: Vec<Sample>,
    pub(crate) server: Vec<Sample>,
}

impl Comparison {
    /// Requests a second as a share of the yardstick's. In an open loop both get the same, and there is none.
    pub(crate) fn share(&self) -> Option<f64> {
        if self.rate.is_some() {
            return None;
        }
        let (ceiling, server) = (median(&self.ceiling)?, median(&self.server)?);
        (ceiling.per_second > 0.0).then(|| server.per_second / ceiling.per_second)
    }
}

/// A single number.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// Something that was promised, and whether it was kept.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) measured: f64,
    pub(crate) met: bool,
}

impl Results {
    /// The tables.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("# Benchmarks\n\n");
        for line in &self.setting {
            push(&mut text, format_args!("- {line}"));
        }
        let mut part = "";
        for comparison in &self.comparisons {
            if comparison.part != part {
                part = comparison.part;
                push(&mut text, format_args!("\n## {part}\n\n{HEADER}\n{}", "|---".repeat(COLUMNS) + "|"));
            }
            push(&mut text, format_args!("{}", row(comparison)));
        }
        if !self.figures.is_empty() {
            push(&mut text, format_args!("\n## figures\n\n| figure | value |\n|---|---|"));
            for figure in &self.figures {
                push(&mut text, format_args!("| {} | {:.3} {} |", figure.name, figure.value, figure.unit));
            }
        }
        if !self.targets.is_empty() {
            push(&mut text, format_args!("\n## targets\n\n| target | measured | met |\n|---|---|---|"));
            for target in &self.targets {
                let met = if target.met { "yes" } else { "**no**" };
                push(&mut text, format_args!("| {} | {:.3} | {met} |", target.name, target.measured));
            }
        }
        for failure in &self.failures {
            push(&mut text, format_args!("\n**Not measured**: {failure}"));
        }
        text
    }
}

const COLUMNS: usize = 13;
const HEADER: &str = "| case | connections | load | requests/s | ceiling/s | share | p50 ms | p95 ms | p99 ms \
    (ceiling) | p99.9 ms | CPU us/request (ceiling) | memory MB | written B/request |";

/// A comparison's row of the table.
pub(crate) fn row(comparison: &Comparison) -> String {
    let Comparison { case, connections, rate, ceiling, server, .. } = comparison;
    let load = rate.map_or("closed".to_owned(), |rate| format!("{rate}/s"));
    let (Some(server), ceiling) = (median(server), median(ceiling)) else {
        return format!("| {case} | {connections} | {load} |{}", " |".repeat(COLUMNS - 3));
    };
    let beside = |measure: fn(&Sample) -> f64, digits: usize| {
        ceiling.as_ref().map_or("–".to_owned(), |ceiling| format!("{:.digits$}", measure(ceiling)))
    };
    let millis = |micros: f64| micros / 1000.0;
    let share = comparison.share().map_or("–".to_owned(), |share| format!("{share:.2}"));
    format!(
        "| {case} | {connections} | {load} | {:.0} | {} | {share} | {:.2} | {:.2} | {:.2} ({}) | {:.2} | {:.1} ({}) | \
         {:.0} | {:.0} |",
        server.per_second,
        beside(|sample| sample.per_second, 0),
        millis(server.p50),
        millis(server.p95),
        millis(server.p99),
        beside(|sample| sample.p99 / 1000.0, 2),
        millis(server.p99_9),
        server.cpu_micros,
        beside(|sample| sample.cpu_micros, 1),
        server.anonymous_bytes / 1e6,
        server.written_bytes
    )
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::super::load::sample;
    use super::*;

    fn comparison(ceiling: Vec<Sample>, server: Vec<Sample>) -> Comparison {
        Comparison { part: "burst", case: "upsert".to_owned(), connections: 64, rate: None, ceiling, server }
    }

    #[test]
    fn a_share_is_the_ratio_of_the_medians() {
        let ceiling = vec![sample(100.0, 1.0), sample(90.0, 1.0), sample(500.0, 1.0)];
        assert_eq!(comparison(ceiling, vec![sample(50.0, 2.0)]).share(), Some(0.5));
        assert_eq!(comparison(vec![], vec![sample(50.0, 2.0)]).share(), None);
        let on_time = comparison(vec![sample(100.0, 1.0)], vec![sample(100.0, 2.0)]);
        assert_eq!(Comparison { rate: Some(100), ..on_time }.share(), None);
    }

    #[test]
    fn every_row_has_the_columns_of_the_header() {
        let bars = |text: &str| text.matches('|').count();
        assert_eq!(bars(HEADER), COLUMNS + 1);
        let rows = [
            comparison(vec![sample(100.0, 1000.0)], vec![sample(50.0, 2000.0)]),
            comparison(vec![], vec![sample(50.0, 2000.0)]),
            comparison(vec![], vec![]),
        ]
        .map(|comparison| row(&comparison));
        for row in &rows {
            assert_eq!(bars(row), COLUMNS + 1, "{row}");
        }
        assert_eq!(
            rows[0],
            "| upsert | 64 | closed | 50 | 100 | 0.50 | 2.00 | 4.00 | 6.00 (3.00) | 8.00 | 10.0 (10.0) | 100 | 500 |"
        );
    }

    #[test]
    fn targets_that_were_missed_stand_out() {
        let target = |met| Target { name: "steady".to_owned(), measured: 0.5, met };
        let results = |met| Results { targets: vec![target(met)], ..Results::default() }.markdown();
        assert!(results(false).contains("| steady | 0.500 | **no** |"));
        assert!(results(true).contains("| steady | 0.500 | yes |"));
    }
}
