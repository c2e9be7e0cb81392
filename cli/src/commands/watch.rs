//! Following a pipeline to its end, for every command that can.

use super::follow::{Followed, follow_pipeline, show_tests};
use crate::client::Client;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::screen::{Screen, exit_of};
use crate::render::{self, Format};

/// Follows a pipeline to its end: the last run of each of its workflows.
pub(super) async fn watch_pipeline(client: &Client, id: &str, format: Format) -> Result<Exit> {
    let mut screen = Screen::new(format);
    let pipeline = client.pipeline(id).await?;
    // A name such as `latest` may stand for another one later.
    let id = pipeline.id.as_str();
    let title = format!("{}, pipeline {}", pipeline.project, pipeline.number);
    screen.pipeline(&pipeline, &title)?;
    let mut stream = client.stream(id);
    let pipeline = loop {
        match follow_pipeline(&mut stream, &mut screen).await? {
            Followed::Ended(pipeline) => break pipeline,
            Followed::Continued => screen.continued(&client.pipeline(id).await?)?,
            Followed::OnHold(job) => screen.say(&format!(
                "{} waits for an approval: russet job approve {}",
                render::plain(&job.name),
                job.id
            ))?,
        }
    };
    show_tests(client, &pipeline, &mut screen).await?;
    let exit = exit_of(&pipeline);
    screen.end(&pipeline, exit)?;
    Ok(exit)
}
