//! Spellings that mean the same, defaults, and where things stand in texts with odd line ends.

use super::{INPUT, OUTPUT, file, mistakes};
use crate::config::{Dataplane, Io, Loaded, LogFormat, LogLevel, Sched, load_text, parse_output};
use crate::config::{rule_from_json, rule_from_spec, v1};
use crate::types::{
    Destination, Dscp, Join, Limit, MtuPolicy, Origin, Output, OutputSource, Port, PortRange,
    Protocol, RuleId, Ttl, VlanFilter,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

fn loaded(text: &str) -> Loaded {
    load_text("test.json5", text).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn port(number: u16) -> Port {
    Port::new(number).expect("not 0")
}

#[test]
fn defaults() {
    let small = loaded("{}");
    assert!(small.rules.is_empty());
    assert_eq!(small.dataplane, Dataplane::default());
    let expected = Dataplane {
        io: Io::Auto,
        workers: 1,
        shards: None,
        sched: Sched::Normal,
        coalesce_usecs: 0,
        busy_poll_usecs: 0,
        hold_time: Duration::from_secs(30),
        pinning: BTreeMap::new(),
        receive_buffer_bytes: 33_554_432,
        rings: 2,
        buffers: 512,
    };
    assert_eq!(small.dataplane, expected);
    assert_eq!((small.control.socket, small.control.group), (None, None));
    assert_eq!((small.log.level, small.log.format), (LogLevel::Info, LogFormat::Auto));

    let rule = &loaded(&file(INPUT, OUTPUT, "", "")).rules[0];
    assert_eq!((rule.enabled, rule.priority, rule.origin), (true, 500, Origin::File));
    assert_eq!(rule.id, RuleId::derived("file/a"));
    assert_eq!(rule.outputs[0].ttl, Ttl::Relayed);
    assert_eq!(rule.input.ports, [PortRange::one(port(5000))]);
    assert_eq!((rule.input.protocol, rule.input.join), (Protocol::Udp, Join::Always));
    assert_eq!((rule.input.vlan, rule.input.link_local), (VlanFilter::Untagged, false));
    let Output { local, dscp, source, mtu_policy, .. } = &rule.outputs[0];
    assert_eq!((*local, *dscp, *source), (false, Dscp::Keep, OutputSource::Interface));
    assert_eq!(*mtu_policy, MtuPolicy::Fragment);
}

#[test]
fn settings() {
    let text = r#"{ version: 1, dataplane: { io: "syscalls", workers: 64, receiveBufferBytes: 131072,
        sched: "normal", coalesceUsecs: 0 }, control: { socket: "/tmp/x.sock", group: "video" },
        log: { level: "trace", format: "json" }, pinning: {}, igmp: {}, pim: {}, msdp: {},
        metrics: {} }"#;
    let read = loaded(text);
    assert_eq!((read.dataplane.io, read.dataplane.workers), (Io::Syscalls, 64));
    assert_eq!((read.dataplane.receive_buffer_bytes, read.dataplane.buffers), (131_072, 2));
    assert_eq!(read.control.socket, Some(PathBuf::from("/tmp/x.sock")));
    assert_eq!(read.control.group.as_deref(), Some("video"));
    assert_eq!((read.log.level, read.log.format), (LogLevel::Trace, LogFormat::Json));
}

#[test]
fn rate_limits_and_bursts() {
    let of = |output: &str| loaded(&file(INPUT, output, "", "")).rules.remove(0).outputs[0].clone();
    let limit = |bits_per_second, packets_per_second, burst_bytes| {
        Some(Limit { bits_per_second, packets_per_second, burst_bytes })
    };
    let given: &[(&str, Option<Limit>)] = &[
        ("bitsPerSecond: '3G'", limit(Some(3_000_000_000), None, 37_500_000)),
        ("bits_per_second: 400000000", limit(Some(400_000_000), None, 5_000_000)),
        ("bitsPerSecond: '1k'", limit(Some(1000), None, 65_536)),
        ("bitsPerSecond: '1T'", limit(Some(1_000_000_000_000), None, 1 << 30)),
        ("bitsPerSecond: 1, burst_bytes: 70000", limit(Some(1), None, 70_000)),
        ("packets_per_second: 9", limit(None, Some(9), 65_536)),
        (
            "bitsPerSecond: '2M', packetsPerSecond: 400000",
            limit(Some(2_000_000), Some(400_000), 65_536),
        ),
    ];
    for (text, expected) in given {
        for key in ["rateLimit", "rate_limit"] {
            let output = of(&format!("interface: 'eth1', {key}: {{ {text} }}, burst: 16"));
            assert_eq!(output.rate_limit.as_deref().copied(), *expected, "{text}");
            assert_eq!(output.burst.map(u8::from), Some(16));
        }
    }
    let output = of("interface: 'eth1'");
    assert_eq!((output.rate_limit, output.burst), (None, None));
}

#[test]
fn workers_shards_and_cores() {
    let text = r#"{ pinning: { ens1f0: [2, 3], ens_1: [3, 0] }, dataplane: { workers: 61, shards: 16,
        sched: "fifo", coalesceUsecs: 10000, busyPollUsecs: 0, holdTime: "24h" } }"#;
    let read = loaded(text).dataplane;
    assert_eq!((read.workers, read.shards, read.sched), (61, Some(16), Sched::Fifo));
    assert_eq!((read.coalesce_usecs, read.busy_poll_usecs), (10_000, 0));
    assert_eq!(read.hold_time, Duration::from_secs(24 * 3600));
    let cores: Vec<(&str, &[u32])> =
        read.pinning.iter().map(|(name, cores)| (name.as_str(), cores.as_slice())).collect();
    assert_eq!(cores, [("ens1f0", [2, 3].as_slice()), ("ens_1", &[3, 0])]);
    let read = loaded("{ dataplane: { busy_poll_usecs: 50, hold_time: '0s' } }").dataplane;
    assert_eq!((read.busy_poll_usecs, read.hold_time), (50, Duration::ZERO));
}

#[test]
fn json5_spellings() {
    let text = "\u{feff}// a comment\r\n{\r\n  /* and\r\n another */ 'version': 0x1,\r\n  \"rules\": \
        [{ input: { interface: 'eth0', group: '239.1.1.1', port: 0x1388, },\r\n outputs: [{ \
        interface: \"eth1\", port: +6000, },], },],\r\n}\r\n";
    let read = loaded(text);
    assert_eq!(read.rules[0].input.ports, [PortRange::one(port(5000))]);
    assert_eq!(read.rules[0].outputs[0].destination, Destination::Unchanged);
}

#[test]
fn snake_case_and_long_forms() {
    let short = loaded(&file(
        r#"interface: "eth0", group: "239.1.1.1", port: 5000, source: "10.0.0.1", linkLocal: "drop""#,
        OUTPUT,
        "",
        "dataplane: { receiveBufferBytes: 65536 }",
    ));
    let long = loaded(&file(
        r#"interfaces: [{ name: "eth0" }], groups: ["239.1.1.1/32"], ports: [{ start: 5000, end: 5000 }],
           sources: { include: ["10.0.0.1/32"], exclude: [] }, link_local: "drop", protocol: "udp",
           join: "always""#,
        r#"interfaces: [{ name: "eth1" }], group: "239.2.2.2", port: 6000, when: "always",
           source: "interface", local: false, dscp: { mode: "keep" }, mtu_policy: "fragment""#,
        "enabled: true, priority: 500,",
        "dataplane: { receive_buffer_bytes: 65536, coalesce_usecs: 0 }",
    ));
    assert_eq!(short.rules, long.rules);
    assert_eq!(short.dataplane, long.dataplane);
    // The earlier form of protocol sections is known down to its last key.
    let earlier = file(
        INPUT,
        OUTPUT,
        "",
        r#"igmp: { querier_interfaces: ["eth1"], query_interval: 60, robustness: 2 },
           pim: { enabled: true, interfaces: [{ name: "eth0", dr_priority: 100 }],
                  static_rp: [{ rp: "10.0.0.1", group: "239.0.0.0/8" }] },
           msdp: { local_address: "10.0.0.5", peers: [{ address: "10.1.0.1", mesh_group: "a" }] }"#,
    );
    for mistake in mistakes(&earlier) {
        assert!(mistake.message.contains("is not supported by this version yet"), "{mistake}");
    }
}

#[test]
fn igmp_on_interfaces_and_as_a_host() {
    use crate::types::{HostMode, IgmpVersion, QuerierMode};
    let text = file(
        INPUT,
        OUTPUT,
        "",
        r#"igmp: {
             query_interval: 60, robustness: 3, querier_interfaces: ["eth1"],
             interfaces: [
               { name: "eth2", querier: "never", version: 2, queryIntervalSeconds: 4,
                 lastMemberQueryInterval: "500ms", lastMemberQueryCount: 3, maxGroups: 7, maxSources: 8,
                 allowGroups: ["239.1.0.0/16"], ssmRanges: [], requireRouterAlert: true, anyReporter: true,
                 immediateLeave: true, membershipInterval: "rfc3376",
                 staticJoins: [{ group: "239.1.1.1" }, { group: "239.1.1.2", source: "10.0.0.1" }] },
               { nameGlob: "veth*" } ],
             host: [{ name: "up0", version: "v2" }, { name: "up1", reports: "own" }, { nameGlob: "up*" }] }"#,
    );
    let igmp = load_text("f", &text).expect("right").igmp;
    let named = |at: usize| igmp.interfaces[at].0.to_string();
    assert_eq!(igmp.interfaces.len(), 3);
    assert!(named(0).contains("eth2") && named(1).contains("veth*") && named(2).contains("eth1"));
    let [eth2, veth, eth1] = [0, 1, 2].map(|at| &igmp.interfaces[at].1);
    assert_eq!((eth2.querier, eth2.version), (QuerierMode::Off, IgmpVersion::V2));
    let seconds = std::time::Duration::from_secs;
    // The default response interval would not fit.
    assert_eq!((eth2.query_interval, eth2.query_response_interval), (seconds(4), seconds(2)));
    assert_eq!((eth2.max_groups, eth2.max_sources, eth2.last_member_query_count), (7, 8, Some(3)));
    assert_eq!(
        (eth2.static_joins.len(), eth2.ssm_ranges.len(), eth2.allowed_groups.len()),
        (2, 0, 1)
    );
    assert!(eth2.require_router_alert && eth2.any_reporter && eth2.immediate_leave);
    for of in [veth, eth1] {
        assert_eq!((of.robustness, of.query_interval, of.max_groups), (3, seconds(60), 16_384));
    }
    let modes: Vec<HostMode> = igmp.hosts.iter().map(|(_, mode)| *mode).collect();
    assert_eq!(modes, [HostMode::Forced(IgmpVersion::V2), HostMode::Own, HostMode::Kernel]);
}

/// As a `MulticastRoute` writes it: objects where the file has numbers and words.
#[test]
fn objects_mean_what_short_forms_mean() {
    let pairs: &[(&str, &str)] = &[
        (r#""ttl": 1"#, r#""ttl": { "mode": "set", "value": 1 }"#),
        (r#""ttl": "decrement""#, r#""ttl": { "mode": "decrement" }"#),
        (r#""ttl": "keep""#, r#""ttl": { "mode": "keep" }"#),
        (r#""dscp": 63"#, r#""dscp": { "mode": "set", "value": 63 }"#),
        (r#""dscp": 0"#, r#""dscp": { "mode": "set", "value": 0 }"#),
        (r#""dscp": "keep""#, r#""dscp": { "mode": "keep" }"#),
        (r#""source": "interface""#, r#""source": { "mode": "interface" }"#),
        (r#""source": "keep""#, r#""source": { "mode": "keep" }"#),
        (
            r#""source": { "address": "10.0.0.9", "port": 4000 }"#,
            r#""source": { "mode": "address", "address": "10.0.0.9", "port": 4000 }"#,
        ),
        (
            r#""source": { "address": "10.0.0.9" }"#,
            r#""source": { "mode": "address", "address": "10.0.0.9" }"#,
        ),
    ];
    let vlans = [
        ("4094", r#"{ "mode": "id", "value": 4094 }"#),
        ("1", r#"{ "mode": "id", "value": 1 }"#),
        (r#""any""#, r#"{ "mode": "any" }"#),
    ];
    let text = |vlan: &str, output: &str| {
        format!(
            r#"{{ "input": {{ "interfaces": [{{ "nameGlob": "v*", "kind": "veth" }}],
                "groups": ["239.1.1.0/24"], "vlan": {vlan} }},
                "outputs": [{{ "interface": "eth1", "group": "239.2.2.0/24", {output} }}] }}"#
        )
    };
    for (short, object) in pairs {
        for (vlan, vlan_object) in vlans {
            let (short, object) = (text(vlan, short), text(vlan_object, object));
            let read = |text: &str| {
                // As the API server hands it over, and as the control API does.
                let spec: v1::RuleSpec = serde_json::from_str(text).expect("a spec");
                let rule = rule_from_spec(&spec, Origin::Crd).expect("a rule");
                assert_eq!(rule_from_json(text.as_bytes(), Origin::Crd), Ok(rule.clone()));
                rule
            };
            assert_eq!(read(&short), read(&object), "{object}");
        }
    }
}

#[test]
fn the_ttl_that_is_not_given_goes_with_the_source() {
    for (source, ttl) in [
        ("'interface'", Ttl::Relayed),
        ("{ address: '10.0.0.9' }", Ttl::Relayed),
        ("'keep'", Ttl::Decrement),
    ] {
        let read = loaded(&file(INPUT, &format!("interface: 'eth1', source: {source}"), "", ""));
        assert_eq!(read.rules[0].outputs[0].ttl, ttl, "{source}");
        let set = format!("interface: 'eth1', source: {source}, ttl: 16");
        assert_eq!(loaded(&file(INPUT, &set, "", "")).rules[0].outputs[0].ttl, Ttl::Set(16));
    }
}

#[test]
fn what_is_taken_and_where_it_goes() {
    let right: &[(&str, &str)] = &[
        ("interface: 'e0', group: '224.0.0.0/4', join: 'never'", "interface: 'e1'"),
        (
            "interface: 'e0', group: '224.0.0.0/4', join: 'never'",
            "interface: 'e1', group: '224.0.0.0/4'",
        ),
        ("interface: 'e0', group: '224.0.0.251', linkLocal: 'relay'", "interface: 'e1'"),
        (
            "interface: 'e0', group: '224.0.0.0/24', linkLocal: 'relay'",
            "interface: 'e1', group: '239.0.0.0/24'",
        ),
        ("interface: 'e0', group: '239.1.0.0/22'", "interface: 'e1', group: '239.9.9.9'"),
        ("interface: 'e0', group: '255.255.255.255', port: 5", "interface: 'e1'"),
        (
            "interface: 'e0', group: '255.255.255.255', vlan: 7, protocol: 'any'",
            "interface: 'e1', source: 'keep'",
        ),
        (
            "interface: 'e0', group: '10.0.0.255', ports: [{ start: 1, end: 1024 }]",
            "interface: 'e1', address: '10.1.0.255'",
        ),
        (
            "interface: 'e0', groups: ['10.0.0.1', '10.0.0.2'], port: 5, join: 'never'",
            "address: '255.255.255.255', interface: 'e1', source: 'keep'",
        ),
        (
            "interface: 'e0', group: '239.1.1.1', protocol: 'any'",
            "interface: 'e1', source: { address: '10.0.0.9' }",
        ),
        ("interface: 'e0', group: '239.1.1.1'", "address: '127.0.0.1', port: 5, local: true"),
        (
            "interface: 'e0', group: '239.1.1.1'",
            "address: '10.0.0.1', local: true, source: { address: '10.9.9.9', port: 1 }",
        ),
        ("interface: 'e0', group: '239.1.1.0/24'", "group: '239.2.2.0/24', local: true"),
        ("interface: 'e0', group: '239.1.1.1', source: '0.0.0.0/1'", "interface: 'e1'"),
        (
            "interfaces: [{ cidr: '2001:db8::/32' }, { altName: 'rack-7/port-3' }], group: '239.1.1.1'",
            "interface: 'e1'",
        ),
    ];
    for (input, output) in right {
        for health in ["", "health: 'auto',", "health: 'off',"] {
            loaded(&file(input, output, health, ""));
        }
    }
    let ranges =
        "[{ start: 9, end: 9 }, { start: 1, end: 4 }, { start: 5, end: 6 }, { start: 2, end: 3 }]";
    let read = loaded(&file(
        &format!("interface: 'e0', group: '239.1.1.1', ports: {ranges}"),
        "interface: 'e1'",
        "",
        "",
    ));
    let expected = [PortRange { start: port(1), end: port(6) }, PortRange::one(port(9))];
    assert_eq!(read.rules[0].input.ports, expected);
    let read =
        loaded(&file("interface: 'e0', group: '10.0.0.1', port: 5", "address: '10.0.0.2'", "", ""));
    assert_eq!(read.rules[0].input.join, Join::Never);
}

#[test]
fn unicast_as_group_is_an_address() {
    let read = loaded(&file(INPUT, r#"group: "10.0.0.9", ttl: "decrement""#, "", ""));
    let output = &read.rules[0].outputs[0];
    assert_eq!(output.destination, Destination::Address([10, 0, 0, 9].into()));
    assert_eq!((output.port, output.ttl), (None, Ttl::Decrement));
    assert!(output.interfaces.is_empty());
}

#[test]
fn positions_with_odd_line_ends() {
    for end in ["\n", "\r\n", "\r"] {
        let text =
            ["{", "  // é ü", "  log: {", "    /* ß */ level: 'loud',", "  },", "}"].join(end);
        for text in [text.clone(), format!("\u{feff}{text}")] {
            let found = mistakes(&text);
            assert_eq!((found[0].line, found[0].column), (Some(4), Some(20)), "{text:?}");
        }
    }
    // A line that goes on in a string counts.
    let found = mistakes("{ control: { group: 'a\\\nb', socket: '/x', sokcet: 5 } }");
    assert_eq!((found[0].line, found[0].column), (Some(2), Some(19)));
    assert_eq!(found[0].path, "control.sokcet");
    // A key with escapes is the key that it spells.
    let found = mistakes("{ log: {\n 'l\\u0065vel': 'loud' } }");
    assert_eq!((found[0].line, found[0].path.as_str()), (Some(2), "log.level"));
}

#[test]
fn ids() {
    let id = |text: &str| rule_from_json(text.as_bytes(), Origin::Runtime).expect("a rule").id;
    let rule = |extra: &str, outputs: &str| {
        format!("{{ {extra} input: {{ {INPUT} }}, outputs: [{outputs}] }}")
    };
    let one = format!("{{ {OUTPUT} }}");
    let two = "{ address: '10.0.0.9', port: 7000 }";
    assert_eq!(id(&rule("id: 'x.1-a_B',", &one)).as_str(), "x.1-a_B");
    assert_eq!(id(&rule("name: 'n',", &one)), RuleId::derived("runtime/n"));
    assert_eq!(id(&rule("name: 'n',", two)), RuleId::derived("runtime/n"));
    // Without a name, by what the rule does; the order of outputs is not part of it.
    let both = id(&rule("", &format!("{one}, {two}")));
    assert_eq!(both, id(&rule("priority: 7,", &format!("{two}, {one}"))));
    assert_ne!(both, id(&rule("", &one)));
    assert_ne!(id(&rule("", two)), id(&rule("", &two.replace("7000", "7001"))));
    assert_ne!(id(&rule("", two)), id(&rule("", &two.replace(" }", ", ttl: 3 }"))));
}

#[test]
fn outputs_of_the_command_line() {
    let read = |text: &str| parse_output(text).unwrap_or_else(|e| panic!("{e}"));
    let group = read("239.2.2.2:6000:eth1");
    assert_eq!(group.group.as_deref(), Some("239.2.2.2"));
    assert_eq!((group.port, group.interface.as_deref()), (Some(6000), Some("eth1")));
    assert_eq!(read("239.2.0.0/16").group.as_deref(), Some("239.2.0.0/16"));
    let address = read("10.0.0.9:7000");
    assert_eq!((address.address.as_deref(), address.group), (Some("10.0.0.9"), None));
    assert_eq!((address.port, address.interface), (Some(7000), None));
    let six = read("[ff15::2]:6000:eth1");
    assert_eq!(six.group.as_deref(), Some("ff15::2"));
    assert_eq!((six.port, six.interface.as_deref()), (Some(6000), Some("eth1")));
    assert_eq!(read("[2001:db8::1]").address.as_deref(), Some("2001:db8::1"));
    assert_eq!(read("10.0.0.9").port, None);

    let wrong: &[(&str, &str)] = &[
        ("", "is not an IP address"),
        ("camera:5000:eth1", "names are not looked up"),
        ("239.2.2.2:0:eth1", "\"0\" is not a port from 1 to 65535"),
        ("239.2.2.2:70000:eth1", "\"70000\" is not a port"),
        ("239.2.2.2:+5:eth1", "\"+5\" is not a port"),
        ("239.2.2.2::eth1", "\"\" is not a port"),
        ("239.2.2.2:6000:", "\"\" is not an interface name"),
        ("239.2.2.2:6000:eth1:x", "\"eth1:x\" is not an interface name"),
        ("239.2.2.2:eth1", "\"eth1\" is not a port"),
        ("ff15::2", "needs brackets"),
        ("[ff15::2", "']' is missing"),
        ("[239.2.2.2]:6000", "is not an IPv6 address in brackets"),
        ("[ff15::2]6000", "':' is missing after ']'"),
    ];
    for (text, fragment) in wrong {
        let error = parse_output(text).expect_err(text);
        assert!(error.contains(fragment), "{text}: {error}");
        assert!(error.contains("239.2.2.2:6000:eth1"), "{text}: {error}");
    }
}

#[test]
fn a_spec_is_checked_without_a_text() {
    let spec = v1::RuleSpec {
        outputs: vec![v1::OutputSpec { port: Some(0), ..Default::default() }],
        ..Default::default()
    };
    let told: Vec<String> = rule_from_spec(&spec, Origin::Crd)
        .expect_err("an incomplete rule")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(told[0].starts_with("input: is missing"), "{told:?}");
    assert!(
        told.contains(&"outputs[0].port: must be a whole number from 1 to 65535, not 0".into())
    );
    let many = vec![v1::OutputSpec::default(); 257];
    let spec = v1::RuleSpec { outputs: many, ..spec };
    let told = rule_from_spec(&spec, Origin::Crd).expect_err("too many outputs");
    assert!(told.iter().any(|d| d.message.contains("256 is the most")));
}

#[test]
fn the_schema_describes_every_field() {
    let schema = serde_json::to_value(schemars::schema_for!(v1::File)).expect("JSON");
    let mut objects = vec![("File", &schema)];
    let definitions = schema["$defs"].as_object().expect("definitions");
    objects.extend(definitions.iter().map(|(name, schema)| (name.as_str(), schema)));
    let mut fields = 0;
    for (name, object) in objects {
        assert!(object["description"].is_string(), "{name}");
        for (field, schema) in object["properties"].as_object().into_iter().flatten() {
            assert!(schema["description"].is_string(), "{name}.{field}: {schema}");
            assert!(!field.contains('_'), "{name}.{field}");
            fields += 1;
        }
        if object["properties"].is_object() {
            assert_eq!(object["additionalProperties"], false, "{name}");
        }
    }
    assert!(fields > 90, "{fields}");
}
