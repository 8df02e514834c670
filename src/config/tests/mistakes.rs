//! Mistakes that people make in rules and sections, each with its line, path and message.

use super::{INPUT, OUTPUT, assert_mistake, file, mistakes};
use crate::config::{load_text, rule_from_json};
use crate::types::Origin;

#[test]
fn in_a_rule() {
    let cases: &[(&str, &str, &str)] = &[
        ("enabled: \"yes\",", "enabled", "must be true or false, not \"yes\""),
        ("priority: 1001,", "priority", "must be a whole number from 0 to 1000, not 1001"),
        ("priority: \"high\",", "priority", "must be a whole number from 0 to 1000, not \"high\""),
        (
            "health: \"rtp\",",
            "health",
            "health other than \"auto\" and \"off\" is not supported by this version yet; remove it",
        ),
        ("id: \"a b\",", "id", "is not a rule id: 1 to 64 letters, digits, '-', '_' or '.'"),
        ("id: \"\",", "id", "is not a rule id"),
        ("output: [],", "output", "did you mean \"outputs\"?"),
        ("naem: \"x\",", "naem", "did you mean \"name\"?"),
    ];
    for (rule, path, fragment) in cases {
        let text = file(INPUT, OUTPUT, rule, "");
        assert_mistake(&text, 6, &format!("rules[0].{path}"), fragment);
    }
    let rule = |rule: &str| format!("{{ rules: [\n{rule}\n] }}");
    let right = format!("{{ input: {{ {INPUT} }}, outputs: [{{ {OUTPUT} }}] }}");
    let named = |name: &str| right.replacen('{', &format!("{{ name: \"{name}\","), 1);
    let with_id =
        |n: u8| right.replacen('{', "{ id: \"x\",", 1).replace("5000", &format!("500{n}"));
    let cases: &[(String, u32, &str, &str)] = &[
        ("{}".into(), 2, "rules[0].input", "is missing: input: {"),
        (format!("{{ input: {{ {INPUT} }} }}"), 2, "rules[0].outputs", "at least one output"),
        (format!("{{ input: {{ {INPUT} }}, outputs: [] }}"), 2, "rules[0].outputs", "at least one"),
        (
            format!("{{ input: {{ {INPUT} }}, outputs: {{}} }}"),
            2,
            "rules[0].outputs",
            "must be a list of outputs: [{ … }], not an object",
        ),
        (
            format!("{{ input: {{ {INPUT} }}, outputs: [\"239.2.2.2\"] }}"),
            2,
            "rules[0].outputs[0]",
            "must be an object",
        ),
        (
            format!("{{ input: \"eth0\", outputs: [{{ {OUTPUT} }}] }}"),
            2,
            "rules[0].input",
            "must be an object: { … }, not \"eth0\"",
        ),
        ("\"a rule\"".into(), 2, "rules[0]", "must be an object"),
        (named(" x "), 2, "rules[0].name", "is not a name"),
        (named(""), 2, "rules[0].name", "is not a name"),
        (
            format!("{},\n{}", named("x"), named("x")),
            3,
            "rules[1].name",
            "\"x\" is the name of rules[0] already; names are unique",
        ),
        (
            format!("{},\n{}", with_id(1), with_id(2)),
            3,
            "rules[1].id",
            "\"x\" is the id of rules[0] already",
        ),
        (format!("{right},\n{right}"), 3, "rules[1]", "does the same as rules[0]"),
    ];
    for (text, line, path, fragment) in cases {
        // An empty rule lacks two things; the first is told here.
        let text = rule(text);
        let found = mistakes(&text);
        let first = &found[0];
        assert_eq!((first.line, first.path.as_str()), (Some(*line), *path), "{text}\n{found:#?}");
        assert!(first.message.contains(fragment), "{text}\n{found:#?}");
        assert_eq!(
            found.len(),
            if text.contains("{}\n") && text.len() < 20 { 2 } else { 1 },
            "{found:#?}"
        );
    }
}

/// A member of the file that has a mistake: where, and a part of the message.
fn assert_top_mistake((top, path, fragment): &(&str, &str, &str)) {
    let found = mistakes(&file(INPUT, OUTPUT, "", top));
    assert_eq!(found.len(), 1, "{top}: {found:#?}");
    assert_eq!((found[0].line, found[0].path.as_str()), (Some(8), *path), "{top}");
    assert!(found[0].message.contains(fragment), "{top}\n{}", found[0]);
}

#[test]
fn in_the_pinning_of_workers() {
    let cases: &[(&str, &str, &str)] = &[
        ("pinning: { eth0: [] }", "pinning.eth0", "names no core; give one at least"),
        ("pinning: { eth0: 2 }", "pinning.eth0", "must be a list: [ … ], not 2"),
        ("pinning: { eth0: [2, 3, 2] }", "pinning.eth0[2]", "names core 2 twice"),
        ("pinning: { eth0: [1024] }", "pinning.eth0[0]", "from 0 to 1023, not 1024"),
        ("pinning: { eth0: [-1] }", "pinning.eth0[0]", "not -1"),
        (
            "pinning: { \"0123456789abcdef\": [1] }",
            "pinning.0123456789abcdef",
            "is not an interface name",
        ),
        (
            "pinning: { eth0: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16] }",
            "pinning.eth0",
            "names 17 cores; 16 is the most for one interface",
        ),
        (
            "pinning: { eth0: [1, 2], eth1: [2, 3] }, dataplane: { workers: 62 }",
            "pinning",
            "names 3 cores, each with a worker of its own, and dataplane.workers are 62 more",
        ),
    ];
    for case in cases {
        assert_top_mistake(case);
    }
}

#[test]
fn in_igmp() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "igmp: { querier_interfaces: [\"eth 1\"], query_interval: 60 }",
            "igmp.querierInterfaces[0]",
            "is not an interface name",
        ),
        ("igmp: { query_interval: 0 }", "igmp.queryInterval", "must be from 1 to 31744, not 0"),
        (
            "igmp: { interfaces: [{ querier: \"auto\" }] }",
            "igmp.interfaces[0]",
            "names no interface; give name or nameGlob",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\", nameGlob: \"b*\" }] }",
            "igmp.interfaces[0]",
            "give name or nameGlob, not both",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\" }, { name: \"a\", version: 2 }] }",
            "igmp.interfaces[1]",
            "selects the same as interfaces[0]; remove one",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\", robustness: 8 }] }",
            "igmp.interfaces[0].robustness",
            "must be from 1 to 7, not 8",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\", queryIntervalSeconds: 5, queryResponseInterval: \"5s\" }] }",
            "igmp.interfaces[0].queryResponseInterval",
            "must be less than the query interval, 5 s",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\", lastMemberQueryInterval: \"50ms\" }] }",
            "igmp.interfaces[0].lastMemberQueryInterval",
            "\"50ms\" is not between \"100ms\" and \"3174s\"",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\", ssmRanges: [\"10.0.0.0/8\"] }] }",
            "igmp.interfaces[0].ssmRanges[0]",
            "\"10.0.0.0/8\" is no prefix of groups",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\", staticJoins: [{ group: \"224.0.0.9\" }] }] }",
            "igmp.interfaces[0].staticJoins[0].group",
            "\"224.0.0.9\" is no group that is joined",
        ),
        (
            "igmp: { interfaces: [{ name: \"a\", staticJoins: [{ group: \"239.0.0.9\", source: \"239.1.1.1\" }] }] }",
            "igmp.interfaces[0].staticJoins[0].source",
            "is no host's address",
        ),
        (
            "igmp: { host: [{ name: \"a\", version: \"v2\", reports: \"kernel\" }] }",
            "igmp.host[0].reports",
            "\"kernel\" goes with version: \"auto\" only",
        ),
    ];
    for case in cases {
        assert_top_mistake(case);
    }
}

#[test]
fn in_other_sections() {
    let cases: &[(&str, &str, &str)] = &[
        ("version: 2", "version", "must be 1, not 2"),
        ("version: \"1\"", "version", "must be 1, not \"1\""),
        ("dataplane: { workers: 0 }", "dataplane.workers", "from 1 to 64, not 0"),
        ("dataplane: { workers: 65 }", "dataplane.workers", "from 1 to 64, not 65"),
        ("dataplane: { workers: -1 }", "dataplane.workers", "from 1 to 64, not -1"),
        (
            "dataplane: { io: \"dpdk\" }",
            "dataplane.io",
            "must be \"auto\", \"io-uring\" or \"syscalls\", not \"dpdk\"",
        ),
        (
            "dataplane: { receiveBufferBytes: 1000 }",
            "dataplane.receiveBufferBytes",
            "from 65536 to 1073741824, not 1000",
        ),
        ("dataplane: { shards: 0 }", "dataplane.shards", "from 1 to 16, not 0"),
        ("dataplane: { shards: 17 }", "dataplane.shards", "from 1 to 16, not 17"),
        ("dataplane: { shards: -1 }", "dataplane.shards", "from 1 to 16, not -1"),
        (
            "dataplane: { sched: \"rr\" }",
            "dataplane.sched",
            "must be \"normal\" or \"fifo\", not \"rr\"",
        ),
        (
            "dataplane: { sched: \"fifo\", busyPollUsecs: 1 }",
            "dataplane.sched",
            "packets wait 30 to 50 ms then; use \"fifo\" without busyPollUsecs",
        ),
        (
            "dataplane: { coalesceUsecs: 10001 }",
            "dataplane.coalesceUsecs",
            "from 0 to 10000, not 10001",
        ),
        ("dataplane: { coalesceUsecs: -5 }", "dataplane.coalesceUsecs", "from 0 to 10000, not -5"),
        (
            "dataplane: { busy_poll_usecs: 10001 }",
            "dataplane.busyPollUsecs",
            "from 0 to 10000, not 10001",
        ),
        (
            "dataplane: { coalesceUsecs: 50, busyPollUsecs: 50 }",
            "dataplane.coalesceUsecs",
            "one waits so that more packets come together",
        ),
        (
            "dataplane: { holdTime: 30 }",
            "dataplane.holdTime",
            "must be a duration in quotes, such as \"30s\", not 30",
        ),
        ("dataplane: { hold_time: \"30\" }", "dataplane.holdTime", "\"30\" is not a duration"),
        ("dataplane: { holdTime: \"25h\" }", "dataplane.holdTime", "must be at most \"24h\""),
        ("log: { level: \"warning\" }", "log.level", "did you mean \"warn\"?"),
        (
            "log: { format: \"xml\" }",
            "log.format",
            "must be \"auto\", \"text\" or \"json\", not \"xml\"",
        ),
        ("log: \"debug\"", "log", "must be an object: { … }, not \"debug\""),
        ("control: { socket: \"mcr.sock\" }", "control.socket", "is not an absolute path"),
        ("control: { socket: 5 }", "control.socket", "must be text in quotes, not 5"),
        ("control: { group: \"\" }", "control.group", "is not the name of a group"),
        (
            "pim: { enabled: true, static_rp: [{ rp: \"10.0.0.1\", group: \"239.0.0.0/8\" }] }",
            "pim",
            "not supported by this version yet",
        ),
        (
            "msdp: { peers: [{ address: \"10.1.0.1\", mesh_group: \"a\" }] }",
            "msdp",
            "not supported",
        ),
        ("metrics: { listen: \"127.0.0.1:9464\" }", "metrics", "not supported by this version yet"),
        (
            "pim: { interfaces: [{ name: \"eth0\", drPrio: 1 }] }",
            "pim.interfaces[0].drPrio",
            "did you mean",
        ),
        ("rule: []", "rule", "did you mean \"rules\"?"),
    ];
    for case in cases {
        assert_top_mistake(case);
    }
    let long = format!("control: {{ socket: \"/{}\" }}", "x".repeat(97));
    assert_mistake(&file(INPUT, OUTPUT, "", &long), 8, "control.socket", "98 bytes long");
    assert_mistake("{ rules: {} }", 1, "rules", "must be a list of rules: [{ … }], not an object");
    assert_mistake("[]", 1, "", "a configuration is an object: { rules: [ … ] }");
}

#[test]
fn too_many() {
    let outputs = vec!["{ }"; 257].join(",");
    let text = format!("{{ rules: [\n{{ input: {{ {INPUT} }}, outputs: [{outputs}] }}] }}");
    assert_mistake(&text, 2, "rules[0].outputs", "has 257 outputs; 256 is the most");
    let text = format!("{{ rules: [{}] }}", "{},".repeat(100_001));
    assert_mistake(&text, 1, "rules", "has 100001 rules; 100000 is the most");
    // Every rule of a hundred thousand is wrong: told in bounded number and time.
    let text = format!("{{ rules: [{}] }}", "{ x: 1 },\n".repeat(100_000));
    let found = mistakes(&text);
    assert_eq!(found.len(), 1001);
    assert!(found[1000].message.contains("more than 1000 mistakes"), "{}", found[1000]);
    // One object with very many unknown keys.
    let keys: String = (0..200_000).map(|n| format!("k{n}: 1,\n")).collect();
    let found = mistakes(&format!("{{ rules: [], log: {{ {keys} }} }}"));
    assert!((2..=1001).contains(&found.len()), "{}", found.len());
    assert!(found.iter().any(|d| d.message.contains("more mistakes in here")));
    let large = format!("{{}}{}", " ".repeat(16 * 1024 * 1024));
    let found = mistakes(&large);
    assert!(found[0].message.contains("larger than 16 MiB"), "{}", found[0]);
}

#[test]
fn all_at_once() {
    let text = r#"{
  version: 3,
  rules: [
    {
      name: "a",
      input: { interface: "eth0", group: "239.1.1.1", port: 70000 },
      outputs: [
        { interface: "eth1", group: "239.2.2.2", port: 0, ttl: 0 },
        { iface: "eth2", group: "239.2.2.3" },
        { interface: "eth3", group: "10.0.0.300" },
      ],
    },
    {
      name: "a",
      input: { interface: "eth0", group: 5 },
      outputs: [],
    },
    "three",
    {
      priority: 2000, input: { interface: "eth0", group: "239.1.1.9" },
      outputs: [{ interface: "eth0" }],
      enabled: 1,
    },
  ],
  dataplane: { workers: 900, io: "dpdk" },
  log: { level: "loud" },
  pim: { enabled: true },
  metrix: {},
}
"#;
    let told: Vec<(u32, String)> =
        mistakes(text).into_iter().map(|d| (d.line.unwrap_or(0), d.path)).collect();
    let expected = [
        (2, "version"),
        (6, "rules[0].input.port"),
        (8, "rules[0].outputs[0].port"),
        (8, "rules[0].outputs[0].ttl"),
        (9, "rules[0].outputs[1].iface"),
        (10, "rules[0].outputs[2].group"),
        (14, "rules[1].name"),
        (15, "rules[1].input.group"),
        (16, "rules[1].outputs"),
        (18, "rules[2]"),
        (20, "rules[3].priority"),
        (21, "rules[3].outputs[0]"),
        (22, "rules[3].enabled"),
        (25, "dataplane.workers"),
        (25, "dataplane.io"),
        (26, "log.level"),
        (27, "pim"),
        (28, "metrix"),
    ];
    let expected: Vec<(u32, String)> =
        expected.iter().map(|(line, path)| (*line, (*path).to_owned())).collect();
    assert_eq!(told, expected);
}

#[test]
fn text_names_source_line_column_path() {
    let text = file(INPUT, r#"interface: "eth1", group: "10.0.0.256""#, "", "");
    let error = load_text("/etc/mcr/mcr.json5", &text).expect_err("a bad address");
    assert_eq!(
        error.to_string(),
        "/etc/mcr/mcr.json5:5:43: rules[0].outputs[0].group: \"10.0.0.256\" is not an IP address \
         such as \"239.1.1.1\" (names are not looked up)"
    );
    assert!(error.list[0].to_string().starts_with("line 5: rules[0].outputs[0].group: "));
    let error = rule_from_json(br#"{"input":{"interface":"eth0"}}"#, Origin::Runtime)
        .expect_err("an incomplete rule");
    let told = error.to_string();
    assert!(told.contains("\nrequest:1:2: input.group: is missing"), "{told}");
    assert!(told.starts_with("request:1:1: outputs: is missing"), "{told}");
}

/// Each list is within its bounds, and together they are too much for the forwarding table.
#[test]
fn lists_that_multiply_are_bounded_together() {
    let groups: Vec<String> =
        (0..1024).map(|n| format!("\"239.1.{}.{}\"", n / 256, n % 256)).collect();
    let ports: Vec<String> =
        (0..64).map(|n| format!("{{ start: {0}, end: {0} }}", 5000 + 2 * n)).collect();
    let input = |ports: &[String], sources: &str| {
        format!(
            "interface: 'eth0', groups: [{}], ports: [{}], sources: {{ include: [{sources}] }}",
            groups.join(","),
            ports.join(",")
        )
    };
    let most = (0..3).map(|n| format!("'10.0.0.{}'", 2 * n)).collect::<Vec<_>>().join(",");
    let text = |ports: &[String], sources: &str| {
        super::file(&input(ports, sources), super::OUTPUT, "", "")
    };
    load_text("test", &text(&ports, &most)).expect("1024 groups, 64 ports, 4 kinds of source");
    let found = super::mistakes(&text(&ports, &format!("{most},'10.0.0.9'")));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].path.as_str(), found[0].line), ("rules[0].input", Some(4)));
    assert_eq!(
        found[0].message,
        "makes 327680 combinations of groups, sources, ranges of ports and outputs; at most 262144: \
         give prefixes and ranges, or several rules"
    );
}
