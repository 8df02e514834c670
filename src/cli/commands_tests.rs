//! Whole commands against a server: what is printed where, and how they end.

use super::*;
use crate::api::Limits;
use crate::api::fake_core::{Daemon, rule as sample};
use crate::types::Origin;
use clap::Parser;

pub(in crate::cli) struct Said {
    pub(in crate::cli) exit: Exit,
    pub(in crate::cli) out: String,
    pub(in crate::cli) err: String,
}

pub(in crate::cli) async fn mcrctl(socket: &std::path::Path, line: &str) -> Said {
    let words = ["mcrctl", "--socket-path"].into_iter().map(str::to_owned);
    let words = words.chain([socket.display().to_string()]);
    let args = Args::try_parse_from(words.chain(line.split(' ').map(str::to_owned)))
        .unwrap_or_else(|error| panic!("{error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&args, &mut out, &mut err).await;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { exit, out: text(out), err: text(err) }
}

const ADD: &str = "add --input-interface eth0 --input-group 239.1.1.1 --input-port 5000 \
                   --outputs 239.2.2.2:6000:eth1";

#[tokio::test]
async fn add_list_remove() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let line = format!("{ADD},10.0.0.9:7000 --name cam --rule-id r1 --ttl keep --priority 7");
    let said = mcrctl(&daemon.path, &line).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    assert!(said.out.starts_with("rule r1 (runtime/cam) is active\n"), "{}", said.out);
    let again = mcrctl(&daemon.path, &line).await;
    assert!(again.out.contains("the same rule was there already"), "{}", again.out);
    let rules = daemon.client().rules().await.expect("rules");
    assert_eq!(rules.len(), 1);
    assert_eq!((rules[0].priority, rules[0].outputs.len()), (7, 2));
    for output in &rules[0].outputs {
        assert_eq!(output.spec.ttl, Some(crate::config::v1::Ttl::Keep));
    }
    let list = mcrctl(&daemon.path, "list").await.out;
    let row =
        "\nr1  cam   runtime  active  239.1.1.1:5000 on eth0  239.2.2.2:6000 via eth1 ttl keep\n";
    assert!(list.contains(row), "{list}");
    let said = mcrctl(&daemon.path, "remove runtime/cam").await;
    assert_eq!(said.out, "removed rule r1 (runtime/cam)\n");
    let said = mcrctl(&daemon.path, "remove cam").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""));
    assert_eq!(
        said.err,
        "mcrctl: no rule has the id or name \"cam\"; `mcrctl list` shows all rules\n"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn an_upgrade_ends_when_somebody_answers() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let said = mcrctl(&daemon.path, "upgrade").await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    assert!(said.out.starts_with("mcrd 0.1.0 is replaced by mcrd 0.1.0 in "), "{}", said.out);
    let said = mcrctl(&daemon.path, "-o json upgrade").await;
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&answer["pid"], &answer["to"]), (&json!(42), &json!("0.1.0")), "{answer}");
    assert!(answer["milliseconds"].is_u64() && answer["dataPlane"].is_null(), "{answer}");
    let said = mcrctl(&daemon.path, "upgrade --dataplane").await;
    let second =
        "its data plane 0.1.0 is replaced by 0.2.0 in 17 ms: process 43, 2 ports handed over";
    assert_eq!(said.out.lines().nth(1), Some(second), "{}", said.out);
    let said = mcrctl(&daemon.path, "-o json upgrade --dataplane").await;
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(answer["dataPlane"]["pid"], json!(43), "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn every_command_prints_a_table_or_the_document_as_it_came() {
    let daemon = Daemon::start(Limits::default(), vec![sample("a1", Some("cam"))]);
    let commands = [
        ("list", "/v1/rules"),
        ("stats", "/v1/stats"),
        ("list-workers", "/v1/workers"),
        ("interfaces", "/v1/interfaces"),
        ("mroute", "/v1/mroute"),
        ("igmp groups", "/v1/igmp/groups"),
        ("igmp interfaces", "/v1/igmp/interfaces"),
        ("igmp stats", "/v1/igmp/stats"),
        ("ping", "/v1/ping"),
        ("log-level get", "/v1/log-level"),
    ];
    for (command, path) in commands {
        let table = mcrctl(&daemon.path, command).await;
        assert_eq!((table.exit, table.err.as_str()), (Exit::Done, ""), "{command}");
        assert!(table.out.ends_with('\n') && !table.out.starts_with(['{', '[']), "{command}");
        let said = mcrctl(&daemon.path, &format!("{command} -o json")).await;
        assert_eq!(said.exit, Exit::Done);
        assert_eq!(said.out, daemon.client().get(path).await.expect(path).body, "{command}");
        assert!(said.out.contains("\n  "), "{command} is not indented");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn refusals_end_with_1_and_say_why() {
    let mut of_file = sample("f1", Some("studio"));
    of_file.origin = Origin::File;
    let daemon = Daemon::start(Limits::default(), vec![of_file]);
    let said = mcrctl(&daemon.path, "remove file/studio").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""));
    assert!(said.err.contains("change the file and send mcrd SIGHUP"), "{}", said.err);
    let said = mcrctl(&daemon.path, "-o json remove file/studio").await;
    let problem: Problem = serde_json::from_str(&said.err).expect("a problem document");
    assert_eq!((said.exit, said.out.as_str(), problem.status), (Exit::Refused, "", 403));
    // Seen by the daemon: one line for each mistake.
    let said = mcrctl(&daemon.path, &ADD.replace("239.1.1.1", "not-a-group")).await;
    assert_eq!(said.exit, Exit::Refused);
    assert!(
        said.err.lines().count() >= 2 && said.err.starts_with("mcrctl: the rule"),
        "{}",
        said.err
    );
    // Seen here: all outputs at once, and nothing is sent.
    let said = mcrctl(&daemon.path, &format!("{ADD},nonsense,239.1.1.1:70000:eth1")).await;
    assert_eq!(said.exit, Exit::Refused);
    assert_eq!(said.err.matches("mcrctl: --outputs: ").count(), 2, "{}", said.err);
    assert_eq!(daemon.client().rules().await.expect("rules").len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn no_daemon_ends_with_3_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("control.sock");
    let said = mcrctl(&path, "list").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Unreachable, ""));
    assert!(said.err.contains("is mcrd running?"), "{}", said.err);
    drop(crate::api::bind(&path, None).expect("binds"));
    let said = mcrctl(&path, "list").await;
    assert_eq!(said.exit, Exit::Unreachable);
    assert!(said.err.contains("start mcrd"), "{}", said.err);
}

/// Takes a number of bytes, then is a pipe whose reader is gone.
struct Pipe(usize);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.min(bytes.len()) {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            n => {
                self.0 -= n;
                Ok(n)
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_has_read_enough_is_no_error() {
    let daemon = Daemon::start(Limits::default(), vec![sample("a1", None)]);
    let path = daemon.path.display().to_string();
    for (words, enough) in [
        (vec!["list"], 10),
        (vec!["stats", "--watch", "0.1"], 100),
        (vec!["stats", "--watch", "0.1", "-o", "json"], 100),
    ] {
        let args = ["mcrctl", "--socket-path", &path].into_iter().chain(words);
        let args = Args::try_parse_from(args).expect("parses");
        let mut err = Vec::new();
        assert_eq!(run(&args, &mut Pipe(enough), &mut err).await, Exit::Done);
        assert_eq!(err, b"");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let daemon = Daemon::start(Limits::default(), vec![sample("a1", Some("cam"))]);
    let said = mcrctl(&daemon.path, &format!("{ADD} --rule-id r1 --dry-run")).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    assert_eq!(
        said.out,
        "+ r1 (runtime/r1) active\nthis would add 1, remove 0, change 0 and leave 0 as it is\n"
    );
    let said = mcrctl(&daemon.path, "remove cam --dry-run").await;
    assert_eq!(said.exit, Exit::Refused, "names of the fake core have their origin");
    let said = mcrctl(&daemon.path, "remove runtime/cam --dry-run").await;
    assert!(said.out.starts_with("- a1 (runtime/cam)\nthis would"), "{}", said.out);
    assert_eq!(daemon.client().rules().await.expect("rules").len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn the_log_level_is_shown_and_set() {
    let daemon = Daemon::start(Limits::default(), vec![]);
    let said = mcrctl(&daemon.path, "log-level set debug --module netlink").await;
    assert_eq!(said.out, "info, set at run time\n    mcr::netlink: debug\n");
    let said = mcrctl(&daemon.path, "log-level set debgu").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""));
    assert!(said.err.contains("is not a log level"), "{}", said.err);
    daemon.stop().await;
}

/// Calls something once with the first bytes that it gets.
struct Told<'n>(Vec<u8>, &'n tokio::sync::Notify);

impl Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        self.1.notify_one();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn monitor_shows_each_event_until_the_daemon_stops() {
    use crate::api::v1::Notice;
    for form in ["table", "json"] {
        let daemon = Daemon::start(Limits::default(), vec![]);
        let path = daemon.path.display().to_string();
        let words = ["mcrctl", "--socket-path", &path, "-o", form, "monitor"];
        let args = Args::try_parse_from(words).expect("parses");
        let notify = tokio::sync::Notify::new();
        let (mut out, mut err) = (Told(Vec::new(), &notify), Vec::new());
        let tell = async {
            // From the first line on it is heard what is told.
            loop {
                let notice = Notice::LogLevelChanged { filter: "x\u{1b}[2J".into() };
                daemon.publisher.publish(std::time::UNIX_EPOCH, notice);
                let soon = Duration::from_millis(10);
                if tokio::time::timeout(soon, notify.notified()).await.is_ok() {
                    break;
                }
            }
            daemon.publisher.publish(std::time::UNIX_EPOCH, Notice::Stopping);
        };
        let (exit, ()) = tokio::join!(run(&args, &mut out, &mut err), tell);
        assert_eq!(exit, Exit::Unreachable);
        assert!(String::from_utf8_lossy(&err).contains("has ended the stream"));
        let out = String::from_utf8(out.0).expect("text");
        let (first, last) = (out.lines().next(), out.lines().last());
        if form == "json" {
            let event: Value = serde_json::from_str(first.expect("a line")).expect("JSON");
            assert_eq!(event["event"], "logLevelChanged");
            assert!(!out.contains("subscribed") && !out.contains('\u{1b}'), "{out}");
        } else {
            assert_eq!(first, Some("1970-01-01T00:00:00.000Z  log level is x\\u{1b}[2J"));
            assert_eq!(last, Some("1970-01-01T00:00:00.000Z  mcrd stops"));
        }
        daemon.stop().await;
    }
}
