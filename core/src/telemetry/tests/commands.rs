//! Both directions: uploads over a line that loses and repeats, refusals by their reason, acknowledged ends.

use super::stream::{IDENTITY, eager, open_loop};
use super::*;
use crate::plan::{PhasePlan, RunPlan, Stop, Workload};
use crate::runner::{Outcome, Runner, Step};

const JOB: usize = 512;
const PHASES: usize = 4;
const QUEUE: usize = 4096;

type Device = Control<JOB>;

fn plan(phases: usize) -> RunPlan<9> {
    let mut plan = RunPlan::new(0xfeed);
    for _ in 0..phases {
        plan.push(PhasePlan { workload: Workload::get("/a/long/path").unwrap(), ..open_loop(1_000, 3) }).unwrap();
    }
    plan
}

fn job(target: &str, plan: &RunPlan<9>) -> Vec<u8> {
    Job { target, plan }.write(&mut [0; 2048]).unwrap().to_vec()
}

fn command(id: u32, command: Command<'_>) -> Vec<u8> {
    let envelope = CommandEnvelope { version: COMMAND_VERSION, id, command };
    let mut buffer = [0; MAX_ENCODED];
    let length = encode_command(&envelope, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Sends a command, and gives the request and the answer that it led to.
fn send(device: &mut Device, id: u32, what: Command<'_>) -> (Option<Request<PHASES>>, Option<Answer>) {
    let mut request = None;
    for byte in command(id, what) {
        request = device.push(byte).or(request);
    }
    let answer = device.due();
    device.answered();
    (request, answer)
}

/// Uploads a job in parts; gives the last answer.
fn upload(device: &mut Device, job: &[u8], plan_hash: u64) -> Answer {
    let length = u16::try_from(job.len()).unwrap();
    let parts = job.chunks(MAX_PART).zip((0..).step_by(MAX_PART));
    parts
        .map(|(part, offset)| {
            send(device, offset.into(), Command::Upload { plan_hash, length, offset, part }).1.unwrap()
        })
        .last()
        .unwrap()
}

fn refusal_of(target: &str, plan: &RunPlan<9>) -> Option<Refusal> {
    upload(&mut Device::new(), &job(target, plan), plan.content_hash()).refusal
}

#[test]
fn a_plan_is_uploaded_and_started() {
    let mut device = Device::new();
    let plan = plan(PHASES);
    let hash = plan.content_hash();
    assert_eq!(send(&mut device, 7, Command::Identify).0, Some(Request::Identify));
    assert_eq!(send(&mut device, 8, Command::Start { plan_hash: hash }).1.unwrap().refusal, Some(Refusal::NoPlan));
    let answer = upload(&mut device, &job("10.0.2.2:80", &plan), hash);
    assert_eq!((answer.refusal, answer.plan_hash), (None, hash));
    let (request, answer) = send(&mut device, 99, Command::Start { plan_hash: hash });
    let Some(Request::Start { target, plan: started }) = request else { panic!("{request:?}") };
    assert_eq!((&*target, started.phases(), started.seed()), ("10.0.2.2:80", plan.phases(), plan.seed()));
    assert_eq!(answer.unwrap(), Answer { command: 99, plan_hash: hash, refusal: None });
    // The answer was lost: the same command once more starts nothing.
    let (request, answer) = send(&mut device, 99, Command::Start { plan_hash: hash });
    assert_eq!((request, answer.unwrap().command), (None, 99));
    device.set_busy(true);
    assert_eq!(send(&mut device, 100, Command::Start { plan_hash: hash }).1.unwrap().refusal, Some(Refusal::Busy));
    assert_eq!(send(&mut device, 101, Command::Stop).0, Some(Request::Stop));
}

#[test]
fn what_does_not_fit_is_refused_by_its_reason() {
    let one = plan(1);
    assert_eq!(refusal_of(&"x".repeat(MAX_TARGET), &one), None);
    assert_eq!(refusal_of(&"x".repeat(MAX_TARGET + 1), &one), Some(Refusal::TargetTooLong(64)));
    assert_eq!(refusal_of("x", &plan(PHASES + 1)), Some(Refusal::TooManyPhases(4)));
    assert_eq!(refusal_of("x", &plan(0)), Some(Refusal::CannotRun));
    let hash = one.content_hash();
    let good = job("x", &one);
    let refusal = |job: &[u8], hash| upload(&mut Device::new(), job, hash).refusal;
    assert_eq!(refusal(&good, hash + 1), Some(Refusal::HashMismatch));
    assert_eq!(refusal(&[&*good, &[0]].concat(), hash), Some(Refusal::Malformed));
    assert_eq!(refusal(&good[..good.len() - 1], hash), Some(Refusal::BadPhase(0)));
    assert_eq!(refusal(&[0xff; 20], hash), Some(Refusal::Malformed));
    assert_eq!(refusal(&[1; JOB + 1], hash), Some(Refusal::JobTooLong(512)));
    let mut device = Device::new();
    let part = Command::Upload { plan_hash: hash, length: 9, offset: 3, part: &[1] };
    assert_eq!(send(&mut device, 1, part).1.unwrap().refusal, Some(Refusal::OutOfOrder(0)));
    let unknown = [&[0], &*seal(&[COMMAND_VERSION, 77, 6]), &[0]].concat();
    assert!(unknown.iter().all(|byte| device.push::<PHASES>(*byte).is_none()));
    assert_eq!(device.due(), Some(Answer { command: 77, plan_hash: 0, refusal: Some(Refusal::Unsupported) }));
}

#[test]
fn the_largest_part_fits_in_a_frame_and_no_direction_takes_the_other() {
    let largest = Command::Upload { plan_hash: u64::MAX, length: u16::MAX, offset: u16::MAX, part: &[7; MAX_PART] };
    let mut bytes = command(u32::MAX, largest);
    let inner = 1..bytes.len() - 1;
    assert_eq!(decode(&mut bytes.clone()[inner.clone()]), Err(DecodeError::Echo));
    assert_eq!(decode_command(&mut bytes[inner]).unwrap().command, largest);
    let mut device = Device::new();
    for kind in 0..6 {
        assert!(Content::worst(kind).encoded().iter().all(|byte| device.push::<PHASES>(*byte).is_none()));
    }
    assert_eq!(device.due(), None);
}

proptest! {
    /// A host that sends a command until it is answered, over a line that drops and damages, uploads what it means to.
    #[test]
    fn an_upload_gets_through(losses in vec((any::<bool>(), any::<bool>()), 8..40), phases in 1..=PHASES) {
        let plan = plan(phases);
        let (job, plan_hash) = (job("host:1", &plan), plan.content_hash());
        let length = u16::try_from(job.len()).unwrap();
        let mut device = Device::new();
        let mut losses = losses.into_iter().chain(std::iter::repeat((false, false)));
        let mut last = None;
        for (part, offset) in job.chunks(50).zip((0..).step_by(50)) {
            last = Some(loop {
                let (lose_command, lose_answer) = losses.next().unwrap();
                let mut bytes = command(offset.into(), Command::Upload { plan_hash, length, offset, part });
                if lose_command {
                    bytes[5] ^= 0x10;
                }
                for byte in bytes {
                    prop_assert!(device.push::<PHASES>(byte).is_none());
                }
                match device.due() {
                    Some(answer) if !lose_answer => {
                        device.answered();
                        break answer;
                    }
                    _ => device.answered(),
                }
            });
        }
        prop_assert_eq!(last.unwrap(), Answer { command: last.unwrap().command, plan_hash, refusal: None });
    }

    #[test]
    fn any_bytes_and_any_commands_are_taken(
        noise in vec(any::<u8>(), 0..400),
        parts in vec((any::<u16>(), any::<u16>(), vec(any::<u8>(), 0..MAX_PART)), 0..6),
        plan_hash: u64,
    ) {
        let mut device = Device::new();
        for byte in noise {
            device.push::<PHASES>(byte);
        }
        for (id, (length, offset, part)) in (0..).zip(&parts) {
            let upload = Command::Upload { plan_hash, length: length % 600, offset: offset % 300, part };
            send(&mut device, id, upload);
            send(&mut device, 1_000 + id, Command::Start { plan_hash });
        }
    }
}

/// Runs one phase of three requests with a host that acknowledges at these times; counts ends of the phase and the run.
fn ends(acknowledge: impl Fn(Option<u16>) -> bool) -> (usize, usize) {
    let mut plan = RunPlan::<1>::new(0);
    plan.push(PhasePlan { stop: Stop::requests(3), ..open_loop(1_000, 3) }).unwrap();
    let mut runner = Runner::<8, 1>::new(plan, ()).unwrap();
    let mut reporter = Reporter::new(IDENTITY, eager(0));
    reporter.expect_acknowledgement();
    let mut queue = TxQueue::<QUEUE>::new();
    let mut receiver = Receiver::<MAX_ENCODED>::new();
    let (mut phase_ends, mut run_ends) = (0, 0);
    for millis in 0..10_000 {
        let now = Nanos::from_millis(millis);
        let step = runner.poll(now, true);
        reporter.poll(now, &mut runner, &mut queue);
        match step {
            Step::Send(ticket) => runner.finish(&ticket, now, Outcome::Success).unwrap(),
            Step::PhaseEnded if reporter.is_phase_reported() => runner.next_phase(),
            Step::Finished if reporter.is_run_reported() => return (phase_ends, run_ends),
            Step::Finished => reporter.finish(now, &runner, &mut queue),
            _ => {}
        }
        let sent = queue.front().to_vec();
        queue.consume(sent.len());
        for byte in sent {
            let Some(Received::Frame(envelope)) = receiver.push(byte) else { continue };
            let ended = match envelope.frame {
                Frame::Phase(report) if report.stats.state == PhaseState::Complete => Some(report.stats.index),
                Frame::Finished(_) => None,
                _ => continue,
            };
            *if ended.is_some() { &mut phase_ends } else { &mut run_ends } += 1;
            if acknowledge(ended) {
                reporter.acknowledge(ended);
            }
        }
    }
    panic!("the run never ends");
}

#[test]
fn ends_are_sent_until_they_are_acknowledged_or_a_bounded_number_of_times() {
    // One report tells of the transition; the others end a final snapshot each.
    assert_eq!(ends(|_| true), (2, 1));
    assert_eq!(ends(|_| false), (1 + 3, 3));
    assert_eq!(ends(|ended| ended.is_none()), (1 + 3, 1));
}
