//! The fuzzers' bodies over their corpus, and over what is near it.

use std::fs;
use std::path::Path;

use phasemeter_tests::fuzz::{TARGETS, run};

#[test]
fn every_target_holds_on_its_corpus_and_near_it() {
    for (target, _) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut inputs = 0;
        for entry in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
            let data = fs::read(entry.unwrap().path()).unwrap();
            run(target, &data);
            // A hundred places at most: cut there, and with a wrong bit.
            for place in (0..data.len()).step_by(data.len().div_ceil(100).max(1)) {
                run(target, &data[..place]);
                let mut flipped = data.clone();
                flipped[place] ^= 1 << (place % 8);
                run(target, &flipped);
            }
            inputs += 1;
        }
        assert!(inputs > 0, "{target} has a corpus");
    }
}

/// A target that is not built by cargo-fuzz is never run.
#[test]
fn every_target_is_built() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(source.contains(&format!("phasemeter_fuzz::run(\"{target}\", data)")), "{source}");
    }
}
