//! Storing files for people.

mod collect;
mod pack;
mod send;

use std::sync::Arc;

use futures_util::StreamExt as _;

use self::collect::{File, Found};
use self::send::{SendError, Sent};
use super::api::Api;
use super::directories::JobDirs;
use super::journal::StepOutput;
use super::step_end::StepEnd;
use super::stop::StopSignal;

/// Files that are sent at the same time: many small ones would otherwise take a round trip each.
const AT_ONCE: usize = 4;

/// Stores a job's files for people.
#[derive(Debug)]
pub(crate) struct ArtifactStore {
    pub(crate) api: Api,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) stop: StopSignal,
}

impl ArtifactStore {
    /// Runs a `store_artifacts` step.
    pub(crate) async fn store(
        &self,
        output: &StepOutput,
        path: &str,
        destination: Option<&str>,
    ) -> StepEnd {
        let JobDirs { slot, work } = &*self.dirs;
        let root = self.dirs.resolve(path);
        let prefix = match collect::name_prefix(&root, destination, work, &slot.home) {
            Ok(prefix) => prefix,
            Err(error) => return output.fail(error),
        };
        let Found { mut files, notes } = match collect::find_files(&root, &prefix) {
            Ok(found) => found,
            Err(error) => return output.fail(error),
        };
        collect::mask_names(&mut files, output.masks());
        for note in &notes {
            output.say(&format!("note: {note}"));
        }
        if files.is_empty() {
            output.say(&format!("No artifacts at {}", root.display()));
            return StepEnd::success();
        }
        output.say(&format!("Uploading {} from {}", counted_files(files.len()), root.display()));
        self.send_files(output, files).await
    }

    async fn send_files(&self, output: &StepOutput, files: Vec<File>) -> StepEnd {
        let mut sending = futures_util::stream::iter(files)
            .map(|file| async move {
                let sent = self.send_one(output, &file).await;
                (file, sent)
            })
            .buffered(AT_ONCE);
        let mut end = StepEnd::success();
        while let Some((file, sent)) = sending.next().await {
            match sent {
                Ok(sent) => {
                    output.say(&format!("  {} ({} bytes)", file.name, sent.size));
                    if let Some(note) = sent.note {
                        output.say(&format!("note: {}: {note}", file.name));
                    }
                }
                Err(SendError::Api(error)) => {
                    output.say(&format!("error: {}: {error}", file.name));
                    end = StepEnd::call_failed(&error, &self.stop);
                }
                Err(SendError::File(why)) => {
                    output.say(&format!("error: {}: {why}", file.name));
                    end = StepEnd::failed(format!("{} could not be stored: {why}", file.name));
                }
            }
        }
        end
    }

    /// Sends a file, or the archive of a bundle.
    async fn send_one(&self, output: &StepOutput, file: &File) -> Result<Sent, SendError> {
        let far = |far| output.say(&format!("  {}: {far} …", file.name));
        if !file.is_bundle {
            return send::send_file(&self.api, file, far).await;
        }
        let packed = pack::pack_bundle(&self.dirs.slot.tmp, output, file).await?;
        let archive = File { path: packed.path().to_owned(), ..file.clone() };
        send::send_file(&self.api, &archive, far).await
    }
}

fn counted_files(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}
