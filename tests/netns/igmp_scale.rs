//! Many groups, many interfaces, and floods: how long until they are known, what they cost, what is left.

use crate::lab::igmp_frames::report;
use crate::lab::{
    Injector, Joined, Lab, Line, Members, Namespace, Relay, Rounds, SOON, groups, groups_on, host,
    igmp_stats, verify, wait_for,
};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const FIRST: Ipv4Addr = Ipv4Addr::new(239, 8, 0, 1);

/// Bytes that a process has to itself, and CPU time that it has used.
fn cost(pid: i32) -> (u64, Duration) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    let kib: u64 = kib.trim().trim_end_matches(" kB").parse().expect("a number");
    let schedule = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("a process");
    let on_cpu: u64 = schedule.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    (kib * 1024, Duration::from_nanos(on_cpu))
}

/// What a relay has to do with each group that a host joins, by its file; true: it asks for it upstream.
const DUTIES: [(&str, &str, bool); 3] = [
    ("known", "{ igmp: { interfaces: [{ name: 'out0' }] }, rules: [] }", false),
    (
        "sent to",
        "{ rules: [{ name: 'all', input: { interface: 'in0', group: '239.0.0.0/8', join: 'never' },
               outputs: [{ interface: 'out0', when: 'joined' }] }] }",
        false,
    ),
    (
        "sent to and asked for upstream",
        "{ rules: [{ name: 'all', input: { interface: 'in0', group: '239.0.0.0/8', join: 'on-demand' },
               outputs: [{ interface: 'out0', when: 'joined' }] }] }",
        true,
    ),
];

/// A host joins many groups at once: they are known within seconds, and cost little from then on.
pub(crate) fn many_groups_at_once(lab: &Lab) {
    let count: u32 = if verify() { 10_000 } else { 2_000 };
    let line = Line::new(lab);
    let [parts @ .., everything] = DUTIES;
    // What each duty adds to the memory.
    for part in parts.into_iter().filter(|_| verify()) {
        let (mcrd, members) = with_members(lab, &line, part, count);
        drop(members);
        mcrd.stop();
    }
    let (mcrd, members) = with_members(lab, &line, everything, count);
    assert!(groups_on(&mcrd, "out0").len() == count as usize);
    if verify() {
        // What they cost when nothing changes, at default timers: two minutes hold a general query.
        let (_, before) = cost(mcrd.control_pid());
        let start = Instant::now();
        std::thread::sleep(Duration::from_secs(130));
        let (_, after) = cost(mcrd.control_pid());
        let share = (after - before).as_secs_f64() / start.elapsed().as_secs_f64();
        println!("{count} groups: {:.2} % of a core when nothing changes", share * 100.0);
        assert_eq!(known(&mcrd), u64::from(count), "refreshed by the hosts' answers");
    }
    drop(members);
    wait_for("all are gone with the leaves", SOON * 6, || match known(&mcrd) {
        0 => Ok(()),
        now => Err(now),
    });
    mcrd.stop();
}

fn known(mcrd: &Relay) -> u64 {
    igmp_stats(mcrd, "out0")["totalGroups"].as_u64().unwrap_or(0)
}

/// A relay that knows so many groups of a host's; says how long that took, and what each has cost its control process.
fn with_members(
    lab: &Lab,
    line: &Line,
    (what, config, asks): (&str, &str, bool),
    count: u32,
) -> (Relay, Members) {
    let mcrd = Relay::with_config(&line.relay, lab.directory(), config);
    wait_for("IGMP runs", SOON, || {
        let shown = mcrd.json(&["igmp", "interfaces"]);
        if shown.as_array().is_some_and(|all| all.len() == 1) { Ok(()) } else { Err(shown) }
    });
    let (before, _) = cost(mcrd.control_pid());
    let start = Instant::now();
    let members = Members::of(&line.receiver, "rcv0", &groups(FIRST, count));
    let joined = start.elapsed();
    wait_for("all groups are known", SOON * 6, || match known(&mcrd) {
        now if now == u64::from(count) => Ok(()),
        now => Err(now),
    });
    let known_after = start.elapsed();
    let upstream = if asks { count as usize } else { 0 };
    wait_for("those that are to be asked for are asked for", SOON, || {
        let joined = Joined::now(&line.relay).on("in0").len();
        if joined == upstream { Ok(()) } else { Err(joined) }
    });
    let (after, _) = cost(mcrd.control_pid());
    let each = after.saturating_sub(before) / u64::from(count);
    println!(
        "{count} groups {what}: joined within {joined:?}, known after {known_after:?}; {each} bytes a group"
    );
    // Of fewer groups, what is allocated in large pieces is most of it.
    assert!(!verify() || each <= 1024, "1 KiB a group is promised");
    (mcrd, members)
}

/// Interfaces with members appear and vanish: state follows, and nothing is left.
pub(crate) fn interfaces_come_and_go(lab: &Lab) {
    let count: u32 = if verify() { 200 } else { 40 };
    let rounds = if verify() { 30 } else { 4 };
    let line = Line::new(lab);
    let mcrd = Relay::with_config(
        &line.relay,
        lab.directory(),
        r#"{ rules: [{ name: "pods", input: { interface: "in0", group: "239.8.0.0/16", join: "on-demand" },
               outputs: [{ interfaces: [{ nameGlob: "veth*" }], when: "joined" }] }] }"#,
    );
    mcrd.wait_state("pods", "pending");
    let wanted = groups(FIRST, 5);
    let pids = [mcrd.control_pid(), mcrd.plane_pid()];
    let mut watches = None;
    for round in 0..rounds {
        come(&line, count);
        let members: Vec<Members> =
            (0..count).map(|n| Members::of(&line.receiver, &format!("pod{n}"), &wanted)).collect();
        let start = Instant::now();
        wait_for("five groups on each", SOON * 6, || {
            let shown = mcrd.json(&["igmp", "groups"]);
            let total = shown.as_array().map_or(0, Vec::len);
            if total == count as usize * 5 { Ok(()) } else { Err(total) }
        });
        println!(
            "round {round}: {count} interfaces, 5 groups on each, known after {:?}",
            start.elapsed()
        );
        drop(members);
        go(&line.relay, count);
        wait_for("nothing is left", SOON * 6, || {
            let shown = mcrd.json(&["igmp", "interfaces"]);
            let left = shown.as_array().map_or(0, Vec::len);
            if left == 0 { Ok(()) } else { Err(left) }
        });
        wait_for("nothing is asked for upstream", SOON, || {
            let joined = Joined::now(&line.relay).on("in0");
            if joined.is_empty() { Ok(()) } else { Err(format!("{joined:?}")) }
        });
        // Sockets that stay are opened by the first round.
        let begin = || pids.map(|pid| Rounds::begin(&line.relay, pid));
        watches.get_or_insert_with(begin).iter_mut().zip(pids).for_each(|(w, pid)| w.over(pid));
    }
    let [control, plane] = watches.expect("several rounds");
    control.end("control");
    plane.end("data plane");
    mcrd.stop();
}

/// All of them by one run of ip(8) each.
fn come(line: &Line, count: u32) {
    let near: String = (0..count)
        .map(|n| {
            let (high, low) = (n / 250, n % 250 + 1);
            format!(
                "link add veth{n} type veth peer name pod{n} netns receiver\nlink set veth{n} up\n\
                 address add 10.100.{high}.{low}/32 dev veth{n}\n"
            )
        })
        .collect();
    let far: String = (0..count)
        .map(|n| {
            let (high, low) = (n / 250, n % 250 + 1);
            format!("link set pod{n} up\naddress add 10.101.{high}.{low}/32 dev pod{n}\n")
        })
        .collect();
    batch(&line.relay, &near);
    batch(&line.receiver, &far);
}

fn go(relay: &Namespace, count: u32) {
    batch(relay, &(0..count).map(|n| format!("link del veth{n}\n")).collect::<String>());
}

fn batch(namespace: &Namespace, commands: &str) {
    let file = format!("/run/lab/batch-{}", namespace.name());
    std::fs::write(&file, commands).expect("writing commands");
    host(&format!("ip -n {} -batch {file}", namespace.name()));
}

/// A flood of reports for ever new groups: the table is bounded, refusals are counted, who was there before
/// keeps what it has.
pub(crate) fn a_flood_of_reports(lab: &Lab) {
    let line = Line::new(lab);
    let mcrd = Relay::with_config(
        &line.relay,
        lab.directory(),
        r#"{ igmp: { interfaces: [{ name: "out0", maxGroups: 500 }] }, rules: [] }"#,
    );
    let wanted = groups(FIRST, 5);
    let members = Members::of(&line.receiver, "rcv0", &wanted);
    wait_for("the members are known", SOON, || {
        let there = groups_on(&mcrd, "out0");
        if there.len() == 5 { Ok(()) } else { Err(format!("{there:?}")) }
    });
    let injector = Injector::new(&line.receiver, "rcv0");
    let reporter = Ipv4Addr::new(10, 2, 0, 77);
    for group in groups(Ipv4Addr::new(239, 66, 0, 1), 20_000) {
        injector.send(&report(2, reporter, group));
    }
    let refused = wait_for("refusals are counted", SOON, || {
        let stats = igmp_stats(&mcrd, "out0");
        match stats["dropped"]["group_limit"].as_u64() {
            Some(count) if count > 0 => Ok(count),
            _ => Err(stats.to_string()),
        }
    });
    let there = groups_on(&mcrd, "out0");
    println!("20,000 reports: {} groups, {refused} refused", there.len());
    assert_eq!(there.len(), 500);
    assert!(wanted.iter().all(|group| there.contains_key(group)), "who was there stays");
    drop(members);
    mcrd.stop();
}
