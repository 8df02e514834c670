//! What a completed receive has written into its buffer.

use super::PortState;
use crate::dataplane::backend::{About, about_udp, vlan_of};
use crate::dataplane::decode::FrameMeta;
use crate::dataplane::link::Ingress;
use io_uring::types;

/// Finds the frame or payload in a buffer of `len` written bytes: where it starts, its length, and
/// what the kernel says about it.
pub(super) fn parse(buffer: &[u8], len: usize, port: &PortState) -> Option<(u32, u32, About)> {
    let written = buffer.get(..len)?;
    let message = types::RecvMsgOut::parse(written, &port.header).ok()?;
    let truncated = message.is_payload_truncated();
    let (data, about) = match port.ingress {
        Ingress::Packet(link_layer) => {
            let mut meta = FrameMeta::plain(link_layer);
            let frame = meta.take_vnet_header(message.payload_data())?;
            meta.vlan = vlan_of(message.control_data());
            meta.truncated = truncated;
            (frame, About::Packet(meta))
        }
        Ingress::Udp(_) => {
            let about = about_udp(message.name_data(), message.control_data(), truncated)?;
            (message.payload_data(), about)
        }
    };
    let start = data.as_ptr() as usize - buffer.as_ptr() as usize;
    Some((u32::try_from(start).ok()?, u32::try_from(data.len()).ok()?, about))
}
