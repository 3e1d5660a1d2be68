//! The way up to a crowd, as samples and as a picture: connections, the server's memory and the
//! kernel's, over time.

use std::fmt::Write;
use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::kernel::Kernel;
use crate::procfs;
use crate::record::Record;
use crate::table::number;

/// One moment.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Sample {
    pub seconds: f64,
    pub connections: f64,
    /// The server's memory in user space.
    pub user_bytes: f64,
    /// What both ends of the connections take in the kernel.
    pub kernel_bytes: f64,
}

impl Sample {
    /// This moment of a server's process family.
    ///
    /// # Errors
    /// The machine has too little memory left to go on.
    pub(super) fn now(
        start: Instant,
        connections: u64,
        family: &[u32],
        before: &Kernel,
    ) -> Result<Sample> {
        let kernel = Kernel::now()?;
        kernel.ensure_room()?;
        Ok(Sample {
            seconds: start.elapsed().as_secs_f64(),
            connections: connections as f64,
            user_bytes: procfs::memory(family)?.pss as f64,
            kernel_bytes: kernel.socket_bytes.saturating_sub(before.socket_bytes) as f64,
        })
    }
}

/// One curve of the picture: what it shows, its unit, what divides the value.
struct Curve {
    title: &'static str,
    divisor: f64,
    colour: &'static str,
    value: fn(&Sample) -> f64,
}

const CURVES: &[Curve] = &[
    Curve {
        title: "connections (thousand)",
        divisor: 1e3,
        colour: "#1c2126",
        value: |sample| sample.connections,
    },
    Curve {
        title: "user memory of the server (MB)",
        divisor: 1e6,
        colour: "#0f766e",
        value: |sample| sample.user_bytes,
    },
    Curve {
        title: "kernel memory of both ends (MB)",
        divisor: 1e6,
        colour: "#7b8794",
        value: |sample| sample.kernel_bytes,
    },
];

/// The picture of a record's ramp.
pub fn draw(record: &Record) -> String {
    let height = TOP + CURVES.len() as f64 * PANEL + BOTTOM;
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"12\" fill=\"#1c2126\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"24\" y=\"28\" font-size=\"18\" font-weight=\"600\">The way up, the rest and the \
         sweep</text>\n"
    );
    let end = record.ramp.last().map_or(1.0, |sample| sample.seconds.max(1.0));
    for (place, curve) in CURVES.iter().enumerate() {
        draw_curve(&mut svg, curve, &record.ramp, TOP + place as f64 * PANEL, end);
    }
    let machine = &record.machine;
    let _ = write!(
        svg,
        "<text x=\"24\" y=\"{:.1}\" font-size=\"11\" fill=\"#5b6570\">Seconds from left to right, \
         {} in all. Loopback, one machine: {}, {} cores, Linux {}, {}.</text>\n</svg>\n",
        height - 12.0,
        number(end),
        machine.cpu.replace('&', "&amp;").replace('<', "&lt;"),
        machine.cores,
        machine.kernel,
        record.date,
    );
    svg
}

fn draw_curve(svg: &mut String, curve: &Curve, ramp: &[Sample], top: f64, end: f64) {
    let most = ramp.iter().map(curve.value).fold(0.0, f64::max).max(1.0);
    let bottom = top + PANEL - GAP;
    let place = |sample: &Sample| {
        let x = LEFT + sample.seconds / end * (RIGHT - LEFT);
        (x, bottom - (curve.value)(sample) / most * (bottom - top))
    };
    let mut points = String::new();
    for (x, y) in ramp.iter().map(place) {
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"600\">{}</text>\n\
         <line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\" \
         stroke=\"#c3cad2\"/>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
        top - 8.0,
        curve.title,
        points.trim_end(),
        curve.colour,
        LEFT - 8.0,
        top + 4.0,
        number(most / curve.divisor),
    );
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 830.0;
const TOP: f64 = 72.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 40.0;
const BOTTOM: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Limit;
    use crate::record::tests::record;

    #[test]
    fn a_ramp_is_well_formed() {
        let sample = |seconds: f64| Sample {
            seconds,
            connections: seconds * 1e4,
            user_bytes: seconds * 1e6,
            kernel_bytes: seconds * 8e7,
        };
        let ramp = (1..=3).map(|second| sample(f64::from(second))).collect();
        let svg = draw(&Record { ramp, ..record(Limit::Nothing, &[1.0], &[1.0]) });
        assert_eq!(svg.matches("<polyline").count(), CURVES.len());
        assert!(svg.contains("30") && !svg.contains("NaN") && svg.ends_with("</svg>\n"));
        assert!(!draw(&record(Limit::Nothing, &[1.0], &[1.0])).contains("NaN"));
    }
}
