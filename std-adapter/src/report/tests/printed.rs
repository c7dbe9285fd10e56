//! What is printed against what was measured: exact integers, and the JSON.

use proptest::prelude::*;

use super::*;
use crate::report::metric::summary_of;
use phasemeter_core::metric::Unit;
use phasemeter_core::summary::STANDARD;

const WIDTH: usize = 80;

fn assert_narrow(text: &str) {
    let wide: Vec<_> = text.lines().filter(|line| crate::text::page::width(line) > WIDTH).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

/// A number as it is printed, in the unit of its row: its digits, and how many of them are decimals.
#[derive(Clone, Copy, Debug)]
struct Told {
    digits: u128,
    decimals: u32,
    nanos: u128,
}

impl Told {
    fn parse(text: &str, unit: &str) -> Self {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let nanos = match unit {
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "µs" => 1_000,
            "ns" | "" | "?" => 1,
            other => panic!("{other} is no unit"),
        };
        let decimals_count = u32::try_from(decimals.len()).unwrap();
        Self { digits: format!("{whole}{decimals}").parse().unwrap(), decimals: decimals_count, nanos }
    }

    fn one(self) -> u128 {
        10_u128.pow(self.decimals)
    }

    /// Rounded to the nearest: half of the last digit away at most.
    fn is_nearest(self, value: u64) -> bool {
        (self.digits * self.nanos).abs_diff(u128::from(value) * self.one()) * 2 <= self.nanos
    }

    /// `printed × (1 ± half width)` has these in it, in hundredths of a percent.
    fn holds(self, half_width: u128, lower: u64, upper: u64) -> bool {
        let printed = self.digits * self.nanos;
        let scaled = |bound: u64| u128::from(bound) * self.one() * 10_000;
        printed * 10_000_u128.saturating_sub(half_width) <= scaled(lower)
            && scaled(upper) <= printed * (10_000 + half_width)
    }
}

/// A row of a table: what it is of, its numbers by title, and its last column.
#[derive(Debug)]
struct Row {
    label: String,
    numbers: Vec<(String, Option<Told>)>,
    last: Option<String>,
}

const TITLES: [&[&str]; 2] =
    [&["p50", "p75", "p90", "p95", "p99", "p99.9", "±", "%"], &["count", "min", "mean", "stdev", "max"]];

/// The rows of every table of a text, read from the right: labels and units may be missing or have spaces.
fn rows(text: &str) -> Vec<Row> {
    let (mut rows, mut titles, mut label) = (Vec::new(), None, String::new());
    for line in text.lines() {
        let tokens: Vec<_> = line.split_whitespace().collect();
        if let Some(found) = TITLES.iter().find(|titles| ***titles == *tokens) {
            titles = Some(found.strip_suffix(&["±", "%"]).map_or((*found, false), |titles| (titles, true)));
            continue;
        }
        if tokens.contains(&"≥") {
            titles = None;
        }
        let Some((names, has_last)) = titles else { continue };
        if !line.starts_with("   ") || line.starts_with("   requests ") || line.starts_with("   NOTE ") {
            titles = None;
            continue;
        }
        // Each number with its title, on one line or more.
        if tokens.first().is_some_and(|first| *first == "±" || names.contains(first)) {
            let row = titled(&label, line.trim_start());
            if tokens[0] == names[0] {
                rows.push(row);
            } else if let Some(begun) = rows.last_mut() {
                begun.numbers.extend(row.numbers);
                begun.last = row.last;
            }
            continue;
        }
        let is_number =
            |token: &&str| *token == "-" || *token == "∞" || token.starts_with(|c: char| c.is_ascii_digit());
        let count = names.len() + usize::from(has_last);
        let Some(cells) = tokens.len().checked_sub(count).map(|first| &tokens[first..]) else {
            label = tokens.join(" ");
            continue;
        };
        if !cells.iter().all(is_number) {
            label = tokens.join(" ");
            continue;
        }
        let mut words = tokens[..tokens.len() - count].to_vec();
        let unit = words.pop_if(|word| ["s", "ms", "µs", "ns", "?"].contains(word)).unwrap_or("");
        let told = |(title, cell): (&&str, &&str)| {
            let unit = if *title == "count" { "" } else { unit };
            let number = (*cell != "-").then(|| Told::parse(cell.trim_end_matches('*'), unit));
            ((*title).to_owned(), number)
        };
        let label = if words.is_empty() { label.clone() } else { words.join(" ") };
        let numbers = names.iter().zip(cells).map(told).collect();
        let last = has_last.then(|| cells[names.len()].to_owned());
        rows.push(Row { label, numbers, last });
    }
    rows
}

/// The ends of the sampling intervals of the one metric that a text is of, by percentile, in a table's row or each with its
/// title; and how many samples they are from.
fn interval_ends(text: &str) -> Option<(Vec<[Option<Told>; 2]>, String)> {
    let lines: Vec<_> = text.lines().collect();
    let header = lines.iter().position(|line| line.split_whitespace().any(|token| token == "≥"))?;
    let rest: Vec<_> =
        lines[header + 1..].iter().take_while(|line| line.starts_with("   ") && !line.contains("NOTE")).collect();
    let tokens: Vec<_> = rest.iter().flat_map(|line| line.split_whitespace()).collect();
    let told = |number: &str, unit: &str| (number != "-").then(|| Told::parse(number, unit));
    let pairs = |ends: Vec<_>| ends.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
    if let Some(first) = tokens.iter().position(|token| *token == "≥") {
        let items = tokens[first - 1..].join(" ");
        let (items, worth) = items.rsplit_once(" as ").unwrap();
        let ends = items.split(" p").map(|item| {
            let parts: Vec<_> = item.split(' ').collect();
            told(parts[2], parts.get(3).copied().unwrap_or(""))
        });
        return Some((pairs(ends.collect()), worth.to_owned()));
    }
    let cells = &tokens[tokens.len() - 7..];
    let unit = tokens[..tokens.len() - 7].last().filter(|unit| ["s", "ms", "µs", "ns"].contains(unit)).unwrap_or(&"");
    Some((pairs(cells[..6].iter().map(|cell| told(cell, unit)).collect()), cells[6].to_owned()))
}

fn titled(label: &str, items: &str) -> Row {
    let mut row = Row { label: label.to_owned(), numbers: Vec::new(), last: None };
    for item in items.split("   ") {
        let parts: Vec<_> = item.split(' ').collect();
        match parts[..] {
            ["±", half_width, "%"] => row.last = Some(half_width.to_owned()),
            [title, "-"] => row.numbers.push((title.to_owned(), None)),
            [title, number, ref unit @ ..] => {
                let (number, unit) = (number.trim_end_matches('*'), unit.first().copied().unwrap_or(""));
                row.numbers.push((title.to_owned(), Some(Told::parse(number, unit.trim_end_matches('*')))));
            }
            _ => panic!("{item}"),
        }
    }
    row
}

fn hundredths(percent: &str) -> Option<u128> {
    match percent {
        "0" => Some(0),
        "∞" | "-" => None,
        number => Some(number.replace('.', "").parse().unwrap()),
    }
}

fn nanos(number: Number) -> u64 {
    match number {
        Number::Plain(value) => value,
        Number::Millis(millis) => format!("{:.0}", millis * 1e6).parse().unwrap(),
    }
}

/// A summary of one monitored phase with these metrics.
fn summary_with(metrics: Vec<(String, MetricSummary)>) -> Summary {
    let values: Vec<_> = (1..=20).map(|value| (1, value)).collect();
    let session = session(&monitored(1, &[values]).frames);
    let mut summary = report(EndReason::Interrupted, &[("line", &session)]);
    summary.phases.truncate(1);
    summary.phases[0].metrics = metrics.into_iter().collect();
    summary
}

fn histogram() -> impl Strategy<Value = HostHistogram> {
    let value = (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift);
    let near = (1..u64::from(u32::MAX), 1..5_000_u64).prop_flat_map(|(from, spread)| from..from + spread);
    let values = prop_oneof![
        proptest::collection::vec(value, 1..40),
        proptest::collection::vec(near, 1..40),
        proptest::collection::vec(0..3_u64, 1..40),
    ];
    (values, 1..4_usize).prop_map(|(values, times)| {
        let mut histogram = HostHistogram::new();
        for value in values.iter().cycle().take(values.len() * 30 * times) {
            histogram.record(*value);
        }
        histogram
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_printed_percentile_has_its_bounds_within_what_is_printed(
        histogram in histogram(),
        is_time in any::<bool>(),
        name in proptest::sample::select(vec!["x", "response_time", "a_name_that_is_32_bytes_long_yes"]),
    ) {
        let unit = if is_time { Unit::Nanoseconds } else { Unit::Count };
        let metric = summary_of(Some(unit), &histogram, None, histogram.count());
        let text = render(&summary_with(vec![(name.to_owned(), metric.clone())]));
        assert_narrow(&text);
        let [percentiles, moments] = &rows(&text)[..] else { panic!("{text}") };
        prop_assert_eq!(&percentiles.label, &name.replace('_', " "), "{}", text);
        prop_assert_eq!(percentiles.numbers.len(), STANDARD.len(), "{}", text);
        let half_width = hundredths(percentiles.last.as_ref().unwrap());
        for (percentile, (title, told)) in STANDARD.iter().zip(&percentiles.numbers) {
            prop_assert_eq!(&percentile.to_string(), title);
            prop_assert_eq!(told.is_some(), histogram.resolves(*percentile), "{}", text);
            let (Some(told), Some(exact)) = (told, histogram.quantile(*percentile)) else { continue };
            // Of the histogram itself, in integers.
            prop_assert!(told.is_nearest(exact.value) || exact.value > 1 << 53, "{title} {exact:?}: {text}");
            if let Some(half_width) = half_width {
                prop_assert!(told.holds(half_width, exact.lower, exact.upper), "{title} {exact:?}: {text}");
            }
            // Of the JSON.
            let json = &metric.percentiles[title];
            let (lower, upper) = (json.lower.unwrap(), json.upper.unwrap());
            prop_assert!(told.is_nearest(nanos(json.value.unwrap())), "{title} {json:?}: {text}");
            if let Some(half_width) = half_width {
                prop_assert!(told.holds(half_width, nanos(lower), nanos(upper)), "{title} {json:?}: {text}");
            }
            if is_time {
                let millis = |nanos: u64| u128::from(nanos);
                let exactly = |number: Number| format!("{:.0}", number.as_f64() * 1e6).parse::<u128>().unwrap();
                prop_assert!(exactly(lower) <= millis(exact.lower) && millis(exact.upper) <= exactly(upper));
            }
        }
        // A bound that cannot be used is told only of what is no more than an order of magnitude.
        let is_wide = |p| histogram.quantile(p).is_some_and(|q| q.value == 0 && q.upper > 0 || q.upper / 2 > q.value);
        prop_assert!(half_width.is_some() || STANDARD.into_iter().any(is_wide) || !histogram.resolves(STANDARD[0]), "{text}");
        let nearest = |moment: f64| format!("{}", (if is_time { moment * 1e6 } else { moment }).round()).parse::<u64>();
        let [mean, stdev] = [metric.mean, metric.stdev].map(|moment| moment.map(|moment| nearest(moment).unwrap()));
        for (moment, exact) in [(mean, histogram.mean()), (stdev, histogram.stdev())] {
            let slack = |exact: u64| 1 + (exact >> 50);
            prop_assert!(moment.zip(exact).is_none_or(|(moment, exact)| moment.abs_diff(exact) <= slack(exact)));
            prop_assert_eq!(moment.is_some(), exact.is_some());
        }
        let json = |p: &str| metric.percentiles[p].interval.filter(|_| metric.min != metric.max);
        let (ends, worth) = interval_ends(&text).unzip();
        for (percentile, ends) in ["p50", "p90", "p99"].iter().zip(ends.unwrap_or_else(|| vec![[None; 2]; 3])) {
            let found = json(percentile);
            prop_assert_eq!(ends.map(|end| end.is_some()), [found.is_some(); 2], "{} {}", percentile, text);
            if let (Some(found), [Some(lower), Some(upper)]) = (found, ends) {
                // In the units of the last digit that is printed.
                let exact = |bound: Number, told: Told| u128::from(nanos(bound)) * told.one();
                prop_assert!(lower.digits * lower.nanos <= exact(found.lower, lower), "{percentile} {found:?} {text}");
                prop_assert!(upper.digits * upper.nanos >= exact(found.upper, upper), "{percentile} {found:?} {text}");
            }
        }
        prop_assert_eq!(worth, json("p50").map(|_| metric.effective_count.to_string()));
        let exact = [Some(histogram.count()), histogram.min(), mean, stdev, histogram.max()];
        for ((title, told), exact) in moments.numbers.iter().zip(exact) {
            prop_assert_eq!(told.is_some(), exact.is_some(), "{} {}", title, text);
            if let (Some(told), Some(exact)) = (told, exact) {
                prop_assert!(told.is_nearest(exact) || exact > 1 << 53, "{title} {exact}: {text}");
            }
        }
    }

    #[test]
    fn names_do_not_break_the_layout(
        names in proptest::collection::vec("\\PC{0,32}|[a-z\u{1b}\u{202e}測é\n]{0,32}", 1..5), text in "\\PC{0,300}"
    ) {
        let mut histogram = HostHistogram::new();
        (0..2_000).for_each(|value| histogram.record(value * 1_000_000_000_000));
        let metric = summary_of(Some(Unit::Count), &histogram, None, 2_000);
        let mut summary = summary_with(names.iter().map(|name| (name.clone(), metric.clone())).collect());
        summary.phases[0].phase.clone_from(&names[0]);
        summary.devices[0].id.clone_from(&names[0]);
        summary.devices[0].source.clone_from(&text);
        summary.run.warnings.push(text.clone());
        summary.run.partial_reason = Some(text);
        let text = render(&summary);
        assert_narrow(&text);
        prop_assert_eq!(&crate::text::printable_lines(&text), &text);
    }
}

#[test]
fn short_times_are_told_in_their_own_unit() {
    let of = |name: &str, values: &[u64]| {
        let mut histogram = HostHistogram::new();
        values.iter().cycle().take(2_000).for_each(|value| histogram.record(*value));
        let metric = summary_of(Some(Unit::Nanoseconds), &histogram, None, 2_000);
        render(&summary_with(vec![(name.to_owned(), metric)]))
    };
    let text = of("x", &[1_300]);
    assert!(
        text.contains("   x µs     1.300      1.300      1.300      1.300      1.300      1.300*      0"),
        "{text}"
    );
    // Nanoseconds and minutes in one row.
    let text = of("inter_token_latency", &[12, 12, 12, 90_000_000_000]);
    assert!(text.contains("      p50 12 ns   p75 12 ns   p90 89.767 s   p95 89.767 s"), "{text}");
}

/// Every number of a report of a load, by name, is the one in the JSON, rounded to the nearest.
#[test]
fn a_report_says_what_the_json_says() {
    let latencies: Vec<_> =
        (0..1_500).map(|place| if place % 100 == 3 { 0 } else { 400_000 + place * 7_919 }).collect();
    let summary = report(EndReason::Finished, &[("line", &session(&loaded("d", 1, &[latencies])[0].frames))]);
    let text = render(&summary);
    assert_narrow(&text);
    let phases: Vec<_> = text.split("\n== ").skip(1).collect();
    let json: Vec<_> = summary.phases.iter().filter(|phase| phase.device.is_none()).collect();
    assert_eq!(phases.len(), json.len());
    for (text, json) in phases.into_iter().zip(json) {
        let token = |before: &str| {
            let before = if before == "sent" { "   sent ".to_owned() } else { format!(" {before} ") };
            let mut rests = text.split(&before).skip(1);
            let is_number = |token: &&str| token.starts_with(|c: char| c.is_ascii_digit());
            let token = rests.find_map(|rest| rest.split_whitespace().next().filter(is_number));
            token.unwrap_or_else(|| panic!("{before}: {text}"))
        };
        let counts = json.counts.unwrap();
        let count = |before: &str| token(before).parse::<u64>().unwrap();
        let number = |before: &str| token(before).parse::<f64>().unwrap();
        let told = ["sent", "completed", "errors", "cancelled"].map(count);
        assert_eq!(told, [counts.sent, counts.completed, counts.errors, counts.cancelled]);
        let failures = json.failures.as_ref().unwrap();
        let causes = ["not connected", "timed out", "broken", "status 503"].map(count);
        let known = [failures.not_connected, failures.timed_out, failures.broken, failures.statuses[&503]];
        assert_eq!(causes, known);
        assert_eq!(causes.iter().sum::<u64>(), counts.errors);
        let plan = json.plan.as_ref().unwrap();
        assert!(text.contains("   plan        GET /   evenly spaced   until 1500 requests\n"), "{text}");
        let (planned, sent) = (plan.rate_rps.unwrap(), json.achieved_rate_rps.unwrap());
        assert!(text.contains(&format!("\n               planned {planned:.2} req/s, sent {sent:.2} (")), "{text}");
        for (name, exact, half) in [
            ("success", json.success_rate.unwrap() * 100.0, 0.005),
            ("throughput", json.throughput_rps.unwrap(), 0.005),
            ("coverage", json.coverage.ratio.unwrap() * 100.0, 0.005),
            ("sending", json.durations.sending_s.unwrap(), 0.000_5),
            ("total", json.durations.total_s.unwrap(), 0.000_5),
        ] {
            assert!((number(name) - exact).abs() <= half + 1e-9, "{name}: {} for {exact}", number(name));
        }
        let rows = rows(text);
        assert_eq!(rows.len(), 2 * json.metrics.iter().len(), "{text}");
        for (row, (name, metric)) in rows.iter().zip(json.metrics.iter().chain(json.metrics.iter())) {
            assert_eq!(row.label, name.replace('_', " "));
            for (title, told) in &row.numbers {
                let exact = match title.as_str() {
                    "count" => Some(Number::Plain(metric.count)),
                    "min" => metric.min,
                    "mean" => metric.mean.map(Number::Millis),
                    "stdev" => metric.stdev.map(Number::Millis),
                    "max" => metric.max,
                    percentile => metric.percentiles[percentile].value,
                };
                assert_eq!(told.is_some(), exact.is_some(), "{title}");
                assert!(told.zip(exact).is_none_or(|(told, exact)| told.is_nearest(nanos(exact))), "{title}: {told:?}");
            }
        }
    }
}

/// In the order of the table, not of the alphabet; of two devices, in that of the first, then of the second.
#[test]
fn metrics_stand_in_the_order_of_the_device() {
    let table = |names: [&'static str; 3]| names.map(Metric::time);
    let a = session(&with_metrics("a", 1, &table(["z", "m", "b"])));
    let b = session(&with_metrics("b", 2, &table(["a", "b", "y"])));
    let summary = report(EndReason::Finished, &[("a", &a), ("b", &b)]);
    let names = |phase: &PhaseSummary| phase.metrics.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        summary.phases.iter().map(names).collect::<Vec<_>>(),
        [vec!["z", "m", "b", "a", "y"], vec!["z", "m", "b"], vec!["a", "b", "y"],]
    );
    let json = serde_json::to_string(&summary.phases[0].metrics).unwrap();
    let places = ["\"z\":{", "\"m\":{", "\"b\":{", "\"a\":{", "\"y\":{"].map(|name| json.find(name).unwrap());
    assert!(places.is_sorted(), "{places:?}");
}
