//! Words for those who may not.

use crate::people::Denial;

/// Words for a denial, and what to do.
pub(crate) fn denial_words(denial: Denial) -> (String, Option<&'static str>) {
    match denial {
        Denial::Role(permission) => (
            format!("this needs the permission `{}`, which your role has not", permission.as_str()),
            Some("an administrator can give another role: `russet user set-role`"),
        ),
        Denial::Hidden(permission) => (
            format!(
                "this needs the permission `{}` in a namespace where you have no role",
                permission.as_str()
            ),
            Some(
                "an administrator can claim the namespace, `russet namespace create`, and give a role \
                 in it, `russet user set-role --namespace`; a name without a namespace is the server's",
            ),
        ),
        Denial::Scope(permission) => (
            format!("this needs the permission `{}`, which the token has not", permission.as_str()),
            Some("make a token with that scope: `russet personal-token create --scope`"),
        ),
        Denial::OwnerOnly => (
            "this needs the admin token of the server's machine".to_owned(),
            Some("it is in the file `admin.token` of the server's data directory"),
        ),
        Denial::NoAccount => (
            "this is about the caller's own account, and the admin token is nobody's".to_owned(),
            Some("log in with an account, or name one: `russet personal-token create --user`"),
        ),
        Denial::OthersSsh => (
            "the tasks of this job are held for somebody else, who alone reaches them by SSH"
                .to_owned(),
            Some("run it again for yourself: `russet job rerun --ssh`"),
        ),
        Denial::Credential => ("this needs another kind of token".to_owned(), None),
    }
}
