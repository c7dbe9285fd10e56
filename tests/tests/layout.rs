//! The rules of CONTRIBUTING on modules, for the library: all are listed there, and each uses only those above it.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The code of a file: without comments, and without the tests at its end.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<_> = lines.collect();
    let is_test = |pair: &[&str]| pair[0].starts_with("#[cfg(") && pair[0].contains("test") && pair[1].ends_with('{');
    let end = code.windows(2).position(is_test).unwrap_or(code.len());
    code[..end].join("\n")
}

/// The modules that a file lists, in its order.
fn modules_of(code: &str) -> Vec<&str> {
    let names = code.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    names.filter(|name| *name != "tests").collect()
}

/// The file of a module, and those of its parts.
fn files_of(module: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = Some(module.with_extension("rs")).into_iter().filter(|file| file.is_file()).collect();
    let mut directories = vec![module.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(items) = fs::read_dir(directory) else { continue };
        for path in items.map(|item| item.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Whether the code names the path, and not only one that begins like it.
fn names(code: &str, path: &str) -> bool {
    let continues = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(path).any(|(at, _)| !continues(&code[at + path.len()..]))
}

/// Whether the code has `use super::{module, …}`.
fn lists(code: &str, module: &str) -> bool {
    let lists = code.split("use super::{").skip(1).filter_map(|rest| rest.split('}').next());
    lists.flat_map(|list| list.split(',')).any(|item| item.trim().split("::").next() == Some(module))
}

/// Follows the list of a file, and those of the modules in it; adds what a module uses that is listed below it.
fn check(list: &Path, directory: &Path, path: &str, faults: &mut Vec<String>) -> usize {
    let code = code_of(list);
    let modules = modules_of(&code);
    for (place, module) in modules.iter().enumerate() {
        let own = directory.join(module);
        for file in files_of(&own) {
            let code = code_of(&file);
            let is_sibling = file == own.with_extension("rs") || file == own.join("mod.rs");
            for below in &modules[place + 1..] {
                let by_super = is_sibling && (names(&code, &format!("super::{below}")) || lists(&code, below));
                if by_super || names(&code, &format!("{path}::{below}")) {
                    faults.push(format!("{} uses {below}, which is listed below {module}", file.display()));
                }
            }
        }
    }
    let nested = modules.iter().map(|module| {
        let own = directory.join(module);
        let list = [own.join("mod.rs"), own.with_extension("rs")].into_iter().find(|file| file.is_file());
        let list = list.unwrap_or_else(|| panic!("{path}::{module} has no file"));
        check(&list, &own, &format!("{path}::{module}"), faults)
    });
    modules.len() + nested.sum::<usize>()
}

#[test]
fn a_module_uses_only_those_above_it() {
    let source = root().join("std-adapter/src");
    let mut faults = Vec::new();
    let modules = check(&source.join("lib.rs"), &source, "crate", &mut faults);
    assert!(modules > 60, "only {modules} modules were found");
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn contributing_lists_every_module() {
    let contributing = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let lib = fs::read_to_string(root().join("std-adapter/src/lib.rs")).unwrap();
    for module in modules_of(&lib) {
        assert!(contributing.contains(&format!("| `{module}`")), "{module} is not in CONTRIBUTING.md");
        let is_public = lib.contains(&format!("pub mod {module};"));
        assert_eq!(lib.contains(&format!("//! | [`{module}`]")), is_public, "{module} in the table of lib.rs");
    }
}

#[test]
fn a_module_that_uses_one_below_it_is_found() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = place.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write("lib.rs", "mod first;\npub mod second;\n");
    write(
        "first/mod.rs",
        "mod c;\nmod a;\nmod b;\n// crate::second is above\n#[cfg(test)]\nmod tests {\n    use crate::second;\n}\n",
    );
    write("first/a.rs", "use super::{A, b};\nuse crate::second::C;\n");
    write("first/c.rs", "use super::a::A;\n");
    write("first/b.rs", "use super::a::A;\nuse crate::secondary;\n");
    write("second.rs", "use crate::first::b::B;\n");
    let mut faults = Vec::new();
    assert_eq!(check(&place.path().join("lib.rs"), place.path(), "crate", &mut faults), 5);
    let expected = [
        "a.rs uses second, which is listed below first",
        "c.rs uses a, which is listed below c",
        "a.rs uses b, which is listed below a",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    assert!(faults.iter().zip(expected).all(|(fault, end)| fault.ends_with(end)), "{faults:?}");
}
