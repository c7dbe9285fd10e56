//! Records of single requests, as load generators write them, to the metrics of a run.

pub mod aiperf;
