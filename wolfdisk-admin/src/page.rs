//! A page of numbers in the OpenMetrics format: what a daemon tells when it is asked, under its own prefix. Labels are
//! words of fixed lists, so that nobody can make the numbers many.

use std::fmt::{Debug, Error};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use wolfdisk_common::timings::Timed;

/// Words of a label: its name and what it is here.
type Label<'a> = (&'static str, &'a str);

/// Who tells numbers.
pub trait Tell: Send + Sync + 'static {
    /// What every name begins with.
    const PREFIX: &'static str;
    /// What says where they are told, for who has to choose another place.
    const SETTING: &'static str = "admin.bind";

    /// Writes them.
    ///
    /// # Errors
    /// They cannot be written.
    fn tell(&self, page: &mut Page<'_>) -> Result<(), Error>;
}

/// What a daemon tells, and of its process.
#[derive(Debug)]
pub struct Numbers(Registry);

impl Numbers {
    /// What `teller` tells.
    pub fn of(teller: impl Tell) -> Numbers {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Asked(teller)));
        Numbers(registry)
    }

    /// The page.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self) -> Result<String, Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}

struct Asked<T>(T);

impl<T> Debug for Asked<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Asked")
    }
}

impl<T: Tell> Collector for Asked<T> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        crate::tell_process(&mut encoder)?;
        let prefix = T::PREFIX;
        self.0.tell(&mut Page::new(encoder, prefix))
    }
}

/// See the module. Names are without the prefix; one that ends with `_bytes` or `_seconds` has that unit. What only grows
/// gets `_total` at its end.
#[derive(Debug)]
pub struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
    prefix: &'static str,
}

impl<'a> Page<'a> {
    /// Written by `encoder`, names with this prefix.
    pub fn new(encoder: DescriptorEncoder<'a>, prefix: &'static str) -> Page<'a> {
        Page { encoder, prefix }
    }

    /// What `tell` writes is under another prefix.
    ///
    /// # Errors
    /// What it gave.
    pub fn under(
        &mut self,
        prefix: &'static str,
        tell: impl FnOnce(&mut Page<'a>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.prefix, prefix);
        let told = tell(self);
        self.prefix = before;
        told
    }

    /// A number that only grows.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let name = self.named(name);
        let metric = self.described(&name, help, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    /// Numbers that only grow, told apart by labels.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn counters<'l, L: AsRef<[Label<'l>]>>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> Result<(), Error> {
        let name = self.named(name);
        let mut family = self.described(&name, help, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels.as_ref())?)?;
        }
        Ok(())
    }

    /// A number as it is now.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let name = self.named(name);
        let metric = self.described(&name, help, MetricType::Gauge)?;
        shown(value).encode(metric)
    }

    /// Seconds as they are now.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn gauge_seconds(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        let name = self.named(name);
        let metric = self.described(&name, help, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// Numbers as they are now, told apart by labels.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn gauges<'l, L: AsRef<[Label<'l>]>>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> Result<(), Error> {
        let name = self.named(name);
        let mut family = self.described(&name, help, MetricType::Gauge)?;
        for (labels, value) in values {
            shown(value).encode(family.encode_family(&labels.as_ref())?)?;
        }
        Ok(())
    }

    /// How long things of one kind took.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn histogram(&mut self, name: &str, help: &str, timed: &Timed) -> Result<(), Error> {
        let name = self.named(name);
        let mut metric = self.described(&name, help, MetricType::Histogram)?;
        let total = timed.total.as_secs_f64();
        metric.encode_histogram::<NoLabelSet>(total, timed.count, &timed.buckets, None)
    }

    /// How long things took, told apart by labels.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn histograms<'l, L: AsRef<[Label<'l>]>>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, Timed)>,
    ) -> Result<(), Error> {
        let name = self.named(name);
        let mut family = self.described(&name, help, MetricType::Histogram)?;
        for (labels, timed) in values {
            let labels = labels.as_ref();
            let mut metric = family.encode_family(&labels)?;
            let total = timed.total.as_secs_f64();
            metric.encode_histogram::<NoLabelSet>(total, timed.count, &timed.buckets, None)?;
        }
        Ok(())
    }

    /// What is written of a metric before its values.
    fn described<'s>(
        &'s mut self,
        (name, unit): &'s (String, Option<Unit>),
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, Error> {
        self.encoder
            .encode_descriptor(name, help, unit.as_ref(), kind)
    }

    /// The whole name without its unit, and the unit.
    fn named(&self, name: &str) -> (String, Option<Unit>) {
        let units = [("_bytes", Unit::Bytes), ("_seconds", Unit::Seconds)];
        let found = units
            .into_iter()
            .find_map(|(end, unit)| Some((name.strip_suffix(end)?, unit)));
        let (stem, unit) = match found {
            Some((stem, unit)) => (stem, Some(unit)),
            None => (name, None),
        };
        (format!("{}_{stem}", self.prefix), unit)
    }
}

fn shown(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wolfdisk_common::timings::Timings;

    use super::*;

    struct Told;

    impl Tell for Told {
        const PREFIX: &'static str = "toy";

        fn tell(&self, page: &mut Page<'_>) -> Result<(), Error> {
            page.counter("read_bytes", "Bytes", 5)?;
            page.under("other", |page| page.gauge("size", "Size", 7))?;
            page.gauges(
                "things",
                "Things",
                [([("kind", "a")], 1), ([("kind", "b")], 2)],
            )?;
            let timings = Timings::default();
            timings.add(Duration::from_millis(1));
            page.histogram("wait_seconds", "Waits", &timings.now())
        }
    }

    #[test]
    fn names_units_and_labels_are_written() {
        let text = Numbers::of(Told).write().expect("written");
        for line in [
            "# UNIT toy_read_bytes bytes",
            "toy_read_bytes_total 5",
            "other_size 7",
            "toy_things{kind=\"b\"} 2",
            "toy_wait_seconds_count 1",
            "toy_wait_seconds_bucket{le=\"0.000512\"} 0",
            "toy_wait_seconds_bucket{le=\"0.001024\"} 1",
            "toy_wait_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.contains("process_resident_memory_bytes ") && text.ends_with("# EOF\n"));
    }
}
