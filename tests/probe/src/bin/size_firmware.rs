//! What a load generator links: the runner, the reporter and the commands of a host, all in static memory. Neither
//! percentiles nor merging.

#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m_rt::entry;
use phasemeter_core::runner::{Outcome, Runner, Step};
use phasemeter_core::telemetry::{Control, MAX_ENCODED, Refusal, Reporter, ReporterConfig, Request, TxQueue};
use phasemeter_probe::{identity, unknown};

#[entry]
fn main() -> ! {
    static mut RUNNER: Runner<512, 8> = Runner::idle(());
    static mut QUEUE: TxQueue<{ 4 * MAX_ENCODED }> = TxQueue::new();
    static mut CONTROL: Control<1024> = Control::new();

    let mut reporter = Reporter::new(identity(), black_box(ReporterConfig::default()));
    loop {
        if let Some(request) = CONTROL.push(unknown()) {
            obey(request, RUNNER, &mut reporter, CONTROL);
        }
        match RUNNER.poll(unknown(), unknown()) {
            Step::Send(mut ticket) => {
                ticket.mark_sent(unknown());
                if unknown() {
                    ticket.mark_token(unknown());
                }
                let outcome = if unknown() { black_box(Outcome::Error) } else { Outcome::Success };
                RUNNER.finish(black_box(&ticket), unknown(), outcome).ok();
            }
            Step::WaitUntil(due) => {
                black_box(due.min(reporter.next_due()));
            }
            Step::PhaseEnded if reporter.is_phase_reported() => RUNNER.next_phase(),
            Step::PhaseEnded => {}
            Step::Finished if reporter.is_run_reported() => reporter.poll_idle::<512, _>(unknown(), QUEUE),
            Step::Finished => reporter.finish(unknown(), RUNNER, QUEUE),
        }
        reporter.answer(unknown(), CONTROL, QUEUE);
        reporter.poll(unknown(), RUNNER, QUEUE);
        black_box(QUEUE.front());
        QUEUE.consume(unknown());
    }
}

fn obey(request: Request<8>, runner: &mut Runner<512, 8>, reporter: &mut Reporter<'_>, control: &mut Control<1024>) {
    match request {
        Request::Start { target, plan } => {
            black_box(target);
            if runner.restart(plan).is_err() {
                control.refuse(Refusal::CannotRun);
            }
            *reporter = Reporter::new(identity(), black_box(ReporterConfig::default()));
            reporter.expect_acknowledgement();
        }
        Request::Stop => runner.cancel(unknown()),
        Request::Acknowledge(phase) => reporter.acknowledge(phase),
        Request::Resend => reporter.resend(runner),
        _ => reporter.identify(),
    }
}
