//! Hosts that do anything.

use super::*;

/// What a host may do, or a line.
#[derive(Clone, Debug)]
enum Act {
    Bytes(Vec<u8>),
    Start(u64),
    Phase(u16, u64),
    Prepare(u16),
    Stop,
    Acknowledge(bool, Option<u16>),
    Resend,
    Run(u64),
    Wait(u64),
    Drain(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..50).prop_map(Act::Bytes),
        2 => (1..4_u64).prop_map(Act::Start),
        4 => (0..3_u16, 0..4_u64).prop_map(|(index, requests)| Act::Phase(index, requests)),
        2 => (0..4_u16).prop_map(Act::Prepare),
        1 => Just(Act::Stop),
        2 => (any::<bool>(), proptest::option::of(0..3_u16)).prop_map(|(this, phase)| Act::Acknowledge(this, phase)),
        1 => Just(Act::Resend),
        1 => (0..4_u64).prop_map(Act::Run),
        4 => (0..3_000_u64).prop_map(Act::Wait),
        4 => (0..2_000_usize).prop_map(Act::Drain),
    ]
}

proptest! {
    /// Whatever a host does and whatever the line takes: every frame is whole, each run that ends has told what it says,
    /// and a plan that comes after all that is run as if nothing had been.
    #[test]
    fn nothing_that_a_host_does_breaks_a_device(acts in vec(act(), 0..40)) {
        let mut storage = Memory::new();
        let config = TelemetryConfig { line_patience: Duration::MAX, ..TelemetryConfig::default() };
        let mut bench = Bench::with(&mut storage, config);
        let plan_hash = |requests| plan::<4>(&[closed(requests)]).content_hash();
        for (id, act) in (1_000..).zip(acts) {
            let boot = Host::of(&bench.line).boots.last().map_or(0, |(name, _)| *name);
            let command = match act {
                Act::Bytes(bytes) => {
                    bench.device.receive(&bytes);
                    continue;
                }
                Act::Run(requests) => {
                    let is_idle = bench.device.state == State::Idle && !bench.device.control.is_asked();
                    let mut run = RunPlan::new(5);
                    (0..requests).for_each(|_| run.push(closed(requests)).unwrap());
                    prop_assert_eq!(bench.device.run(run), is_idle && requests > 0);
                    continue;
                }
                Act::Wait(millis) => {
                    let end = bench.now.saturating_add(Duration::from_millis(millis));
                    while bench.now < end {
                        bench.poll();
                    }
                    continue;
                }
                Act::Drain(bytes) => {
                    drain(&mut bench.device, bytes, &mut bench.line);
                    continue;
                }
                Act::Start(requests) => Command::Start { plan_hash: plan_hash(requests) },
                Act::Phase(index, requests) => Command::Phase { index, phase: closed(requests) },
                Act::Prepare(phases) => {
                    Command::Prepare { plan_hash: plan_hash(phases.into()), seed: 5, phases, target: "" }
                }
                Act::Stop => Command::Stop,
                Act::Acknowledge(this, phase) => Command::Acknowledge { boot: boot ^ u32::from(!this), phase },
                Act::Resend => Command::Resend,
            };
            bench.device.receive(&order(id, command));
        }
        // A delimiter ends whatever was begun, and a stop whatever runs.
        bench.device.receive(&[0]);
        bench.device.receive(&order(7, Command::Stop));
        bench.poll_for(30_000);
        prop_assert!(bench.device.is_idle());
        bench.device.run(plan(&[closed(3)]));
        bench.poll_for(5_000);
        prop_assert!(bench.device.is_idle() && !bench.device.is_cancelled());
        // With `Host::of`, every byte is part of a frame.
        let host = bench.host();
        for (_, boot) in &host.boots {
            prop_assert_eq!(boot.frames, boot.sequence);
            if let Some(finished) = boot.finished {
                prop_assert!(boot.phases.values().filter(|phase| phase.is_whole()).count() >= finished.phases.into());
            }
        }
        prop_assert!(host.boot().phases[&0].is_whole());
    }
}
