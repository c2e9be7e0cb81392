//! Webhooks of GitHub: whether they are authentic, what they say, and what is noted of them.
//!
//! Threat: anybody on the Internet calls. Nothing of a body is believed before its signature was compared
//! with a secret of a project of the repository that it names. Even then a push moves a branch or tag only
//! where it fits to what was seen last (`note.rs`): what is late, repeated or wrong has the remote asked.

mod body;
mod event;
mod note;
mod payload;
mod repository;
mod signature;
mod values;

pub(crate) use body::{BodyForm, payload_text};
pub(crate) use note::{Delivered, note_delivery};
pub(crate) use payload::Repository;
pub(crate) use repository::NamedRepository;
pub(crate) use signature::{SIGNATURE_HEADER, Signature};
