//! The declaration macros, the table they fill, and its hand-over to the recorder.

use metrics::Unit;

use crate::catalogue::{COUNTERS, GAUGES, HISTOGRAMS, METRICS};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// Samples in buckets.
    Histogram,
}

impl Kind {
    /// The word that stands on the scrape's TYPE line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One declared metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name, with the `steadfast_` prefix and the unit in it.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Label names, in the order of the function's arguments.
    pub labels: &'static [&'static str],
    /// The HELP text, one line.
    pub help: &'static str,
    /// Bucket edges in seconds; empty unless a histogram.
    pub buckets: &'static [f64],
}

impl Metric {
    /// The unit that the name states.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        let stem = self.name.strip_suffix("_total").unwrap_or(self.name);
        if stem.ends_with("_seconds") {
            Some(Unit::Seconds)
        } else if stem.ends_with("_bytes") {
            Some(Unit::Bytes)
        } else if self.kind == Kind::Counter {
            Some(Unit::Count)
        } else {
            None
        }
    }

    /// The unit as a word for people: `seconds`, `bytes`, `ratio`, `base`, `quote`, `count`, or nothing.
    #[must_use]
    pub fn unit_word(&self) -> &'static str {
        let stem = self.name.strip_suffix("_total").unwrap_or(self.name);
        match stem.rsplit('_').next() {
            Some("seconds") => "seconds",
            Some("bytes") => "bytes",
            Some("ratio") => "ratio 0 to 1",
            Some("quote") => "quote currency",
            Some("base") => "base currency",
            _ if self.kind == Kind::Counter => "count",
            _ => "",
        }
    }
}

/// The declared metric of this full name.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Gives the installed recorder the help text and unit of every metric. Called once, after the recorder is installed.
pub fn describe_all() {
    for metric in METRICS {
        match (metric.kind, metric.unit()) {
            (Kind::Counter, Some(unit)) => metrics::describe_counter!(metric.name, unit, metric.help),
            (Kind::Counter, None) => metrics::describe_counter!(metric.name, metric.help),
            (Kind::Gauge, Some(unit)) => metrics::describe_gauge!(metric.name, unit, metric.help),
            (Kind::Gauge, None) => metrics::describe_gauge!(metric.name, metric.help),
            (Kind::Histogram, Some(unit)) => metrics::describe_histogram!(metric.name, unit, metric.help),
            (Kind::Histogram, None) => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Makes every metric without labels appear in the scrape at once, counters and gauges with 0, so that a rule over
/// them has a value from the first scrape on. Those with labels appear when their actor takes its handles.
pub fn start_at_zero() {
    for metric in COUNTERS.iter().filter(|metric| metric.labels.is_empty()) {
        metrics::counter!(metric.name).increment(0);
    }
    for metric in GAUGES.iter().filter(|metric| metric.labels.is_empty()) {
        metrics::gauge!(metric.name).increment(0.0);
    }
    for metric in HISTOGRAMS.iter().filter(|metric| metric.labels.is_empty()) {
        drop(metrics::histogram!(metric.name));
    }
}

/// Counters: `/// help` and `name_total(label, ...);`, each becoming a function that gives the handle.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident($($label:ident),*);)+) => {
        /// Every counter.
        pub static COUNTERS: &[Metric] = &[$(Metric {
            name: concat!("steadfast_", stringify!($name)),
            kind: Kind::Counter,
            labels: &[$(label_name!($label)),*],
            help: concat!($($help),+).trim_ascii(),
            buckets: &[],
        }),+];
        $(
            $(#[doc = $help])+
            pub fn $name($($label: label_type!($label)),*) -> metrics::Counter {
                let labels: Vec<metrics::Label> =
                    vec![$(metrics::Label::from_static_parts(label_name!($label), label_value!($label, $label))),*];
                metrics::counter!(concat!("steadfast_", stringify!($name)), labels)
            }
        )+
    };
}

/// Gauges: as [`counters!`].
macro_rules! gauges {
    ($($(#[doc = $help:literal])+ $name:ident($($label:ident),*);)+) => {
        /// Every gauge.
        pub static GAUGES: &[Metric] = &[$(Metric {
            name: concat!("steadfast_", stringify!($name)),
            kind: Kind::Gauge,
            labels: &[$(label_name!($label)),*],
            help: concat!($($help),+).trim_ascii(),
            buckets: &[],
        }),+];
        $(
            $(#[doc = $help])+
            pub fn $name($($label: label_type!($label)),*) -> metrics::Gauge {
                let labels: Vec<metrics::Label> =
                    vec![$(metrics::Label::from_static_parts(label_name!($label), label_value!($label, $label))),*];
                metrics::gauge!(concat!("steadfast_", stringify!($name)), labels)
            }
        )+
    };
}

/// Histograms: as [`counters!`], with the buckets after `in`.
macro_rules! histograms {
    ($($(#[doc = $help:literal])+ $name:ident($($label:ident),*) in $buckets:ident;)+) => {
        /// Every histogram.
        pub static HISTOGRAMS: &[Metric] = &[$(Metric {
            name: concat!("steadfast_", stringify!($name)),
            kind: Kind::Histogram,
            labels: &[$(label_name!($label)),*],
            help: concat!($($help),+).trim_ascii(),
            buckets: $buckets,
        }),+];
        $(
            $(#[doc = $help])+
            pub fn $name($($label: label_type!($label)),*) -> metrics::Histogram {
                let labels: Vec<metrics::Label> =
                    vec![$(metrics::Label::from_static_parts(label_name!($label), label_value!($label, $label))),*];
                metrics::histogram!(concat!("steadfast_", stringify!($name)), labels)
            }
        )+
    };
}

pub(crate) use {counters, gauges, histograms};
