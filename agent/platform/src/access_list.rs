//! Access lists of files, as far as root's trust depends on them: an entry that lets somebody else
//! write where the mode bits do not.
//!
//! On Linux the mode's group bits are the mask of a POSIX access list, so a list that grants more
//! than the mode shows cannot be. On macOS the two are independent of each other (`chmod +a`).

/// Rights with which a file or a directory, or an entry of a directory, can be changed, as
/// acl_to_text(3) writes them: of a directory `write` is `add_file` and `append` is
/// `add_subdirectory` (sys/acl.h).
const CHANGING: [&str; 6] = ["write", "append", "delete", "delete_child", "writesecurity", "chown"];

/// Returns whom an access list lets change something, as `user anna` or `group staff`, if that is
/// anybody but root and the user `me`. The text is that of acl_to_text(3):
/// `group:UUID:staff:20:allow,file_inherit:write,append`.
///
/// Entries that are only inherited count too: root makes files below such directories. A line that
/// is not understood counts as a grant.
#[must_use]
pub fn find_writer(text: &str, me: u32) -> Option<String> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("!#")).find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [kind, uuid, name, id, decision, rights] = fields[..] else {
            return Some(format!("an unknown entry ({line})"));
        };
        if decision.split(',').next() == Some("deny") {
            return None;
        }
        if !rights.split(',').any(|right| CHANGING.contains(&right)) {
            return None;
        }
        let is_trusted = kind == "user" && id.parse().is_ok_and(|id: u32| id == 0 || id == me);
        let name = [name, id, uuid].into_iter().find(|text| !text.is_empty()).unwrap_or("unknown");
        (!is_trusted).then(|| format!("{kind} {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::find_writer;

    const EVERYONE: &str = "group:ABCDEFAB-CDEF-ABCD-EFAB-CDEF0000000C:everyone:12";
    const ANNA: &str = "user:FFFFEEEE-DDDD-CCCC-BBBB-AAAA000001F5:anna:501";

    fn writer(entries: &[String]) -> Option<String> {
        find_writer(&format!("!#acl 1\n{}\n", entries.join("\n")), 502)
    }

    #[test]
    fn an_entry_that_lets_somebody_else_write_is_found() {
        for rights in ["write", "read,append,execute", "delete_child", "writesecurity", "chown"] {
            let found = writer(&[format!("{ANNA}:allow:{rights}")]);
            assert_eq!(found.as_deref(), Some("user anna"), "{rights}");
        }
        let inherited = format!("{EVERYONE}:allow,file_inherit,only_inherit:write");
        assert_eq!(writer(&[inherited]).as_deref(), Some("group everyone"));
        // Somebody whose account was deleted.
        let nameless = "user:11234567-89AB-CDEF-0123-456789ABCDEF:::allow:write".to_owned();
        assert_eq!(
            writer(&[nameless]).as_deref(),
            Some("user 11234567-89AB-CDEF-0123-456789ABCDEF")
        );
        assert!(writer(&["user:anna:allow:write".to_owned()]).is_some(), "not understood");
    }

    #[test]
    fn what_denies_only_reads_or_is_for_root_and_the_caller_is_no_fault() {
        assert_eq!(find_writer("", 502), None);
        // macOS puts it on every home.
        assert_eq!(writer(&[format!("{EVERYONE}:deny:delete")]), None);
        assert_eq!(writer(&[format!("{ANNA}:allow,file_inherit:read,execute,readattr")]), None);
        let own = "FFFFEEEE-DDDD-CCCC-BBBB-AAAA00000000";
        assert_eq!(writer(&[format!("user:{own}:root:0:allow:write,delete")]), None);
        assert_eq!(writer(&[format!("user:{own}:me:502:allow:write")]), None);
        // A group of that number is not that user.
        assert!(writer(&[format!("group:{own}:wheel:0:allow:write")]).is_some());
    }
}
