//! Removal of a killed server's remains: objects that no row names, and halves of objects.
//!
//! They can only be of tasks that were held then, and of uploads of sources.

use std::collections::HashSet;

use crate::archives::{self, SweepError};
use crate::state::App;
use crate::store::{artifacts, output, tasks};

/// Deletes them. Runs before the first call is taken, so that no object is on its way.
pub(crate) async fn sweep_objects(app: &App) -> Result<(), SweepError> {
    let running = {
        let mut conn = app.store.read().await?;
        tasks::running_tasks(&mut conn).await?
    };
    for task in running {
        let named: HashSet<String> = {
            let mut conn = app.store.read().await?;
            let mut named = output::objects_of_task(&mut conn, task.as_str()).await?;
            named.extend(artifacts::objects_of_task(&mut conn, task.as_str()).await?);
            named.into_iter().collect()
        };
        for prefix in [format!("output/{task}"), format!("artifacts/{task}")] {
            app.objects.delete_drafts(&prefix);
            for object in app.objects.list(&prefix).await? {
                if !named.contains(&object) {
                    tracing::debug!(object, "deleted what was not acknowledged");
                    app.objects.delete(&object).await;
                }
            }
        }
    }
    app.objects.delete_drafts("uploads");
    for object in app.objects.list("uploads").await? {
        app.objects.delete(&object).await;
    }
    archives::sweep_archives(app).await
}
