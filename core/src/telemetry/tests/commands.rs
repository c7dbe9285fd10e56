//! The other direction: commands as bytes, uploads over a line that loses and repeats, refusals by their reason.

use super::*;
use crate::plan::{Arrival, PhasePlan, RunPlan, Stop, Workload};

const PHASES: usize = 4;

/// Arbitrary contents for a command of any kind; a [`CommandEnvelope`] borrows from it.
#[derive(Clone, Debug)]
struct Order {
    kind: u8,
    flags: u8,
    numbers: Vec<u64>,
    target: String,
    path: String,
}

impl Order {
    /// The largest values in every field.
    fn worst(kind: u8) -> Self {
        let [target, path] = [MAX_TARGET, crate::plan::MAX_PATH].map(|length| "x".repeat(length));
        Self { kind, flags: 0xff, numbers: std::vec![u64::MAX; 9], target, path }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number does, cut to the field's type")]
    fn envelope(&self) -> CommandEnvelope<'_> {
        let n = |index: usize| self.numbers[index];
        let command = match self.kind {
            0 => Command::Identify,
            1 => Command::Prepare { plan_hash: n(1), seed: n(2), phases: n(3) as u16, target: &self.target },
            2 => Command::Phase { index: n(1) as u16, phase: phase_plan(self.flags, &self.numbers, &self.path) },
            3 => Command::Start { plan_hash: n(1) },
            4 => Command::Stop,
            5 => Command::Acknowledge { boot: n(1) as u32, phase: (self.flags & 1 != 0).then(|| n(2) as u16) },
            _ => Command::Resend,
        };
        CommandEnvelope { version: COMMAND_VERSION, id: n(0) as u32, command }
    }

    fn encoded(&self) -> Vec<u8> {
        encoded(&self.envelope())
    }
}

fn order() -> impl Strategy<Value = Order> {
    let numbers = vec(number(), 9);
    (0..7_u8, any::<u8>(), numbers, "[ -~]{0,64}", "/[!-~]{0,63}|[ア-ン]{0,21}")
        .prop_map(|(kind, flags, numbers, target, path)| Order { kind, flags, numbers, target, path })
}

fn encoded(envelope: &CommandEnvelope<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_ENCODED];
    let length = encode_command(envelope, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn command(id: u32, command: Command<'_>) -> Vec<u8> {
    encoded(&CommandEnvelope { version: COMMAND_VERSION, id, command })
}

/// A device's ear, and the plan that it puts together.
struct Ear {
    control: Control,
    plan: RunPlan<PHASES>,
    /// A run is under way.
    is_busy: bool,
}

impl Ear {
    fn new() -> Self {
        Self { control: Control::new(), plan: RunPlan::new(0), is_busy: false }
    }

    /// Takes bytes, and gives the requests that they make.
    fn hear(&mut self, mut bytes: &[u8]) -> Vec<Request> {
        let mut requests = Vec::new();
        while !bytes.is_empty() {
            let plan = (!self.is_busy).then_some(&mut self.plan);
            requests.extend(self.control.receive(&mut bytes, plan));
        }
        requests
    }

    fn answer(&mut self) -> Option<Answer> {
        let answer = self.control.due();
        self.control.answered();
        answer
    }

    /// Takes a command, and gives the answer.
    fn obey(&mut self, id: u32, what: Command<'_>) -> Answer {
        self.hear(&command(id, what));
        self.answer().unwrap()
    }

    fn refusal(&mut self, id: u32, what: Command<'_>) -> Option<Refusal> {
        self.obey(id, what).refusal()
    }

    /// Takes a plan, and gives the last answer.
    fn upload(&mut self, target: &str, plan: &RunPlan<9>, plan_hash: u64) -> Answer {
        uploads(target, plan, plan_hash).map(|(id, what)| self.obey(id, what)).last().unwrap()
    }
}

fn plan(phases: usize) -> RunPlan<9> {
    let mut plan = RunPlan::new(0xfeed);
    for requests in (1..).take(phases) {
        let workload = Workload::get("/a/long/path").unwrap();
        plan.push(PhasePlan::profiling(workload, Arrival::poisson(1_000), Stop::requests(requests))).unwrap();
    }
    plan
}

/// The commands that carry a plan.
fn uploads<'a>(target: &'a str, plan: &'a RunPlan<9>, plan_hash: u64) -> impl Iterator<Item = (u32, Command<'a>)> {
    let phases = u16::try_from(plan.phases().len()).unwrap();
    let prepare = Command::Prepare { plan_hash, seed: plan.seed(), phases, target };
    let phases = (0..).zip(plan.phases()).map(|(index, phase)| Command::Phase { index, phase: phase.clone() });
    (10..).zip(core::iter::once(prepare).chain(phases))
}

#[test]
fn a_plan_is_uploaded_and_started() {
    let mut ear = Ear::new();
    let plan = plan(PHASES);
    let plan_hash = plan.content_hash();
    assert!(!ear.control.has_heard());
    assert_eq!(ear.hear(&command(7, Command::Identify)), [Request::Identify]);
    assert_eq!(ear.refusal(8, Command::Start { plan_hash }), Some(Reason::NO_PLAN.into()));
    let answer = ear.upload("10.0.2.2:80", &plan, plan_hash);
    assert_eq!((answer.refusal(), answer.plan_hash), (None, plan_hash));
    assert_eq!((ear.control.target(), ear.plan.phases(), ear.plan.seed()), ("10.0.2.2:80", plan.phases(), plan.seed()));
    assert_eq!(ear.refusal(98, Command::Start { plan_hash: 1 }), Some(Reason::NO_PLAN.into()));
    let start = command(99, Command::Start { plan_hash });
    assert_eq!(ear.hear(&start), [Request::Start]);
    assert!(ear.control.is_asked() && ear.control.has_heard());
    // The driver is yet to decide: there is no answer, however often the host asks, and nothing else begins.
    assert_eq!((ear.hear(&start), ear.answer()), (std::vec![], None));
    assert_eq!(
        ear.refusal(100, Command::Prepare { plan_hash: 0, seed: 0, phases: 1, target: "" }),
        Some(Reason::BUSY.into())
    );
}

#[test]
fn a_start_is_answered_as_the_driver_decides() {
    for decision in [Ok(()), Err(Reason::BAD_TARGET.into()), Err(Refusal::with(Reason::BAD_PHASE, 3))] {
        let mut ear = Ear::new();
        let plan_hash = plan(1).content_hash();
        ear.upload("", &plan(1), plan_hash);
        let start = command(99, Command::Start { plan_hash });
        ear.hear(&start);
        ear.control.decide(decision);
        ear.is_busy = decision.is_ok();
        let answer = ear.answer().unwrap();
        assert_eq!((answer.command, answer.refusal()), (99, decision.err()));
        // The answer was lost: the same command once more starts nothing.
        assert_eq!((ear.hear(&start), ear.answer()), (std::vec![], Some(answer)));
        // Nothing is asked: a decision decides nothing.
        ear.control.decide(Err(Reason::BUSY.into()));
        assert_eq!(ear.answer(), None);
    }
}

#[test]
fn while_a_run_is_under_way_it_can_only_be_watched_and_stopped() {
    let mut ear = Ear::new();
    let plan = plan(1);
    let plan_hash = plan.content_hash();
    ear.upload("here", &plan, plan_hash);
    ear.is_busy = true;
    for (id, what) in uploads("elsewhere", &plan, plan_hash).chain([(90, Command::Start { plan_hash })]) {
        assert_eq!(ear.refusal(100 + id, what), Some(Reason::BUSY.into()));
    }
    assert_eq!((ear.control.target(), ear.plan.phases().len()), ("here", 1));
    assert_eq!(ear.hear(&command(201, Command::Identify)), [Request::Identify]);
    assert_eq!(ear.hear(&command(202, Command::Stop)), [Request::Stop]);
    assert_eq!(ear.answer().unwrap().refusal(), None);
    let acknowledge = Command::Acknowledge { boot: 5, phase: Some(7) };
    let both = [command(9, acknowledge), command(9, Command::Resend)].concat();
    assert_eq!(ear.hear(&both), [Request::Acknowledge { boot: 5, phase: Some(7) }, Request::Resend]);
    assert_eq!(ear.answer(), None, "these are not answered");
}

#[test]
fn what_does_not_fit_is_refused_by_its_reason() {
    let one = plan(1);
    let hash = one.content_hash();
    let refusal = |target: &str, plan: &RunPlan<9>, hash| Ear::new().upload(target, plan, hash).refusal();
    let prepare =
        |phases, target: &str| Ear::new().refusal(1, Command::Prepare { plan_hash: hash, seed: 0, phases, target });
    let long = "x".repeat(MAX_TARGET + 1);
    assert_eq!(refusal(&long[1..], &one, hash), None);
    assert_eq!(prepare(1, &long), Some(Refusal::with(Reason::TARGET_TOO_LONG, 64)));
    assert_eq!(prepare(5, "x"), Some(Refusal::with(Reason::TOO_MANY_PHASES, 4)));
    assert_eq!(prepare(0, "x"), Some(Reason::CANNOT_RUN.into()));
    assert_eq!(refusal("x", &one, hash + 1), Some(Reason::HASH_MISMATCH.into()));
    let phase = |index, phase| Ear::new().refusal(1, Command::Phase { index, phase });
    let good = &one.phases()[0];
    assert_eq!(phase(1, good.clone()), Some(Refusal::with(Reason::OUT_OF_ORDER, 0)));
    assert_eq!(phase(0, PhasePlan { stop: Stop::default(), ..good.clone() }), Some(Reason::CANNOT_RUN.into()));
    let monitor = PhasePlan { kind: PhaseKind::Monitor, ..good.clone() };
    assert_eq!(phase(0, monitor), Some(Refusal::with(Reason::BAD_PHASE, 0)));
}

#[test]
fn what_a_device_cannot_read_is_refused_by_its_id() {
    for (payload, reason) in [
        (&[COMMAND_VERSION, 77, 7][..], Reason::UNSUPPORTED),
        (&[COMMAND_VERSION, 77, 3], Reason::MALFORMED),
        (&[COMMAND_VERSION, 77, 4, 0], Reason::MALFORMED),
    ] {
        let mut ear = Ear::new();
        assert_eq!(ear.hear(&[&[0], &*seal(payload), &[0]].concat()), []);
        let answer = ear.answer().unwrap();
        assert_eq!((answer.command, answer.refusal()), (77, Some(reason.into())));
    }
}

#[test]
fn a_started_plan_is_only_the_one_that_came_whole() {
    let mut ear = Ear::new();
    let two = plan(2);
    let plan_hash = two.content_hash();
    assert_eq!(ear.upload("", &two, plan_hash).plan_hash, plan_hash);
    // Another upload begins and does not end.
    ear.obey(1, Command::Prepare { plan_hash, seed: 1, phases: 2, target: "" });
    assert_eq!(ear.obey(2, Command::Start { plan_hash }).refusal(), Some(Reason::NO_PLAN.into()));
    // One phase more than announced.
    ear.upload("", &two, plan_hash);
    let more = Command::Phase { index: 2, phase: two.phases()[0].clone() };
    assert_eq!(ear.obey(3, more).plan_hash, 0);
    assert_eq!(ear.obey(4, Command::Start { plan_hash }).refusal(), Some(Reason::NO_PLAN.into()));
}

#[test]
fn no_direction_takes_the_other() {
    for kind in 0..7 {
        let bytes = Order::worst(kind).encoded();
        assert_eq!(decode(&mut bytes[1..bytes.len() - 1].to_vec()), Err(DecodeError::Echo));
    }
    let mut ear = Ear::new();
    for kind in 0..10 {
        assert_eq!(ear.hear(&Content::worst(kind).encoded()), []);
    }
    assert_eq!(ear.answer(), None);
    assert!(!ear.control.has_heard());
}

#[test]
fn the_largest_commands_fit() {
    for kind in 0..7 {
        let mut bytes = Order::worst(kind).encoded();
        assert!(bytes.len() <= MAX_ENCODED, "kind {kind} takes {} bytes", bytes.len());
        let inner = 1..bytes.len() - 1;
        assert_eq!(decode_command(&mut bytes[inner]), Ok(Order::worst(kind).envelope()));
    }
}

proptest! {
    #[test]
    fn every_command_survives_the_round_trip_as_postcard_writes_it(order in order()) {
        let mut expected = [0; MAX_PAYLOAD];
        let expected = postcard::to_slice(&order.envelope(), &mut expected).unwrap();
        let mut bytes = order.encoded();
        prop_assert_eq!(payload(&bytes), &*expected);
        let inner = 1..bytes.len() - 1;
        prop_assert_eq!(decode_command(&mut bytes[inner]), Ok(order.envelope()));
    }

    /// A host that sends a command until it is answered, over a line that drops and damages, uploads what it means to.
    #[test]
    fn an_upload_gets_through(losses in vec(any::<(bool, bool)>(), 8..40), phases in 1..=PHASES) {
        let plan = plan(phases);
        let plan_hash = plan.content_hash();
        let mut ear = Ear::new();
        let mut losses = losses.into_iter().chain(core::iter::repeat((false, false)));
        let mut last = None;
        for (id, what) in uploads("host:1", &plan, plan_hash) {
            last = Some(loop {
                let (lose_command, lose_answer) = losses.next().unwrap();
                let mut bytes = command(id, what.clone());
                if lose_command {
                    bytes[5] ^= 0x10;
                }
                prop_assert_eq!(ear.hear(&bytes), []);
                match ear.answer() {
                    Some(answer) if !lose_answer => break answer,
                    _ => {}
                }
            });
        }
        let expected = Answer { command: last.unwrap().command, plan_hash, reason: Reason::OBEYED, detail: 0 };
        prop_assert_eq!(last, Some(expected));
        prop_assert_eq!(ear.plan.phases(), plan.phases());
    }

    #[test]
    fn any_bytes_and_any_commands_are_taken(noise in vec(any::<u8>(), 0..400), orders in vec(order(), 0..9)) {
        let mut ear = Ear::new();
        ear.hear(&noise);
        for order in orders {
            ear.hear(&order.encoded());
            prop_assert!(ear.plan.phases().iter().all(|phase| phase.stop != Stop::default()));
            if ear.control.is_asked() {
                ear.control.decide(Ok(()));
            }
            ear.answer();
        }
    }
}
