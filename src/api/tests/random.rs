//! A thousand requests, valid and not, against the real core: never an error of ours.

use super::*;
use crate::config::v1::{File, RuleSpec};
use proptest::prelude::*;

/// Random numbers that proptest can make smaller.
struct Tape<'t> {
    numbers: &'t [u32],
    at: usize,
}

impl Tape<'_> {
    fn below(&mut self, limit: usize) -> usize {
        let number = self.numbers.get(self.at % self.numbers.len().max(1)).copied().unwrap_or(0);
        self.at += 1;
        // The tape is short: it is read again, but not the same.
        (number as usize).wrapping_add(self.at * 31) % limit.max(1)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const STRINGS: [&str; 24] = [
    "eth0",
    "eth1",
    "eth9",
    "239.1.1.1",
    "239.2.2.2",
    "232.0.0.0/8",
    "10.0.0.1",
    "10.0.0.0/8",
    "ff15::1",
    "224.0.0.1",
    "keep",
    "interface",
    "decrement",
    "any",
    "",
    " ",
    "r1",
    "cam",
    "1",
    "3G",
    "^e.*$",
    "veth*",
    "\u{0}\u{1b}[2J",
    "a-name-that-is-much-longer-than-any-interface",
];

fn anything(tape: &mut Tape, depth: usize) -> Value {
    match tape.below(if depth > 3 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => tape.one_in(2).into(),
        2 => (*tape.pick(&[-1i64, 0, 1, 5000, 65_535, 65_536, i64::MAX])).into(),
        3 => (*tape.pick(&STRINGS)).into(),
        4 => json!(1e300),
        5 => (0..tape.below(3)).map(|_| anything(tape, depth + 1)).collect(),
        _ => json!({(*tape.pick(&STRINGS)): anything(tape, depth + 1)}),
    }
}

/// A value as the schema has it, and now and then one that it has not.
fn of_schema(schema: &Value, root: &Value, tape: &mut Tape, depth: usize) -> Value {
    if depth > 8 || tape.one_in(40) {
        return anything(tape, depth);
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#')).unwrap_or(&Value::Null);
        return of_schema(target, root, tape, depth + 1);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    for choice in ["enum", "oneOf", "anyOf"] {
        if let Some(list) = schema.get(choice).and_then(Value::as_array) {
            let picked = tape.pick(list);
            if choice == "enum" {
                return picked.clone();
            }
            return of_schema(picked, root, tape, depth + 1);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("null"),
        Some(Value::String(kind)) => kind.as_str(),
        _ => return anything(tape, depth),
    };
    match kind {
        "object" => {
            let empty = serde_json::Map::new();
            let members = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
            let usual = ["input", "outputs", "rules", "interface", "group", "port"];
            let mut object = serde_json::Map::new();
            for (key, schema) in members {
                let wanted =
                    if usual.contains(&key.as_str()) { !tape.one_in(8) } else { tape.one_in(5) };
                if wanted {
                    object.insert(key.clone(), of_schema(schema, root, tape, depth + 1));
                }
            }
            object.into()
        }
        "array" => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            (0..1 + tape.below(3)).map(|_| of_schema(items, root, tape, depth + 1)).collect()
        }
        "string" => (*tape.pick(&STRINGS)).into(),
        "integer" | "number" => {
            (*tape.pick(&[0u32, 1, 16, 500, 1000, 5000, 65_535, 70_000])).into()
        }
        "boolean" => tape.one_in(2).into(),
        _ => Value::Null,
    }
}

fn rule_that_is_sound(tape: &mut Tape) -> Value {
    json!({
        "name": tape.pick(&["a", "b", "c", "d"]),
        "input": {"interface": tape.pick(&["eth0", "eth1", "eth9"]),
                  "group": format!("239.1.1.{}", tape.below(8)), "port": 5000 + tape.below(4)},
        "outputs": [{"interface": "eth1", "group": "239.2.2.2", "port": 6000 + tape.below(4)}],
    })
}

fn body(tape: &mut Tape) -> Vec<u8> {
    let value = match tape.below(6) {
        0 => rule_that_is_sound(tape),
        1 => json!({"version": 1, "rules": [rule_that_is_sound(tape), rule_that_is_sound(tape)]}),
        2 => of_schema(&schema::<RuleSpec>(), &schema::<RuleSpec>(), tape, 0),
        3 => of_schema(&schema::<File>(), &schema::<File>(), tape, 0),
        4 => json!({"level": tape.pick(&["info", "debug", "x"]), "module": tape.pick(&STRINGS)}),
        _ => anything(tape, 0),
    };
    let mut bytes = value.to_string().into_bytes();
    if tape.one_in(4) && !bytes.is_empty() {
        let at = tape.below(bytes.len());
        match tape.below(4) {
            0 => bytes.truncate(at),
            1 => bytes[at] = 0xff,
            2 => bytes.insert(at, b'{'),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}

fn schema<T: schemars::JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

fn request(tape: &mut Tape) -> Vec<u8> {
    let method = *tape.pick(&["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"]);
    let mut path = (*tape.pick(&[
        "/v1/rules",
        "/v1/rules",
        "/v1/rules",
        "/v1/rules/a",
        "/v1/rules/runtime%2Fb",
        "/v1/rules/%ff",
        "/v1/rules/",
        "/v1/config",
        "/v1/stats",
        "/v1/workers",
        "/v1/interfaces",
        "/v1/mroute",
        "/v1/igmp/groups",
        "/v1/igmp/interfaces",
        "/v1/igmp/stats",
        "/v1/ping",
        "/v1/log-level",
        "/v1/events",
        "/",
        "/v2",
        "*",
        "//",
        "/%00",
    ]))
    .to_owned();
    let query: &str = tape.pick::<&str>(&[
        "",
        "",
        "",
        "?dryRun=true",
        "?dryRun=false",
        "?dryRun=1",
        "?origin=runtime",
        "?origin=file",
        "?origin=x",
        "?%ff",
        "?",
        "?dryRun=true&origin=crd",
    ]);
    path.push_str(query);
    let body = body(tape);
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

/// The status line; the stream of events has no end to wait for.
async fn status_of(daemon: &Daemon, request: &[u8]) -> u16 {
    let mut stream = UnixStream::connect(&daemon.path).await.expect("connects");
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') {
        let mut bytes = [0; 1024];
        let n = timeout(SOON, stream.read(&mut bytes)).await.expect("soon").expect("reads");
        assert!(n > 0, "no answer to {}", String::from_utf8_lossy(request));
        answer.extend_from_slice(&bytes[..n]);
    }
    status(&String::from_utf8_lossy(&answer))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    /// 50 times 20 requests to one daemon.
    #[test]
    fn a_thousand_requests_and_no_error_of_ours(
        tapes in proptest::collection::vec(proptest::collection::vec(any::<u32>(), 4..40), 20)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let daemon = Daemon::with_core(Limits::default(), core::start(vec![]));
            for numbers in &tapes {
                let request = request(&mut Tape { numbers, at: 0 });
                let status = status_of(&daemon, &request).await;
                assert!(
                    (200..500).contains(&status),
                    "{status} to {}",
                    String::from_utf8_lossy(&request)
                );
            }
            assert_eq!(daemon.client().ping().await.expect("it still serves").pid, 42);
            daemon.stop().await;
        });
    }
}
