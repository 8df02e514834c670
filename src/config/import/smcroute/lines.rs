//! From text to directives.

use super::Remark;
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// `include` in an included file, and so on.
const DEPTH: usize = 8;
/// More files than this are a mistake.
const FILES: usize = 1000;
/// More directives than this too.
const DIRECTIVES: usize = 100_000;
const MAX_BYTES: u64 = 16 << 20;

/// A directive and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) what: What,
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Phyint { interface: String, disabled: bool, mrdisc: bool, threshold: Option<u8> },
    Mgroup { from: String, source: Option<IpNet>, group: IpNet },
    Mroute { from: String, source: Option<IpNet>, group: IpNet, to: Vec<String> },
}

/// All directives in their order, and all that is not understood.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) directives: Vec<Directive>,
    pub(super) mistakes: Vec<Remark>,
    files: usize,
}

pub(super) fn read_file(path: &Path) -> Lines {
    let mut lines = Lines::default();
    lines.file(path, 0, &("", 0));
    lines
}

pub(super) fn read_text(name: &str, text: &str) -> Lines {
    let mut lines = Lines::default();
    lines.text(name, Path::new(""), text, 0);
    lines
}

impl Lines {
    /// Reads a file that `by` includes.
    fn file(&mut self, path: &Path, depth: usize, by: &(&str, u32)) {
        let name = path.display().to_string();
        let asked = if by.1 == 0 { (name.as_str(), 0) } else { *by };
        self.files += 1;
        if depth > DEPTH || self.files > FILES {
            let message = format!(
                "includes {name}, which is the {} file or lies more than {DEPTH} deep; do files include \
                 each other in a circle?",
                self.files
            );
            self.mistake(asked, message);
            return;
        }
        let size = std::fs::metadata(path).map(|metadata| metadata.len());
        let text = match size {
            Ok(size) if size > MAX_BYTES => Err(format!("is larger than {} MiB", MAX_BYTES >> 20)),
            _ => std::fs::read(path).map_err(|error| format!("cannot be read: {error}")),
        };
        match text.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8".into())) {
            Ok(text) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                self.text(&name, folder, &text, depth);
            }
            Err(why) if by.1 == 0 => self.mistake(asked, why),
            Err(why) => self.mistake(asked, format!("{name} {why}")),
        }
    }

    fn text(&mut self, name: &str, folder: &Path, text: &str, depth: usize) {
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = code.split_whitespace().collect();
            let parsed = match words.as_slice() {
                [] => continue,
                ["include", pattern] => {
                    self.include(&folder.join(pattern), depth, &(name, number));
                    continue;
                }
                ["include", ..] => Err("include takes one path".to_owned()),
                [directive, rest @ ..] => directive_of(directive, rest),
            };
            match parsed {
                Ok(_) if self.directives.len() >= DIRECTIVES => {
                    let message = format!("more than {DIRECTIVES} directives are not imported");
                    self.mistake((name, number), message);
                    return;
                }
                Ok(what) => {
                    self.directives.push(Directive { file: name.to_owned(), line: number, what });
                }
                Err(message) => self.mistake((name, number), message),
            }
        }
    }

    /// Every file that the pattern names, in the order of the alphabet; none is no mistake.
    fn include(&mut self, pattern: &Path, depth: usize, by: &(&str, u32)) {
        let wild = |text: &str| text.contains(['*', '?', '[']);
        let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !wild(&pattern.to_string_lossy()) {
            return self.file(pattern, depth + 1, by);
        }
        let folder = pattern.parent().unwrap_or(Path::new(""));
        if wild(&folder.to_string_lossy()) || name.contains('[') {
            let message = "only '*' and '?' in the name of the file are followed here; write one include \
                           for each folder";
            return self.mistake(*by, message.to_owned());
        }
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut found: Vec<PathBuf> = match std::fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            // glob(3) finds nothing there.
            Err(_) => Vec::new(),
        };
        found.retain(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            (!file.starts_with('.') || name.starts_with('.')) && matches(&name, &file)
        });
        found.sort();
        for path in found {
            self.file(&path, depth + 1, by);
        }
    }

    fn mistake(&mut self, (file, line): (&str, u32), message: String) {
        // A thousand are enough to read.
        if self.mistakes.len() < 1000 {
            self.mistakes.push(Remark { file: file.to_owned(), line, message });
        }
    }
}

/// Whether a name fits a pattern of '*' and '?'. Goes back to the last '*' only, so time is bounded by
/// the product of the lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn directive_of(directive: &str, words: &[&str]) -> Result<What, String> {
    match directive {
        "phyint" => phyint(words),
        // The older form of a group with a source.
        "mgroup" | "ssmgroup" => {
            let Route { from, source, group, to } = route(directive, words)?;
            if to.is_some() {
                return Err(format!("{directive} has no \"to\"; that is for mroute"));
            }
            if directive == "ssmgroup" && source.is_none() {
                return Err(
                    "ssmgroup needs a source: ssmgroup from eth0 source 10.0.0.1 group 232.1.1.1"
                        .to_owned(),
                );
            }
            Ok(What::Mgroup { from, source, group })
        }
        "mroute" => {
            let Route { from, source, group, to } = route(directive, words)?;
            match to {
                Some(to) if !to.is_empty() => Ok(What::Mroute { from, source, group, to }),
                _ => Err("mroute needs output interfaces at its end: to eth1 eth2".to_owned()),
            }
        }
        other => Err(format!(
            "\"{other}\" is not a directive; there are phyint, mgroup, ssmgroup, mroute and include"
        )),
    }
}

fn phyint(words: &[&str]) -> Result<What, String> {
    let [interface, rest @ ..] = words else {
        return Err("phyint needs an interface: phyint eth0 enable".to_owned());
    };
    let interface = interface_name(interface)?;
    let (mut disabled, mut mrdisc, mut threshold) = (false, false, None);
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match *word {
            "enable" => disabled = false,
            "disable" => disabled = true,
            "mrdisc" => mrdisc = true,
            "ttl-threshold" => {
                let value =
                    rest.next().and_then(|text| text.parse::<u8>().ok()).filter(|ttl| *ttl > 0);
                threshold = Some(value.ok_or("ttl-threshold needs a number from 1 to 255")?);
            }
            other => {
                return Err(format!(
                    "\"{other}\" is no option of phyint; there are enable, disable, mrdisc and \
                     ttl-threshold"
                ));
            }
        }
    }
    Ok(What::Phyint { interface, disabled, mrdisc, threshold })
}

struct Route {
    from: String,
    source: Option<IpNet>,
    group: IpNet,
    to: Option<Vec<String>>,
}

fn route(directive: &str, words: &[&str]) -> Result<Route, String> {
    let (mut from, mut source, mut group, mut to) = (None, None, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().ok_or_else(|| format!("\"{word}\" has no value"));
        match *word {
            "from" => from = Some(interface_name(value()?)?),
            "source" => source = Some(prefix(value()?)?),
            "group" => group = Some(prefix(value()?)?),
            "to" => {
                let names = words.by_ref().map(|name| interface_name(name));
                to = Some(names.collect::<Result<Vec<_>, _>>()?);
            }
            other => {
                return Err(format!(
                    "\"{other}\" is not expected here; {directive} has from, source, group{}",
                    if directive == "mroute" { " and to" } else { "" }
                ));
            }
        }
    }
    let from = from.ok_or_else(|| format!("{directive} needs an interface: from eth0"))?;
    let group = group.ok_or_else(|| format!("{directive} needs a group: group 239.1.1.1"))?;
    if !group.network().is_multicast() || group.prefix_len() < 4 {
        return Err(format!("{group} is not multicast (224.0.0.0/4 or ff00::/8)"));
    }
    let source = source.filter(|source| !(source.prefix_len() == 0 || unspecified(source)));
    if let Some(source) = source {
        if source.network().is_multicast() {
            return Err(format!("{source} is multicast; a source is the address of a sender"));
        }
        if source.network().is_ipv4() != group.network().is_ipv4() {
            return Err(format!("source {source} and group {group} are of different IP versions"));
        }
    }
    Ok(Route { from, source, group, to })
}

/// 0.0.0.0 as a source means every source.
fn unspecified(source: &IpNet) -> bool {
    source.addr().is_unspecified()
}

/// At most 15 characters, the kernel's limit; a '+' at the end stands for anything.
fn interface_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('+').unwrap_or(text);
    if text.len() > 15 || (name.is_empty() && text != "+") || name.contains(['/', ':', '+', '*']) {
        return Err(format!("\"{text}\" is not the name of an interface"));
    }
    Ok(text.to_owned())
}

/// An address or a prefix.
fn prefix(text: &str) -> Result<IpNet, String> {
    let whole = text.parse::<IpNet>().ok();
    let prefix = whole.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    prefix.map(|prefix| prefix.trunc()).ok_or_else(|| {
        format!("\"{text}\" is not an IP address, with or without a prefix length (225.0.0.0/24)")
    })
}
