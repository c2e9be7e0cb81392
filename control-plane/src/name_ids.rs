//! Ids of what is known by its name here: public clients and payloads want a UUID, the same each time.

use crate::text::hex_text;

/// Id of the one organization. Clients need a UUID; what they call it does not matter.
pub(crate) const ORGANIZATION: &str = "4f7a3c1e-5d0b-8e26-9c3f-72757373e701";

/// Returns the id of a name of some kind.
pub(crate) fn uuid_of(kind: &str, name: &str) -> String {
    let mut bytes = blake3::derive_key(
        "russet 2026-11 ids of names for public clients",
        format!("{kind}\0{name}").as_bytes(),
    );
    // Version 8, which is for ids of one's own making, and the usual variant.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex_text(&bytes[..16]);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]);
    parts.join("-")
}
