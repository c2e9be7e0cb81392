//! Address of a PostgreSQL database.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Reason why a text is not the address of a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another scheme, or none.
    #[error("the URL of a database begins with postgres://")]
    Scheme,
    /// It has the scheme, and something else is wrong. The text is not repeated: it may hold a
    /// password.
    #[error("the URL of the database is invalid")]
    Invalid(#[source] sqlx::Error),
}

/// Address of a PostgreSQL database, and how to log in. Shown without its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: PgConnectOptions,
    has_password: bool,
}

impl DatabaseUrl {
    /// Returns true if the text held a password, which is not for the arguments of a process.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    pub(in crate::store) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or(DatabaseUrlError::Scheme)?;
        let options = PgConnectOptions::from_str(&format!("postgres://{}", with_host(rest)))
            .map_err(DatabaseUrlError::Invalid)?;
        let options = match must_verify(&options, rest, std::env::var_os("PGSSLMODE").is_some()) {
            true => options.ssl_mode(PgSslMode::VerifyFull),
            false => options,
        };
        Ok(Self { options, has_password: has_password(rest) })
    }
}

/// Adds a host where there is a user and none, as PostgreSQL's own programs allow: then `?host=`
/// names the directory of a socket, or this machine is meant.
fn with_host(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = if authority.ends_with('@') { "localhost" } else { "" };
    format!("{authority}{host}{path}")
}

/// Returns true where the connection leaves this machine and nobody said how it is protected: then
/// a certificate is asked for. Tokens' hashes, output and sealed values would else be read, and
/// changed, by whoever is on the way.
fn must_verify(options: &PgConnectOptions, rest: &str, is_set: bool) -> bool {
    let host = options.get_host();
    let is_local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !is_local && !is_set && !rest.contains("sslmode=") && !rest.contains("ssl-mode=")
}

fn has_password(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_before_host = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    is_before_host || query.split('&').any(|pair| pair.starts_with("password="))
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let user = options.get_username();
        match options.get_socket() {
            Some(socket) => {
                write!(f, "postgres://{user}@/{database}?host={}", socket.display())
            }
            None => {
                write!(
                    f,
                    "postgres://{user}@{}:{}/{database}",
                    options.get_host(),
                    options.get_port()
                )
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;

    use super::DatabaseUrl;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_noticed_and_never_shown() {
        for text in ["postgres://u:secret@h/d", "postgres://u@h/d?a=b&password=secret"] {
            assert!(url(text).has_password(), "{text}");
            assert_eq!(url(text).to_string(), "postgres://u@h:5432/d");
            assert!(!format!("{:?}", url(text)).contains("secret"));
        }
        assert!(!url("postgresql://u@h:1/d").has_password());
        let error = "mysql://u:secret@h/d".parse::<DatabaseUrl>().unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn what_leaves_the_machine_is_verified_unless_somebody_says_otherwise() {
        let mode = |text: &str| url(text).options.get_ssl_mode();
        assert!(matches!(mode("postgres://u@db.example.com/d"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u@10.0.0.1/d"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u@db/d?sslmode=disable"), PgSslMode::Disable));
        for local in ["localhost", "127.0.0.1", "[::1]"] {
            let text = format!("postgres://u@{local}/d");
            assert!(matches!(mode(&text), PgSslMode::Prefer), "{text}");
        }
        let socket = "postgres://u@/d?host=/run/postgresql";
        assert!(matches!(mode(socket), PgSslMode::Prefer));
        assert_eq!(url(socket).to_string(), socket);
    }
}
