//! What every process tells of itself, by the names that Prometheus gives it.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Writes the memory of this process, where the system says it.
///
/// # Errors
/// It cannot be written.
pub fn tell_process(encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let Some(bytes) = resident_bytes() else {
        return Ok(());
    };
    let (name, help) = ("process_resident_memory", "Memory of this process");
    let kind = MetricType::Gauge;
    let metric = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), kind)?;
    ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX)).encode(metric)
}

/// `None`: the system does not say.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_known() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
