//! The recorder behind `/metrics`: buckets, help texts and zeros from the start.

use crate::report::{Exit, Trouble, causes};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Installs the recorder. Once for each process.
///
/// # Errors
/// [`Trouble`] when another recorder is there already.
pub fn install() -> Result<PrometheusHandle, Trouble> {
    let cannot =
        |error: &dyn std::error::Error| Trouble::new(Exit::Failure, "metrics cannot be recorded").why(causes(error));
    let mut builder = PrometheusBuilder::new();
    for (name, edges) in telemetry::buckets() {
        builder =
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), edges).map_err(|error| cannot(&error))?;
    }
    let handle = builder.install_recorder().map_err(|error| cannot(&error))?;
    telemetry::describe_all();
    telemetry::start_at_zero();
    Ok(handle)
}
