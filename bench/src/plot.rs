//! Draws the records of a group as one SVG: a panel per row, a bar per server.
//!
//! Bars are medians, thin lines the extremes, dashed lines Stead's limits. Every panel has its
//! own scale, which begins at zero.

use std::fmt::Write;

use crate::record::{Limit, Record, SUBJECT, Series};
use crate::table::{self, number};

/// The picture of these records, which belong to one group.
pub fn draw(title: &str, records: &[&Record]) -> String {
    let bars: usize = records.iter().map(|record| record.series.len()).sum();
    let height = TOP + records.len() as f64 * PANEL_EXTRA + bars as f64 * BAR_STEP + BOTTOM;
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\" fill=\"#1c2126\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, (LEFT_EDGE, 28.0), "font-size=\"18\" font-weight=\"600\"", title);
    let mut y = TOP;
    for record in records {
        y = panel(&mut svg, record, y);
    }
    if let Some(record) = records.first() {
        let source = format!(
            "{}, {} cores, Linux {}, {}. Bars: medians; thin lines: extremes.",
            record.machine.cpu, record.machine.cores, record.machine.kernel, record.date
        );
        text(&mut svg, (LEFT_EDGE, height - 14.0), "font-size=\"11\" fill=\"#5b6570\"", &source);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws one record from `y` down and returns where the next may begin.
fn panel(svg: &mut String, record: &Record, y: f64) -> f64 {
    let heading = format!("{} ({})", record.title, record.unit);
    text(svg, (LEFT_EDGE, y + 14.0), "font-weight=\"600\"", &heading);
    let top = y + PANEL_HEAD;
    let largest = record.series.iter().map(|series| series.values().max).fold(0.0, f64::max);
    let limits: Vec<(&Limit, f64)> =
        record.limits().filter_map(|limit| Some((limit, value(limit, record)?))).collect();
    let largest = limits.iter().map(|(_, value)| *value).fold(largest, f64::max);
    let scale = if largest > 0.0 { (BARS_END - BARS_START) / largest } else { 0.0 };
    for (place, series) in record.series.iter().enumerate() {
        bar(svg, record, series, top + place as f64 * BAR_STEP, scale);
    }
    let bottom = top + record.series.len() as f64 * BAR_STEP;
    for (_, value) in &limits {
        let x = BARS_START + value * scale;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{:.1}\" stroke=\"#b3261e\" \
             stroke-dasharray=\"4 3\"/>",
            bottom - 4.0
        );
    }
    if !limits.is_empty() {
        let words = limits.iter().map(|(limit, _)| {
            format!("{}, {}", table::limit(limit, record), record.verdict(limit).word())
        });
        let words = format!("limit: {}", words.collect::<Vec<_>>().join("; "));
        let style = "font-size=\"11\" fill=\"#b3261e\"";
        text(svg, (BARS_START, bottom + 9.0), style, &words);
    }
    y + PANEL_EXTRA + record.series.len() as f64 * BAR_STEP
}

fn bar(svg: &mut String, record: &Record, series: &Series, y: f64, scale: f64) {
    let spread = series.values();
    let colour = match series.server.as_str() {
        SUBJECT => "#0f766e",
        name if name == record.reference() => "#7b8794",
        _ => "#c3cad2",
    };
    let middle = y + BAR_HEIGHT / 2.0;
    let style = "text-anchor=\"end\"";
    text(svg, (BARS_START - 8.0, middle + 4.5), style, &series.server);
    let _ = writeln!(
        svg,
        "<rect x=\"{BARS_START}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" \
         fill=\"{colour}\"/>\n\
         <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" \
         stroke=\"#1c2126\"/>",
        (spread.median * scale).max(1.0),
        BARS_START + spread.min * scale,
        BARS_START + spread.max * scale,
    );
    let ratio = record
        .ratio(&series.server)
        .filter(|_| series.server != record.reference())
        .map_or_else(String::new, |ratio| {
            format!(", {} × {}", number(ratio.median), record.reference())
        });
    let label = format!("{}{ratio}", number(spread.median));
    text(svg, (BARS_START + spread.max * scale + 8.0, middle + 4.5), LABEL, &label);
}

/// A limit on the scale of the values.
fn value(limit: &Limit, record: &Record) -> Option<f64> {
    match limit {
        Limit::Ratio { peer, at_most } => {
            record.series(peer).map(|series| series.values().median * at_most)
        }
        Limit::Value { at_most, .. } => Some(*at_most),
        Limit::Nothing => None,
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{words}</text>");
}

/// A white edge keeps a label readable on the line of the limit.
const LABEL: &str = "stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\"";
const WIDTH: f64 = 860.0;
const LEFT_EDGE: f64 = 24.0;
const BARS_START: f64 = 110.0;
/// The labels of the longest bars need the rest.
const BARS_END: f64 = 660.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 34.0;
const PANEL_HEAD: f64 = 24.0;
/// Height of a panel beside its bars: heading, limit and a gap.
const PANEL_EXTRA: f64 = 58.0;
const BAR_HEIGHT: f64 = 16.0;
const BAR_STEP: f64 = 22.0;
