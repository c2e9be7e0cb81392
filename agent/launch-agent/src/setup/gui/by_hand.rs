//! Parts of the set-up that macOS leaves to a person: FileVault, and privacy permissions.

use russet_platform::command::CommandError;
use russet_platform::macos_tools::file_vault;

use super::GuiHost;
use crate::setup::{Found, SetupError, Step};

const PROFILES: &str = "/usr/bin/profiles";

/// Payload of a profile that grants privacy permissions (Apple's Device Management reference).
const PRIVACY_PAYLOAD: &str = "com.apple.TCC.configuration-profile-policy";

/// FileVault, under which macOS logs nobody in by itself.
pub(super) struct FileVaultStep<'a> {
    pub(super) host: &'a GuiHost,
}

impl Step for FileVaultStep<'_> {
    fn title(&self) -> String {
        "have FileVault off, so that somebody can be logged in".to_owned()
    }

    fn look(&self) -> Result<Found, SetupError> {
        Ok(match file_vault::is_on(&self.host.tools)? {
            Some(false) => Found::Ready("FileVault is off".to_owned()),
            Some(true) => Found::ByHand {
                found: "FileVault is on, and macOS logs nobody in by itself".to_owned(),
                hint: "`sudo fdesetup disable`, and run this again".to_owned(),
            },
            None => Found::ByHand {
                found: "fdesetup says neither on nor off".to_owned(),
                hint: "run this again when `fdesetup status` says that it is off".to_owned(),
            },
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        Ok(())
    }
}

/// Privacy permissions for what tests control, which only a profile from MDM or a person grants.
pub(super) struct PrivacyStep<'a> {
    pub(super) host: &'a GuiHost,
}

impl Step for PrivacyStep<'_> {
    fn title(&self) -> String {
        "have a profile with privacy permissions".to_owned()
    }

    fn look(&self) -> Result<Found, SetupError> {
        let asked = self.host.tools.command(PROFILES).args(["show", "-output", "stdout-xml"]).run();
        let has_one = match asked {
            Ok(output) => output.text().contains(PRIVACY_PAYLOAD),
            Err(CommandError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(if has_one {
            Found::Ready("a profile with privacy permissions is installed".to_owned())
        } else {
            Found::ByHand {
                found: "no profile grants privacy permissions".to_owned(),
                hint: "tests that use Accessibility, Apple Events or screen recording need one from \
                       MDM (docs/mdm.md), or a click on each question at the screen; others need none"
                    .to_owned(),
            }
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        Ok(())
    }
}
