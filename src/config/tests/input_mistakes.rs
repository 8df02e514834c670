//! Mistakes that people make in inputs, each with its line, path and message.

use super::{OUTPUT, assert_mistake, file};

/// An input, the path below it and a piece of the message.
const INPUTS: &[(&str, &str, &str)] = &[
    (r#"interface: "eth0", port: 5000"#, "group", "is missing: the multicast group"),
    (r#"group: "239.1.1.1", port: 5000"#, "interface", "is missing: the interface"),
    (
        r#"interface: "eth0", group: "239.1.1.1", port: 0"#,
        "port",
        "must be a whole number from 1 to 65535, not 0",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", port: 70000"#,
        "port",
        "must be a whole number from 1 to 65535, not 70000",
    ),
    (r#"interface: "eth0", group: "239.1.1.1", port: -1"#, "port", "from 1 to 65535, not -1"),
    (r#"interface: "eth0", group: "239.1.1.1", port: 50.5"#, "port", "from 1 to 65535, not 50.5"),
    (
        r#"interface: "eth0", group: "239.1.1.1", port: "5000""#,
        "port",
        "must be a whole number from 1 to 65535, not \"5000\"",
    ),
    (r#"interface: "eth0", group: "239.1.1.1", port: NaN"#, "port", "NaN is not a usable number"),
    (
        r#"interface: "eth0", group: "239.1.1.1", port: 1e999"#,
        "port",
        "1e999 is not a usable number",
    ),
    (r#"interface: "eth0", group: "239.1.1.1", port: [5000]"#, "port", "not a list"),
    (
        r#"interface: "eth0", group: 239, port: 5000"#,
        "group",
        "must be an address in quotes, such as \"239.1.1.1\", not 239",
    ),
    (
        r#"interface: "eth0", group: "239.1.1", port: 5000"#,
        "group",
        "\"239.1.1\" is not an IP address",
    ),
    (r#"interface: "eth0", group: "239.1.1.256", port: 5000"#, "group", "is not an IP address"),
    (
        r#"interface: "eth0", group: "239.001.001.001", port: 5000"#,
        "group",
        "numbers that begin with 0",
    ),
    (r#"interface: "eth0", group: " 239.1.1.1", port: 5000"#, "group", "white space"),
    (
        r#"interface: "eth0", group: "239.1.1.1:5000""#,
        "group",
        "give the address alone, and \"5000\" as port",
    ),
    (r#"interface: "eth0", group: "camera.local", port: 5000"#, "group", "names are not looked up"),
    (
        r#"interface: "eth0", group: "239.1.1.0/33", port: 5000"#,
        "group",
        "its length goes from 0 to 32",
    ),
    (r#"interface: "eth0", group: "ff15::2", port: 5000"#, "group", "IPv6 is not forwarded yet"),
    (
        r#"interface: "eth0", group: "224.0.0.5", port: 5000"#,
        "group",
        "224.0.0.5 is link-local (224.0.0.0/24), which stays on its link; to relay it all the same, add linkLocal: \"relay\"",
    ),
    (r#"interface: "eth0", group: "0.0.0.0", port: 5000"#, "group", "not the address of a host"),
    (r#"interface: "eth0", group: "127.0.0.1", port: 5000"#, "group", "a loopback address"),
    (
        r#"interface: "eth0", group: "240.0.0.1", port: 5000"#,
        "group",
        "reserved (240.0.0.0/4); give a group (224.0.1.0 to 239.255.255.255)",
    ),
    (
        r#"interface: "eth0", group: "10.0.0.50""#,
        "port",
        "10.0.0.50 is a unicast address, which needs a port",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", groups: ["239.1.1.2"]"#,
        "groups",
        "give group or groups, not both",
    ),
    (r#"interface: "eth0", groups: []"#, "groups", "is empty"),
    (
        r#"interface: "eth0", groups: [5]"#,
        "groups[0]",
        "must be an address in quotes, such as \"239.1.1.1\", not 5",
    ),
    (
        r#"interface: "eth0", groups: "239.1.1.1""#,
        "groups",
        "must be a list: [ … ], not \"239.1.1.1\"",
    ),
    (
        r#"interface: "a-name-too-long-for-linux", group: "239.1.1.1""#,
        "interface",
        "1 to 15 characters",
    ),
    (r#"interface: "", group: "239.1.1.1""#, "interface", "\"\" is not an interface name"),
    (
        r#"interface: 0, group: "239.1.1.1""#,
        "interface",
        "must be an interface name in quotes, such as \"eth0\", not 0",
    ),
    (
        r#"interfaces: ["eth0"], group: "239.1.1.1""#,
        "interfaces[0]",
        "must be an object: { … }, not \"eth0\"",
    ),
    (
        r#"interfaces: [["eth0"]], group: "239.1.1.1""#,
        "interfaces[0]",
        "must be an object: { … }, not a list",
    ),
    (r#"interfaces: [{}], group: "239.1.1.1""#, "interfaces[0]", "says nothing; give name"),
    (
        r#"interface: "eth0", interfaces: [{ name: "eth0" }], group: "239.1.1.1""#,
        "interfaces",
        "not both",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", ports: [{ start: 5007, end: 5000 }]"#,
        "ports[0]",
        "starts at 5007 and ends at 5000",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", ports: [{ start: 5000 }]"#,
        "ports[0].end",
        "is missing",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", ports: [{ start: 0, end: 5 }]"#,
        "ports[0].start",
        "not 0",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", source: "239.9.9.9""#,
        "source",
        "239.9.9.9 is a multicast group; a source is the address of the sending host",
    ),
    (r#"interface: "eth0", group: "239.1.1.1", source: "0.0.0.0""#, "source", "leave source out"),
    (
        r#"interface: "eth0", group: "239.1.1.1", source: "2001:db8::1""#,
        "source",
        "IPv6 is not forwarded yet",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", vlan: 5000"#,
        "vlan",
        "must be a VLAN from 1 to 4094 or \"any\", not 5000",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", join: "on-demand""#,
        "join",
        "asks for what members want at outputs with when: \"joined\", and outputs[0] sends always; write join: \"always\", or when: \"joined\" there",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", join: "allways""#,
        "join",
        "must be \"always\", \"on-demand\" or \"never\", not \"allways\"; did you mean \"always\"?",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", join: true"#,
        "join",
        "must be \"always\", \"on-demand\" or \"never\", not true",
    ),
    (
        r#"interfce: "eth0", group: "239.1.1.1""#,
        "interfce",
        "unknown key; did you mean \"interface\"?",
    ),
    (r#"iface: "eth0", group: "239.1.1.1""#, "iface", "unknown key; did you mean \"interface\"?"),
    (
        r#"interface: "eth0", group: "239.1.1.1", colour: 3"#,
        "colour",
        "unknown key; known here: interface, interfaces, group, groups, port, ports, source, sources, protocol, join, linkLocal, vlan",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", group: "239.1.1.2""#,
        "group",
        "given twice, first on line 4; remove one of them",
    ),
    (
        r#"interface: "eth0", group: "239.1.1.1", linkLocal: "drop", link_local: "drop""#,
        "link_local",
        "given twice",
    ),
    (r#"interface: "eth0", group: "239.1.1.1", "odd key": 1"#, "[\"odd key\"]", "unknown key"),
];

#[test]
fn in_the_input() {
    for (input, path, fragment) in INPUTS {
        let joint = if path.starts_with('[') { "" } else { "." };
        let path = format!("rules[0].input{joint}{path}");
        assert_mistake(&file(input, OUTPUT, "", ""), 4, &path, fragment);
    }
}
