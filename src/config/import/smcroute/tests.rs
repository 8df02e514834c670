//! Each directive of the manual, and each mistake with its line.

use super::{smcroute_file, smcroute_text};
use crate::config::import::Imported;
use crate::config::v1::File;
use serde_json::{Value, json};

fn imported(text: &str) -> (Value, Vec<String>) {
    let Imported { document, warnings } = smcroute_text("x.conf", text).expect("is understood");
    let file: File = json5::from_str(&document).expect("a file of ours");
    let rules = serde_json::to_value(file).expect("serialises")["rules"].take();
    (rules, warnings.iter().map(ToString::to_string).collect())
}

fn mistakes(text: &str) -> Vec<String> {
    let remarks = smcroute_text("x.conf", text).expect_err("has mistakes");
    remarks.iter().map(ToString::to_string).collect()
}

fn output(interface: &str) -> Value {
    json!({"interface": interface, "ttl": "decrement", "source": "keep"})
}

#[test]
fn a_route_with_its_membership_is_a_rule() {
    let (rules, warnings) = imported(
        "# cameras\n\
         mgroup from eth0 group 225.1.2.3\n\
         \tmroute   from eth0 source 192.168.1.42 group 225.1.2.3 to eth1 eth2 # both\n",
    );
    assert_eq!(
        rules,
        json!([{
            "name": "192.168.1.42 to 225.1.2.3 from eth0",
            "input": {"interface": "eth0", "group": "225.1.2.3", "source": "192.168.1.42"},
            "outputs": [output("eth1"), output("eth2")],
        }])
    );
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn what_each_route_becomes() {
    let cases = [
        // Without a membership nothing is joined.
        (
            "mroute from a group 239.1.1.1 to b",
            json!({"interface": "a", "group": "239.1.1.1", "join": "never"}),
        ),
        (
            "mgroup from a group 225.0.0.0/24\nmroute from a group 225.0.0.7 to b",
            json!({"interface": "a", "group": "225.0.0.7"}),
        ),
        (
            "mgroup from a group 225.0.0.9/24\nmroute from a group 225.0.0.0/24 to b",
            json!({"interface": "a", "group": "225.0.0.0/24"}),
        ),
        (
            "mroute from a source 0.0.0.0 group 239.1.1.1 to b",
            json!({"interface": "a", "group": "239.1.1.1", "join": "never"}),
        ),
        (
            "mroute from a source 10.1.0.0/16 group 239.1.1.1 to b",
            json!({"interface": "a", "group": "239.1.1.1", "join": "never",
                   "sources": {"include": ["10.1.0.0/16"]}}),
        ),
        (
            "ssmgroup from a group 232.1.1.1 source 10.0.0.1\n\
             mroute from a source 10.0.0.1 group 232.1.1.1 to b",
            json!({"interface": "a", "group": "232.1.1.1", "source": "10.0.0.1"}),
        ),
        (
            "mgroup from a source 10.0.0.2 group 232.1.1.1\nmroute from a group 232.1.1.1 to b",
            json!({"interface": "a", "group": "232.1.1.1"}),
        ),
        (
            "mroute from eth+ group 239.1.1.1 to b",
            json!({"interfaces": [{"nameGlob": "eth*"}], "group": "239.1.1.1", "join": "never"}),
        ),
    ];
    for (text, input) in cases {
        let (rules, warnings) = imported(text);
        assert_eq!(rules[0]["input"], input, "{text}");
        assert_eq!(warnings, Vec::<String>::new(), "{text}");
    }
    let (rules, _) = imported("mroute from a group 239.1.1.1 to veth+");
    assert_eq!(
        rules[0]["outputs"],
        json!([{"interfaces": [{"nameGlob": "veth*"}], "ttl": "decrement", "source": "keep"}])
    );
}

#[test]
fn what_is_not_carried_over_is_named_with_its_line() {
    let cases = [
        ("phyint eth0 enable ttl-threshold 11", "x.conf:1: ttl-threshold 11 is not carried over"),
        ("\nphyint eth0 mrdisc", "x.conf:2: mrdisc is not carried over"),
        (
            "mgroup from a group 239.1.1.1",
            "x.conf:1: group 239.1.1.1/32 from a is not carried over",
        ),
        ("mroute from a group ff15::1 to b", "x.conf:1: left out: IPv6"),
        (
            "mroute from a group 224.0.0.251 to b",
            "x.conf:1: left out: 224.0.0.251/32 is link-local",
        ),
        ("mroute from a group 239.1.1.1 to a b", "x.conf:1: output a is left out: it is the input"),
        ("mroute from a group 239.1.1.1 to b b", "x.conf:1: output b stands there twice"),
        ("mroute from a group 239.1.1.1 to a", "x.conf:1: left out: no output is left"),
        ("mroute from a group 224.0.0.0/8 to b", "x.conf:1: 224.0.0.0/24 is in the prefix"),
        (
            "phyint b disable\nmroute from a group 239.1.1.1 to b c",
            "x.conf:2: output b is left out",
        ),
        ("phyint a disable\nmroute from a group 239.1.1.1 to b", "x.conf:2: the rule is disabled"),
        (
            "mroute from a group 239.1.1.1 to b\nmroute from a group 239.1.1.1 to c",
            "x.conf:2: the same route again",
        ),
    ];
    for (text, warning) in cases {
        let (_, warnings) = imported(text);
        assert!(warnings.iter().any(|said| said.starts_with(warning)), "{text:?}: {warnings:?}");
    }
    let (rules, _) = imported("phyint a disable\nmroute from a group 239.1.1.1 to b");
    assert_eq!(rules[0]["enabled"], false);
    let (rules, warnings) = imported("phyint a disable\nphyint a enable ttl-threshold 1\n");
    assert_eq!((rules, warnings), (Value::Null, Vec::new()));
}

#[test]
fn every_mistake_has_its_line_and_says_what_would_be_right() {
    let cases = [
        ("mroute from a group 239.1.1.1", "mroute needs output interfaces"),
        ("mroute from a group 239.1.1.1 to", "mroute needs output interfaces"),
        ("mroute group 239.1.1.1 to b", "mroute needs an interface: from eth0"),
        ("mroute from a to b", "mroute needs a group"),
        ("mroute from a group 10.0.0.1 to b", "10.0.0.1/32 is not multicast"),
        ("mroute from a group 0.0.0.0/0 to b", "0.0.0.0/0 is not multicast"),
        ("mroute from a group 239.1.1 to b", "\"239.1.1\" is not an IP address"),
        ("mroute from a group 239.1.1.1/33 to b", "\"239.1.1.1/33\" is not an IP address"),
        ("mroute from a source 239.1.1.1 group 239.1.1.1 to b", "239.1.1.1/32 is multicast"),
        ("mroute from a source ::1 group 239.1.1.1 to b", "source ::1/128 and group"),
        ("mroute from a group 239.1.1.1 out b", "\"out\" is not expected here"),
        ("mroute from", "\"from\" has no value"),
        ("mroute from a-name-too-long-x group 239.1.1.1 to b", "is not the name of an interface"),
        ("mgroup from a group 239.1.1.1 to b", "mgroup has no \"to\""),
        ("ssmgroup from a group 232.1.1.1", "ssmgroup needs a source"),
        ("phyint", "phyint needs an interface"),
        ("phyint eth0 ttl-threshold", "ttl-threshold needs a number"),
        ("phyint eth0 ttl-threshold 0", "ttl-threshold needs a number"),
        ("phyint eth0 ttl-threshold 256", "ttl-threshold needs a number"),
        ("phyint eth0 off", "\"off\" is no option of phyint"),
        ("join eth0 239.1.1.1", "\"join\" is not a directive"),
        ("include", "include takes one path"),
        ("include /no/such/file.conf", "/no/such/file.conf cannot be read"),
        ("include /etc/*/x.conf", "only '*' and '?' in the name"),
    ];
    for (line, message) in cases {
        let text = format!("# one\nphyint lo\n{line}\nmroute from a group 239.1.1.1 to b\n");
        let said = mistakes(&text);
        assert_eq!(said.len(), 1, "{line}: {said:?}");
        assert!(said[0].starts_with("x.conf:3: ") && said[0].contains(message), "{line}: {said:?}");
    }
    assert_eq!(mistakes("a\n\nb\n").len(), 2, "all at once");
    assert_eq!(mistakes("\u{0}\u{1F600}")[0].split(':').nth(1), Some("1"));
}

#[test]
fn includes_are_followed_in_order_and_not_in_circles() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("writes");
    };
    let snippets = folder.path().join("d");
    std::fs::create_dir(&snippets).expect("a folder");
    write("main.conf", "mroute from a group 239.0.0.1 to b\ninclude d/*.conf\n");
    write("d/20-b.conf", "mroute from a group 239.0.0.3 to b\n");
    write("d/10-a.conf", "mroute from a group 239.0.0.2 to b\n");
    write("d/notes.txt", "not read\n");
    write("d/.hidden.conf", "not read\n");
    let imported = smcroute_file(&folder.path().join("main.conf")).expect("is understood");
    let file: File = json5::from_str(&imported.document).expect("a file of ours");
    let groups: Vec<_> =
        file.rules.iter().filter_map(|rule| rule.input.as_ref()?.group.clone()).collect();
    assert_eq!(groups, ["239.0.0.1", "239.0.0.2", "239.0.0.3"]);

    write("d/20-b.conf", "\nmroute wrong\n");
    let remarks = smcroute_file(&folder.path().join("main.conf")).expect_err("a mistake");
    assert!(remarks[0].file.ends_with("d/20-b.conf") && remarks[0].line == 2, "{remarks:?}");

    write("circle.conf", "include circle.conf\ninclude circle.conf\n");
    let remarks = smcroute_file(&folder.path().join("circle.conf")).expect_err("a circle");
    assert!(remarks[0].message.contains("in a circle?"), "{remarks:?}");
    write("empty.conf", "include nothing/*.conf\n");
    assert!(smcroute_file(&folder.path().join("empty.conf")).is_ok(), "finding nothing is fine");
}

#[test]
fn the_document_says_how_it_forwards() {
    let imported =
        smcroute_text("x.conf", "mroute from a group 239.1.1.1 to b").expect("is understood");
    assert!(imported.document.starts_with("// Made from smcroute's configuration."));
    assert!(imported.document.contains("      outputs: ["), "{}", imported.document);
    assert!(!imported.document.contains("\"outputs\""), "{}", imported.document);
}
