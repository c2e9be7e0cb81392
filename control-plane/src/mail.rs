//! Mail through the relay that the server was given.

use std::str::FromStr;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use russet_protocol::secret::Secret;

/// Reason why a mail was not taken, for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MailError(String);

/// Longest time that a mail may take.
const MAIL_TIMEOUT: Duration = Duration::from_secs(20);

/// Relay for mail.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// Protection of the connection.
    security: Security,
    host: String,
    port: u16,
    /// User that the relay asks for.
    user: Option<String>,
    /// Password of the user.
    password: Option<Secret>,
    /// Certificates, in PEM, that are trusted beside those of the system.
    trusted: Option<Vec<u8>>,
    /// Sender of mail.
    from: Option<Mailbox>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte (`smtps://`).
    Tls,
    /// STARTTLS, without which nothing is sent (`smtp://`).
    StartTls,
    /// None, to a relay on this machine alone (`smtp+plain://`).
    Plain,
}

/// Reason why a text does not name a relay for mail.
#[derive(Debug, thiserror::Error)]
pub enum MailServerError {
    /// The beginning is not one that is known.
    #[error("`{0}` does not begin with smtps://, smtp:// or smtp+plain://")]
    Scheme(String),
    /// There is no host, or the port is none.
    #[error("`{0}` does not name a host, such as smtps://user@mail.example.com:465")]
    Host(String),
    /// A password among arguments can be read by everybody on the machine.
    #[error("the address has a password: write it to a file of mode 600 instead")]
    Password,
    /// Without TLS the mail, and a password, can be read on the way.
    #[error("smtp+plain:// is for a relay on this machine; `{0}` is not one")]
    NotLocal(String),
    /// The sender is not a mail address.
    #[error("`{0}` is not a mail address")]
    Sender(String),
}

impl FromStr for MailServer {
    type Err = MailServerError;

    fn from_str(text: &str) -> Result<Self, MailServerError> {
        let no_host = || MailServerError::Host(text.to_owned());
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| MailServerError::Scheme(text.to_owned()))?;
        let (security, usual_port) = match scheme {
            "smtps" => (Security::Tls, 465),
            "smtp" => (Security::StartTls, 587),
            "smtp+plain" => (Security::Plain, 25),
            _ => return Err(MailServerError::Scheme(text.to_owned())),
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, rest),
        };
        if user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(MailServerError::Password);
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| no_host())?)
            }
            _ => (place, usual_port),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(no_host());
        }
        if security == Security::Plain && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            return Err(MailServerError::NotLocal(host.to_owned()));
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        let nothing = (None, None, None);
        let (password, trusted, from) = nothing;
        Ok(Self { security, host, port, user, password, trusted, from })
    }
}

impl MailServer {
    /// Sets the sender, as `Russet <russet@example.com>`.
    ///
    /// # Errors
    ///
    /// [`MailServerError::Sender`] if it is not one.
    pub fn with_sender(mut self, sender: &str) -> Result<Self, MailServerError> {
        let mailbox = sender.parse().map_err(|_| MailServerError::Sender(sender.to_owned()))?;
        self.from = Some(mailbox);
        Ok(self)
    }

    /// Sets the password of the user.
    #[must_use]
    pub fn with_password(self, password: Option<Secret>) -> Self {
        Self { password, ..self }
    }

    /// Sets the certificates, in PEM, that are trusted beside those of the system.
    #[must_use]
    pub fn with_trusted(self, trusted: Option<Vec<u8>>) -> Self {
        Self { trusted, ..self }
    }

    fn transport(
        &self,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host).port(self.port);
        if self.security != Security::Plain {
            let mut parameters = TlsParameters::builder(self.host.clone());
            if let Some(trusted) = &self.trusted {
                parameters = parameters.add_root_certificate(Certificate::from_pem(trusted)?);
            }
            let parameters = parameters.build()?;
            builder = builder.tls(match self.security {
                Security::Tls => Tls::Wrapper(parameters),
                _ => Tls::Required(parameters),
            });
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let password = password.expose().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(builder.timeout(Some(MAIL_TIMEOUT)).build())
    }

    /// Connects, logs in where there is a password, and says goodbye.
    pub(crate) async fn greet(&self) -> Result<(), MailError> {
        let failed = |text: String| MailError(format!("the mail server {} {text}", self.host));
        let transport = self
            .transport()
            .map_err(|error| failed(format!("failed: {}", russet_text::error_chain(&error))))?;
        match tokio::time::timeout(MAIL_TIMEOUT * 2, transport.test_connection()).await {
            Err(_) => Err(failed("did not answer in time".to_owned())),
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(failed("does not take commands".to_owned())),
            Ok(Err(error)) => Err(failed(format!("failed: {}", russet_text::error_chain(&error)))),
        }
    }

    /// Sends a mail. `id` is the same for each attempt, so that mail programs show one.
    pub(crate) async fn send(
        &self,
        to: &str,
        id: &str,
        subject: String,
        text: String,
    ) -> Result<(), MailError> {
        let failed = |error: &dyn std::error::Error| {
            MailError(format!(
                "the mail server {} failed: {}",
                self.host,
                russet_text::error_chain(error)
            ))
        };
        let to: Address = to.parse().map_err(|error| failed(&error))?;
        let from = match &self.from {
            Some(from) => from.clone(),
            None => Mailbox::new(Some("Russet".to_owned()), to.clone()),
        };
        let id = format!("<{id}@{}>", from.email.domain());
        let message = Message::builder()
            .from(from)
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(id))
            .date_now()
            // RFC 3834: nobody answers it by machine.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| failed(&error))?;
        let transport = self.transport().map_err(|error| failed(&error))?;
        let sent = tokio::time::timeout(MAIL_TIMEOUT * 2, transport.send(message)).await;
        let sent = sent.map_err(|_| MailError(format!("{} did not answer in time", self.host)))?;
        sent.map(drop).map_err(|error| failed(&error))
    }
}

/// Returns true if a text is a mail address, without a name.
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_named_by_a_url_without_a_password() {
        let parse = |text: &str| text.parse::<MailServer>();
        let relay = parse("smtps://ci@mail.example.com").unwrap();
        assert_eq!((relay.security, relay.port), (Security::Tls, 465));
        assert_eq!(relay.user.as_deref(), Some("ci"));
        let relay = parse("smtp://mail.example.com:2525").unwrap();
        assert_eq!((relay.security, relay.port), (Security::StartTls, 2525));
        assert_eq!(relay.user, None);
        let at = parse("smtps://ci@example.com@mail.example.com").unwrap();
        assert_eq!(at.user.as_deref(), Some("ci@example.com"));
        assert!(parse("smtp+plain://127.0.0.1:1025").is_ok());
        assert_eq!(parse("smtp+plain://[::1]:1025").unwrap().host, "::1");
        for wrong in ["mail.example.com", "http://mail", "smtp://", "smtp://h:x", "smtp://a b"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(matches!(parse("smtps://u:p@h"), Err(MailServerError::Password)));
        assert!(matches!(parse("smtp+plain://mail"), Err(MailServerError::NotLocal(_))));
        assert!(relay.clone().with_sender("Russet <ci@example.com>").is_ok());
        assert!(relay.with_sender("ci@example.com\r\nBcc: x@y").is_err());
    }
}
