//! The example firmware in QEMU.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{LIMIT, wait_for};

/// What QEMU says when the firmware's network device had no room for a frame.
const DROPPED_FRAME: &str = "Failed to send packet";

/// The image that an environment variable names: `cargo xtask firmware test` builds it and sets the variable.
pub fn image(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask firmware test`"))
        .into()
}

/// The command that runs an image on the machine that it is for. `line` is QEMU's name for the other end of the
/// telemetry line, and `parameters` are the firmware's own.
pub fn qemu(image: impl AsRef<OsStr>, line: &str, parameters: &[&str]) -> Command {
    let mut command = Command::new("qemu-system-arm");
    command.args(["-machine", "mps2-an386", "-display", "none", "-nic", "user,model=lan9118"]);
    command.args(["-serial", "null", "-serial", line, "-kernel"]).arg(image).stdin(Stdio::null());
    let semihosting = ["enable=on,target=native"].iter().chain(parameters).copied().collect::<Vec<_>>();
    command.args(["-semihosting-config", &semihosting.join(",arg=")]);
    command
}

/// Fails if QEMU had to drop a frame that was meant for the firmware.
pub fn assert_no_frame_dropped(said: &str) {
    assert!(!said.contains(DROPPED_FRAME), "{said}");
}

/// The way to tell a running QEMU what to do.
#[derive(Debug)]
pub struct Monitor(TcpListener, Option<TcpStream>);

impl Monitor {
    /// Makes `command` connect to a monitor.
    pub fn of(command: &mut Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a listener need not block");
        command.args(["-monitor", &format!("tcp:{address}")]);
        Self(listener, None)
    }

    /// Resets the machine; its memory keeps what it holds.
    pub fn reset(&mut self) {
        self.tell("system_reset\n");
    }

    /// Where the other end of the telemetry line is, as the `phasemeter` command names a source: a port or a terminal
    /// that QEMU has chosen.
    pub fn source(&mut self) -> String {
        let answer = BufReader::new(self.tell("info chardev\n"));
        let named = |line: String| line.strip_prefix("serial1: filename=").map(str::to_owned);
        let name = answer.lines().find_map(|line| named(line.expect("QEMU answers")));
        let name = name.expect("the machine has a second serial line");
        let name = ["disconnected:", "pty:"].iter().fold(name.as_str(), |name, kind| name.trim_start_matches(kind));
        name.trim_end_matches(",server=on").to_owned()
    }

    fn tell(&mut self, command: &str) -> &TcpStream {
        let Self(listener, stream) = self;
        let connect = || listener.accept().ok().map(|(stream, _)| stream);
        let stream = stream.get_or_insert_with(|| wait_for("QEMU's monitor", LIMIT, connect));
        // Some systems hand the listener's mode on.
        stream.set_nonblocking(false).expect("a stream may block");
        stream.set_read_timeout(Some(LIMIT)).expect("the limit is not zero");
        stream.write_all(command.as_bytes()).expect("QEMU listens");
        stream
    }
}
