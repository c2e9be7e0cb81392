//! Buttons that there are, by the state of what a page shows. Pure.

use russet_protocol::admin::{Job, Pipeline, ResourceClassItem, RunnerItem, Workflow};
use russet_protocol::machine::ServerPause;
use russet_protocol::outcome::{Outcome, Phase};
use russet_text::encode_component;

use super::actions::Action;
use super::view;

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Button {
    pub(super) action: Action,
    /// Hidden fields of its form.
    pub(super) fields: Vec<(&'static str, String)>,
    /// Name of what it is about, for those who hear the page: buttons of a list read alike.
    pub(super) about: String,
    /// Name of the project or the class, whose namespace decides who may press it.
    pub(super) name: String,
}

impl Button {
    fn of(action: Action, id: &str, about: &str, project: &str) -> Self {
        Self {
            action,
            fields: vec![("id", id.to_owned())],
            about: about.to_owned(),
            name: project.to_owned(),
        }
    }

    /// Id of its element, the same each time the page is made.
    pub(super) fn html_id(&self) -> String {
        let fields: Vec<&str> = self.fields.iter().map(|(_, value)| value.as_str()).collect();
        format!("{}-{}", self.action.name(), fields.join("-"))
    }

    /// Address of the page that asks first.
    pub(super) fn ask_url(&self, back: &str) -> String {
        let mut url = format!("/ask/{}?back={}", self.action.name(), encode_component(back));
        for (name, value) in &self.fields {
            url.push_str(&format!("&{name}={}", encode_component(value)));
        }
        url
    }
}

/// Buttons of a pipeline.
pub(super) fn of_pipeline(pipeline: &Pipeline) -> Vec<Button> {
    let button = |action| Button::of(action, pipeline.id.as_str(), "", &pipeline.project);
    let pin = if pipeline.pinned { Action::UnpinPipeline } else { Action::PinPipeline };
    match view::is_over(pipeline) {
        false => vec![button(Action::CancelPipeline), button(pin)],
        true => {
            let failed = pipeline.current_workflows().any(has_failed);
            let mut buttons = vec![button(Action::RerunPipeline)];
            buttons.extend(failed.then(|| button(Action::RerunFailedOfPipeline)));
            buttons.push(button(pin));
            // A pinned one is not deleted by mistake.
            buttons.extend((!pipeline.pinned).then(|| button(Action::DeletePipeline)));
            buttons
        }
    }
}

fn has_failed(workflow: &Workflow) -> bool {
    workflow.phase == Phase::Ended && workflow.outcome != Some(Outcome::Success)
}

/// Buttons of a workflow.
pub(super) fn of_workflow(workflow: &Workflow, project: &str) -> Vec<Button> {
    let button = |action| Button::of(action, workflow.id.as_str(), &workflow.name, project);
    if workflow.phase != Phase::Ended {
        return Vec::new();
    }
    let mut buttons = vec![button(Action::RerunWorkflow)];
    buttons.extend(has_failed(workflow).then(|| button(Action::RerunFailedOfWorkflow)));
    buttons
}

/// Buttons of a runner.
pub(super) fn of_runner(runner: &RunnerItem) -> Vec<Button> {
    let name = || ("runner", runner.name.clone());
    let class = || ("class", runner.resource_class.to_string());
    let button = |action, fields| Button {
        action,
        fields,
        about: runner.name.clone(),
        name: runner.resource_class.to_string(),
    };
    let mut buttons = match runner.pause {
        Some(_) => vec![button(Action::ResumeRunner, vec![name(), class()])],
        None => vec![
            button(Action::PauseRunner, vec![name(), class()]),
            button(Action::DrainRunner, vec![name(), class()]),
        ],
    };
    // The name is that of the machine, in all its classes.
    buttons.push(button(Action::RenameRunner, vec![name()]));
    if runner.state.is_away() {
        buttons.push(button(Action::RemoveRunner, vec![name(), class()]));
    }
    buttons
}

/// Buttons of a class, for all its runners, also those that come later. A class that is not paused
/// may have runners that are, so it can always be resumed.
pub(super) fn of_class(class: &ResourceClassItem, pause: Option<&ServerPause>) -> Vec<Button> {
    let button = |action| Button {
        action,
        fields: vec![("class", class.resource_class.to_string())],
        about: class.resource_class.to_string(),
        name: class.resource_class.to_string(),
    };
    match pause {
        Some(_) => vec![button(Action::ResumeRunner)],
        None => vec![
            button(Action::PauseRunner),
            button(Action::DrainRunner),
            button(Action::ResumeRunner),
        ],
    }
}

/// Buttons of a job.
pub(super) fn of_job(job: &Job, project: &str) -> Vec<Button> {
    let button = |action| Button::of(action, job.id.as_str(), &job.name, project);
    match job.phase {
        Phase::OnHold => vec![button(Action::ApproveJob), button(Action::DenyJob)],
        Phase::Blocked | Phase::Queued | Phase::Running => vec![button(Action::CancelJob)],
        Phase::Ended if job.resource_class.is_some() => {
            let mut buttons = vec![button(Action::RerunJob)];
            buttons.extend(has_failed_tests(job).then(|| button(Action::RerunFailedTests)));
            buttons
        }
        Phase::Ended => Vec::new(),
    }
}

/// Button of a job whose class lets people rerun it with SSH.
pub(super) fn of_rerun_with_ssh(job: &Job, project: &str) -> Option<Button> {
    let can = job.phase == Phase::Ended && job.resource_class.is_some();
    can.then(|| Button::of(Action::RerunWithSsh, job.id.as_str(), &job.name, project))
}

/// Buttons of a job whose tasks can be reached by SSH.
pub(super) fn of_hold(job: &Job, project: &str) -> Vec<Button> {
    let button = |action| Button::of(action, job.id.as_str(), &job.name, project);
    vec![button(Action::ExtendSsh), button(Action::EndSsh)]
}

fn has_failed_tests(job: &Job) -> bool {
    let of = |outcome: &str| job.tests.get(outcome).copied().unwrap_or_default();
    of("failure") + of("error") > 0
}

/// Buttons of an artifact. One of a job that stands for an earlier one belongs to that.
pub(super) fn of_artifact(job: &Job, path: &str, project: &str) -> Vec<Button> {
    if job.phase != Phase::Ended || job.kept_from.is_some() {
        return Vec::new();
    }
    let fields = vec![("id", job.id.to_string()), ("path", path.to_owned())];
    vec![Button {
        action: Action::DeleteArtifact,
        fields,
        about: path.to_owned(),
        name: project.to_owned(),
    }]
}
