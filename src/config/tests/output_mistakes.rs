//! Mistakes that people make in outputs, each with its line, path and message.

use super::{INPUT, assert_mistake, file};
use crate::config::load_text;

/// An output, the path below it (`1` for the second output) and a piece of the message.
const OUTPUTS: &[(&str, &str, &str)] = &[
    (
        r#"group: "239.2.2.2", port: 6000"#,
        ".interface",
        "a multicast output needs the interface to send on",
    ),
    (r#"port: 6000"#, ".interface", "a multicast output needs the interface"),
    (
        r#"interface: "eth1", group: "239.2.2.2", address: "10.0.0.9""#,
        ".address",
        "give group or address, not both",
    ),
    (
        r#"interface: "eth1", address: "239.2.2.2""#,
        ".address",
        "239.2.2.2 is a multicast group (224.0.0.0/4); write group: \"239.2.2.2\" instead",
    ),
    (r#"address: "127.0.0.1", port: 6000"#, ".address", "a loopback address"),
    (r#"address: "2001:db8::9", port: 6000"#, ".address", "IPv6 is not forwarded yet"),
    (r#"interface: "eth1", group: "224.0.0.251", port: 6000"#, ".group", "link-local"),
    (r#"interface: "eth1", group: "239.2.2.2", port: 0"#, ".port", "from 1 to 65535, not 0"),
    (
        r#"interface: "eth1", group: "239.2.2.2", ttl: 0"#,
        ".ttl",
        "must be a TTL from 1 to 255, \"decrement\" or \"keep\", not 0",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", ttl: 256"#,
        ".ttl",
        "must be a TTL from 1 to 255, \"decrement\" or \"keep\", not 256",
    ),
    (r#"interface: "eth1", group: "239.2.2.2", ttl: "16""#, ".ttl", "not \"16\""),
    (
        r#"interface: "eth1", group: "239.2.2.2", ttl: { mode: "set", value: 300 }"#,
        ".ttl.value",
        "must be a whole number from 1 to 255, not 300",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", ttl: { mode: "set" }"#,
        ".ttl",
        "must be { mode: \"set\", value: 1 to 255 }, { mode: \"decrement\" } or { mode: \"keep\" }",
    ),
    (
        r#"address: "10.0.0.9", port: 6000, when: "joined""#,
        ".when",
        "\"joined\" waits for members of a group, and nobody joins a unicast address; remove when",
    ),
    (
        r#"local: true, group: "239.2.2.2", when: "joined""#,
        ".when",
        "\"joined\" waits for members of a group, and local: true goes to programs on this host",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", when: "joined", linger: "2h""#,
        ".linger",
        "\"2h\" is longer than \"1h\"",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", when: "joined", linger: "soon""#,
        ".linger",
        "\"soon\" is not a duration",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rateLimit: { bitsPerSecond: "3X" }"#,
        ".rateLimit.bitsPerSecond",
        "bits per second, such as 3000000 or \"3M\"",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rateLimit: { bitsPerSecond: 0 }"#,
        ".rateLimit.bitsPerSecond",
        "bits per second, such as 3000000 or \"3M\"",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rateLimit: {}"#,
        ".rateLimit",
        "says no rate; give bitsPerSecond, such as \"3G\", or packetsPerSecond",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rate_limit: { packets_per_second: 0 }"#,
        ".rateLimit.packetsPerSecond",
        "must be a whole number of 1 or more, not 0",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rateLimit: { bitsPerSecond: 9, burstBytes: 65535 }"#,
        ".rateLimit.burstBytes",
        "must be at least 65536, not 65535",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rateLimit: { bitsPerSecond: 9, burst_bytes: 1073741825 }"#,
        ".rateLimit.burstBytes",
        "must be at most 1073741824, not 1073741825",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rateLimit: { packetsPerSecond: 9, burstBytes: 65536 }"#,
        ".rateLimit.burstBytes",
        "goes with bitsPerSecond; remove it or give bitsPerSecond",
    ),
    (
        r#"interface: "eth1", group: "239.2.2.2", rateLimit: "3G""#,
        ".rateLimit",
        "must be an object: { … }, not \"3G\"",
    ),
    (r#"interface: "eth1", group: "239.2.2.2", burst: 0"#, ".burst", "from 1 to 64, not 0"),
    (r#"interface: "eth1", group: "239.2.2.2", burst: 65"#, ".burst", "from 1 to 64, not 65"),
    (r#"interface: "eth1", group: "239.2.2.2", burst: -1"#, ".burst", "from 1 to 64, not -1"),
    (r#"interface: "eth0", port: 5000"#, "", "output equals input: it would loop"),
    (r#"interface: "eth0""#, "", "output equals input: it would loop"),
    (r#"interface: "eth0", group: "239.1.1.1""#, "", "output equals input: it would loop"),
    (
        r#"interface: "eth1" }, { interface: "eth1", port: 5000"#,
        "1",
        "is the same copy as outputs[0]; remove one",
    ),
    (
        r#"name: "x", interface: "eth1" }, { name: "x", interface: "eth2""#,
        "1.name",
        "\"x\" is the name of outputs[0] already",
    ),
    (
        r#"address: 5, port: 6000"#,
        ".address",
        "must be an address in quotes, such as \"10.0.0.9\", not 5",
    ),
    (r#"addres: "10.0.0.9", port: 6000"#, ".addres", "did you mean \"address\"?"),
    (r#"interface: "eth1", dest: "239.2.2.2""#, ".dest", "did you mean \"group\"?"),
];

#[test]
fn in_an_output() {
    for (output, path, fragment) in OUTPUTS {
        let path = match path.strip_prefix('1') {
            Some(rest) => format!("rules[0].outputs[1]{rest}"),
            None => format!("rules[0].outputs[0]{path}"),
        };
        assert_mistake(&file(INPUT, output, "", ""), 5, &path, fragment);
    }
}

#[test]
fn in_a_unicast_rule() {
    let input = r#"interface: "wg0", group: "10.0.0.50", port: 5000"#;
    let missing = file(input, r#"interface: "eth1", port: 6000"#, "", "");
    assert_mistake(&missing, 5, "rules[0].outputs[0].group", "the input is a unicast address");
    // Over whatever interface: it is ours, and comes back.
    let own = file(input, r#"address: "10.0.0.50""#, "", "");
    assert_mistake(&own, 5, "rules[0].outputs[0]", "it would loop");
    let other_port = file(input, r#"address: "10.0.0.50", port: 5001"#, "", "");
    assert!(load_text("f", &other_port).is_ok());
    // A rule for every port takes its own output in, whatever its port.
    let every = r#"interface: "eth0", group: "239.1.1.1""#;
    let text = file(every, r#"interface: "eth0", port: 6000"#, "", "");
    assert_mistake(&text, 5, "rules[0].outputs[0]", "it would loop");
    let other_port = file(INPUT, r#"interface: "eth0", port: 6000"#, "", "");
    assert!(load_text("f", &other_port).is_ok());
}
