//! The histogram buckets, in seconds, and which histogram uses which.

use crate::catalogue::HISTOGRAMS;

/// For work inside this machine: 1 us to 10 ms.
pub const HOT_BUCKETS: &[f64] = &[1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2];

/// For what waits for a network, a disk or a person's browser: 1 ms to 10 s.
pub const NETWORK_BUCKETS: &[f64] = &[1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1, 2.5e-1, 5e-1, 1.0, 2.5, 5.0, 10.0];

/// For an order's hops, of which some stay in this process and some cross the network: 1 us to 10 s.
pub const ORDER_BUCKETS: &[f64] = &[
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1, 2.5e-1,
    5e-1, 1.0, 2.5, 5.0, 10.0,
];

/// The full name of every histogram with its buckets, for the exporter's set-up: a histogram without buckets would
/// come out as a summary.
pub fn buckets() -> impl Iterator<Item = (&'static str, &'static [f64])> {
    HISTOGRAMS.iter().map(|metric| (metric.name, metric.buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_histogram_has_rising_buckets() {
        for (name, edges) in buckets() {
            assert!(!edges.is_empty(), "{name}");
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{name}");
        }
        assert_eq!(buckets().count(), HISTOGRAMS.len());
    }

    #[test]
    fn hot_buckets_span_a_microsecond_to_ten_milliseconds() {
        assert_eq!(HOT_BUCKETS.first(), Some(&0.000_001));
        assert_eq!(HOT_BUCKETS.last(), Some(&0.01));
        assert_eq!(NETWORK_BUCKETS.first(), Some(&0.001));
        assert_eq!(NETWORK_BUCKETS.last(), Some(&10.0));
    }
}
