//! What a check found, for people, for programs, and as an exit code.

use std::collections::BTreeSet;
use std::fmt::Write;

use bytes::Bytes;
use serde::Serialize;
use wolfdisk_common::exit::Exit;
use wolfdisk_proto::v1::CheckFinding;
use wolfdisk_proto::v1::check_finding::Severity;

use crate::output::{bytes, table, verdict};

/// Ranges of one file that are shown to people.
const RANGES_SHOWN: usize = 4;

/// How the daemons were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Online,
    Offline,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) mode: Mode,
    pub(super) version: Option<u64>,
    /// Chunks that were read whole, and their bytes.
    pub(super) read: Option<(u64, u64)>,
    pub(super) omitted: u64,
    findings: Vec<CheckFinding>,
}

/// What `check --json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    state: &'static str,
    mode: Mode,
    version: Option<u64>,
    chunks_read: Option<u64>,
    bytes_read: Option<u64>,
    findings: Vec<Row>,
    omitted: u64,
}

#[derive(Debug, Serialize)]
struct Row {
    severity: &'static str,
    what: String,
    path: Option<String>,
    ranges: Vec<(u64, u64)>,
    chunk: Option<String>,
    advice: String,
}

impl Report {
    pub(super) fn new(mode: Mode) -> Report {
        Report {
            mode,
            version: None,
            read: None,
            omitted: 0,
            findings: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, finding: CheckFinding) {
        self.findings.push(finding);
    }

    /// The chunks that findings name.
    pub(super) fn chunks_named(&self) -> BTreeSet<Bytes> {
        self.findings
            .iter()
            .map(|finding| finding.chunk.clone())
            .collect()
    }

    fn worst(&self) -> Severity {
        // Left out are only further ones of the same kinds, so they change nothing here.
        let worst = |severity: Severity| match severity {
            Severity::Note => 0,
            Severity::Repaired => 1,
            Severity::Repairable => 2,
            Severity::Lost => 3,
        };
        let all = self.findings.iter().map(CheckFinding::severity);
        all.max_by_key(|severity| worst(*severity))
            .unwrap_or(Severity::Note)
    }

    pub(super) fn exit(&self) -> Exit {
        match self.worst() {
            Severity::Note => Exit::Ok,
            Severity::Repaired | Severity::Repairable => Exit::Degraded,
            Severity::Lost => Exit::AtRisk,
        }
    }

    fn state(&self) -> &'static str {
        match self.worst() {
            Severity::Note => "clean",
            Severity::Repaired => "repaired",
            Severity::Repairable => "repairable",
            Severity::Lost => "at risk",
        }
    }

    pub(super) fn for_programs(&self) -> Answer {
        Answer {
            state: self.state(),
            mode: self.mode,
            version: self.version,
            chunks_read: self.read.map(|(chunks, _)| chunks),
            bytes_read: self.read.map(|(_, bytes)| bytes),
            findings: self.findings.iter().map(Row::of).collect(),
            omitted: self.omitted,
        }
    }

    pub(super) fn for_people(&self, no_color: bool) -> String {
        let mut text = String::new();
        if !self.findings.is_empty() {
            let rows: Vec<Vec<String>> = self.findings.iter().map(cells).collect();
            text.push_str(&table(&["severity", "path", "bytes", "what"], &rows));
            let advice: BTreeSet<&str> = self
                .findings
                .iter()
                .map(|finding| finding.advice.as_str())
                .filter(|advice| !advice.is_empty())
                .collect();
            for advice in advice {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "to do: {advice}");
            }
        }
        if self.omitted > 0 {
            let _ = writeln!(text, "{} further findings are left out", self.omitted);
        }
        if let Some((chunks, count)) = self.read {
            let _ = writeln!(text, "read {chunks} chunks, {}", bytes(count));
        }
        let good = self.exit() == Exit::Ok;
        let _ = writeln!(text, "{}", verdict(self.state(), good, no_color));
        text
    }
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Repaired => "repaired",
        Severity::Repairable => "repairable",
        Severity::Lost => "lost",
    }
}

fn cells(finding: &CheckFinding) -> Vec<String> {
    let shown = finding.ranges.iter().take(RANGES_SHOWN);
    let mut ranges: Vec<String> = shown
        .map(|range| format!("{}-{}", range.from, range.to))
        .collect();
    if finding.ranges.len() > RANGES_SHOWN {
        ranges.push(format!("and {} more", finding.ranges.len() - RANGES_SHOWN));
    }
    vec![
        name(finding.severity()).to_owned(),
        String::from_utf8_lossy(&finding.path).into_owned(),
        ranges.join(","),
        finding.what.clone(),
    ]
}

impl Row {
    fn of(finding: &CheckFinding) -> Row {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let hex = |bytes: &Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Row {
            severity: name(finding.severity()),
            what: finding.what.clone(),
            path: (!finding.path.is_empty()).then(|| text(&finding.path)),
            ranges: finding
                .ranges
                .iter()
                .map(|range| (range.from, range.to))
                .collect(),
            chunk: (!finding.chunk.is_empty()).then(|| hex(&finding.chunk)),
            advice: finding.advice.clone(),
        }
    }
}
