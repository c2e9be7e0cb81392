//! Operation of the API, with what its callers need.

use axum::routing::MethodFilter;

use crate::people::Needs;

/// Method of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    /// Name as in a request.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) verb: Verb,
    /// Path with its parameters, as in the description of the API.
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
    /// Set where nothing is changed, whatever the method is.
    pub(crate) only_reads: bool,
}

impl Operation {
    /// Returns true for a path of CircleCI's public API, where a denial is 404: what may not be seen
    /// cannot be told from what is not there.
    pub(crate) fn is_public_api(&self) -> bool {
        const OURS: [&str; 4] = ["pause", "resume", "rename", "remove"];
        let of_runner = self.path.strip_prefix("/api/v3/runner");
        const OF_CIRCLECI: [&str; 3] = ["/api/v2/", "/api/v3/circleci/", "/api/v3/runs"];
        OF_CIRCLECI.iter().any(|start| self.path.starts_with(start))
            || of_runner.is_some_and(|rest| !OURS.contains(&rest.trim_start_matches('/')))
            || ["/api/v3/orgs", "/api/v3/projects", "/api/v3/configs/compile"].contains(&self.path)
    }

    /// Returns true where the path has a name that the caller chose for something new.
    pub(super) fn makes_named(&self) -> bool {
        self.verb == Verb::Put && self.path == "/api/v3/contexts/{name}"
    }

    /// Returns true for a change that is written into the audit log.
    #[cfg(test)]
    pub(crate) fn changes_for_people(&self) -> bool {
        self.is_guarded() && !self.only_reads
    }

    /// Returns true for an operation of people, whose callers are checked before its handler.
    pub(super) fn is_guarded(&self) -> bool {
        !matches!(self.needs, Needs::Nothing | Needs::ClassToken | Needs::TaskToken)
    }
}
