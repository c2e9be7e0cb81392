//! Command lines as the kernel of macOS hands them out (`sysctl` KERN_PROCARGS2).
//!
//! The buffer holds a count, the path of the executable, padding of zero bytes, and then so many
//! arguments, each with a zero byte at its end; after that comes the environment, which is none of
//! our business (XNU, `sysctl_procargsx`).

/// The arguments, on one line.
#[must_use]
pub fn command_line(buffer: &[u8]) -> Option<String> {
    let (count, rest) = buffer.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let rest = rest.get(end..)?;
    let begin = rest.iter().position(|byte| *byte != 0)?;
    let words: Vec<_> = rest
        .get(begin..)?
        .split(|byte| *byte == 0)
        .take(count)
        .map(String::from_utf8_lossy)
        .collect();
    let line = words.join(" ").trim().to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::command_line;

    fn buffer(count: i32, rest: &[u8]) -> Vec<u8> {
        [&count.to_ne_bytes(), rest].concat()
    }

    #[test]
    fn arguments_are_read_and_the_environment_is_not() {
        let rest = b"/bin/sh\0\0\0\0\0sh\0-c\0sleep 1\0SECRET=x\0\0";
        assert_eq!(command_line(&buffer(3, rest)).unwrap(), "sh -c sleep 1");
        assert_eq!(command_line(&buffer(1, b"/bin/sh\0sh\0A=b\0")).unwrap(), "sh");
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_none() {
        for bytes in [&b""[..], b"\x01\0", &buffer(0, b"/bin/sh\0sh\0"), &buffer(-1, b"/x\0x\0")] {
            assert_eq!(command_line(bytes), None);
        }
        assert_eq!(command_line(&buffer(9, b"/bin/sh\0sh")).unwrap(), "sh");
        assert_eq!(command_line(&buffer(1, b"no end")), None);
    }
}
