//! Resource classes: `namespace/name`, the queue that a task waits in.

use serde::{Deserialize, Deserializer, Serialize};

/// A checked `namespace/name`.
///
/// The characters are those that CircleCI allows: `[a-z0-9_-]` in the namespace,
/// `[A-Za-z0-9:_+-]` in the name; we also allow `.` in the name, which its hosted classes have
/// (`macos/m1.medium`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct ResourceClass(String);

/// Reason why a text is not a valid resource class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidResourceClass(String);

impl std::fmt::Display for InvalidResourceClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` is not a resource class: it is written `namespace/name`, with a-z, 0-9, `_` and \
             `-` in the namespace, and letters, digits and `:._+-` in the name",
            self.0
        )
    }
}

impl std::error::Error for InvalidResourceClass {}

impl ResourceClass {
    /// The whole `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

impl std::str::FromStr for ResourceClass {
    type Err = InvalidResourceClass;

    fn from_str(text: &str) -> Result<Self, InvalidResourceClass> {
        let in_namespace =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        let in_name = |c: char| c.is_ascii_alphanumeric() || ":._+-".contains(c);
        match text.split_once('/') {
            Some((namespace, name))
                if (1..=100).contains(&namespace.len())
                    && (1..=100).contains(&name.len())
                    && namespace.chars().all(in_namespace)
                    && name.chars().all(in_name) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidResourceClass(text.to_owned())),
        }
    }
}

impl std::fmt::Display for ResourceClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ResourceClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::ResourceClass;

    #[test]
    fn names_follow_the_documented_characters() {
        for good in ["acme/mini", "a_b-1/M1:large+x", "local/m1.medium"] {
            assert!(good.parse::<ResourceClass>().is_ok(), "{good}");
        }
        for bad in ["", "acme", "acme/", "/mini", "Acme/mini", "acme/mini/x", "acme/m ini"] {
            assert!(bad.parse::<ResourceClass>().is_err(), "{bad}");
        }
    }
}
