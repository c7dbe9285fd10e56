//! `opentelemetry_sdk`: the exponential histogram behind an instrument, as an application uses it.

use std::sync::Arc;

use opentelemetry::metrics::{Histogram, MeterProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialHistogramDataPoint, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};

use crate::sketch::{PERCENTILES, Sketch};

/// An instrument with 160 buckets, the specification's default, and no attributes.
pub struct OpenTelemetry {
    instrument: Histogram<u64>,
    reader: Shared,
    /// Keeps the instrument alive.
    _provider: SdkMeterProvider,
    /// What was collected last: the SDK itself has no percentiles.
    point: Point,
}

/// What the SDK exports.
#[derive(Default)]
struct Point {
    scale: i8,
    zeros: u64,
    count: u64,
    offset: i32,
    counts: Vec<u64>,
}

/// The provider takes its reader away; this one stays at hand.
#[derive(Clone, Debug)]
struct Shared(Arc<ManualReader>);

impl MetricReader for Shared {
    fn register_pipeline(&self, pipeline: std::sync::Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

impl Sketch for OpenTelemetry {
    const NAME: &'static str = "opentelemetry_sdk (160 buckets)";
    const MERGES: bool = false;

    fn new() -> Self {
        let reader = Shared(Arc::new(ManualReader::builder().build()));
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.clone())
            .with_view(|_: &_| {
                let aggregation =
                    Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
                Stream::builder().with_aggregation(aggregation).build().ok()
            })
            .build();
        let instrument = provider.meter("bench").u64_histogram("latency").build();
        Self { instrument, reader, _provider: provider, point: Point::default() }
    }

    #[inline]
    fn record(&mut self, nanos: u64) {
        self.instrument.record(nanos, &[]);
    }

    fn settle(&mut self) {
        let mut collected = ResourceMetrics::default();
        self.reader.collect(&mut collected).expect("the reader belongs to a provider");
        let metric = collected.scope_metrics().flat_map(ScopeMetrics::metrics).next().expect("there is one metric");
        let AggregatedMetrics::U64(MetricData::ExponentialHistogram(histogram)) = metric.data() else {
            panic!("the view asks for an exponential histogram");
        };
        self.point = histogram.data_points().next().map(Point::from).unwrap_or_default();
    }

    fn quantiles(&self) -> [f64; PERCENTILES.len()] {
        PERCENTILES.map(|percent| self.point.quantile(percent / 100.0))
    }

    fn merge(&mut self, _: &Self) {}

    /// The data point as OTLP, with attributes left out: `opentelemetry-proto` packs the same fields.
    fn wire(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![("OTLP data point", self.point.otlp())]
    }
}

impl From<&ExponentialHistogramDataPoint<u64>> for Point {
    fn from(point: &ExponentialHistogramDataPoint<u64>) -> Self {
        let positive = point.positive_bucket();
        Self {
            scale: point.scale(),
            zeros: point.zero_count(),
            count: point.count() as u64,
            offset: positive.offset(),
            counts: positive.counts().collect(),
        }
    }
}

impl Point {
    /// The point with the smallest relative error in the bucket that holds the nearest rank.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    fn quantile(&self, q: f64) -> f64 {
        let rank = (self.count as f64 * q).ceil() as u64;
        let mut reached = self.zeros;
        if rank <= reached {
            return 0.0;
        }
        for (index, count) in (self.offset..).zip(&self.counts) {
            reached += count;
            if rank <= reached {
                let step = f64::from(-self.scale).exp2();
                let (lower, upper) = ((f64::from(index) * step).exp2(), (f64::from(index + 1) * step).exp2());
                return 2.0 * lower * upper / (lower + upper);
            }
        }
        f64::NAN
    }

    fn otlp(&self) -> Vec<u8> {
        // Start and end time, count, sum, zero count, minimum and maximum are fixed64 with a tag byte each.
        let mut bytes = vec![0; 7 * 9];
        // Scale and offset are sint32, and the counts are packed varints, within a message of their own.
        let mut buckets = Vec::new();
        tagged(&mut buckets, zigzag(self.offset));
        let mut packed = Vec::new();
        self.counts.iter().for_each(|count| varint(&mut packed, *count));
        tagged(&mut buckets, packed.len() as u64);
        buckets.extend(packed);
        tagged(&mut bytes, zigzag(i32::from(self.scale)));
        tagged(&mut bytes, buckets.len() as u64);
        bytes.extend(buckets);
        bytes
    }
}

fn tagged(bytes: &mut Vec<u8>, value: u64) {
    bytes.push(0);
    varint(bytes, value);
}

fn zigzag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)).cast_unsigned())
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
