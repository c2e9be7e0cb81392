//! Steps that have one command each.

use russet_platform::macos_tools::rosetta;
use russet_platform::macos_tools::xcode_setup::Component;
use russet_platform::macos_tools::xcodebuild::{self, Readiness};

use super::PrepareHost;
use crate::setup::{Found, SetupError, Step};

/// Asks the Xcode as who called: a person with sudo named it, and the steps run its tools as root.
fn readiness(host: &PrepareHost) -> Result<Readiness, SetupError> {
    Ok(xcodebuild::check_readiness(&host.tools, Some(&host.developer_dir), None)?)
}

/// A command for this Xcode, as a person types it.
fn typed(host: &PrepareHost, command: &str) -> Option<String> {
    let variable = xcodebuild::developer_dir_assignment(&host.developer_dir);
    Some(format!("`sudo {variable}{command}`"))
}

/// The licence of Xcode.
pub(super) struct LicenceStep<'a> {
    pub(super) host: &'a PrepareHost,
}

impl Step for LicenceStep<'_> {
    fn title(&self) -> String {
        format!("agree to the licence of {}", self.host.developer_dir.display())
    }

    fn look(&self) -> Result<Found, SetupError> {
        Ok(match readiness(self.host)? {
            Readiness::Licence => Found::Missing("nobody has agreed to it".to_owned()),
            Readiness::None | Readiness::ToolsOnly => {
                return Err(SetupError::Unfit(
                    "there are only the command line tools, and no Xcode".to_owned(),
                ));
            }
            _ => Found::Ready("somebody has agreed to it".to_owned()),
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        Ok(self.host.xcode().accept_licence()?)
    }

    fn remedy(&self) -> Option<String> {
        typed(self.host, "xcodebuild -license accept")
    }
}

/// The packages that Xcode installs at its first launch.
pub(super) struct FirstLaunchStep<'a> {
    pub(super) host: &'a PrepareHost,
}

impl Step for FirstLaunchStep<'_> {
    fn title(&self) -> String {
        "do what Xcode does at its first launch".to_owned()
    }

    fn look(&self) -> Result<Found, SetupError> {
        Ok(match readiness(self.host)? {
            Readiness::Ready => Found::Ready("it is done".to_owned()),
            Readiness::Broken(said) => Found::Missing(said),
            _ => Found::Missing("it is not done".to_owned()),
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        Ok(self.host.xcode().run_first_launch()?)
    }

    fn remedy(&self) -> Option<String> {
        typed(self.host, "xcodebuild -runFirstLaunch")
    }
}

/// The Metal toolchain.
pub(super) struct MetalStep<'a> {
    pub(super) host: &'a PrepareHost,
}

impl Step for MetalStep<'_> {
    fn title(&self) -> String {
        "download the Metal toolchain".to_owned()
    }

    fn look(&self) -> Result<Found, SetupError> {
        Ok(match self.host.xcode().metal_toolchain()? {
            Component::Installed => Found::Ready("it is installed".to_owned()),
            Component::BuiltIn => Found::Ready("it is a part of this Xcode".to_owned()),
            Component::Absent(said) => Found::Missing(said),
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        Ok(self.host.xcode().download_metal_toolchain()?)
    }

    fn remedy(&self) -> Option<String> {
        typed(self.host, "xcodebuild -downloadComponent MetalToolchain")
    }
}

/// Rosetta.
pub(super) struct RosettaStep<'a> {
    pub(super) host: &'a PrepareHost,
}

impl Step for RosettaStep<'_> {
    fn title(&self) -> String {
        "install Rosetta".to_owned()
    }

    fn look(&self) -> Result<Found, SetupError> {
        Ok(match rosetta::runs_intel(&self.host.tools)? {
            true => Found::Ready("programs for Intel run".to_owned()),
            false => Found::Missing("programs for Intel do not run".to_owned()),
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        Ok(rosetta::install(&self.host.tools)?)
    }

    fn remedy(&self) -> Option<String> {
        Some("`sudo softwareupdate --install-rosetta`".to_owned())
    }
}
