//! Memory of a process that waits.
//!
//! Starting a program touches most of its code once: arguments, configuration, certificates. None
//! of it is needed again by a launch agent that waits in one call for days, and it counts as
//! resident memory until the system is short of it.

/// Gives back the pages of this process's program and libraries that hold code and constants. What is
/// needed again is mapped again when it is, from the page cache. The heap's free pages go too, which hold
/// what a start needed once.
///
/// Only mappings of a file that cannot be written to and of which no page was ever written: such a page is
/// the same as in the file, so nothing is lost. (Data that was relocated cannot be written to either, and
/// counts as anonymous.)
pub fn forget_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for (start, length) in clean_ranges(&maps) {
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

/// Starts and lengths of the mappings of files that are as the files are, as proc_pid_smaps(5) says.
fn clean_ranges(maps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut last = None;
    for line in maps.lines() {
        match line.strip_prefix("Anonymous:").map(str::trim) {
            Some("0 kB") => found.extend(last.take()),
            Some(_) => last = None,
            None => last = file_range(line).or(last.filter(|_| !is_heading(line))),
        }
    }
    found
}

/// Returns true for the first line of a mapping; the others are facts, which begin with their name.
fn is_heading(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| !word.ends_with(':'))
}

/// Start and length of a mapping of a file that cannot be written to, as its first line says.
fn file_range(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_fixed = matches!(fields.next()?, "r-xp" | "r--p");
    let is_of_a_file = fields.nth(3)?.starts_with('/');
    let number = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    (is_fixed && is_of_a_file).then_some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::{clean_ranges, forget_code};

    fn mapping(range: &str, mode: &str, file: &str, anonymous: &str) -> String {
        format!(
            "{range} {mode} 00001000 fe:00 9986092                    {file}\n\
             Size:                 64 kB\nPrivate_Dirty:         0 kB\n\
             Anonymous:             {anonymous} kB\nVmFlags: rd ex mr mw me\n"
        )
    }

    #[test]
    fn only_files_that_were_never_written_to_are_forgotten() {
        let program = "/opt/russet/bin/russet";
        let maps = [
            mapping("1000-2000", "r--p", program, "0"),
            mapping("2000-4000", "r-xp", program, "0"),
            // Relocated data, and data that may be written.
            mapping("4000-5000", "r--p", program, "4"),
            mapping("5000-6000", "rw-p", program, "0"),
            mapping("6000-7000", "r-xp", "[vdso]", "0"),
            mapping("7000-8000", "r--p", "", "0"),
            mapping("8000-a000", "r--p", "/lib/libc.so.6", "0"),
        ];
        let expected = [(0x1000, 0x1000), (0x2000, 0x2000), (0x8000, 0x2000)];
        assert_eq!(clean_ranges(&maps.concat()), expected);
        assert_eq!(clean_ranges("Anonymous: 0 kB\nx\n"), []);
    }

    #[test]
    fn code_that_was_forgotten_runs_all_the_same() {
        forget_code();
        assert_eq!("1,2,3".split(',').filter_map(|n| n.parse::<u32>().ok()).sum::<u32>(), 6);
    }
}
