//! Secrets of a task, which its output must not show.

use russet_protocol::secret::Secret;
use russet_protocol::task::{Source, TaskConfig};

/// Returns the values in a task's config that output must not show.
pub(crate) fn secret_values(config: &TaskConfig) -> Vec<Secret> {
    let variables = config.environment.iter().filter(|variable| variable.masked);
    let known = config.masks.iter().chain(variables.map(|variable| &variable.value)).cloned();
    let of_source = match &config.source {
        Some(Source::Git { url, .. }) => url_credentials(url),
        _ => None,
    };
    let of_repository = config.job.repository_url.as_deref().and_then(url_credentials);
    let keys = config.ssh_keys.iter().map(|key| key.private_key.clone());
    known.chain(of_source).chain(of_repository).chain(keys).collect()
}

/// Returns the part before the `@` of `https://user:password@host/`: git prints the whole URL when
/// it cannot reach it. A single word there is a token, but for SSH, where it is a user.
fn url_credentials(url: &str) -> Option<Secret> {
    let (scheme, rest) = url.split_once("://")?;
    let (user, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    match user.split_once(':') {
        Some((_, password)) => Some(Secret::new(password)),
        None if scheme.starts_with("http") => Some(Secret::new(user)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::url_credentials;

    #[test]
    fn the_password_of_an_address_is_a_secret_and_a_user_is_not() {
        let secret = |url| url_credentials(url).map(|secret| secret.expose().to_owned());
        assert_eq!(secret("https://me:pa@ss@host/a@b").as_deref(), Some("pa@ss"));
        assert_eq!(secret("https://token@host/a").as_deref(), Some("token"));
        for none in ["https://host/a@b", "ssh://git@host/a", "git@host:a", "/srv/repo"] {
            assert_eq!(secret(none), None, "{none}");
        }
    }
}
