//! Times of output: when the server received which bytes of a chunk.
//!
//! Runners send new output every 20 ms while they reach the server, so that is how exact it is; what
//! a runner had to keep has the time at which it could be sent.

/// Offsets of a chunk, each with the time at which the bytes from there on were received, in
/// milliseconds since 1970. Offsets rise; times may not, where a clock was set back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times(Vec<(u64, i64)>);

impl Times {
    /// One time for a whole chunk.
    pub(crate) fn one(at_ms: i64) -> Self {
        Self(vec![(0, at_ms)])
    }

    /// Adds the times of a chunk that follows at `offset`.
    pub(crate) fn append(&mut self, offset: u64, other: &Self) {
        self.0.extend(other.0.iter().map(|(at, ms)| (offset + at, *ms)));
    }

    /// Returns the pairs of offset and time.
    pub(crate) fn pairs(&self) -> &[(u64, i64)] {
        &self.0
    }

    /// Returns it as it is stored: the differences of offsets and times as varints.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (mut offset, mut time) = (0, 0);
        for &(at, ms) in &self.0 {
            put_varint(&mut bytes, at - offset);
            put_varint(&mut bytes, zigzag(ms.wrapping_sub(time)));
            (offset, time) = (at, ms);
        }
        bytes
    }

    /// Reads it. What cannot be read is left out: times are no reason to keep output back.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Self {
        let mut pairs = Vec::new();
        let (mut offset, mut time) = (0_u64, 0_i64);
        while let Some((more, ms)) = take_varint(&mut bytes).zip(take_varint(&mut bytes)) {
            let Some(at) = offset.checked_add(more) else { break };
            (offset, time) = (at, time.wrapping_add(unzigzag(ms)));
            pairs.push((offset, time));
        }
        Self(pairs)
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Times;

    proptest! {
        #[test]
        fn times_come_back_as_they_were(
            steps in proptest::collection::vec((1..u64::from(u32::MAX), any::<i64>()), 0..50),
        ) {
            let mut offset = 0;
            let pairs: Vec<_> =
                steps.into_iter().map(|(more, ms)| { offset += more; (offset, ms) }).collect();
            let times = Times(pairs);
            prop_assert_eq!(Times::from_bytes(&times.to_bytes()), times);
        }

        #[test]
        fn bytes_that_are_no_times_do_no_harm(bytes: Vec<u8>) {
            Times::from_bytes(&bytes);
        }
    }

    #[test]
    fn a_line_every_20_ms_costs_a_few_bytes() {
        let mut all = Times::default();
        for line in 0..1000 {
            all.append(line * 60, &Times::one(1_790_000_000_000 + 20 * line.cast_signed()));
        }
        assert_eq!(all.pairs()[2], (120, 1_790_000_000_040));
        assert!(all.to_bytes().len() < 2100);
    }
}
