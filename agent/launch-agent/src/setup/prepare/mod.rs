//! An Xcode made ready to build: licence, first launch, Metal toolchain, simulator runtimes and
//! their caches, Rosetta, and tools of Homebrew.
//!
//! Everything is asked of the Xcode that is named, by `DEVELOPER_DIR`: `sudo xcodebuild` alone acts
//! on the selected one.

mod caches;
mod devices;
mod homebrew;
mod runtime;
mod runtimes;
mod steps;

use std::path::PathBuf;

use russet_platform::command::Tools;
use russet_platform::macos_tools::xcode_setup::Xcode;

use super::Step;
use caches::CachesStep;
pub(crate) use caches::news_since_caches;
use devices::DevicesStep;
use homebrew::BrewStep;
use runtimes::RuntimeStep;
use steps::{FirstLaunchStep, LicenceStep, MetalStep, RosettaStep};

pub use homebrew::read_brewfile;
pub use runtime::WantedRuntime;

/// The Mac, and the Xcode that is prepared on it.
#[derive(Clone, Debug)]
pub struct PrepareHost {
    /// The system's tools.
    pub tools: Tools,
    /// Directory that the Mac's files are below; `/`.
    pub root: PathBuf,
    /// Directory of the note for which runtimes caches were made.
    pub state: PathBuf,
    /// `Contents/Developer` of the Xcode.
    pub developer_dir: PathBuf,
}

impl PrepareHost {
    fn xcode(&self) -> Xcode {
        Xcode::new(&self.tools, &self.developer_dir)
    }
}

/// Parts that not every Mac needs.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The Metal toolchain.
    pub metal: bool,
    /// Simulator runtimes.
    pub runtimes: Vec<WantedRuntime>,
    /// Rosetta.
    pub rosetta: bool,
    /// Simulators of every runtime, in this skeleton of homes.
    pub skeleton: Option<PathBuf>,
    /// Formulae of Homebrew.
    pub formulae: Vec<String>,
}

/// The steps, in their order: each needs those before it.
#[must_use]
pub fn prepare_steps<'a>(host: &'a PrepareHost, wanted: &'a Wanted) -> Vec<Box<dyn Step + 'a>> {
    let mut steps: Vec<Box<dyn Step + 'a>> = Vec::new();
    if wanted.rosetta {
        steps.push(Box::new(RosettaStep { host }));
    }
    steps.push(Box::new(LicenceStep { host }));
    steps.push(Box::new(FirstLaunchStep { host }));
    if wanted.metal {
        steps.push(Box::new(MetalStep { host }));
    }
    for runtime in &wanted.runtimes {
        steps.push(Box::new(RuntimeStep { host, wanted: runtime }));
    }
    if !wanted.runtimes.is_empty() || wanted.skeleton.is_some() {
        steps.push(Box::new(CachesStep { host }));
    }
    if let Some(skeleton) = &wanted.skeleton {
        steps.push(Box::new(DevicesStep { host, skeleton }));
    }
    if !wanted.formulae.is_empty() {
        steps.push(Box::new(BrewStep { host, names: &wanted.formulae }));
    }
    steps
}

#[cfg(test)]
mod tests;
