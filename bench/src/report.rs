//! Makes `docs/benchmarks.md` and `docs/plots/*.svg` from the records, and from nothing else but
//! `bench/notes.md`, where what was tried against a miss is written by hand.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::million::ramp;
use crate::plot;
use crate::procfs;
use crate::record::{Record, Verdict};
use crate::session::{FOREIGN_PERCENT_MAX, STEAL_PERCENT_MAX};
use crate::table::{amount, limit, noisy_runs, number, range, throughput};

/// Writes the document of the records in `out`.
///
/// # Errors
/// There are no records, or a file cannot be read or written.
pub fn write(out: &Path) -> Result<()> {
    let records = Record::read_all(out)?;
    ensure!(!records.is_empty(), "no records in {}: run a group first", out.display());
    let docs = Path::new(ROOT).join("docs");
    fs::create_dir_all(docs.join("plots"))?;
    let notes = procfs::read(Path::new(ROOT).join("bench/notes.md")).unwrap_or_default();
    let document = docs.join("benchmarks.md");
    fs::write(&document, compose(&records, &notes))
        .with_context(|| format!("write {}", document.display()))?;
    for group in GROUPS {
        let rows = group.rows(&records);
        if !rows.is_empty() {
            let path = docs.join("plots").join(format!("{}.svg", group.name));
            fs::write(&path, plot::draw(group.title, &rows))
                .with_context(|| format!("write {}", path.display()))?;
        }
    }
    for record in records.iter().filter(|record| !record.ramp.is_empty()) {
        let path = docs.join("plots").join(ramp_name(record));
        fs::write(&path, ramp::draw(record))
            .with_context(|| format!("write {}", path.display()))?;
    }
    println!("{}: {} rows", document.display(), records.len());
    Ok(())
}

/// A section of the document.
struct Group {
    name: &'static str,
    title: &'static str,
    method: &'static str,
    /// Details shown as columns: name in the record, heading, divisor.
    columns: &'static [(&'static str, &'static str, f64)],
}

impl Group {
    fn rows<'a>(&self, records: &'a [Record]) -> Vec<&'a Record> {
        records.iter().filter(|record| record.group == self.name).collect()
    }
}

const MIB: f64 = 1024.0 * 1024.0;

const GROUPS: &[Group] = &[
    Group {
        name: "http",
        title: "CPU time per request",
        method: "The server's CPU time over the requests it answered: nanoseconds on a core \
                 (`/proc/PID/task/*/schedstat`) of all threads and child processes. A fresh \
                 process in every run, answers compared before the load, a warm-up, then the \
                 measured span. Our own generator checks status and length of every answer, and \
                 its bytes up to 1 KB, and a run of it ends when every request sent is answered; \
                 wrk refuses statuses other than 2xx and 3xx. How large answers are written, and \
                 so what they cost, depends on how the client reads: the limits were found with \
                 wrk. \
                 Where each request has its own connection, the kernel's count of accepted \
                 connections must not be below the number of answers. The JSON logs must hold a \
                 line for every answer. Requests per second are given only where the load \
                 generator's core is less than 98 % busy; otherwise they tell of it, not of the \
                 server.",
        columns: &[("user_micros", "of it user space", 1.0)],
    },
    Group {
        name: "compress",
        title: "Compressing on the fly",
        method: "CPU time as above, for a page of 100,000 bytes of HTML that each server compresses \
                 anew for every request: the beginning of a page of the documentation that comes \
                 with the Rust toolchain. wrk asks for one coding; that the answer is in it is \
                 looked at before the load, and so are the bytes of its body.",
        columns: &[("coded_bytes", "body, bytes", 1.0), ("user_micros", "of it user space", 1.0)],
    },
    Group {
        name: "tls",
        title: "TLS 1.3",
        method: "CPU time as above. Connections that stay are loaded by wrk. Handshakes by our own \
                 generator on rustls, a connection for each request, which the server closes: the \
                 row holds the handshake, one request and the end of the connection. Suite and key \
                 exchange are looked at on each connection and are the same for all; the group is \
                 the best that all servers share. Every handshake of a row must have been of its \
                 kind. hyper stands on tokio-rustls with the same provider as Stead, nginx on the \
                 OpenSSL of Debian.",
        columns: &[("user_micros", "of it user space", 1.0)],
    },
    Group {
        name: "http2",
        title: "HTTP/2",
        method: "CPU time as above, loaded by h2load, whose counts of failed streams and of \
                 statuses other than 2xx must be zero. One answer is compared before the load. \
                 Writes are all calls of the system that send, counted by `perf stat` in a run of \
                 their own behind the measured one. hyper has no files; where it stands beside one \
                 it answers the same bytes from memory.",
        columns: &[
            ("writes_per_request", "writes per request", 1.0),
            ("user_micros", "of it user space", 1.0),
        ],
    },
    Group {
        name: "idle",
        title: "Memory of an idle connection",
        method: "Two fresh processes, few and many connections, opened as fast as one core can, \
                 one request on each. After the wait: the difference of Pss without pages of files \
                 (`/proc/PID/smaps_rollup`, all processes of the server) over the difference in \
                 connections. The peak is the same slope of the highest Pss seen while they were \
                 opened. Transparent huge pages are off for all servers: one of 2 MiB holds \
                 thousands of connections, and a slope would tell where the last page ended. \
                 Afterwards every connection must answer once more. Memory that a server \
                 takes for all its slots at its start (nginx) is in the column of the empty \
                 process, not in the slope. Kernel memory is not counted: it is the same for all.",
        columns: &[
            ("peak_bytes", "peak, bytes per connection", 1.0),
            ("base_pss_bytes", "empty process, MiB", MIB),
            ("pss_bytes", "with the many, MiB", MIB),
        ],
    },
    Group {
        name: "million",
        title: "A million connections",
        method: "Loopback, one machine: both ends of every connection lie in the same kernel, in a \
                 network namespace of their own whose hash table has four million chains, for \
                 all servers alike. A process here may hold 20,000 descriptors and the limit \
                 cannot be raised, so Stead runs with `private_descriptors` and one worker for \
                 13,000 connections, nginx with as many worker processes, and the load in a \
                 thread with a descriptor table of its own for each 10,000. The way up makes one \
                 request on each connection; idle timeouts are off while they rest. Then a \
                 hundredth of them, by chance, ask once more, and after that every single one. \
                 User memory is the Pss without files of all processes and threads, and the value \
                 is all of it over the connections held; the slope leaves out what the empty \
                 process takes. Kernel memory is what the slabs of sockets grew by, both ends. \
                 nginx holds fewer: what one costs is what compares.",
        columns: &[
            ("held", "held", 1.0),
            ("answered", "answered in the end", 1.0),
            ("pss_bytes", "user memory, MB", 1e6),
            ("slope_bytes", "slope, bytes", 1.0),
            ("base_pss_bytes", "empty, MB", 1e6),
            ("peak_pss_bytes", "peak, MB", 1e6),
            ("kernel_bytes", "kernel, MB", 1e6),
            ("open_seconds", "s to open", 1.0),
            ("workers", "workers", 1.0),
        ],
    },
    Group {
        name: "clients",
        title: "Memory of a rate limit",
        method: "As many clients as the row says ask once each; the value is what the server's Pss \
                 grew by, over their number. In the end one in ten thousand asks again and must be \
                 refused: nobody was forgotten. CPU time per request among the first and the last \
                 tenth of them tells whether a full table is slower.",
        columns: &[
            ("first_micros", "µs CPU, first tenth", 1.0),
            ("last_micros", "µs CPU, last tenth", 1.0),
        ],
    },
    Group {
        name: "latency",
        title: "Small answers beside cold files",
        method: "A client sends small requests at fixed times; latency counts from the time due, \
                 so a stall counts for every request due in it. Meanwhile four low-priority \
                 clients fetch files that `POSIX_FADV_DONTNEED` has dropped from the page cache; \
                 the server's `read_bytes` must show that the disk was read. `client late` is how \
                 late requests left at the 99th percentile: the error of the measurement.",
        columns: &[
            ("p50_ms", "p50", 1.0),
            ("p999_ms", "p99.9", 1.0),
            ("max_ms", "max", 1.0),
            ("quiet_p99_ms", "p99 without cold files", 1.0),
            ("client_late_p99_ms", "client late", 1.0),
            ("disk_bytes", "MiB from disk", MIB),
        ],
    },
    Group {
        name: "abuse",
        title: "Honest clients beside attackers",
        method: "A client sends small requests at fixed times on connections of its own, first \
                 alone for 5 s, then until slowhttptest ends; latency counts from the time due, and \
                 any error on these connections fails the run. The value is their p99 over what is \
                 allowed: twice the quiet one, or 2 ms more than it. slowhttptest runs at low \
                 priority on the client's core. Attackers held is the most sockets that the server \
                 had at once, without those of the honest: a server that answers or refuses at once \
                 holds few. Memory is the highest Pss seen, less that before the attack, over the \
                 number of attackers.",
        columns: &[
            ("p99_ms", "p99, ms", 1.0),
            ("quiet_p99_ms", "quiet p99, ms", 1.0),
            ("max_ms", "max, ms", 1.0),
            ("client_late_p99_ms", "client late, ms", 1.0),
            ("held", "attackers held", 1.0),
            ("peak_pss_bytes", "peak, MiB", MIB),
        ],
    },
    Group {
        name: "reading",
        title: "Reading a configuration",
        method: "Time of `stead check`, and of `nginx -t` with a location for each route, from the \
                 start of the process to its end, on one core.",
        columns: &[],
    },
    Group {
        name: "route",
        title: "Route lookup",
        method: "The `lookup` example of `stead-route`: both routers hold the same patterns and \
                 look the same paths up in the same shuffled order, in one process.",
        columns: &[],
    },
    Group {
        name: "allocations",
        title: "Heap allocations",
        method: "A test of `stead-serve` counts calls of the allocator between two answers on a \
                 connection.",
        columns: &[],
    },
];

fn compose(records: &[Record], notes: &str) -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Results\n\n| work | limit | measured | min … max | verdict |\n");
    page.push_str("| --- | --- | --- | --- | --- |\n");
    for group in GROUPS {
        for record in group.rows(records) {
            summary_lines(&mut page, record);
        }
    }
    if !notes.trim().is_empty() {
        let _ = write!(page, "\n{}\n", notes.trim());
    }
    page.push_str("\n## Machine and versions\n\n");
    for line in machines(records) {
        let _ = writeln!(page, "- {line}");
    }
    let _ = write!(
        page,
        "\n{METHOD}A run is called noisy when others used over {FOREIGN_PERCENT_MAX} % of the \
         server's core, or the\nhypervisor took over {STEAL_PERCENT_MAX} % of it.\n"
    );
    for group in GROUPS {
        let rows = group.rows(records);
        if !rows.is_empty() {
            section(&mut page, group, &rows);
        }
    }
    page
}

fn summary_lines(page: &mut String, record: &Record) {
    for promised in record.limits() {
        let measured = record.measured(promised);
        let verdict = record.verdict(promised);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            record.title,
            limit(promised, record),
            measured.map_or_else(|| "–".into(), |spread| amount(&spread, promised, record)),
            measured.map_or_else(|| "–".into(), |spread| range(&spread)),
            match verdict {
                Verdict::Missed | Verdict::Invalid => format!("**{}**", verdict.word()),
                Verdict::Met | Verdict::Open | Verdict::NoLimit => verdict.word().to_owned(),
            },
        );
    }
}

fn machines(records: &[Record]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for record in records {
        let machine = &record.machine;
        lines.insert(format!(
            "{}: {}, {} cores{}, {:.0} GiB, Linux {}",
            record.date,
            machine.cpu,
            machine.cores,
            if machine.hypervisor { " of a virtual machine" } else { "" },
            machine.memory_gib,
            machine.kernel,
        ));
        lines.extend(record.versions.iter().map(|(server, text)| format!("{server}: {text}")));
    }
    lines
}

fn section(page: &mut String, group: &Group, rows: &[&Record]) {
    let _ = write!(page, "\n## {}\n\n{}\n", group.title, group.method);
    let _ = write!(page, "\n![{}](plots/{}.svg)\n", group.title, group.name);
    for record in rows {
        let method: Vec<String> =
            record.method.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let _ = write!(page, "\n### {}\n\n", capitalized(&record.title));
        let _ = write!(page, "In {}; {}.\n\n", record.unit, method.join("; "));
        if !record.ramp.is_empty() {
            let _ = write!(page, "![The way up](plots/{})\n\n", ramp_name(record));
        }
        page.push_str("| server | median | min … max | ratio | requests/s |");
        let headings = group.columns.iter().map(|(_, heading, _)| format!(" {heading} |"));
        page.extend(headings);
        page.push_str(" noisy runs |\n| --- | ---: | ---: | ---: | ---: |");
        page.push_str(&" ---: |".repeat(group.columns.len() + 1));
        page.push('\n');
        for series in &record.series {
            let spread = series.values();
            let ratio = record.ratio(&series.server);
            let _ = write!(
                page,
                "| {} | {} | {} | {} | {} |",
                series.server,
                number(spread.median),
                range(&spread),
                ratio.map_or_else(|| "–".into(), |ratio| number(ratio.median)),
                throughput(series),
            );
            for (name, _, divisor) in group.columns {
                let detail = series.detail(name).map_or(f64::NAN, |it| it.median / divisor);
                let _ = write!(page, " {} |", number(detail));
            }
            let _ = writeln!(page, " {} of {} |", noisy_runs(series), series.runs.len());
        }
    }
}

fn ramp_name(record: &Record) -> String {
    format!("{}-{}.svg", record.group, record.name)
}

fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const HEAD: &str = "\
# Benchmarks

Made by `cargo xtask bench report` from the records of the last runs; do not edit. Run them with
`cargo xtask bench all`, or a group that its `help` lists, on a machine with two free cores;
hand-written remarks belong in `bench/notes.md`.
";

const METHOD: &str = "\
## Method

The server runs alone on core 0, everything of the bench on core 1, over loopback. Servers take
turns, round by round, so that drift of the machine meets all alike; a ratio is taken within each
round, and medians and extremes are of the rounds. The limits are Stead's own promises: a miss is
written as a miss. The peers run with their best documented settings, which lie in `bench/peers/`.
Figures of one machine do not carry over to another; ratios do so roughly.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use crate::record::{Limit, Run};

    #[test]
    fn a_miss_is_written_as_a_miss() {
        let ratio = |at_most| Limit::Ratio { peer: "nginx".into(), at_most };
        let mut met = record(ratio(0.95), &[4.0, 4.1], &[5.0, 5.0]);
        met.series[0].runs[0] = Run::new(4.0).with("user_micros", 1.0);
        let page = compose(&[met, record(ratio(0.5), &[4.0], &[5.0])], "## Notes\n\nTried.");
        assert!(page.contains("| at most 0.95 × nginx | 0.810 × nginx | 0.80 … 0.82 | met |"));
        assert!(page.contains("| 0.800 × nginx | 0.80 … 0.80 | **MISSED** |"), "{page}");
        assert!(page.contains("\n## Notes\n\nTried.\n"));
    }

    #[test]
    fn plots_are_well_formed() {
        let limit = Limit::Value { at_most: 128.0, valid_from: 72.0 };
        let mut record = record(limit, &[100.0, 101.0], &[520.0, 530.0]);
        record.title = "a < b & c".into();
        let svg = plot::draw("Memory", &[&record]);
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(!svg.contains("NaN") && svg.ends_with("</svg>\n"));
    }
}
