//! Identifiers: one type each, so that a job cannot be passed where a task is meant.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new identifier that sorts by the time of its making (UUID version 7).
            #[must_use]
            pub fn generate() -> Self {
                Self(uuid::Uuid::now_v7().to_string())
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    )*};
}

ids! {
    /// One parallel run of a job: the smallest unit of work.
    TaskId;
    /// One claim of one task. A task that is put back and claimed again has a new one, so that
    /// writes of the earlier claim are refused.
    AllocationId;
    /// A job of a workflow.
    JobId;
    /// A workflow of a pipeline.
    WorkflowId;
    /// One submission of a project's configuration.
    PipelineId;
    /// A submitted source snapshot: the BLAKE3 hash of its bytes, in hexadecimal.
    SourceId;
    /// One process of a launch agent.
    InstanceId;
    /// A stored runner token (not the token itself).
    TokenId;
    /// A stored personal token (not the token itself).
    PersonalTokenId;
    /// A public SSH key of a person.
    PersonalKeyId;
    /// An account: a person or a service account. Its name may be somebody else's later.
    UserId;
    /// A condition that people hear of.
    AlertId;
    /// A message to a target of alerts. Receivers tell a repeated one by it.
    MessageId;
    /// A resource class, as a row; its name is a [`crate::resource_class::ResourceClass`].
    ResourceClassId;
}
