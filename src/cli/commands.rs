//! One function a command: ask, print.

use super::args::{AddArgs, Args, Command, IgmpCommand, OutputForm};
use super::config_args::LogLevelCommand;
use super::offline;
use super::text::{shown, shown_json};
use super::{config_commands, igmp_tables, monitor, rates, sentences, tables, upgrade};
use crate::api::v1::{ChangesJson, RuleJson, SetLogLevel, StatsJson};
use crate::api::{Answer, Client, ClientError, Problem};
use crate::config::{self, Diagnostics};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How a command ended. Wrong usage, 2, is clap's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done. Also where the reader of our output went away.
    Done,
    /// 1: the daemon refused, a rule or file is invalid, what was compared differs, or the output could
    /// not be written.
    Refused,
    /// 3: no daemon could be asked.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Unreachable => 3,
        })
    }
}

/// Why a command did not do what it should.
pub(super) enum Failure {
    Client(ClientError),
    /// Seen here: a line for each mistake.
    InvalidRule(Vec<String>),
    /// In a file.
    Mistakes(Diagnostics),
    Output(io::Error),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs one command: what it has to say goes to `out`, why it failed to `err`.
pub async fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let client = Client::new(&args.socket_path);
    let outcome = match &args.command {
        Command::Completions { shell } => {
            let text = offline::completions(*shell);
            print(out, &text).map(|()| Exit::Done).map_err(Failure::from)
        }
        Command::Import { from } => match offline::import(from) {
            Ok(imported) => {
                let warnings: Vec<String> = imported
                    .warnings
                    .iter()
                    .map(|w| format!("{}\n", shown(&w.to_string())))
                    .collect();
                print(err, &warnings.concat())
                    .and_then(|()| print(out, &imported.document))
                    .map(|()| Exit::Done)
                    .map_err(Failure::from)
            }
            Err(mistakes) => Err(Failure::InvalidRule(mistakes)),
        },
        Command::Stats { watch: Some(interval) } => {
            watch(&client, *interval, args.output, out).await.map(|()| Exit::Done)
        }
        Command::Upgrade { dataplane } => {
            upgrade::run(&client, *dataplane, args.output, out).await.map(|()| Exit::Done)
        }
        Command::Monitor => monitor::run(&client, args.output, out).await,
        Command::Config(command) => config_commands::run(&client, command, args.output, out).await,
        command => match answer(&client, command, args.output).await {
            Ok(text) => print(out, &text).map(|()| Exit::Done).map_err(Failure::from),
            Err(failure) => Err(failure),
        },
    };
    match outcome {
        Ok(exit) => exit,
        Err(failure) => explain(failure, args.output, err),
    }
}

async fn answer(client: &Client, command: &Command, form: OutputForm) -> Result<String, Failure> {
    let text = match command {
        Command::Add(add) => {
            let body = rule(add).map_err(Failure::InvalidRule)?;
            if add.dry_run {
                let answer = client.post("/v1/rules?dryRun=true", &body).await?;
                return Ok(show(&answer, form, |c: ChangesJson| sentences::changes(&c))?);
            }
            let answer = client.post("/v1/rules", &body).await?;
            let new = answer.status == 201;
            show(&answer, form, |rule: RuleJson| sentences::added(&rule, new))
        }
        Command::Remove { rule, dry_run: true } => {
            let answer = client.try_delete_rule(rule).await?;
            show(&answer, form, |changes: ChangesJson| sentences::changes(&changes))
        }
        Command::Remove { rule, dry_run: false } => {
            show(&client.delete_rule(rule).await?, form, |rule: RuleJson| sentences::removed(&rule))
        }
        Command::List => show(&client.get("/v1/rules").await?, form, |rules: Vec<RuleJson>| {
            tables::rules(&rules)
        }),
        Command::Stats { .. } => {
            show(&client.get("/v1/stats").await?, form, |stats: StatsJson| tables::stats(&stats))
        }
        Command::ListWorkers => {
            show(&client.get("/v1/workers").await?, form, |list: Vec<_>| tables::workers(&list))
        }
        Command::Interfaces => show(&client.get("/v1/interfaces").await?, form, |list: Vec<_>| {
            tables::interfaces(&list)
        }),
        Command::Mroute => {
            show(&client.get("/v1/mroute").await?, form, |mroute| tables::mroute(&mroute))
        }
        Command::Igmp(IgmpCommand::Groups(on)) => {
            let answer = client.igmp("groups", on.interface.as_deref()).await?;
            show(&answer, form, |list: Vec<_>| igmp_tables::groups(&list))
        }
        Command::Igmp(IgmpCommand::Interfaces(on)) => {
            let answer = client.igmp("interfaces", on.interface.as_deref()).await?;
            show(&answer, form, |list: Vec<_>| igmp_tables::interfaces(&list))
        }
        Command::Igmp(IgmpCommand::Stats(on)) => {
            let answer = client.igmp("stats", on.interface.as_deref()).await?;
            show(&answer, form, |list: Vec<_>| igmp_tables::statistics(&list))
        }
        Command::Ping => show(&client.get("/v1/ping").await?, form, |pong| sentences::ping(&pong)),
        Command::LogLevel(LogLevelCommand::Get) => {
            show(&client.get("/v1/log-level").await?, form, |level| sentences::log_level(&level))
        }
        Command::LogLevel(LogLevelCommand::Set { level, module }) => {
            let wanted = SetLogLevel { level: level.clone(), module: module.clone() };
            let answer = client.put("/v1/log-level", &json!(wanted)).await?;
            show(&answer, form, |level| sentences::log_level(&level))
        }
        // These print by themselves.
        Command::Monitor
        | Command::Upgrade { .. }
        | Command::Config(_)
        | Command::Completions { .. }
        | Command::Import { .. } => Ok(String::new()),
    };
    Ok(text?)
}

/// The daemon's document as it came, or a table of it.
pub(super) fn show<T: DeserializeOwned>(
    answer: &Answer,
    form: OutputForm,
    table: impl FnOnce(T) -> String,
) -> Result<String, ClientError> {
    match form {
        OutputForm::Table => Ok(table(answer.read()?)),
        OutputForm::Json => {
            answer.read::<serde::de::IgnoredAny>()?;
            Ok(format!("{}\n", shown_json(answer.body.trim_end())))
        }
    }
}

/// Ctrl-C.
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No way to hear of Ctrl-C: then it ends the process as usual.
        std::future::pending::<()>().await;
    }
}

/// Rates, again and again until Ctrl-C; as JSON the counters, one document each time.
async fn watch(
    client: &Client,
    interval: Duration,
    form: OutputForm,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut stop = std::pin::pin!(interrupted());
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let clear = if io::stdout().is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" };
    let mut before: Option<StatsJson> = None;
    loop {
        let turn = async {
            ticks.tick().await;
            client.get("/v1/stats").await
        };
        let answer = tokio::select! {
            () = &mut stop => return Ok(()),
            answer = turn => answer?,
        };
        if form == OutputForm::Json {
            print(out, &show::<Value>(&answer, form, |_| String::new())?)?;
            continue;
        }
        let now: StatsJson = answer.read()?;
        match before.as_ref().and_then(|before| rates::table(before, &now)) {
            Some(text) => print(out, &format!("{clear}{text}"))?,
            None => print(out, &format!("{clear}measuring for {:.1} s\n", interval.as_secs_f64()))?,
        }
        before = Some(now);
    }
}

/// The rule as the configuration file would have it, or all mistakes that are seen here already.
fn rule(add: &AddArgs) -> Result<Value, Vec<String>> {
    let mut input = json!({"interface": add.input_interface, "group": add.input_group});
    if let Some(port) = add.input_port {
        input["port"] = port.into();
    }
    if let Some(source) = &add.source {
        input["source"] = source.as_str().into();
    }
    let mut mistakes = Vec::new();
    let mut outputs = Vec::new();
    for text in &add.outputs {
        let spec = config::parse_output(text)
            .and_then(|spec| serde_json::to_value(spec).map_err(|error| error.to_string()));
        match (spec, &add.ttl) {
            (Ok(mut spec), Some(ttl)) => {
                spec["ttl"] = serde_json::json!(ttl);
                outputs.push(spec);
            }
            (Ok(spec), None) => outputs.push(spec),
            (Err(mistake), _) => mistakes.push(format!("--outputs: {mistake}")),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut rule = Map::new();
    let optional = [
        ("id", add.rule_id.as_deref().map(Value::from)),
        ("name", add.name.as_deref().map(Value::from)),
        ("priority", add.priority.map(Value::from)),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            rule.insert(key.to_owned(), value);
        }
    }
    rule.insert("input".to_owned(), input);
    rule.insert("outputs".to_owned(), outputs.into());
    Ok(rule.into())
}

pub(super) fn print(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn explain(failure: Failure, form: OutputForm, err: &mut dyn Write) -> Exit {
    let (text, exit) = match failure {
        // `mcrctl list | head -1`: who read has read enough.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Exit::Done;
        }
        Failure::Output(error) => (format!("mcrctl: cannot write: {error}\n"), Exit::Refused),
        Failure::InvalidRule(mistakes) => {
            let lines: Vec<String> =
                mistakes.iter().map(|m| format!("mcrctl: {}\n", shown(m))).collect();
            (lines.concat(), Exit::Refused)
        }
        Failure::Mistakes(diagnostics) => (mistakes(diagnostics, form), Exit::Refused),
        Failure::Client(ClientError::Refused(problem)) => (refusal(&problem, form), Exit::Refused),
        Failure::Client(error) => {
            (format!("mcrctl: {}\n", shown(&error.to_string())), Exit::Unreachable)
        }
    };
    // Where even this cannot be written, the exit code says it.
    let _ = print(err, &text);
    exit
}

/// One line for each mistake in a file.
fn mistakes(diagnostics: Diagnostics, form: OutputForm) -> String {
    if form == OutputForm::Json {
        return refusal(&Problem::of_document(diagnostics), form);
    }
    let count = diagnostics.list.len();
    let lines = diagnostics.to_string();
    let mut text: String = lines.lines().map(|line| format!("{}\n", shown(line))).collect();
    text.push_str(&format!("mcrctl: {}\n", tables::count(count, "mistake")));
    text
}

fn refusal(problem: &Problem, form: OutputForm) -> String {
    if form == OutputForm::Json {
        let document = serde_json::to_string_pretty(problem).unwrap_or_default();
        return format!("{}\n", shown_json(&document));
    }
    let mut text = format!("mcrctl: {}\n", shown(&problem.detail));
    for error in &problem.errors {
        let place = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
        text.push_str(&format!("    {}\n", shown(&format!("{place}{}", error.message))));
    }
    text
}

#[cfg(test)]
#[path = "commands_tests.rs"]
pub(super) mod tests;
