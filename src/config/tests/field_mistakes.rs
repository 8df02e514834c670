//! Mistakes that people make in the fields of inputs and outputs and between them, each with its
//! line, its path and its whole message.

use super::{INPUT, OUTPUT, file, mistakes};

/// Asserts that a rule has one mistake, with this message.
pub(super) fn assert_message(input: &str, output: &str, path: &str, message: &str) {
    let text = file(input, output, "", "");
    let line = if path.starts_with("input") { 4 } else { 5 };
    let found = mistakes(&text);
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    let told = (found[0].line, found[0].path.as_str(), found[0].message.as_str());
    assert_eq!(told, (Some(line), format!("rules[0].{path}").as_str(), message), "{text}");
}

const NEEDED: &str = r#"interface: "eth0", group: "239.1.1.1""#;
const UNICAST: &str = r#"interface: "wg0", group: "10.0.0.50""#;

/// Interface selectors: the member of `interfaces`, the path below it, the message.
const SELECTORS: &[(&str, &str, &str)] = &[
    (
        "{}",
        "[0]",
        "says nothing; give name, nameGlob, nameRegex, altName, cidr or kind: { name: \"eth0\" }",
    ),
    (
        "{ name: 'eth*' }",
        "[0].name",
        "\"eth*\" is a pattern; write interfaces: [{ nameGlob: \"eth*\" }]",
    ),
    (
        "{ name: '' }",
        "[0].name",
        "\"\" is not an interface name: 1 to 15 characters, without '/', ':' or white space",
    ),
    (
        "{ name: 'enp130s0f0np0-rack7' }",
        "[0].name",
        "\"enp130s0f0np0-rack7\" is not an interface name: 1 to 15 characters, without '/', ':' or white space; an alternative name is written interfaces: [{ altName: \"…\" }]",
    ),
    ("{ nameGlob: '' }", "[0].nameGlob", "a pattern has 1 to 128 characters"),
    ("{ nameGlob: 7 }", "[0].nameGlob", "must be text in quotes, not 7"),
    (
        "{ nameRegex: 'eth(' }",
        "[0].nameRegex",
        "\"eth(\" is not a regular expression: unclosed group",
    ),
    (
        "{ nameRegex: '*' }",
        "[0].nameRegex",
        "\"*\" is not a regular expression: repetition operator missing expression",
    ),
    (
        "{ altName: '' }",
        "[0].altName",
        "\"\" is not an alternative name: 1 to 127 bytes, without white space",
    ),
    (
        "{ altName: 'rack 7' }",
        "[0].altName",
        "\"rack 7\" is not an alternative name: 1 to 127 bytes, without white space",
    ),
    (
        "{ cidr: '10.20.0.1/16' }",
        "[0].cidr",
        "10.20.0.1/16: write 10.20.0.0/16 for the prefix, or 10.20.0.1 for the one address",
    ),
    (
        "{ cidr: 'lan' }",
        "[0].cidr",
        "\"lan\" is not an IP address such as \"10.20.0.0/16\" (names are not looked up)",
    ),
    (
        "{ cidr: '10.0.0.0/64' }",
        "[0].cidr",
        "\"10.0.0.0/64\" is not a prefix: its length goes from 0 to 32",
    ),
    (
        "{ kind: '' }",
        "[0].kind",
        "\"\" is not a kind of interface, such as \"veth\", \"bridge\" or \"vlan\"",
    ),
    ("{ type: 'veth' }", "[0].type", "unknown key; did you mean \"kind\"?"),
    ("{ glob: 'veth*' }", "[0].glob", "unknown key; did you mean \"nameGlob\"?"),
    (
        "{ name: 'eth0' }, { name: 'eth1' }, { name: 'eth0' }",
        "[2]",
        "is the same as interfaces[0]; remove one",
    ),
    (
        "{ nameGlob: 'veth*', kind: 'veth' }, { kind: 'veth', nameGlob: 'veth*' }",
        "[1]",
        "is the same as interfaces[0]; remove one",
    ),
];

#[test]
fn in_selectors() {
    for (members, path, message) in SELECTORS {
        let input = format!("interfaces: [{members}], group: '239.1.1.1', port: 5000");
        assert_message(&input, OUTPUT, &format!("input.interfaces{path}"), message);
        let output = format!("interfaces: [{members}], group: '239.2.2.2', port: 6000");
        assert_message(INPUT, &output, &format!("outputs[0].interfaces{path}"), message);
    }
    let many = vec!["{ name: 'eth0' }"; 65].join(",");
    let input = format!("interfaces: [{many}], group: '239.1.1.1'");
    assert_message(&input, OUTPUT, "input.interfaces", "has 65 entries; 64 is the most");
    let output = format!("interfaces: [{{ altName: '{}' }}]", "ä".repeat(64));
    let message = format!(
        "\"{}…\" is not an alternative name: 1 to 127 bytes, without white space",
        "ä".repeat(60)
    );
    assert_message(INPUT, &output, "outputs[0].interfaces[0].altName", &message);
}

/// Groups: the list, the path, the message.
const GROUPS: &[(&str, &str, &str)] = &[
    (
        "'239.1.1.5/24'",
        "groups[0]",
        "239.1.1.5/24: write 239.1.1.0/24 for the prefix, or 239.1.1.5 for the one address",
    ),
    (
        "'239.1.1.1', '239.1.1.2', '239.1.1.1/32'",
        "groups[2]",
        "is the same as groups[0]; remove one",
    ),
    (
        "'239.1.1.1', '10.0.0.50'",
        "groups[1]",
        "10.0.0.50 is unicast and 239.1.1.1 is multicast; write one rule for each",
    ),
    (
        "'255.255.255.255', '239.1.1.0/24'",
        "groups[1]",
        "239.1.1.0/24 is multicast and 255.255.255.255 is broadcast; write one rule for each",
    ),
    (
        "'10.0.0.0/24'",
        "groups[0]",
        "10.0.0.0/24 is a prefix of unicast addresses; give one address, or a prefix of groups (within 224.0.0.0/4)",
    ),
    (
        "'224.0.0.0/3'",
        "groups[0]",
        "224.0.0.0/3 is more than the multicast groups; 224.0.0.0/4 is all of them",
    ),
    (
        "'0.0.0.0/0'",
        "groups[0]",
        "0.0.0.0/0 is more than the multicast groups; 224.0.0.0/4 is all of them",
    ),
    ("'ff15::/32'", "groups[0]", "ff15::/32: IPv6 is not forwarded yet; give an IPv4 address"),
    (
        "'224.0.0.0/24'",
        "groups[0]",
        "224.0.0.0/24 is link-local (224.0.0.0/24), which stays on its link; to relay it all the same, add linkLocal: \"relay\"",
    ),
    (
        "'239.1.1.1', '224.0.0.251'",
        "groups[1]",
        "224.0.0.251 is link-local (224.0.0.0/24), which stays on its link; to relay it all the same, add linkLocal: \"relay\"",
    ),
    (
        "'239.1.1.1-239.1.1.9'",
        "groups[0]",
        "\"239.1.1.1-239.1.1.9\" is a range; write prefixes, such as \"239.1.1.0/24\"",
    ),
    (
        "'239.1.1.0/255.255.255.0'",
        "groups[0]",
        "\"239.1.1.0/255.255.255.0\" is not a prefix: its length goes from 0 to 32",
    ),
    (
        "'127.0.0.1'",
        "groups[0]",
        "127.0.0.1 is a loopback address (127.0.0.0/8), which no network carries; give a group (224.0.1.0 to 239.255.255.255) or the address of a host",
    ),
    (
        "'239.0.0.0/8'",
        "groups",
        "would be 16777216 memberships; at most 1024: give a longer prefix, or join: \"never\"",
    ),
    (
        "'239.1.0.0/22', '239.2.0.1'",
        "groups",
        "would be 1025 memberships; at most 1024: give a longer prefix, or join: \"never\"",
    ),
];

#[test]
fn in_groups() {
    for (groups, path, message) in GROUPS {
        let input = format!("interface: 'eth0', groups: [{groups}], port: 5000");
        assert_message(&input, OUTPUT, &format!("input.{path}"), message);
    }
    let message =
        "would be 2048 memberships; at most 1024: give a longer prefix, or join: \"never\"";
    assert_message("interface: 'eth0', group: '239.1.0.0/21'", OUTPUT, "input.group", message);
    let many: Vec<String> = (0..1025).map(|n| format!("'239.1.{}.{}'", n / 256, n % 256)).collect();
    let input = format!("interface: 'eth0', groups: [{}]", many.join(","));
    assert_message(&input, OUTPUT, "input.groups", "has 1025 groups; 1024 is the most of one rule");
}

/// What else an input says: what is added to a group, the path, the message.
const MULTICAST: &[(&str, &str, &str)] = &[
    (
        "ports: [{ start: 5000, end: 4999 }]",
        "ports[0]",
        "starts at 5000 and ends at 4999; a range ends where it starts or later",
    ),
    ("ports: [5000]", "ports[0]", "must be an object: { … }, not 5000"),
    (
        "ports: [{ start: 1, end: 65536 }]",
        "ports[0].end",
        "must be a whole number from 1 to 65535, not 65536",
    ),
    ("ports: [{ from: 1, end: 2 }]", "ports[0].from", "unknown key; did you mean \"start\"?"),
    ("port: 5000, ports: []", "ports", "give port or ports, not both"),
    (
        "port: 5000, protocol: 'any'",
        "port",
        "protocol: \"any\" takes packets without ports too; remove port or protocol",
    ),
    (
        "ports: [{ start: 1, end: 2 }], protocol: 'any'",
        "ports",
        "protocol: \"any\" takes packets without ports too; remove ports or protocol",
    ),
    ("protocol: 'tcp'", "protocol", "must be \"udp\" or \"any\", not \"tcp\""),
    (
        "source: '10.0.0.1/24'",
        "source",
        "10.0.0.1/24: write 10.0.0.0/24 for the prefix, or 10.0.0.1 for the one address",
    ),
    (
        "source: '0.0.0.0/0'",
        "source",
        "0.0.0.0/0 is every source; leave it out to take every source",
    ),
    ("source: '10.0.0.1', sources: {}", "sources", "give source or sources, not both"),
    ("sources: ['10.0.0.1']", "sources", "must be an object: { … }, not a list"),
    (
        "sources: { include: '10.0.0.1' }",
        "sources.include",
        "must be a list: [ … ], not \"10.0.0.1\"",
    ),
    (
        "sources: { include: ['239.0.0.0/8'] }",
        "sources.include[0]",
        "239.0.0.0/8 is a multicast prefix; a source is the address of the sending host",
    ),
    (
        "sources: { include: ['10.0.0.1', '10.0.0.1/32'] }",
        "sources.include[1]",
        "is the same as include[0]; remove one",
    ),
    (
        "sources: { exclude: ['10.0.0.1', '10.0.0.2', '10.0.0.1'] }",
        "sources.exclude[2]",
        "is the same as exclude[0]; remove one",
    ),
    (
        "sources: { include: ['10.1.0.0/16', '10.2.0.0/16'], exclude: ['10.0.0.0/8'] }",
        "sources.exclude",
        "covers every source that is included: nothing is left; make exclude smaller",
    ),
    (
        "sources: { include: ['10.0.0.0/8'], exclude: ['10.0.0.0/9', '10.128.0.0/9'] }",
        "sources.exclude",
        "covers every source that is included: nothing is left; make exclude smaller",
    ),
    (
        "sources: { exclude: ['0.0.0.0/1', '128.0.0.0/1'] }",
        "sources.exclude",
        "covers every source that is included: nothing is left; make exclude smaller",
    ),
    (
        "sources: { exclude: ['127.0.0.0/8'] }",
        "sources.exclude[0]",
        "127.0.0.0/8 is a loopback address (127.0.0.0/8), which no network carries; give a group (224.0.1.0 to 239.255.255.255) or the address of a host",
    ),
    ("sources: { deny: ['10.0.0.1'] }", "sources.deny", "unknown key; did you mean \"exclude\"?"),
    ("vlan: 0", "vlan", "must be a VLAN from 1 to 4094 or \"any\", not 0"),
    ("vlan: 4095", "vlan", "must be a VLAN from 1 to 4094 or \"any\", not 4095"),
    ("vlan: 'all'", "vlan", "must be a VLAN from 1 to 4094 or \"any\", not \"all\""),
    (
        "vlan: { mode: 'id', value: 4095 }",
        "vlan.value",
        "must be a whole number from 1 to 4094, not 4095",
    ),
    (
        "vlan: { mode: 'id' }",
        "vlan",
        "must be { mode: \"id\", value: 1 to 4094 } or { mode: \"any\" }, not an object",
    ),
    ("linkLocal: true", "linkLocal", "must be \"drop\" or \"relay\", not true"),
    ("join: null", "join", "must be \"always\", \"on-demand\" or \"never\", not null"),
];

#[test]
fn in_what_is_taken() {
    for (fields, path, message) in MULTICAST {
        let input = format!("{NEEDED}, {fields}");
        assert_message(&input, OUTPUT, &format!("input.{path}"), message);
    }
    for (key, list) in [("ports", "{ start: 1, end: 1 }"), ("sources", "'10.0.0.1'")] {
        let (count, wrap) = if key == "ports" { (65, "[%]") } else { (1025, "{ exclude: [%] }") };
        let input = format!("{NEEDED}, {key}: {}", wrap.replace('%', &vec![list; count].join(",")));
        let (path, message) = match key {
            "ports" => ("input.ports", "has 65 ranges; 64 is the most"),
            _ => ("input.sources.exclude", "has 1025 entries; 1024 is the most"),
        };
        assert_message(&input, OUTPUT, path, message);
    }
}

/// Inputs that are no group: what is added to 10.0.0.50, the path, the message.
const TUNNELS: &[(&str, &str, &str)] = &[
    ("", "port", "is missing: 10.0.0.50 is a unicast address, which needs a port"),
    ("ports: []", "port", "is missing: 10.0.0.50 is a unicast address, which needs a port"),
    (
        "ports: [{ start: 5000, end: 6024 }]",
        "ports",
        "is 1025 ports; 1024 is the most of a unicast input, which needs a socket for each",
    ),
    ("port: 5000, join: 'always'", "join", "a unicast address cannot be joined; remove join"),
    (
        "port: 5000, linkLocal: 'relay'",
        "linkLocal",
        "linkLocal is about the groups of 224.0.0.0/24, not about unicast; remove it",
    ),
    (
        "port: 5000, vlan: 7",
        "vlan",
        "goes with multicast or broadcast: 10.0.0.50 is unicast, and arrives on the VLAN's own interface; remove vlan",
    ),
    (
        "protocol: 'any'",
        "protocol",
        "protocol: \"any\" goes with multicast or broadcast, and 10.0.0.50 is unicast; remove it",
    ),
    (
        "port: 5000, protocol: 'any'",
        "protocol",
        "protocol: \"any\" goes with multicast or broadcast, and 10.0.0.50 is unicast; remove it",
    ),
];

#[test]
fn in_inputs_that_are_no_group() {
    for (fields, path, message) in TUNNELS {
        let input = format!("{UNICAST}, {fields}");
        let output = "interface: 'eth1', group: '239.2.2.2'";
        assert_message(&input.replace(", ,", ","), output, &format!("input.{path}"), message);
    }
    let broadcast = "interface: 'eth0', group: '255.255.255.255', join: 'always'";
    let message = "a broadcast address cannot be joined; remove join";
    assert_message(broadcast, OUTPUT, "input.join", message);
}
