//! Ids of hardware as texts. They say whether this is the machine that an agent was installed on, or
//! a copy of its disk.

/// Returns a UUID as people write it, in lower case.
#[must_use]
pub fn format_uuid(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| hex.get(part).unwrap_or_default()).join("-")
}

/// Parses an id that a file holds: hexadecimal digits with dashes, in lower case. `None`: it is
/// something else, or of one digit only, which makers leave who set none.
#[must_use]
pub fn parse_id(text: &str) -> Option<String> {
    let id = text.trim().to_ascii_lowercase();
    let digits: Vec<char> = id.chars().filter(|c| *c != '-').collect();
    let is_hex = digits.len() == 32 && digits.iter().all(char::is_ascii_hexdigit);
    let is_set = digits.iter().any(|digit| Some(digit) != digits.first());
    (is_hex && is_set).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::{format_uuid, parse_id};

    #[test]
    fn an_id_is_written_as_people_know_it_and_nonsense_is_none() {
        let id = format_uuid([
            0x4c, 0x4c, 0x45, 0x44, 0, 0x42, 0x30, 0x10, 0x80, 0x54, 0xb7, 0xc0, 0x4f, 0x4e, 0x5a,
            0x31,
        ]);
        assert_eq!(id, "4c4c4544-0042-3010-8054-b7c04f4e5a31");
        assert_eq!(parse_id("4C4C4544-0042-3010-8054-B7C04F4E5A31\n"), Some(id));
        for none in ["", "Not Settable", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "1234"] {
            assert_eq!(parse_id(none), None, "{none}");
        }
    }
}
