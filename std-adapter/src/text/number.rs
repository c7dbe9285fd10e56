//! Numbers as people read them, and how far what is printed may be from what was measured.
//!
//! Numbers are rounded to the nearest. What is proven is rounded so that it stays so: a relative half width up, the ends of an
//! interval outward. All and
//! none are exact: a part that is not all is never printed as 100 %, one that is not none never as 0 %.

/// So many digits of a time are printed, as far as they are known: more than any histogram resolves.
const DIGITS: u32 = 5;
/// With fewer digits a rounded number says too little.
const FEWEST_DIGITS: u128 = 100;

/// Which of its neighbours a number that is printed with fewer digits is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nearest,
    /// What is printed is not above the number,
    Down,
    /// or not below it.
    Up,
}

/// A unit of time, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// What it is called; nothing for plain numbers.
    pub(crate) name: &'static str,
    /// How many nanoseconds it has.
    nanos: u64,
    /// The decimals of a nanosecond in it.
    decimals: u32,
}

/// From the longest to the shortest.
const TIMES: [Scale; 4] = [
    Scale { name: "s", nanos: 1_000_000_000, decimals: 9 },
    Scale { name: "ms", nanos: 1_000_000, decimals: 6 },
    Scale { name: "µs", nanos: 1_000, decimals: 3 },
    Scale { name: "ns", nanos: 1, decimals: 0 },
];

impl Scale {
    /// Of plain numbers, which are printed to the last digit.
    pub(crate) const PLAIN: Self = Self { name: "", nanos: 1, decimals: 0 };

    /// The unit for times of which one is `typical`: the longest that it has one of, or else the nearest one in which each
    /// of them can be told in `room` characters. `None` if there is none.
    pub(crate) fn of_times(typical: u64, times: &[u64], room: usize) -> Option<Self> {
        let first = TIMES.iter().position(|scale| scale.nanos <= typical).unwrap_or(TIMES.len() - 1);
        let (longer, shorter) = TIMES.split_at(first);
        let mut scales = shorter.iter().chain(longer.iter().rev());
        scales.find(|scale| times.iter().all(|time| scale.print(*time, room).is_some())).copied()
    }

    /// The value in this unit, rounded to the nearest, in `room` characters at most; `None` if they are too few.
    pub(crate) fn print(self, value: u64, room: usize) -> Option<Printed> {
        self.print_rounded(value, room, Rounding::Nearest)
    }

    /// As [`print`](Self::print), rounded otherwise.
    pub(crate) fn print_rounded(self, value: u64, room: usize, rounding: Rounding) -> Option<Printed> {
        let (value_wide, nanos) = (u128::from(value), u128::from(self.nanos));
        let whole = digits(value / self.nanos);
        // Below one, leading zeros are no digits.
        let zeros = if value < self.nanos { self.decimals.saturating_sub(digits(value)) } else { 0 };
        let wanted = if value < self.nanos { zeros + DIGITS } else { DIGITS.saturating_sub(whole) };
        let room_behind_point = u32::try_from(room).unwrap_or(u32::MAX).saturating_sub(whole + 1);
        let mut decimals = if value == 0 { 0 } else { wanted.min(self.decimals).min(room_behind_point) };
        let more = match rounding {
            Rounding::Nearest => nanos / 2,
            Rounding::Down => 0,
            Rounding::Up => nanos - 1,
        };
        let mut number = (value_wide * 10_u128.pow(decimals) + more) / nanos;
        if decimals > 0 && number == 10_u128.pow(whole + decimals) {
            // It was rounded up to one more digit.
            (number, decimals) = (number / 10, decimals - 1);
        }
        let printed = Printed { number, decimals, scale: self };
        let is_exact = number * nanos == value_wide * 10_u128.pow(decimals);
        (printed.text().len() <= room && (is_exact || number >= FEWEST_DIGITS)).then_some(printed)
    }
}

fn digits(value: u64) -> u32 {
    value.checked_ilog10().unwrap_or(0) + 1
}

/// A number as it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Printed {
    /// Without its point.
    number: u128,
    decimals: u32,
    scale: Scale,
}

impl Printed {
    /// The number without its unit.
    pub(crate) fn text(self) -> String {
        let one = 10_u128.pow(self.decimals);
        let (whole, rest) = (self.number / one, self.number % one);
        match usize::try_from(self.decimals) {
            Ok(decimals @ 1..) => format!("{whole}.{rest:0decimals$}"),
            _ => whole.to_string(),
        }
    }

    /// The number and its unit.
    pub(crate) fn with_unit(self) -> String {
        format!("{} {}", self.text(), self.scale.name).trim_end().to_owned()
    }

    /// The smallest half width for which `printed × (1 ± half width)` has both bounds in it.
    pub(crate) fn half_width(self, lower: u64, upper: u64) -> HalfWidth {
        let (one, printed) = (10_u128.pow(self.decimals), self.number * u128::from(self.scale.nanos));
        let [lower, upper] = [lower, upper].map(|bound| u128::from(bound) * one);
        let distance = upper.saturating_sub(printed).max(printed.saturating_sub(lower));
        HalfWidth(match distance {
            0 => Some(0),
            _ => (distance * 10_000).checked_add(printed).and_then(|sum| (sum - 1).checked_div(printed)),
        })
    }
}

/// A relative half width in hundredths of a percent, rounded up; `None` if there is no such bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfWidth(Option<u128>);

impl HalfWidth {
    /// A value that is exact.
    pub(crate) const ZERO: Self = Self(Some(0));
    /// Beyond this no bound is told: nobody can use it.
    const MOST: u128 = 99_999;

    /// That of a number in floating point. It is widened by more than floating point can be off.
    #[cfg(feature = "process")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
    pub(crate) fn of_float(printed: f64, lower: f64, upper: f64) -> Self {
        let distance = (upper - printed).max(printed - lower).max(0.0);
        if distance == 0.0 {
            return Self::ZERO;
        }
        let hundredths = (distance / printed.abs() * (1.0 + 1e-9) * 1e4).ceil();
        Self((hundredths <= 1e9).then_some(hundredths as u128))
    }

    /// The wider of both.
    pub(crate) fn max(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(one, other)| one.max(other)))
    }

    /// In percent, without the sign: `0.14`, and `∞` where no bound is told.
    pub(crate) fn text(self) -> String {
        match self.0 {
            Some(0) => "0".to_owned(),
            Some(hundredths @ 1..=Self::MOST) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
            _ => "∞".to_owned(),
        }
    }
}

/// A part of a whole as a percentage, `-` of nothing. It is rounded to the nearest hundredth, but only all is `100 %` and
/// only none is `0 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    if part == 0 || part == whole {
        return if part == 0 { "0 %" } else { "100 %" }.to_owned();
    }
    let hundredths = (u128::from(part) * 10_000 + u128::from(whole) / 2) / u128::from(whole);
    let hundredths = if part < whole { hundredths.clamp(1, 9_999) } else { hundredths };
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// Requests a second, with the unit.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{} req/s", self::per_second(per_second))
}

/// A rate to the nearest hundredth; a slow one to three digits.
pub(crate) fn per_second(rate: f64) -> String {
    if rate == 0.0 || rate >= 1.0 {
        return format!("{rate:.2}");
    }
    let decimals = (2..12).find(|decimals| rate * 10_f64.powi(*decimals) >= 99.5).unwrap_or(12);
    format!("{rate:.*}", usize::try_from(decimals).unwrap_or(12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_told_in_the_unit_that_suits_them() {
        let print = |times: &[u64], room| {
            let scale = Scale::of_times(times[0], times, room)?;
            let texts = times.iter().map(|time| scale.print(*time, room).map(Printed::text));
            Some((scale.name, texts.collect::<Option<Vec<_>>>()?.join(" ")))
        };
        for (times, room, expected) in [
            (&[1_300][..], 6, Some(("µs", "1.300"))),
            (&[0], 6, Some(("ns", "0"))),
            (&[253_064_000, 419_879_000], 6, Some(("ms", "253.06 419.88"))),
            (&[8_348_123, 10_256_000, 0], 6, Some(("ms", "8.3481 10.256 0"))),
            (&[999_996_000], 6, Some(("ms", "1000.0"))),
            (&[9_999_960], 6, Some(("ms", "10.000"))),
            (&[61_000_000_000], 6, Some(("s", "61.000"))),
            // In another unit than the first one's own.
            (&[1_300, 250_000_000], 6, Some(("µs", "1.300 250000"))),
            (&[1_300_000, 999_999_999_999], 6, Some(("s", "0.0013 1000.0"))),
            (&[97_841_000, 42_945], 9, Some(("ms", "97.841 0.042945"))),
            (&[97_841_000, 300], 9, Some(("ms", "97.841 0.000300"))),
            (&[10, 200_000_000_000], 6, None),
            (&[u64::MAX], 6, None),
            (&[u64::MAX], 11, Some(("s", "18446744074"))),
        ] {
            assert_eq!(print(times, room), expected.map(|(unit, text)| (unit, text.to_owned())), "{times:?}");
        }
        assert_eq!(Scale::PLAIN.print(1_234_567, 7).unwrap().text(), "1234567");
        assert_eq!(Scale::PLAIN.print(1_234_567, 6), None);
    }

    #[test]
    fn only_all_is_100_percent_and_only_none_is_0() {
        for (part, whole, text) in [
            (57, 100, "57.00 %"),
            (99_999, 100_000, "99.99 %"),
            (1, 100_000, "0.01 %"),
            (2, 3, "66.67 %"),
            (1, 3, "33.33 %"),
            (3, 3, "100 %"),
            (0, 3, "0 %"),
            (0, 0, "-"),
            (u64::MAX - 1, u64::MAX, "99.99 %"),
            (4, 3, "133.33 %"),
        ] {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn rates_are_nearest() {
        for (value, text) in
            [(6.755_1, "6.76 req/s"), (0.0, "0.00 req/s"), (0.001_234, "0.00123 req/s"), (0.5, "0.500 req/s")]
        {
            assert_eq!(rate(value), text);
        }
    }

    #[test]
    fn half_widths_are_rounded_up() {
        let scale = Scale::of_times(1_000_000, &[1_000_000], 6).unwrap();
        let of = |lower, upper| scale.print(1_000_000, 6).unwrap().half_width(lower, upper).text();
        assert_eq!(of(1_000_000, 1_000_000), "0");
        assert_eq!(of(1_000_000, 1_001_000), "0.10");
        assert_eq!(of(998_999, 1_001_000), "0.11");
        assert_eq!(of(0, 1_000_000), "100.00");
        assert_eq!(of(0, u64::MAX), "∞");
        assert_eq!(scale.print(0, 6).unwrap().half_width(0, 1).text(), "∞");
        assert_eq!(scale.print(0, 6).unwrap().half_width(0, 0).text(), "0");
    }

    proptest! {
        /// The ends of an interval hold what they held.
        #[test]
        fn ends_are_rounded_outward(value in any::<u64>(), shift in 0..64_u32, room in 4..12_usize) {
            let value = value >> shift;
            let Some(scale) = Scale::of_times(value, &[value], room) else { return Ok(()) };
            for (rounding, side) in [(Rounding::Down, std::cmp::Ordering::Less), (Rounding::Up, std::cmp::Ordering::Greater)] {
                let Some(printed) = scale.print_rounded(value, room, rounding) else { continue };
                let exact = u128::from(value) * 10_u128.pow(printed.decimals);
                let order = (printed.number * u128::from(scale.nanos)).cmp(&exact);
                prop_assert!(order == side || order == std::cmp::Ordering::Equal, "{} for {value}", printed.text());
                prop_assert!(printed.text().len() <= room);
            }
        }

        /// Against exact integers: what is printed, times one plus and minus what is printed, has the bounds in it.
        #[test]
        fn what_is_printed_has_the_bounds_in_it(
            exponent in 0..63_u32, value in 1..1_u64 << 40, below in 0..10_000_u64, above in 0..10_000_u64, room in 4..12_usize
        ) {
            let value = (value << exponent.saturating_sub(40)) >> 40_u32.saturating_sub(exponent);
            let lower = value - value / 20_000 * below;
            let upper = value.saturating_add(value / 20_000 * above);
            let scale = Scale::of_times(value, &[value], room);
            let printed = scale.and_then(|scale| scale.print(value, room));
            prop_assume!(printed.is_some());
            let (printed, scale) = (printed.unwrap(), scale.unwrap());
            let text = printed.half_width(lower, upper).text();
            if let Ok(hundredths) = text.replace('.', "").parse::<u128>() {
                let hundredths = if text == "0" { 0 } else { hundredths };
                let point = printed.text().find('.').map_or(0, |at| printed.text().len() - at - 1);
                let number: u128 = printed.text().replace('.', "").parse().unwrap();
                let one = 10_u128.pow(u32::try_from(point).unwrap());
                let middle = number * u128::from(scale.nanos) * 10_000;
                let half = number * u128::from(scale.nanos) * hundredths;
                prop_assert!(middle.saturating_sub(half) <= u128::from(lower) * one * 10_000, "{} {text}", printed.text());
                prop_assert!(middle + half >= u128::from(upper) * one * 10_000, "{} {text}", printed.text());
            }
        }

        #[test]
        fn percentages_are_nearest(part in 0..100_000_u64, more in 1..100_000_u64) {
            let text = percent(part, part + more);
            let printed: f64 = text.trim_end_matches(" %").parse().unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let exact = part as f64 / (part + more) as f64 * 100.0;
            prop_assert!((printed - exact).abs() <= 0.01 + 1e-9 && printed < 100.0, "{text} {exact}");
        }
    }
}
