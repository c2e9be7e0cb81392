//! Memory of a process that waits.
//!
//! Starting a program touches most of its code once: arguments, configuration, certificates. None
//! of it is needed again by a launch agent that waits in one call for days, and it counts as
//! resident memory until the system is short of it.

/// Gives back the pages of this process's program and libraries that hold code. What is needed
/// again is mapped again when it is, from the page cache.
///
/// The heap's free pages go too, which hold what a start needed once.
///
/// Only mappings that are executable, not writable and of a file: such a page is the same as in
/// the file, so nothing is lost. (Data that was relocated is in mappings of other kinds.)
pub fn forget_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (start, length) in maps.lines().filter_map(code_range) {
        let start = std::ptr::without_provenance_mut(start);
        // SAFETY: The range is a mapping of this process, private and never written to;
        // MADV_DONTNEED leaves it in place, and the next access reads the same bytes from the file.
        // A failure costs memory and nothing else.
        unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    }
    #[cfg(target_env = "gnu")]
    // SAFETY: Takes a number only, and gives back what nobody has.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Start and length of a mapping that holds code of a file, as a line of proc_pid_maps(5) says.
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp";
    let is_of_a_file = fields.nth(3)?.starts_with('/');
    let number = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    (is_code && is_of_a_file).then_some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::{code_range, forget_code};

    #[test]
    fn only_code_of_files_is_forgotten() {
        let text =
            "55a0-55b0 r-xp 00001000 fe:00 9986092                    /opt/russet/bin/russet";
        assert_eq!(code_range(text), Some((0x55a0, 0x10)));
        for other in [
            "55a0-55b0 r--p 00001000 fe:00 9986092                    /opt/russet/bin/russet",
            "55a0-55b0 rw-p 00001000 fe:00 9986092                    /opt/russet/bin/russet",
            "55a0-55b0 r-xp 00000000 00:00 0                          [vdso]",
            "55a0-55b0 r-xp 00000000 00:00 0 ",
            "",
        ] {
            assert_eq!(code_range(other), None, "{other}");
        }
    }

    #[test]
    fn code_that_was_forgotten_runs_all_the_same() {
        forget_code();
        assert_eq!("1,2,3".split(',').filter_map(|n| n.parse::<u32>().ok()).sum::<u32>(), 6);
    }
}
