//! Slugs of projects as CircleCI writes them: the short name of the host, the owner, the repository. Pure.
//!
//! A project that is called `acme/app` here has the slug `gh/acme/app` where its repository is GitHub's.
//! One whose name has not two parts is `circleci/ORGANIZATION/ID`, as CircleCI's own are that belong to no
//! host; every project is found by that too.

use crate::name_ids::{ORGANIZATION, uuid_of};

/// Hosts: their domain, the name in slugs, its longer form, and the name in pipelines.
const HOSTS: [(&str, &str, &str, &str); 3] = [
    ("github.com", "gh", "github", "GitHub"),
    ("bitbucket.org", "bb", "bitbucket", "Bitbucket"),
    ("gitlab.com", "gl", "gitlab", "GitLab"),
];

/// Name in slugs of what is of no such host.
const NO_HOST: &str = "circleci";

/// A project that a slug names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlugProject {
    Name(String),
    /// Its id, in lower case.
    Id(String),
}

/// Returns the host of a repository's URL, if its slugs begin with a name of their own.
fn host_of(
    repository_url: &str,
) -> Option<&'static (&'static str, &'static str, &'static str, &'static str)> {
    let rest = repository_url.split_once("://").map_or(repository_url, |(_, rest)| rest);
    let place = rest.split(['/', ':']).next().unwrap_or_default();
    let domain = place.rsplit('@').next().unwrap_or_default();
    HOSTS.iter().find(|host| host.0 == domain)
}

/// Returns the long name of the host of a repository, such as `github`.
pub(crate) fn provider_of(repository_url: Option<&str>) -> Option<&'static str> {
    repository_url.and_then(host_of).map(|host| host.2)
}

/// Returns the name of the host of a repository for people, such as `GitHub`.
pub(crate) fn provider_label(repository_url: Option<&str>) -> Option<&'static str> {
    repository_url.and_then(host_of).map(|host| host.3)
}

/// Returns the slug of a project.
pub(crate) fn slug_of(project: &str, repository_url: Option<&str>) -> String {
    match project.split_once('/') {
        Some((_, name)) if !name.contains('/') => {
            let host = repository_url.and_then(host_of).map_or(NO_HOST, |host| host.1);
            format!("{host}/{project}")
        }
        _ => format!("{NO_HOST}/{ORGANIZATION}/{}", uuid_of("project", project)),
    }
}

/// Returns the slug of a project's owner.
pub(crate) fn owner_slug(slug: &str) -> &str {
    slug.rsplit_once('/').map_or(slug, |(owner, _)| owner)
}

/// Returns the project that the parts of a slug name; `None`: they are none of a slug.
pub(crate) fn project_of_slug(host: &str, owner: &str, name: &str) -> Option<SlugProject> {
    let is_host = host == NO_HOST || HOSTS.iter().any(|known| host == known.1 || host == known.2);
    if !is_host || owner.is_empty() || name.is_empty() {
        return None;
    }
    if owner.eq_ignore_ascii_case(ORGANIZATION) {
        return Some(SlugProject::Id(name.to_ascii_lowercase()));
    }
    Some(SlugProject::Name(format!("{owner}/{name}")))
}

#[cfg(test)]
mod tests {
    use super::{SlugProject, owner_slug, project_of_slug, slug_of};

    #[test]
    fn a_slug_begins_with_the_host_and_leads_back_to_its_project() {
        let url = Some("git@github.com:acme/app.git");
        assert_eq!(slug_of("acme/app", url), "gh/acme/app");
        assert_eq!(
            slug_of("acme/app", Some("https://git.acme.example/acme/app")),
            "circleci/acme/app"
        );
        assert_eq!(owner_slug("gh/acme/app"), "gh/acme");
        for project in ["acme/app", "app", "acme/group/app"] {
            for url in [url, None] {
                let slug = slug_of(project, url);
                let parts: Vec<&str> = slug.split('/').collect();
                match project_of_slug(parts[0], parts[1], parts[2]).unwrap() {
                    SlugProject::Name(name) => assert_eq!(name, project),
                    SlugProject::Id(id) => {
                        assert_eq!(id, crate::name_ids::uuid_of("project", project))
                    }
                }
            }
        }
        assert_eq!(project_of_slug("svn", "acme", "app"), None);
        assert_eq!(
            project_of_slug("github", "acme", "app"),
            Some(SlugProject::Name("acme/app".into()))
        );
    }
}
