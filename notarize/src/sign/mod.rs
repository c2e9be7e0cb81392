//! Stages `sign` and `sign-package`: signatures of code with the hardened runtime, from the inside
//! out, and of the package.

mod apple;
mod classic;
mod library;

use anyhow::{Context as _, Result};

use crate::bundle::signed_items;
use crate::credentials::Purpose;
use crate::places::{Release, copy_tree, fresh};

pub use apple::{codesign, productsign};

/// Signs a copy of `bundle/` in `sign/`.
///
/// # Errors
///
/// A credential cannot be used, or a tool refuses.
pub fn sign_all_code(release: &Release) -> Result<String> {
    let work = release.work("sign");
    fresh(&work)?;
    for component in crate::bundle::package_components(release) {
        copy_tree(&release.work("bundle").join(component), &work.join(component))?;
    }
    if release.apple {
        return apple::sign_with_codesign(release, &work);
    }
    let identity = release.credentials.identity(Purpose::Application)?;
    for item in signed_items(release) {
        library::sign_code(release, item, identity.as_ref(), &work)
            .with_context(|| format!("could not sign {}", item.path))?;
    }
    Ok(match &identity {
        Some(identity) => format!("by {}", identity.name()),
        None => "ad hoc, for testing: no certificate was given".to_owned(),
    })
}

/// Signs a copy of the package in `sign-package/`.
///
/// # Errors
///
/// A credential cannot be used, or a tool refuses.
pub fn sign_product(release: &Release) -> Result<String> {
    let work = release.work("sign-package");
    fresh(&work)?;
    let from = release.work("package").join(release.package_name());
    let to = work.join(release.package_name());
    if release.apple {
        return apple::package(&from, &to);
    }
    match release.credentials.identity(Purpose::Installer)? {
        Some(identity) => {
            library::sign_package(release, &identity, &from, &to)
                .context("could not sign the package")?;
            Ok(format!("by {}", identity.name()))
        }
        None => {
            std::fs::copy(&from, &to)
                .with_context(|| format!("could not copy {}", from.display()))?;
            Ok("not signed, for testing: no certificate was given".to_owned())
        }
    }
}
