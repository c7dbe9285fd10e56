//! The boundary table of the histogram's grid, from exact integer roots.

use std::fmt::Write as _;

use num_bigint::BigUint;

use crate::generated::Generated;

/// Boundaries per octave: 2^8, the finest scale.
const BOUNDARIES: usize = 256;
/// Slots of the guess table: the nine mantissa bits after the leading one.
const SLOTS: usize = 512;

/// `core/src/histogram/table.rs`.
pub(crate) fn generated() -> Generated {
    Generated { path: "core/src/histogram/table.rs", remake: "cargo xtask table", content: generate() }
}

fn generate() -> String {
    let boundaries = boundaries();
    let guesses = guesses(&boundaries);
    let mut text = String::from(
        "//! Bucket boundaries of the finest scale. Made by `cargo xtask table`; do not edit.\n\n\
         /// Every boundary `10^9 * 2^(j/256)` of one octave as a mantissa in `[2^63, 2^64)`, rounded down.\n\
         #[rustfmt::skip]\n\
         pub(super) static BOUNDARIES: [u64; 256] = [\n",
    );
    for row in boundaries.chunks(4) {
        let cells: Vec<String> = row.iter().map(|mantissa| hex(*mantissa)).collect();
        let _ = writeln!(text, "    {},", cells.join(", "));
    }
    text.push_str(
        "];\n\n\
         /// How many boundaries lie below each 512th of an octave.\n\
         #[rustfmt::skip]\n\
         pub(super) static GUESSES: [u8; 512] = [\n",
    );
    for row in guesses.chunks(16) {
        let cells: Vec<String> = row.iter().map(|count| format!("{count:>3}")).collect();
        let _ = writeln!(text, "    {},", cells.join(", "));
    }
    text.push_str("];\n");
    text
}

/// The boundaries within `[2^63, 2^64)` in rising order.
fn boundaries() -> Vec<u64> {
    let octave = BigUint::from(1_u64 << 63);
    let base = BigUint::from(1_000_000_000_u32).pow(256);
    // 10^9 lies between 2^29 and 2^30, so the first boundary above 2^63 is near j = 33 * 256.
    (33 * BOUNDARIES..35 * BOUNDARIES)
        .map(|j| {
            // Taking the floor of eight nested square roots gives the floor of the 256th root.
            (0..8).fold(&base << j, |power, _| power.sqrt())
        })
        .filter(|boundary| boundary >= &octave)
        .filter_map(|boundary| u64::try_from(boundary).ok())
        .collect()
}

/// For each slot of an octave, the number of boundaries below its start.
fn guesses(boundaries: &[u64]) -> Vec<usize> {
    (0..SLOTS)
        .map(|slot| {
            let start = (1_u64 << 63) + ((slot as u64) << 54);
            boundaries.partition_point(|boundary| *boundary < start)
        })
        .collect()
}

/// A literal with a separator every four digits.
fn hex(mantissa: u64) -> String {
    let digits = format!("{mantissa:016x}");
    format!("0x{}_{}_{}_{}", &digits[..4], &digits[4..8], &digits[8..12], &digits[12..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_second_is_a_boundary_and_every_guess_is_one_compare_away() {
        let boundaries = boundaries();
        assert_eq!(boundaries.len(), BOUNDARIES);
        assert!(boundaries.contains(&(1_000_000_000 << 34)));
        let guesses = guesses(&boundaries);
        assert!(guesses.iter().all(|guess| u8::try_from(*guess).is_ok()));
        assert!(guesses.windows(2).all(|pair| pair[1] - pair[0] <= 1));
    }
}
