//! The layering of docs/architecture.md, enforced: a module imports only what its row allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Reads the table between the markers in docs/architecture.md: module -> allowed imports.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string("docs/architecture.md").expect("docs/architecture.md");
    let (_, rest) = text.split_once("<!-- layers:begin -->").expect("begin marker");
    let (rows, _) = rest.split_once("<!-- layers:end -->").expect("end marker");
    rows.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let names = |cell: &str| {
                cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>()
            };
            let module = names(cells[1]).into_iter().next().expect("a module");
            (module, names(cells[2]))
        })
        .collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn sources() -> Vec<(String, PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    files
        .into_iter()
        .filter(|path| !path.starts_with("src/bin") && path != Path::new("src/lib.rs"))
        .map(|path| {
            let module = path
                .components()
                .nth(1)
                .map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned())
                .expect("a module");
            let text = fs::read_to_string(&path).expect("readable");
            (module, path, text)
        })
        .collect()
}

/// Code without comments and without test modules at the end of a file.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test_file(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.ends_with("tests.rs")
        || text.contains("/tests/")
        || text.contains("test_")
        || text.contains("fake_")
}

/// Paths such as `control::view` after `crate::`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(braces) = rest.strip_prefix('{') {
            let inside = braces.split('}').next().unwrap_or_default();
            found.extend(inside.split(',').map(|name| name.trim().to_owned()));
            continue;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let path = rest[..end.unwrap_or(rest.len())].trim_end_matches(':').to_owned();
        // `crate::control::{event, view}`
        if let Some(list) = rest[path.len()..].strip_prefix("::{") {
            let inside = list.split('}').next().unwrap_or_default();
            found.extend(inside.split(',').map(|name| format!("{path}::{}", name.trim())));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_module_imports_only_what_its_row_allows() {
    let table = table();
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        let Some(allowed) = table.get(&module) else {
            wrong.push(format!("{}: module `{module}` has no row in the table", path.display()));
            continue;
        };
        if allowed.contains("everything") || is_test_file(&path) {
            continue;
        }
        for import in imports(&code(&text)) {
            let first = import.split("::").next().unwrap_or_default();
            let granted = first == module
                || allowed
                    .iter()
                    .any(|name| import == *name || import.starts_with(&format!("{name}::")));
            if !granted {
                wrong.push(format!("{}: `crate::{import}` is not for `{module}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_layers_do_no_io_and_read_no_clock() {
    const PURE: [&str; 5] = ["types", "wire", "fib", "rib", "control"];
    const FORBIDDEN: [&str; 9] = [
        "tokio",
        "std::fs",
        "std::net::UdpSocket",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "nix::",
        "libc::",
        "tracing",
    ];
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        if PURE.contains(&module.as_str()) && !is_test_file(&path) {
            let code = code(&text);
            for name in FORBIDDEN.iter().filter(|name| code.contains(**name)) {
                wrong.push(format!("{}: `{name}` in a pure layer", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_clock_is_read_in_one_place() {
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        // mcrgen measures latency between two processes: it reads the wall clock by itself.
        let allowed = module == "clock" || module == "traffic" || is_test_file(&path);
        let code = code(&text);
        // Naming the system call in a list of those that are allowed reads nothing.
        let code = code.replace("libc::SYS_clock_gettime,", "");
        let reads = ["Instant::now", "SystemTime::now", "clock_gettime"];
        if !allowed && reads.iter().any(|name| code.contains(name)) {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_stands_behind_its_two_fences() {
    let mut wrong = Vec::new();
    for (_, path, text) in sources() {
        let fenced = path.starts_with("src/sys") || path.starts_with("src/dataplane/uring");
        if !fenced && (text.contains("unsafe ") || text.contains("allow(unsafe_code)")) {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
