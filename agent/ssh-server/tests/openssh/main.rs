//! The server under the real clients of OpenSSH.

#[cfg(test)]
mod files;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod login;
#[cfg(test)]
mod security_key;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
