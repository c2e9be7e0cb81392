//! `persist_to_workspace` and `attach_workspace`.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Method, StatusCode};
use russet_protocol::storage::{Layer, PersistRequest, WORKSPACE_PATH, Workspace};
use serde_json::Value;

use super::paths;
use super::step::StorageStep;
use super::transfer::{self, Admit, Failure, Wanted};
use crate::task::api::ApiError;
use crate::task::directories::make_directory;
use crate::task::step_end::StepEnd;
use russet_text::format_size as size;

/// A restart of the server between the two calls costs another upload.
const MOST_UPLOADS: u32 = 3;

/// Runs a `persist_to_workspace` step.
pub(super) async fn persist_files(
    step: StorageStep<'_>,
    root: &str,
    patterns: &[String],
) -> StepEnd {
    let other = |why: String| step.fail(Failure::Other(why));
    let root = step.dirs.resolve(root);
    let mut roots = Vec::new();
    for pattern in patterns {
        match paths::of_workspace(&root, pattern) {
            Ok(found) if found.is_empty() => {
                let text = format!("warning: `{pattern}` matches nothing in {}", root.display());
                step.say(&text);
            }
            Ok(found) => roots.extend(found),
            Err(error) => return other(error.to_string()),
        }
    }
    if roots.is_empty() {
        let root = root.display();
        return other(format!("the paths do not match any files in {root}"));
    }
    step.say("Creating workspace archive...");
    let mut sent = match transfer::send_archive(step.transfer(), paths::distinct_roots(roots)).await
    {
        Ok(sent) => sent,
        Err(failure) => return step.fail(failure),
    };
    step.say_packed(&sent.packed, sent.archive.size);
    for _ in 0..MOST_UPLOADS {
        let body = PersistRequest {
            allocation: step.api.allocation().clone(),
            archive: sent.archive.clone(),
        };
        let request = || step.api.request(Method::POST, WORKSPACE_PATH).json(&body);
        match step.api.json::<Value>("persist to the workspace", request).await {
            Ok(_) => {
                step.say("Workspace archive stored");
                sent.keep();
                return StepEnd::success();
            }
            Err(ApiError::Refused { status, .. }) if status == StatusCode::GONE => {
                if let Err(failure) = transfer::send_again(step.transfer(), &mut sent).await {
                    return step.fail(failure);
                }
            }
            Err(error) => return step.fail(Failure::from(error)),
        }
    }
    other("the control plane lost the archive again and again".to_owned())
}

/// Runs an `attach_workspace` step.
pub(super) async fn attach_layers(step: StorageStep<'_>, at: &str) -> StepEnd {
    let at = step.dirs.resolve(at);
    if let Err(error) = make_directory(&at) {
        return step.fail(Failure::Other(error.to_string()));
    }
    let request = || step.api.request(Method::GET, WORKSPACE_PATH);
    let asking = step.api.json::<Workspace>("list the workspace", request);
    let layers = tokio::select! {
        answer = asking => match answer {
            Ok(answer) => answer.layers,
            Err(error) => return step.fail(Failure::from(error)),
        },
        () = step.stop.requested() => return step.fail(Failure::Stopped),
    };
    if layers.is_empty() {
        step.say("No job before this one has handed on any files");
        return StepEnd::success();
    }
    step.say("Applying workspace layers");
    let owners = Arc::new(Mutex::new(Owners::default()));
    for (index, layer) in layers.iter().enumerate() {
        step.say(&format!("  {} ({} compressed)", layer_title(layer), size(layer.size)));
        let path = format!("{WORKSPACE_PATH}/{}/archive", layer.id);
        let wanted = Wanted { path: &path, size: layer.size, blake3: &layer.blake3 };
        let bases = || paths::workspace_bases(&at);
        let admit = || admit_entry(&owners, index, layer);
        match transfer::fetch_archive(step.transfer(), wanted, bases, admit).await {
            Ok(fetched) => step.say_unpacked(&fetched),
            Err(failure) => {
                let conflict =
                    owners.lock().unwrap_or_else(PoisonError::into_inner).conflict.take();
                let failure = match conflict {
                    Some((path, earlier)) => conflict_failure(&path, layers.get(earlier), layer),
                    None => failure,
                };
                return step.fail(failure);
            }
        }
    }
    StepEnd::success()
}

fn layer_title(layer: &Layer) -> String {
    match layer.node_index {
        0 => layer.job.clone(),
        index => format!("{} (task {index})", layer.job),
    }
}

fn conflict_failure(path: &str, earlier: Option<&Layer>, later: &Layer) -> Failure {
    let earlier = earlier.map(layer_title).unwrap_or_default();
    Failure::Other(format!(
        "concurrent upstream jobs persisted the same file into the workspace: {path}, by {earlier} \
         and by {}\nhint: let each of them persist into a directory of its own, or let one require \
         the other",
        layer_title(later)
    ))
}

/// Which layer each file came from.
#[derive(Debug, Default)]
struct Owners {
    /// By a hash of the name, since there may be many names.
    files: HashMap<u128, usize>,
    /// The file that two layers have, and the earlier one.
    conflict: Option<(String, usize)>,
}

impl Owners {
    /// Notes that a layer has a file. Whether it may: `after` are the layers that it may replace.
    fn add(&mut self, name: &[u8], layer: usize, after: &[u32]) -> bool {
        let hash = blake3::hash(name);
        let short: [u8; 16] = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        let owner = self.files.entry(u128::from_ne_bytes(short)).or_insert(layer);
        let may_replace =
            *owner == layer || u32::try_from(*owner).is_ok_and(|index| after.contains(&index));
        // Who has it stays who has it: a layer that is unpacked once more is refused once more.
        if may_replace {
            *owner = layer;
        } else {
            self.conflict = Some((paths::shown_name(name), *owner));
        }
        may_replace
    }
}

fn admit_entry(owners: &Arc<Mutex<Owners>>, index: usize, layer: &Layer) -> Admit {
    let (owners, after) = (Arc::clone(owners), layer.after.clone());
    Box::new(move |name| {
        let mut owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.add(name, index, &after) {
            Ok(())
        } else {
            Err(io::Error::other("two layers have it"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Owners;

    #[test]
    fn a_file_may_be_replaced_by_a_later_job_and_not_by_one_at_the_same_time() {
        let mut owners = Owners::default();
        assert!(owners.add(b"at/f", 0, &[]));
        assert!(owners.add(b"at/f", 1, &[0]));
        assert!(owners.add(b"at/g", 2, &[]));
        assert!(!owners.add(b"at/f", 2, &[0]), "layer 1 has it by now");
        assert!(!owners.add(b"at/f", 2, &[0]), "and still");
        assert_eq!(owners.conflict, Some(("f".to_owned(), 1)));
    }
}
