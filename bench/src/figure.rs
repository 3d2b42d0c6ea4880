//! Figures: what was measured, beside the least that counts, for people and for machines.

use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use serde::Serialize;

/// Something measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// What it is.
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What the machine gave in the same run without any of ours.
    pub(crate) floor: Option<f64>,
    /// Value by floor.
    pub(crate) ratio: Option<f64>,
    /// The least (of a ratio, where there is one) that counts.
    pub(crate) at_least: Option<f64>,
    /// The most that counts.
    pub(crate) at_most: Option<f64>,
    /// Whether it counts; absent where nothing is asked of it.
    pub(crate) met: Option<bool>,
}

impl Figure {
    pub(crate) fn new(figure: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            figure: figure.into(),
            value,
            unit,
            floor: None,
            ratio: None,
            at_least: None,
            at_most: None,
            met: None,
        }
    }

    /// Compares with a floor.
    pub(crate) fn over(mut self, floor: f64) -> Self {
        self.floor = Some(floor);
        self.ratio = (floor > 0.0).then(|| self.value / floor);
        self
    }

    /// Asks for at least so much: of the ratio, where there is a floor.
    pub(crate) fn at_least(mut self, least: f64) -> Self {
        self.at_least = Some(least);
        self.met = Some(self.judged() >= least);
        self
    }

    /// Asks for at most so much: of the ratio, where there is a floor.
    pub(crate) fn at_most(mut self, most: f64) -> Self {
        self.at_most = Some(most);
        self.met = Some(self.judged() <= most);
        self
    }

    fn judged(&self) -> f64 {
        match self.floor {
            Some(_) => self.ratio.unwrap_or(f64::NAN),
            None => self.value,
        }
    }
}

/// Whether every figure of which something is asked is as it should be.
pub(crate) fn all_met(figures: &[Figure]) -> bool {
    figures.iter().all(|figure| figure.met != Some(false))
}

/// Whether no figure falls short of half of what is asked: what a busy machine still shows.
pub(crate) fn half_met(figures: &[Figure]) -> bool {
    figures.iter().all(|figure| {
        let judged = figure.judged();
        let least = figure.at_least.is_none_or(|least| judged >= least / 2.0);
        least && figure.at_most.is_none_or(|most| judged <= most * 2.0)
    })
}

/// The figures as a table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = ["figure", "value", "unit", "floor", "ratio", "asked", "met"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(figures.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS).map(|c| width(c).unwrap_or(0)).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(at, (cell, width))| match at {
            0 | 2 | 5 | 6 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes one JSON object a line.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_json(figures: &[Figure], path: &Path) -> anyhow::Result<()> {
    let mut file = std::fs::File::create(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    for figure in figures {
        writeln!(file, "{}", serde_json::to_string(figure)?)?;
    }
    Ok(())
}

fn row(figure: &Figure) -> [String; COLUMNS] {
    let shown = |value: Option<f64>| value.map_or_else(String::new, number);
    let asked = match (figure.at_least, figure.at_most) {
        (Some(least), _) => format!(">= {}", number(least)),
        (None, Some(most)) => format!("<= {}", number(most)),
        (None, None) => String::new(),
    };
    let met = match figure.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [
        figure.figure.clone(),
        number(figure.value),
        figure.unit.to_owned(),
        shown(figure.floor),
        shown(figure.ratio),
        asked,
        met.to_owned(),
    ]
}

/// Whole from a hundred on, else with two decimals.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

const COLUMNS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_below_what_is_asked_is_not_met() {
        let figure = Figure::new("writes", 40.0, "/s").over(100.0).at_least(0.5);
        assert_eq!((figure.ratio, figure.met), (Some(0.4), Some(false)));
        assert!(!all_met(&[figure]));
    }

    #[test]
    fn without_a_floor_the_value_itself_is_judged() {
        assert_eq!(Figure::new("start", 3.0, "s").at_most(5.0).met, Some(true));
        assert_eq!(Figure::new("start", 6.0, "s").at_most(5.0).met, Some(false));
    }

    #[test]
    fn a_floor_of_nothing_meets_nothing() {
        let figure = Figure::new("writes", 40.0, "/s").over(0.0).at_least(0.5);
        assert_eq!(figure.met, Some(false));
    }

    #[test]
    fn half_of_what_is_asked_is_enough_for_a_short_run_and_less_is_not() {
        let rate = |value| Figure::new("writes", value, "/s").over(100.0).at_least(0.8);
        let time = |value| Figure::new("p99", value, "us").over(100.0).at_most(2.0);
        assert!(half_met(&[rate(40.0), time(400.0)]));
        assert!(!half_met(&[rate(39.0)]));
        assert!(!half_met(&[time(401.0)]));
        assert!(!half_met(&[Figure::new("writes", 1.0, "/s")
            .over(0.0)
            .at_least(0.8)]));
        assert!(half_met(&[Figure::new("stated", 1.0, "/s")]));
    }

    #[test]
    fn a_figure_is_one_line_of_json() {
        let figure = Figure::new("writes", 60.0, "/s").over(100.0).at_least(0.5);
        let json = serde_json::to_value(&figure).unwrap();
        assert_eq!(json["figure"], "writes");
        assert_eq!(json["met"], true);
        assert_eq!(json["ratio"], 0.6);
        assert!(table(&[figure]).contains(">= 0.50"));
    }
}
