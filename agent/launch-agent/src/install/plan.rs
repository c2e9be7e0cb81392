//! Plan of an installation, decided before anything is done.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::InstallError;
use super::files;
use super::receipt::{Item, Receipt};
use super::seal::SealedMachine;
use crate::config::{self, Config, Session};
use russet_platform::account::Wanted;
use russet_platform::layout::Layout;
use russet_platform::macos_tools::developer_tools::GROUP;
use russet_platform::service::Service;

/// A configuration is not larger than this.
const MAX_CONFIG: u64 = 1 << 20;

/// launchd's file, as it is.
#[cfg(target_os = "macos")]
const JOB_FILE: &str = include_str!("../../../../launchd/dev.russet.agent.plist");

/// systemd's file, as it is.
#[cfg(not(target_os = "macos"))]
const JOB_FILE: &str = include_str!("../../../../systemd/russet-agent.service");

/// Choices of the owner.
#[derive(Debug)]
pub struct Settings {
    /// Paths of everything.
    pub layout: Layout,
    /// The `russet` executable to install; `russet-boot` lies beside it.
    pub program: PathBuf,
    /// The configuration to install, where there is none yet.
    pub config: Option<ConfigSource>,
    /// Makes users.
    pub users: bool,
    /// The service manager that is to start the agent, if one is.
    pub service: Option<Service>,
    /// The disk is an image that is copied to many machines.
    pub is_image: bool,
    /// Turns developer mode on (macOS), and lets slots' users debug.
    pub is_for_developers: bool,
}

/// Source of the configuration.
#[derive(Debug)]
pub enum ConfigSource {
    /// A file, taken as it is.
    File(PathBuf),
    /// A text that was just written. It holds a token.
    Text(Zeroizing<String>),
}

/// One action: what it makes, and what of.
#[derive(Debug)]
pub struct Step {
    /// Thing that it makes.
    pub item: Item,
    /// Source of it.
    pub(super) how: How,
}

/// Source of a thing.
#[derive(Debug)]
pub(super) enum How {
    /// A directory with this mode; caches and slots are left out of backups.
    Directory { mode: u32, is_backed_up: bool },
    /// A directory with this mode, of a service's own user.
    OwnedDirectory { mode: u32, user: String },
    /// A file with this text.
    Text { text: Zeroizing<String>, mode: u32, keep: bool },
    /// A copy of a program.
    Program { from: PathBuf },
    /// The bundle, of this program.
    Bundle { from: PathBuf },
    /// A link to this path.
    Link { to: PathBuf },
    /// A package has put it there, or will have when it is installed.
    Packaged,
    /// An account.
    User,
    /// A setting of developers' tools.
    Developer,
    /// The note of the machine with this text. One that is there stays, except for an image's.
    Seal { text: String, is_image: bool },
    /// The job.
    Job,
    /// The control plane's job.
    ServerJob,
}

impl Step {
    pub(super) fn new(item: Item, how: How) -> Self {
        Self { item, how }
    }

    pub(super) fn directory(path: PathBuf, mode: u32) -> Self {
        Self::new(Item::Directory { path }, How::Directory { mode, is_backed_up: true })
    }

    /// A directory of slots, caches and journals, which nobody wants in a backup.
    fn state_directory(path: PathBuf) -> Self {
        Self::new(Item::Directory { path }, How::Directory { mode: 0o711, is_backed_up: false })
    }

    pub(super) fn text(path: PathBuf, text: &str, mode: u32) -> Self {
        let text = Zeroizing::new(text.to_owned());
        Self::new(Item::File { path }, How::Text { text, mode, keep: false })
    }

    fn packaged(item: Item) -> Self {
        Self::new(item, How::Packaged)
    }

    /// Returns true if it is there already, by a package that put it at the place that it has for
    /// good. It only has to be known, to be removed with the rest.
    pub(super) fn in_place(&self) -> bool {
        match (&self.item, &self.how) {
            (Item::File { path }, How::Program { from }) => path == from,
            (Item::Bundle { path }, How::Bundle { from }) => from.starts_with(path),
            (_, How::Packaged) => true,
            _ => false,
        }
    }

    /// Describes the action, as a sentence without its end.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (&self.item, &self.how) {
            (Item::Package { identifier }, _) => {
                format!("know the receipt of {identifier}, to forget it with the rest")
            }
            (item, _) if self.in_place() => {
                format!("take over {}, which a package put there", item.path().display())
            }
            (
                Item::SharedDirectory { path } | Item::Directory { path },
                How::Directory { mode, .. },
            ) => {
                format!("make the directory {} ({mode:04o}, root)", path.display())
            }
            (Item::OwnedDirectory { path }, How::OwnedDirectory { mode, user }) => {
                format!("make the directory {} ({mode:04o}, {user})", path.display())
            }
            (Item::File { path }, How::Seal { is_image: true, .. }) => {
                format!("note in {} that this disk is an image, for any machine", path.display())
            }
            (Item::File { path }, How::Seal { .. }) => {
                format!("note in {} which machine this is", path.display())
            }
            (Item::Member { user }, _) => format!("let {user} debug (the group {GROUP})"),
            (Item::DeveloperMode, _) => "turn developer mode on".to_owned(),
            (Item::File { path }, How::Text { mode, keep: true, .. }) => {
                format!("write the configuration {} ({mode:04o}, root)", path.display())
            }
            (Item::File { path }, How::Program { from }) => {
                format!("copy {} to {}", from.display(), path.display())
            }
            (Item::Bundle { path }, How::Bundle { from }) => {
                format!("copy {} into {}", from.display(), path.display())
            }
            (Item::Link { path }, How::Link { to }) => {
                format!("link {} to {}", path.display(), to.display())
            }
            (Item::User { wanted }, _) => format!(
                "make the user {} with a group of its own, without password and login",
                wanted.name
            ),
            (Item::Job, How::ServerJob) => {
                "let the server start with the system, start it, and wait until it answers"
                    .to_owned()
            }
            (Item::Job, _) => {
                "let the agent start with the system, start it, and wait until it is healthy"
                    .to_owned()
            }
            (item, _) => format!("write {}", item.path().display()),
        }
    }
}

impl Item {
    /// Returns its path; empty for what has none, as users and the job.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::SharedDirectory { path }
            | Self::Directory { path }
            | Self::OwnedDirectory { path }
            | Self::File { path }
            | Self::Link { path }
            | Self::Bundle { path } => path,
            Self::User { .. }
            | Self::Job
            | Self::Package { .. }
            | Self::DeveloperMode
            | Self::Member { .. } => Path::new(""),
        }
    }

    /// Describes undoing it, as a sentence without its end.
    #[must_use]
    pub fn undoing(&self) -> String {
        match self {
            Self::SharedDirectory { path } => {
                format!("remove the directory {} if it is empty", path.display())
            }
            Self::Directory { path } | Self::OwnedDirectory { path } => {
                format!("remove the directory {} with what is in it", path.display())
            }
            Self::File { path } | Self::Link { path } => format!("remove {}", path.display()),
            Self::Bundle { path } => format!("remove the code in {}", path.display()),
            Self::User { wanted } => format!(
                "end what runs as {name}, empty its slot, delete the user {name} and its group",
                name = wanted.name
            ),
            Self::Package { identifier } => format!("forget the receipt of {identifier}"),
            Self::DeveloperMode => "turn developer mode off, as it was before".to_owned(),
            Self::Member { user } => format!("let {user} not debug any more"),
            Self::Job => "stop the agent, and let it not start with the system any more".to_owned(),
        }
    }
}

/// The actions, in their order, and the configuration that they are for.
///
/// # Errors
///
/// There is no usable configuration, or `russet-boot` is missing.
pub fn plan_install(settings: &Settings) -> Result<(Vec<Step>, Config), InstallError> {
    let layout = &settings.layout;
    let (text, config) = configuration_step(settings)?;
    // In the bundle at its place, beside which `russet-boot` lies, or beside it in an archive.
    let in_place = settings.program.starts_with(layout.bundle());
    let boot = settings.program.with_file_name("russet-boot");
    let boot = if in_place { layout.boot() } else { boot };
    if !boot.is_file() {
        return Err(InstallError::NoBoot { path: boot });
    }
    // A package's directory of code is as much to be removed as what is in it.
    let code = if in_place {
        Step::packaged(Item::Directory { path: layout.code() })
    } else {
        Step::directory(layout.code(), 0o755)
    };
    let mut steps = vec![
        Step::state_directory(layout.state()),
        code,
        Step::new(
            Item::Bundle { path: layout.bundle() },
            How::Bundle { from: settings.program.clone() },
        ),
        Step::new(Item::File { path: layout.boot() }, How::Program { from: boot }),
        Step::directory(layout.bin(), 0o755),
        Step::new(
            Item::Link { path: layout.bin().join("russet") },
            How::Link { to: layout.executable() },
        ),
    ];
    if in_place {
        steps.extend(packaged_steps(layout));
    }
    let config_path = layout.config();
    steps.push(Step::directory(parent_directory(&config_path), 0o755));
    if let Some(text) = text {
        let how = How::Text { text, mode: 0o600, keep: true };
        steps.push(Step::new(Item::File { path: config_path }, how));
    }
    steps.extend(seal_step(settings)?);
    for path in own_directories(&config, layout)? {
        steps.push(Step::state_directory(path));
    }
    steps.push(Step::directory(layout.logs(), 0o755));
    steps.push(Step::directory(layout.sockets(), 0o755));
    let known = Receipt::read(&layout.receipt())?;
    let known: Vec<Wanted> = known.iter().flat_map(Receipt::users).cloned().collect();
    let users = user_steps(&config, &known, russet_platform::MAY_REPAIR_USERS);
    if settings.users {
        steps.extend(
            users.iter().cloned().map(|wanted| Step::new(Item::User { wanted }, How::User)),
        );
    }
    if settings.is_for_developers {
        let names = users.into_iter().filter(|_| settings.users).map(|wanted| wanted.name);
        steps.extend(developer_steps(&config, names));
    }
    let job_file = if cfg!(target_os = "macos") {
        let line = format!("{}\n", layout.bin().display());
        steps.push(Step::text(layout.paths_d(), &line, 0o644));
        layout.daemon_plist()
    } else {
        layout.systemd_unit()
    };
    steps.push(Step::text(job_file, &job_text(layout), 0o644));
    if settings.service.is_some() {
        steps.push(Step::new(Item::Job, How::Job));
    }
    Ok((with_ancestors(steps, layout.root()), config))
}

/// Returns the other files that the packages put in place, where this is an installation of theirs.
/// Their receipts are written by Installer after it has run us.
fn packaged_steps(layout: &Layout) -> Vec<Step> {
    let uninstaller = layout.code().join("uninstall.sh");
    if !uninstaller.is_file() {
        return Vec::new();
    }
    let mut steps = vec![Step::packaged(Item::File { path: uninstaller })];
    if layout.package_log().is_file() {
        steps.push(Step::packaged(Item::File { path: layout.package_log() }));
    }
    let mut packages = vec!["dev.russet.agent.pkg"];
    if layout.menubar_plist().is_file() {
        steps.push(Step::packaged(Item::Directory { path: layout.menubar_bundle() }));
        steps.push(Step::packaged(Item::File { path: layout.menubar_plist() }));
        packages.push("dev.russet.menubar.pkg");
    }
    steps.extend(
        packages
            .into_iter()
            .map(|identifier| Step::packaged(Item::Package { identifier: identifier.to_owned() })),
    );
    steps
}

/// The note of the machine that the installation is for, where the system says which this is.
fn seal_step(settings: &Settings) -> Result<Option<Step>, InstallError> {
    let (layout, is_image) = (&settings.layout, settings.is_image);
    let path = layout.seal();
    let Some(seal) = SealedMachine::of(layout).new_seal(is_image) else { return Ok(None) };
    let text = seal.text().map_err(|error| InstallError::file("write", &path)(error.into()))?;
    Ok(Some(Step::new(Item::File { path }, How::Seal { text, is_image })))
}

/// The directories of state and of slots beside that of the layout, if they are ours to make and to
/// remove: one that was there before us is not.
fn own_directories(config: &Config, layout: &Layout) -> Result<Vec<PathBuf>, InstallError> {
    let receipt = Receipt::read(&layout.receipt())?;
    let is_ours = |path: &PathBuf| {
        let item = Item::Directory { path: path.clone() };
        let is_known = receipt.as_ref().is_some_and(|receipt| receipt.entry(&item).is_some());
        *path != layout.state() && (is_known || !path.exists())
    };
    let mut paths = vec![config.state_directory.clone(), config.data_directory.clone()];
    paths.dedup();
    paths.retain(is_ours);
    Ok(paths)
}

fn parent_directory(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The job's file, with paths below another root where that is wanted.
fn job_text(layout: &Layout) -> String {
    let default = Layout::default();
    let replace = |text: String, from: PathBuf, to: PathBuf| {
        text.replace(&from.display().to_string(), &to.display().to_string())
    };
    let text = replace(JOB_FILE.to_owned(), default.boot(), layout.boot());
    replace(text, default.boot_log(), layout.boot_log())
}

/// The text to install, if there is none yet, and what it or the one that is there means.
fn configuration_step(
    settings: &Settings,
) -> Result<(Option<Zeroizing<String>>, Config), InstallError> {
    let layout = &settings.layout;
    let path = layout.config();
    if path.exists() {
        let config = config::load_config(&path, &config::installed_environment)?;
        return Ok((None, with_state(config, layout)));
    }
    let (from, text) = match &settings.config {
        None => return Err(InstallError::NoConfig { path }),
        Some(ConfigSource::Text(text)) => (&path, text.clone()),
        Some(ConfigSource::File(from)) => {
            let text = files::read(from, MAX_CONFIG).map_err(InstallError::file("read", from))?;
            (from, Zeroizing::new(text))
        }
    };
    // Errors name the file that was given, which its owner can look at.
    let config = config::parse_for(from, &path, &text)?;
    Ok((Some(text), with_state(config, layout)))
}

/// Below another root, and for those who are not root, the default is that of the layout.
fn with_state(config: Config, layout: &Layout) -> Config {
    let not_roots = Path::new("/.local/state/russet");
    let default = [Path::new(russet_platform::ROOT_STATE_DIRECTORY), not_roots];
    if !default.contains(&config.state_directory.as_path()) {
        return config;
    }
    let defaults_of_data = [Path::new(russet_platform::ROOT_DATA_DIRECTORY), not_roots];
    let is_default = defaults_of_data.contains(&config.data_directory.as_path());
    let data_directory = if is_default { layout.data() } else { config.data_directory.clone() };
    Config { state_directory: layout.state(), data_directory, ..config }
}

/// A user for each slot. One that is `known` keeps its home where changing users takes a person's
/// leave: a link leads from there to its slot, until `russet agent repair` is run.
fn user_steps(config: &Config, known: &[Wanted], may_move: bool) -> Vec<Wanted> {
    let slots: u32 = config.classes.iter().map(|class| class.slots).sum();
    let wanted = |number: u32| {
        let name = format!("{}{number}", config.user_prefix);
        let of_slot = Path::new("slots").join(number.to_string()).join("home");
        let known = known.iter().find(|user| !may_move && user.name == name);
        let kept = known.map(|user| user.home.clone()).filter(|home| home.ends_with(&of_slot));
        Wanted {
            name,
            full_name: format!("Russet slot {number}"),
            home: kept.unwrap_or_else(|| config.data_directory.join(of_slot)),
            before: None,
        }
    };
    (1..=slots).map(wanted).collect()
}

/// Developer mode, and its group for everybody who runs tasks: slots' users, and the accounts whose
/// sessions at the screen classes use.
fn developer_steps(config: &Config, slots: impl Iterator<Item = String>) -> Vec<Step> {
    let accounts = config.classes.iter().filter_map(|class| match &class.session {
        Session::Gui { user } => Some(user.clone()),
        Session::Background => None,
    });
    let mut members: Vec<String> = slots.chain(accounts).collect();
    members.dedup();
    let members = members.into_iter().map(|user| Item::Member { user });
    members.chain([Item::DeveloperMode]).map(|item| Step::new(item, How::Developer)).collect()
}

/// Puts the directories that lead to each item before it. They are shared with others.
pub(super) fn with_ancestors(steps: Vec<Step>, root: &Path) -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    for step in steps {
        let path = step.item.path().to_owned();
        let mut ancestors: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|ancestor| *ancestor != root)
            .filter(|ancestor| ancestor.starts_with(root))
            .collect();
        ancestors.reverse();
        for ancestor in ancestors {
            if all.iter().all(|step| step.item.path() != ancestor) {
                let item = Item::SharedDirectory { path: ancestor.to_owned() };
                all.push(Step::new(item, How::Directory { mode: 0o755, is_backed_up: true }));
            }
        }
        all.push(step);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Wanted, user_steps};
    use std::path::{Path, PathBuf};

    #[test]
    fn a_user_that_is_known_keeps_its_home_where_only_a_person_may_change_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        let text = "api: {auth_token_file: token}\n\
            runner: {slots: 3, user_prefix: _rt, state_directory: /state, data_directory: /data}\n";
        std::fs::write(&file, text).unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "secret-token-of-a-class").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&token, mode).unwrap();
        let config = crate::config::load_config(&file, &|_| None).unwrap();
        let known = |name: &str, home: &str| Wanted {
            name: name.to_owned(),
            full_name: String::new(),
            home: PathBuf::from(home),
            before: None,
        };
        let known = [known("_rt1", "/state/slots/1/home"), known("_rt2", "/Users/ci")];
        let homes = |may_move| -> Vec<PathBuf> {
            user_steps(&config, &known, may_move).into_iter().map(|user| user.home).collect()
        };
        let new = [1, 2, 3].map(|number| Path::new("/data/slots").join(format!("{number}/home")));
        assert_eq!(homes(true), new);
        assert_eq!(homes(false)[0], Path::new("/state/slots/1/home"));
        assert_eq!(homes(false)[1..], new[1..]);
    }
}
