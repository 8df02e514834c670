//! Mistakes that people make in the fields of outputs, and between them and the input.

use super::field_mistakes::assert_message;
use super::{INPUT, file};
use crate::config::load_text;

/// Outputs: the input's group and more, the output, the path below it, the message.
const OUTPUTS: &[(&str, &str, &str, &str)] = &[
    (
        "239.1.1.0/24",
        "interface: 'eth1', group: '239.2.0.0/16'",
        "group",
        "239.2.0.0/16 is a /16, and 239.1.1.0/24 of the input is a /24; both need the same length",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', group: '239.2.2.0/24'",
        "group",
        "239.2.2.0/24 is a /24, and 239.1.1.1 of the input is one group (/32); give one group here",
    ),
    (
        "239.1.1.0/24",
        "interface: 'eth1', group: '239.2.2.9/24'",
        "group",
        "239.2.2.9/24: write 239.2.2.0/24 for the prefix, or 239.2.2.9 for the one address",
    ),
    (
        "239.1.1.0/24",
        "interface: 'eth1', address: '10.0.0.0/24'",
        "address",
        "10.0.0.0/24 is a prefix; give one address, such as \"10.0.0.9\"",
    ),
    (
        "239.1.1.0/24",
        "interface: 'eth1', group: '10.0.0.0/24'",
        "group",
        "10.0.0.0/24 is a prefix of unicast addresses; give one address, or a prefix of groups (within 224.0.0.0/4)",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', group: '224.0.0.251'",
        "group",
        "224.0.0.251 is link-local (224.0.0.0/24), which stays on its link; to relay it all the same, add linkLocal: \"relay\" to the input",
    ),
    (
        "239.1.0.0/22",
        "interface: 'eth1', group: '224.0.0.0/22'",
        "group",
        "224.0.0.0/22 has groups that are link-local (224.0.0.0/24), which stays on its link; to relay it all the same, add linkLocal: \"relay\" to the input",
    ),
    (
        "239.1.1.1",
        "address: '255.255.255.255'",
        "interface",
        "is missing: 255.255.255.255 needs the interface to send on, such as \"eth1\"",
    ),
    (
        "239.1.1.1",
        "address: '127.0.0.1'",
        "address",
        "127.0.0.1 is a loopback address (127.0.0.0/8), which no network carries; for applications on this host add local: true",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', local: true",
        "interface",
        "local: true goes to applications on this host; remove interface or local",
    ),
    (
        "239.1.1.1",
        "interfaces: [{ nameGlob: 'e*' }], local: true",
        "interfaces",
        "local: true goes to applications on this host; remove interfaces or local",
    ),
    (
        "239.1.1.1",
        "group: '255.255.255.255', local: true",
        "local",
        "255.255.255.255 needs an interface, and local: true has none; give a group or an address of this host",
    ),
    (
        "239.1.1.1",
        "local: true, source: 'keep'",
        "source",
        "\"keep\" needs an interface, and local: true has none; remove source",
    ),
    ("239.1.1.1", "local: 'yes'", "local", "must be true or false, not \"yes\""),
    (
        "239.1.1.1",
        "address: '10.0.0.9', source: 'keep'",
        "source",
        "\"keep\" goes with a group or 255.255.255.255: a unicast output is sent from an address of this host; write source: { address: \"10.0.0.9\" } for another, or remove source",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', source: '10.0.0.9'",
        "source",
        "must be \"interface\", \"keep\" or { address: \"10.0.0.9\", port: 4000 }, not \"10.0.0.9\"",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', source: { port: 4000 }",
        "source",
        "must be \"interface\", \"keep\" or { address: \"10.0.0.9\", port: 4000 }, not an object",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', source: { address: '239.9.9.9' }",
        "source.address",
        "239.9.9.9 is a multicast group; give the address of a host",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', source: { address: '10.0.0.0/8' }",
        "source.address",
        "10.0.0.0/8 is a prefix; give one address, such as \"10.0.0.9\"",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', source: { address: '10.0.0.9', port: 0 }",
        "source.port",
        "must be a whole number from 1 to 65535, not 0",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', dscp: 64",
        "dscp",
        "must be a DSCP from 0 to 63 or \"keep\", not 64",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', dscp: 'EF'",
        "dscp",
        "must be a DSCP from 0 to 63 or \"keep\", not \"EF\"",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', dscp: { mode: 'set', value: 64 }",
        "dscp.value",
        "must be a whole number from 0 to 63, not 64",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', mtuPolicy: 'truncate'",
        "mtuPolicy",
        "must be \"fragment\" or \"drop\", not \"truncate\"",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', ttl: { mode: 'set', value: 0 }",
        "ttl.value",
        "must be a whole number from 1 to 255, not 0",
    ),
    (
        "239.1.1.1', protocol: 'any",
        "interface: 'eth1', port: 6000",
        "port",
        "goes with UDP only, and the input takes protocol: \"any\"; remove port",
    ),
    (
        "239.1.1.1', protocol: 'any",
        "interface: 'eth1', source: { address: '10.0.0.9', port: 1 }",
        "source.port",
        "goes with UDP only, and the input takes protocol: \"any\"; remove port",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', linger: '3s'",
        "linger",
        "goes with when: \"joined\"; add that, or remove linger",
    ),
    (
        "239.1.1.1",
        "interface: 'eth1', burst: 300",
        "burst",
        "must be a whole number from 1 to 64, not 300: datagrams that leave as one train at most; \
         remove it for no limit",
    ),
];

#[test]
fn in_what_is_sent() {
    for (group, output, path, message) in OUTPUTS {
        let input = format!("interface: 'eth0', group: '{group}'");
        assert_message(&input, output, &format!("outputs[0].{path}"), message);
    }
}

/// Inputs, their outputs, and the output that loops or is there twice.
const ROUND: &[(&str, &str, bool)] = &[
    // The same named interface, groups and ports that overlap.
    ("interface: 'e0', group: '239.1.1.0/24'", "interface: 'e0'", true),
    ("interface: 'e0', group: '239.1.1.0/24'", "interface: 'e0', group: '239.1.1.9'", true),
    ("interface: 'e0', group: '239.1.1.0/24'", "interface: 'e0', group: '239.1.1.0/24'", true),
    ("interface: 'e0', group: '239.1.1.0/24'", "interface: 'e0', group: '239.1.2.0/24'", false),
    ("interface: 'e0', group: '239.1.1.0/24'", "interface: 'e1', group: '239.1.1.9'", false),
    (
        "interface: 'e0', groups: ['239.1.1.0/24', '239.1.2.0/24']",
        "interface: 'e0', group: '239.1.2.0/24'",
        true,
    ),
    (
        "interfaces: [{ name: 'e0' }, { name: 'e1' }], group: '239.1.1.1'",
        "interfaces: [{ name: 'e2' }, { name: 'e1' }]",
        true,
    ),
    // Patterns may never select the same interface.
    ("interfaces: [{ nameGlob: 'e*' }], group: '239.1.1.1'", "interface: 'e1'", false),
    (
        "interfaces: [{ nameGlob: 'e*' }], group: '239.1.1.1'",
        "interfaces: [{ nameGlob: 'e*' }]",
        false,
    ),
    ("interfaces: [{ name: 'e0', kind: 'veth' }], group: '239.1.1.1'", "interface: 'e0'", false),
    // Ports.
    (
        "interface: 'e0', group: '239.1.1.1', ports: [{ start: 1, end: 9 }]",
        "interface: 'e0', port: 9",
        true,
    ),
    (
        "interface: 'e0', group: '239.1.1.1', ports: [{ start: 1, end: 9 }]",
        "interface: 'e0', port: 10",
        false,
    ),
    ("interface: 'e0', group: '239.1.1.1', ports: [{ start: 1, end: 9 }]", "interface: 'e0'", true),
    // A copy leaves untagged.
    ("interface: 'e0', group: '239.1.1.1', vlan: 7", "interface: 'e0'", false),
    ("interface: 'e0', group: '239.1.1.1', vlan: 'any'", "interface: 'e0'", true),
    // Broadcasts and what is local.
    ("interface: 'e0', group: '255.255.255.255'", "interface: 'e0'", true),
    ("interface: 'e0', group: '255.255.255.255'", "interface: 'e1'", false),
    ("interface: 'lo', group: '239.1.1.1'", "local: true", true),
    ("interface: 'e0', group: '239.1.1.1'", "local: true", false),
    ("interface: 'e0', groups: ['10.0.0.1', '10.0.0.2'], port: 5", "address: '10.0.0.2'", true),
    ("interface: 'e0', groups: ['10.0.0.1', '10.0.0.2'], port: 5", "address: '10.0.0.3'", false),
];

#[test]
fn a_rule_that_takes_its_own_copies_in() {
    for (input, output, loops) in ROUND {
        if *loops {
            let message = "output equals input: it would loop; change its interface, group or port";
            assert_message(input, output, "outputs[0]", message);
        } else {
            let text = file(input, output, "", "");
            assert!(load_text("f", &text).is_ok(), "{text}\n{:?}", load_text("f", &text));
        }
    }
}

#[test]
fn two_outputs_that_are_one() {
    let twice: &[(&str, &str, bool)] = &[
        ("interface: 'e1'", "interface: 'e1', port: 5000, ttl: 3", true),
        ("interface: 'e1'", "interface: 'e1', group: '239.1.1.1', dscp: 3", true),
        ("interface: 'e1'", "interface: 'e1', port: 5001", false),
        (
            "interfaces: [{ name: 'e1' }, { nameGlob: 'v*' }]",
            "interfaces: [{ nameGlob: 'v*' }, { name: 'e1' }]",
            true,
        ),
        ("interfaces: [{ nameGlob: 'v*' }]", "interfaces: [{ nameRegex: 'v*' }]", false),
        ("group: '239.2.2.2', local: true", "group: '239.2.2.2', local: true, ttl: 1", true),
        ("address: '10.0.0.9', local: true", "address: '10.0.0.9'", false),
    ];
    for (one, other, same) in twice {
        let outputs = format!("{one} }}, {{ {other}");
        if *same {
            let message = "is the same copy as outputs[0]; remove one";
            assert_message(INPUT, &outputs, "outputs[1]", message);
        } else {
            assert!(load_text("f", &file(INPUT, &outputs, "", "")).is_ok(), "{outputs}");
        }
    }
}

#[test]
fn what_was_not_read_has_no_consequences() {
    // Each would look like a loop, a missing interface or too many groups without what is wrong in it.
    let input = "interface: 'e0', group: '239.1.1.1', ports: 'all'";
    let message = "must be a list: [ … ], not \"all\"";
    assert_message(input, "interface: 'e0', port: 6000", "input.ports", message);
    let input = "interface: 'e0', group: '239.0.0.0/8', join: 'no'";
    let message = "must be \"always\", \"on-demand\" or \"never\", not \"no\"";
    assert_message(input, "interface: 'e1'", "input.join", message);
    let input = "interface: 'e0', group: '224.0.0.5', linkLocal: 'yes'";
    let message = "must be \"drop\" or \"relay\", not \"yes\"";
    assert_message(input, "interface: 'e1'", "input.linkLocal", message);
}
