//! What a daemon tells on its admin address, as a reader sees it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::command::STEP_DEADLINE;

/// The numbers of one look, by name with labels: `wolfdisk_meta_members{kind="node"}`.
pub struct Numbers {
    /// As it was told.
    pub text: String,
    values: BTreeMap<String, f64>,
}

/// What is told at a path of an admin address, and the status.
pub fn told(address: &str, path: &str) -> (String, String) {
    let place = address.strip_prefix("http://").expect("a plain address");
    let mut stream = TcpStream::connect(place).expect("somebody listens");
    stream
        .set_read_timeout(Some(STEP_DEADLINE))
        .expect("a deadline");
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n"
    )
    .expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (body.to_owned(), status.to_owned())
}

impl Numbers {
    /// Looks.
    pub fn at(address: &str) -> Numbers {
        let (text, status) = told(address, "metrics");
        assert_eq!(status, "200", "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        };
        let values = samples.map(sample).collect();
        Numbers { text, values }
    }

    /// One of them; 0 if it is not there, as of a label that was not needed yet.
    pub fn of(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or_default()
    }

    /// The sum over all labels of a name.
    pub fn sum(&self, name: &str) -> f64 {
        let begin = format!("{name}{{");
        let all = self.values.iter();
        let all = all.filter(|(found, _)| *found == name || found.starts_with(&begin));
        all.map(|(_, value)| value).sum()
    }

    /// The sum over those of a name whose labels begin so.
    pub fn sum_of(&self, name: &str, labels: &str) -> f64 {
        let begin = format!("{name}{labels}");
        let all = self.values.iter();
        let all = all.filter(|(found, _)| found.starts_with(&begin));
        all.map(|(_, value)| value).sum()
    }

    /// The names of the metrics, as queries write them; of a histogram the one without `_bucket`, `_count` and `_sum`.
    pub fn names(&self) -> Vec<String> {
        let types = self.text.lines();
        let types = types.filter_map(|line| line.strip_prefix("# TYPE "));
        let name = |line: &str| {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            match kind {
                "counter" => format!("{name}_total"),
                _ => name.to_owned(),
            }
        };
        types.map(name).collect()
    }
}
