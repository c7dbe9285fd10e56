//! Sampling intervals hold the true percentile as often as they promise: a part of `cargo xtask intervals`.

use phasemeter_tests::intervals::{SHAPES, Shape, Simulation};

const RUNS: u32 = 300;

#[test]
fn intervals_of_independent_samples_hold_the_true_percentile() {
    for shape in SHAPES {
        for samples in [40, 1_000] {
            let simulation = Simulation { shape, correlation: 0.0, samples, runs: RUNS };
            let result = simulation.run();
            assert!(result.iter().flatten().all(|held| held.is_nominal()), "{simulation:?}: {result:?}");
            assert_eq!(result[0][0].stated, RUNS);
            assert_eq!(result[3][0].stated, 0, "p99.9 needs more");
        }
    }
}

#[test]
fn intervals_of_dependent_samples_do_once_they_are_widened() {
    for (shape, correlation) in [(Shape::LogNormal, 0.8), (Shape::Bimodal, 0.8), (Shape::Exponential, 0.5)] {
        let simulation = Simulation { shape, correlation, samples: 1_000, runs: RUNS };
        let result = simulation.run();
        assert!(result.iter().all(|[_, widened]| widened.is_nominal()), "{simulation:?}: {result:?}");
        assert!(!result[0][0].is_nominal(), "they are too narrow before: {simulation:?}: {result:?}");
    }
}
