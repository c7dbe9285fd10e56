//! An error prints its cause or returns it as its source, never both: a message is whole, and says nothing twice.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use phasemeter::WriteError;
use phasemeter::capture::CaptureError;
use phasemeter::core::telemetry::{Reason, Refusal};
use phasemeter::hook::HookError;
use phasemeter::load::LoadError;
use phasemeter::mock::MockError;
use phasemeter::process::ProcessError;
use phasemeter::recorder::{RecordError, Unwritten};
use phasemeter::registry::{Category, RegistryError};
use phasemeter::remote::RemoteError;
use phasemeter::replay::RecordedRun;
use phasemeter::source::SourceError;

const CAUSE: &str = "what the system said";

#[test]
fn a_message_is_whole_and_has_no_source_behind_it() {
    let cause = || io::Error::other(CAUSE);
    let path = || PathBuf::from("file");
    let write = || WriteError { path: path(), cause: cause() };
    let capture = || CaptureError::Io { path: path(), cause: cause() };
    let hook = || HookError::from(write());
    let unwritten = || Unwritten { run: RecordedRun::new(), kept_bytes: 1, capture: None, artifact: Some(write()) };
    let category = Category::PhaseHook;
    let errors: Vec<Box<dyn Error>> = vec![
        Box::new(write()),
        Box::new(capture()),
        Box::new(hook()),
        Box::new(HookError::Directory { path: path(), cause: cause() }),
        Box::new(HookError::Run { program: "a".into(), cause: cause() }),
        Box::new(HookError::Rotate(write())),
        Box::new(HookError::Thread(cause())),
        Box::new(LoadError::Client(cause())),
        Box::new(LoadError::Line(cause())),
        Box::new(LoadError::Hook(hook())),
        Box::new(MockError::Bind { addr: ([127, 0, 0, 1], 1).into(), cause: cause() }),
        Box::new(MockError::Log { path: path(), cause: cause() }),
        Box::new(MockError::Threads(cause())),
        Box::new(ProcessError::Read { input: "a".into(), cause: cause() }),
        Box::new(ProcessError::from(write())),
        Box::new(RecordError::from(capture())),
        Box::new(RecordError::from(Box::new(unwritten()))),
        Box::new(RecordError::from(hook())),
        Box::new(RegistryError::Failed { category, name: "a".into(), cause: cause().into() }),
        Box::new(RemoteError::from(cause())),
        Box::new(SourceError::Open { identity: "a".into(), cause: cause() }),
    ];
    for error in errors {
        let message = error.to_string();
        assert_eq!(message.matches(CAUSE).count(), 1, "{message}");
        assert!(error.source().is_none(), "{message}");
    }
    let refusal = Refusal::from(Reason::BUSY);
    let error = RemoteError::from(refusal);
    assert_eq!(error.to_string().matches(&refusal.to_string()).count(), 1, "{error}");
    assert!(error.source().is_none(), "{error}");
}

/// What somebody else's code does with its causes is not known: all of them are told.
#[test]
fn a_component_that_fails_tells_all_its_causes() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let cause = Outer(io::Error::other(CAUSE)).into();
    let error = RegistryError::Failed { category: Category::PhaseHook, name: "a".into(), cause };
    assert_eq!(error.to_string(), format!("cannot create the phase_hook `a`: outer: {CAUSE}"));
    assert!(error.source().is_none());
}

/// The rule as it is written: what `thiserror` makes a source is allowed in transparent variants only.
#[test]
fn no_error_of_the_library_declares_a_source_beside_a_message() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../std-adapter/src");
    let mut directories = vec![sources];
    let mut transparent = 0;
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(directory).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let mut message = "";
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[error") {
                    message = line;
                }
                let field = line.trim_start_matches("pub ");
                let is_source = field.starts_with("source: ") && line.trim_end_matches(',').ends_with("Error");
                let place = path.display();
                assert!(!is_source && !line.contains("#[source]"), "{place}: {line}: name it `cause`");
                if line.contains("#[from]") {
                    assert_eq!(message, "#[error(transparent)]", "{place}: {line}");
                    transparent += 1;
                }
            }
        }
    }
    assert!(transparent >= 4, "the errors are elsewhere");
}
