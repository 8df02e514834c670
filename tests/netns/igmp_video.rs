//! A video stream that flows where and while somebody watches, through a switch that snoops.
//!
//! ```text
//!  +--------------+      +--------+      +---------------------+      +--------+      +-----------------+
//!  | source  src0 |------| switch |------| in0   relay    out0 |------| lan    |------| first  h0       |
//!  | 10.1.0.10/24 |      | snoops |      | 10.1.0.1   10.2.0.1 |      | bridge |      | 10.2.0.8/24     |
//!  | ffmpeg       |      +--------+      +---------------------+      |        |------| second h0       |
//!  +--------------+                                                   +--------+      | 10.2.0.9/24     |
//!                                                                                     +-----------------+
//! ```

use crate::lab::{
    Lab, Namespace, Process, Relay, SOON, first_datagram, last_sent, listen, sent_by, told,
    two_receivers, until_silent, verify,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const PORT: u16 = 5000;
/// Frames come every 40 ms.
const SILENCE: Duration = Duration::from_millis(400);

const RULES: &str = r#"{
    rules: [{ name: "video", input: { interface: "in0", group: "239.1.1.1", port: 5000, join: "on-demand" },
      outputs: [{ interface: "out0", when: "joined" }] }] }"#;

struct Studio {
    source: Namespace,
    relay: Namespace,
    first: Namespace,
    second: Namespace,
}

impl Studio {
    fn new(lab: &Lab) -> Self {
        let [source, relay] = ["source", "relay"].map(|name| lab.namespace(name));
        // It floods what nobody has asked for until hosts have had the time to answer its first query.
        // That time holds for queries that begin later.
        let switch = lab.lan(
            "switch",
            "mcast_snooping 1 mcast_query_response_interval 100",
            &[(&source, "src0", "10.1.0.10/24"), (&relay, "in0", "10.1.0.1/24")],
        );
        switch.run("ip link set bridge0 type bridge mcast_querier 1");
        let [first, second] = two_receivers(lab, &relay);
        source.run("ip route add 239.0.0.0/8 dev src0");
        Self { source, relay, first, second }
    }

    /// A picture and a tone as MPEG-TS, 188 x 7 bytes a datagram, at the pace of a camera.
    fn camera(&self) -> Process {
        let input = ["-re", "-f", "lavfi", "-i"];
        let to = format!("udp://{GROUP}:{PORT}?pkt_size=1316");
        let args = ["-nostdin", "-hide_banner", "-v", "error"]
            .into_iter()
            .chain(input)
            .chain(["testsrc2=size=640x360:rate=25"])
            .chain(input)
            .chain(["sine=frequency=440:sample_rate=48000"])
            .chain(["-c:v", "mpeg2video", "-g", "12", "-b:v", "4M", "-c:a", "mp2", "-f", "mpegts"])
            .chain([&*to]);
        self.source.spawn("ffmpeg", &args.collect::<Vec<_>>())
    }

    /// Datagrams that have reached the relay's input, wanted or not.
    fn reached(&self) -> u64 {
        let text = self.relay.run("cat /sys/class/net/in0/statistics/rx_packets");
        text.trim().parse().expect("a number")
    }

    /// The stream does not even come to the relay: the switch has nobody to give it to.
    fn kept_back(&self) {
        // The switch itself asks and is answered now and then.
        const OTHERS: u64 = 5;
        until_silent("what comes through the switch", SILENCE, OTHERS, || self.reached());
    }
}

/// Somebody who watches.
struct Viewer {
    socket: UdpSocket,
    recorded: Vec<u8>,
}

impl Viewer {
    /// Joins, and the time until the first datagram.
    fn tune_in(host: &Namespace) -> (Self, Duration) {
        let start = Instant::now();
        let socket = listen(host, "h0", GROUP, PORT);
        let (came, _, recorded) = first_datagram(&socket, SOON).expect("a join starts the stream");
        (Self { socket, recorded }, came - start)
    }

    /// Records for so long, and on until a datagram ends it.
    fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let (_, _, payload) = first_datagram(&self.socket, SOON).expect("it flows on");
            self.recorded.extend(payload);
        }
    }

    /// Each packet of the transport stream follows the one before it: nothing was lost, nothing came twice. How many
    /// packets there were of each PID.
    fn whole(&self) -> BTreeMap<u16, usize> {
        assert!(self.recorded.len().is_multiple_of(188), "{} bytes", self.recorded.len());
        let mut seen: BTreeMap<u16, (u8, usize)> = BTreeMap::new();
        for packet in self.recorded.chunks(188) {
            // ISO/IEC 13818-1 section 2.4.3.2.
            assert_eq!(packet[0], 0x47, "a packet begins here");
            let pid = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
            let (has_payload, counter) = (packet[3] & 0x10 != 0, packet[3] & 0x0f);
            let before = seen.insert(pid, (counter, seen.get(&pid).map_or(1, |(_, n)| n + 1)));
            if let Some((before, count)) = before {
                let expected = (before + u8::from(has_payload)) % 16;
                assert_eq!(counter, expected, "PID {pid}, packet {count}");
            }
        }
        seen.into_iter().map(|(pid, (_, count))| (pid, count)).collect()
    }
}

/// A join starts a video, the last leave stops it; who watches on sees every frame.
pub(crate) fn receivers_come_and_go(lab: &Lab) {
    let studio = Studio::new(lab);
    let mcrd = Relay::with_config(&studio.relay, lab.directory(), RULES);
    mcrd.wait_all_active(1);
    let mut camera = studio.camera();
    let sent_now = || sent_by(&mcrd, "video");
    let rounds = if verify() { 20 } else { 3 };
    let (mut starts, mut stops, mut packets) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        studio.kept_back();
        let before = sent_now();
        let (first, took) = Viewer::tune_in(&studio.first);
        starts.push(took);
        let (mut second, _) = Viewer::tune_in(&studio.second);
        drop(first);
        // Longer than the last member query time of 2 s: who is left was asked, and has answered.
        second.watch(Duration::from_secs(3));
        let whole = second.whole();
        let most = whole.values().max().copied().unwrap_or(0);
        assert!(most > 500, "3 s of 4 Mbit/s: {whole:?}");
        packets += whole.values().sum::<usize>();
        if round == 0 {
            decodes(lab, &second.recorded);
        }
        assert!(sent_now() > before);
        drop(second);
        let left = Instant::now();
        stops.push(last_sent(&mcrd, "video", SILENCE) - left);
        assert_eq!(camera.try_wait(), None, "{}", camera.stderr());
    }
    println!("{packets} packets of the transport stream, in order, while another receiver left");
    told("video: join to first datagram", starts);
    told("video: last leave to last datagram", stops);
    mcrd.stop();
}

/// Frames of what was recorded, as a decoder counts them: 25 a second but for what came before the first whole one.
fn decodes(lab: &Lab, recorded: &[u8]) {
    let file = lab.directory().join("recorded.ts");
    std::fs::write(&file, recorded).expect("writing what was recorded");
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(&file)
        .output()
        .expect("starting ffprobe");
    let text = String::from_utf8_lossy(&output.stdout);
    let frames: u32 = text.split([',', '\n']).find_map(|word| word.parse().ok()).unwrap_or(0);
    assert!(frames >= 50, "{text}{}", String::from_utf8_lossy(&output.stderr));
}
