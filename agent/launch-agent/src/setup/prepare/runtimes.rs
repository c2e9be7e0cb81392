//! Downloading simulator runtimes, which all users of a Mac share.

use super::PrepareHost;
use super::runtime::{Runtime, WantedRuntime, parse_runtimes};
use crate::setup::{Found, SetupError, Step};
use russet_platform::macos_tools::xcode_setup::Xcode;

/// Lists the runtimes that are on this Mac.
pub(super) fn list_runtimes(xcode: &Xcode) -> Result<Vec<Runtime>, SetupError> {
    let output = xcode.simctl(&["runtime", "list", "-j"]).run_ok()?;
    let text = output.text();
    parse_runtimes(&text).ok_or_else(|| SetupError::Answer {
        tool: "simctl runtime list",
        said: russet_text::one_line_within(&text, 200),
    })
}

/// One runtime.
pub(super) struct RuntimeStep<'a> {
    pub(super) host: &'a PrepareHost,
    pub(super) wanted: &'a WantedRuntime,
}

impl Step for RuntimeStep<'_> {
    fn title(&self) -> String {
        format!("download the simulator runtime of {}", self.wanted)
    }

    fn look(&self) -> Result<Found, SetupError> {
        let xcode = self.host.xcode();
        let version = match &self.wanted.version {
            Some(version) => version.clone(),
            None => xcode.sdk_version(self.wanted.sdk())?,
        };
        let runtimes = list_runtimes(&xcode)?;
        let found: Vec<&Runtime> =
            runtimes.iter().filter(|one| self.wanted.is_met_by(one, &version)).collect();
        let name = self.wanted.platform();
        Ok(match found.iter().find(|one| one.is_ready()).or(found.first()) {
            Some(one) if one.is_ready() => {
                Found::Ready(format!("{name} {} ({}) is there", one.version, one.build))
            }
            Some(one) => Found::Missing(format!("{name} {} is {}", one.version, one.state)),
            None => Found::Missing(format!("there is no {name} {version}")),
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        let version = self.wanted.version.as_deref();
        Ok(self.host.xcode().download_platform(self.wanted.platform(), version)?)
    }

    fn remedy(&self) -> Option<String> {
        Some(format!(
            "`xcrun simctl runtime list` says more; `xcodebuild -downloadPlatform {}` may need a \
             second run",
            self.wanted.platform()
        ))
    }
}
