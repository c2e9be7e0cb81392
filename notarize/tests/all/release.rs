//! Whole releases, of what `.ci/apple` linked for both architectures, read with tools that are not
//! ours.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::manifest::{Envelope, Manifest, Platform, signed_bytes};
use russet_test_skip::{Lacks, skip};
use serde_json::Value;

use crate::service::{Apple, Script, private_key};

/// Programs of a release.
const PROGRAMS: [&str; 3] = ["russet", "russet-boot", "russet-menubar"];

/// Paths of its executables below `/opt/russet/incoming`, and their identifiers.
const EXECUTABLES: [(&str, &str); 3] = [
    ("agent/RussetAgent.app/Contents/MacOS/russet", "dev.russet.agent"),
    ("agent/russet-boot", "dev.russet.boot"),
    ("menubar/Russet.app/Contents/MacOS/russet-menubar", "dev.russet.menubar"),
];

/// Returns the directory that `.ci/apple` linked into; `None` where it was not run. CI does not let
/// that pass.
fn linked() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let base = std::env::var_os("RUSSET_APPLE_DIR").map(PathBuf::from);
    let base = base.unwrap_or_else(|| home.join(".cache/russet-apple"));
    let target = std::env::var_os("RUSSET_APPLE_TARGET").map(PathBuf::from);
    let target = target.unwrap_or_else(|| base.join("target"));
    let there = ["aarch64", "x86_64"].iter().all(|architecture| {
        let folder = target.join(format!("{architecture}-apple-darwin/debug"));
        PROGRAMS.iter().all(|program| folder.join(program).exists())
    });
    if there {
        return Some(target);
    }
    assert!(
        std::env::var_os("RUSSET_REQUIRE_APPLE").is_none(),
        "nothing is linked in {}",
        target.display()
    );
    skip(Lacks::Machine, "run .ci/apple/run first");
    None
}

/// Small programs for both architectures: `russet-boot` under both names.
fn small(dir: &Path) -> Option<PathBuf> {
    let target = linked()?;
    for architecture in ["aarch64", "x86_64"] {
        let folder = format!("{architecture}-apple-darwin/debug");
        fs::create_dir_all(dir.join(&folder)).unwrap();
        for name in PROGRAMS {
            fs::copy(target.join(&folder).join("russet-boot"), dir.join(&folder).join(name))
                .unwrap();
        }
    }
    Some(dir.to_owned())
}

fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// A shell line, in a directory.
fn shell(dir: &Path, line: &str) -> String {
    let output = Command::new("sh").args(["-euc", line]).current_dir(dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// LLVM's tools, of the toolchain that `.ci/apple` unpacked.
fn llvm(name: &str, arguments: &str) -> String {
    let common = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/apple/common.sh");
    let line = format!(". {}; use_toolchain; {name}-22 {arguments}", common.display());
    let output = Command::new("bash").args(["-euc", &line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A chain of certificates as Apple's is: a root, and one for each purpose, of the team ABCDE12345.
fn credentials(dir: &Path, notary: bool) {
    shell(
        dir,
        r#"
        exec 2>/dev/null
        openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.crt -days 30 -subj '/CN=Test Root/OU=Tests'
        make() {
            openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr \
                -subj "/UID=ABCDE12345/CN=Developer ID $2: Tester (ABCDE12345)/OU=ABCDE12345/O=Tester/C=US"
            printf 'basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,%s\n%s=critical,DER:0500\n' "$3" "$4" >$1.ext
            openssl x509 -req -in $1.csr -CA root.crt -CAkey root.key -CAcreateserial -days 20 -extfile $1.ext -out $1.crt
        }
        make application Application codeSigning 1.2.840.113635.100.6.1.13
        make installer Installer 1.2.840.113635.100.4.13 1.2.840.113635.100.6.1.14
        printf 'of the keychain' >application.password
        openssl pkcs12 -export -inkey application.key -in application.crt -out application.p12 -passout file:application.password \
            -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1
        cat installer.key installer.crt root.crt >installer.pem
        openssl genpkey -algorithm ed25519 -out update.pem
        openssl pkey -in update.pem -pubout -outform DER | tail -c 32 >update.pub
        chmod 600 *"#,
    );
    if notary {
        let key =
            serde_json::json!({"issuer": "i", "key_id": "KEY1", "private_key": private_key()});
        fs::write(dir.join("notary.json"), key.to_string()).unwrap();
        fs::set_permissions(dir.join("notary.json"), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Runs the release tool with what all releases here share.
fn notarize(words: &[&str], out: &Path, binaries: &Path, apple: Option<&Apple>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_russet-notarize"));
    command.args(words).args(["--version", "1.2.3", "--profile", "dev", "--tools", "rust"]);
    command.args(["--timestamp-url", "none", "--out"]).arg(out).arg("--binaries").arg(binaries);
    if let Some(apple) = apple {
        command.env("RUSSET_NOTARY_URL", &apple.address);
        command.env("RUSSET_NOTARY_STORAGE_URL", apple.storage());
        command.env("RUSSET_TICKET_URL", &apple.address);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A release with everything: real programs, certificates, notarization.
struct Full {
    dir: tempfile::TempDir,
    apple: Apple,
    target: PathBuf,
}

/// The tests that only read it share it.
static FULL: OnceLock<Option<Full>> = OnceLock::new();

/// A static is never dropped, and this one is gigabytes of files.
extern "C" fn remove_full() {
    if let Some(Some(full)) = FULL.get() {
        fs::remove_dir_all(full.dir.path()).ok();
    }
}

impl Full {
    fn get() -> Option<&'static Self> {
        FULL.get_or_init(Self::make).as_ref()
    }

    fn make() -> Option<Self> {
        let target = linked()?;
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("credentials")).unwrap();
        credentials(&dir.path().join("credentials"), true);
        let verdicts = VecDeque::from(["In Progress", "Accepted"]);
        let apple = Apple::start(Script { verdicts, missing_tickets: 1, ..Script::default() });
        let full = Self { dir, apple, target };
        // SAFETY: `remove_full` takes nothing, unwinds nothing and is there until the end.
        unsafe { libc::atexit(remove_full) };
        let output = full.run();
        assert!(output.status.success(), "{}", text(&output));
        let unpacked = full.path("unpacked");
        fs::create_dir(&unpacked).unwrap();
        shell(
            &unpacked,
            "bsdtar -xf ../dist/Russet-1.2.3.pkg && mkdir payload && cd payload && \
             for part in agent menubar; do gzip -dc ../$part.pkg/Payload | cpio -id --quiet; done",
        );
        Some(full)
    }

    fn run(&self) -> Output {
        let credentials = self.path("credentials").display().to_string();
        let words =
            ["release", "--channel", "nightly", "--output", "json", "--credentials", &credentials];
        notarize(&words, &self.path("dist"), &self.target, Some(&self.apple))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn payload(&self, path: &str) -> String {
        self.path("unpacked/payload/opt/russet/incoming").join(path).display().to_string()
    }
}

#[test]
fn the_package_is_read_by_tools_that_are_not_ours() {
    let Some(full) = Full::get() else { return };
    let package = full.path("dist/Russet-1.2.3.pkg").display().to_string();
    for listing in [tool("bsdtar", &["-tf", &package]), tool("7z", &["l", &package])] {
        for name in [
            "Distribution",
            "Resources/welcome.html",
            "agent.pkg/Bom",
            "agent.pkg/Payload",
            "agent.pkg/Scripts",
            "agent.pkg/PackageInfo",
        ] {
            assert!(listing.contains(name), "{name} is not in {listing}");
        }
    }
    let unpacked = full.path("unpacked");
    for (part, has) in [
        (
            "agent",
            ["./opt/russet/incoming/agent/russet-boot", "./opt/russet/incoming/agent/uninstall.sh"],
        ),
        (
            "menubar",
            [
                "./opt/russet/incoming/menubar/Russet.app/Contents/Resources/",
                "./Library/LaunchAgents/dev.russet.menubar.plist",
            ],
        ),
    ] {
        let list = format!("gzip -dc {part}.pkg/Payload | cpio -itv --quiet --numeric-uid-gid");
        let files = shell(&unpacked, &list);
        for line in files.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[2..4], ["0", "0"], "not root's: {line}");
            assert!(!words[0].get(5..6).unwrap().contains('w'), "others can write: {line}");
            let is_incoming = words.last() == Some(&"./opt/russet/incoming");
            assert!(!is_incoming || words[0] == "drwx------", "others can look: {line}");
        }
        for name in has {
            assert!(files.contains(name), "{name} is not in {files}");
        }
        let bom = fs::read(unpacked.join(format!("{part}.pkg/Bom"))).unwrap();
        let bom = apple_bom::ParsedBom::parse(&bom).unwrap();
        assert_eq!(bom.paths().unwrap().len(), files.lines().count());
    }
    let scripts = shell(&unpacked, "gzip -dc agent.pkg/Scripts | cpio -it --quiet");
    assert!(scripts.contains("./preinstall") && scripts.contains("./postinstall"), "{scripts}");
    assert!(
        shell(&unpacked, "gzip -dc agent.pkg/Scripts | cpio -i --quiet --to-stdout ./preinstall")
            .contains("version='1.2.3'")
    );
}

#[test]
fn installer_is_told_what_may_run_it_and_that_nothing_moves() {
    let Some(full) = Full::get() else { return };
    let script = r##"
import sys, xml.etree.ElementTree as E
d = E.parse("Distribution").getroot()
assert d.find("options").get("hostArchitectures") == "x86_64,arm64"
assert d.find("volume-check/allowed-os-versions/os-version").get("min") == "10.15"
assert d.find("welcome") is not None and d.find("license") is not None
assert d.find("domains").get("enable_localSystem") == "true"
refs = [r for r in d.findall("pkg-ref") if r.text]
assert [(r.get("id"), r.get("version"), r.text) for r in refs] == [("dev.russet.menubar.pkg", "1.2.3", "#menubar.pkg"), ("dev.russet.agent.pkg", "1.2.3", "#agent.pkg")], refs
for part in ["agent", "menubar"]:
    p = E.parse(part + ".pkg/PackageInfo").getroot()
    assert p.get("relocatable") == "false" and p.get("install-location") == "/" and p.get("auth") == "root"
    assert len(p.find("relocate")) == 0 and len(p.find("bundle-version")) == 0
    assert [b.get("id") for b in p.findall("bundle")] == ["dev.russet." + part]
    timeouts = [(s.tag, s.get("timeout")) for s in p.findall("scripts/*")]
    assert timeouts == ([("preinstall", "120"), ("postinstall", "600")] if part == "agent" else []), timeouts
"##;
    let output = Command::new("python3")
        .args(["-c", script])
        .current_dir(full.path("unpacked"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn every_slice_is_what_it_is_called_and_starts_on_old_systems() {
    let Some(full) = Full::get() else { return };
    for (program, _) in EXECUTABLES {
        let path = full.payload(program);
        let architectures = llvm("llvm-lipo", &format!("-archs {path}"));
        let mut names: Vec<&str> = architectures.split_whitespace().collect();
        names.sort_unstable();
        assert_eq!(names, ["arm64", "x86_64"]);
        for (architecture, minimum) in [("arm64", "11.0"), ("x86_64", "10.15")] {
            let headers = llvm(
                "llvm-objdump",
                &format!("--macho --private-headers --arch={architecture} {path}"),
            );
            assert!(headers.contains(&format!("minos {minimum}\n")), "{headers}");
            assert!(headers.contains("LC_CODE_SIGNATURE"), "{headers}");
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }
}

#[test]
fn signatures_have_identifier_team_hardened_runtime_and_bind_the_information() {
    let Some(full) = Full::get() else { return };
    // Read by the crate that others use for it, not by our own reader.
    for (program, identifier) in EXECUTABLES {
        let bytes = fs::read(full.payload(program)).unwrap();
        let file = apple_codesign::MachFile::parse(&bytes).unwrap();
        assert_eq!(file.iter_macho().count(), 2);
        for slice in file.iter_macho() {
            let signature = slice.code_signature().unwrap().unwrap();
            let directory = signature.code_directory().unwrap().unwrap();
            assert_eq!(directory.ident, identifier);
            assert_eq!(directory.team_name.as_deref(), Some("ABCDE12345"));
            assert!(directory.flags.contains(apple_codesign::CodeSignatureFlags::RUNTIME));
            assert!(!directory.flags.contains(apple_codesign::CodeSignatureFlags::ADHOC));
            let cms = signature.signed_data().unwrap().unwrap();
            assert!(cms.certificates().any(|c| c.subject_common_name().as_deref()
                == Some("Developer ID Application: Tester (ABCDE12345)")));
        }
    }
    let script = "import plistlib, sys; p = plistlib.load(open(sys.argv[1], 'rb')); \
                  print(p['CFBundleIdentifier'], p['CFBundleVersion'], p['LSMinimumSystemVersion'], p.get('LSUIElement'))";
    let resources_script =
        "import plistlib, sys; assert plistlib.load(open(sys.argv[1], 'rb'))['files2'] is not None";
    // The companion has no picture in the Dock; the agent is no app that anybody opens.
    for (bundle, says) in [
        ("agent/RussetAgent.app", "dev.russet.agent 1.2.3 10.15 None"),
        ("menubar/Russet.app", "dev.russet.menubar 1.2.3 10.15 True"),
    ] {
        let plist = full.payload(&format!("{bundle}/Contents/Info.plist"));
        assert_eq!(tool("python3", &["-c", script, &plist]).trim(), says);
        let resources = full.payload(&format!("{bundle}/Contents/_CodeSignature/CodeResources"));
        tool("python3", &["-c", resources_script, &resources]);
    }
}

/// Resources that jobs may ask for: the entitlement that lets macOS ask, and the words that it shows.
const ASKED_FOR: [(&str, &str); 7] = [
    ("automation.apple-events", "NSAppleEventsUsageDescription"),
    ("device.audio-input", "NSMicrophoneUsageDescription"),
    ("device.camera", "NSCameraUsageDescription"),
    ("personal-information.addressbook", "NSContactsUsageDescription"),
    ("personal-information.calendars", "NSCalendarsUsageDescription"),
    ("personal-information.location", "NSLocationUsageDescription"),
    ("personal-information.photos-library", "NSPhotoLibraryUsageDescription"),
];

/// Entitlements of the item with this executable, by what jobs may ask for.
fn wanted_entitlements(program: &str) -> Vec<String> {
    let is_agent = program.ends_with("/russet");
    let wanted = ASKED_FOR.iter().filter(|_| is_agent);
    wanted.map(|(key, _)| format!("com.apple.security.{key}")).collect()
}

/// Names of the entitlements in a text, each of which has to be given.
fn names_of_entitlements(text: &str) -> Vec<String> {
    let allowed: plist::Dictionary = plist::from_bytes(text.as_bytes()).unwrap();
    assert!(allowed.values().all(|value| value.as_boolean() == Some(true)), "{text}");
    let mut names: Vec<String> = allowed.keys().cloned().collect();
    names.sort();
    names
}

fn check_usage_descriptions(information: &[u8]) {
    let plist: plist::Dictionary = plist::from_bytes(information).unwrap();
    for (_, key) in ASKED_FOR {
        let words = plist.get(key).and_then(plist::Value::as_string).unwrap_or_default();
        assert!(words.contains("CI runner"), "{key}: {words}");
    }
}

#[test]
fn the_agent_alone_may_ask_for_what_jobs_need_and_says_what_for() {
    for item in russet_notarize::bundle::SIGNED {
        let program = format!("{}/{}", item.path, item.executable);
        assert_eq!(names_of_entitlements(item.entitlements), wanted_entitlements(&program));
    }
    check_usage_descriptions(russet_notarize::bundle::agent_plist("1.2.3").as_bytes());
}

#[test]
fn the_profile_lets_russet_boot_change_user_records_and_nothing_else() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let payloads = |file: &str| -> Vec<plist::Dictionary> {
        let profile: plist::Dictionary = plist::from_file(docs.join(file)).unwrap();
        let payloads = profile.get("PayloadContent").unwrap().as_array().unwrap();
        payloads.iter().map(|payload| payload.as_dictionary().unwrap().clone()).collect()
    };
    // Nobody gets it who did not ask for it.
    assert!(
        payloads("russet.mobileconfig").iter().all(|payload| !payload.contains_key("Services"))
    );
    let [payload] = payloads("russet-privacy.mobileconfig").try_into().unwrap();
    let services = payload.get("Services").unwrap().as_dictionary().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["SystemPolicySysAdminFiles"]);
    let [grant] = services.values().next().unwrap().as_array().unwrap().as_slice() else {
        panic!("{services:?}");
    };
    let grant = grant.as_dictionary().unwrap();
    let text = |key: &str| grant.get(key).unwrap().as_string().unwrap();
    assert_eq!((text("Identifier"), text("IdentifierType")), ("/opt/russet/russet-boot", "path"));
    let boot = &russet_notarize::bundle::SIGNED[0];
    let requirement = text("CodeRequirement");
    assert!(
        requirement
            .starts_with(&format!("identifier \"{}\" and anchor apple generic ", boot.identifier))
    );
    assert!(requirement.contains("certificate leaf[subject.OU] = \"ABCDE12345\""), "{requirement}");
}

#[test]
fn a_bundle_that_was_built_and_signed_may_ask_for_the_same() {
    let Some(full) = Full::get() else { return };
    for (program, _) in EXECUTABLES {
        let bytes = fs::read(full.payload(program)).unwrap();
        for slice in apple_codesign::MachFile::parse(&bytes).unwrap().iter_macho() {
            let signature = slice.code_signature().unwrap().unwrap();
            let entitlements = signature.entitlements().unwrap();
            let names = entitlements.map(|blob| names_of_entitlements(blob.as_str()));
            assert_eq!(names.unwrap_or_default(), wanted_entitlements(program));
        }
    }
    let path = full.payload("agent/RussetAgent.app/Contents/Info.plist");
    check_usage_descriptions(&fs::read(path).unwrap());
}

#[test]
fn the_signature_of_the_package_is_verified_by_openssl() {
    let Some(full) = Full::get() else { return };
    let script = r#"
import struct, sys, zlib, hashlib, xml.etree.ElementTree as E
b = open("dist/Russet-1.2.3.pkg", "rb").read()
size, _, packed, plain, alg = struct.unpack(">HHQQI", b[4:28])
table = b[size:size + packed]
toc = E.fromstring(zlib.decompress(table)).find("toc")
heap = size + packed
def part(e):
    o, s = int(e.find("offset").text), int(e.find("size").text)
    return b[heap + o:heap + o + s]
checksum = part(toc.find("checksum"))
assert checksum == hashlib.sha1(table).digest(), "checksum of the table"
open("checksum", "wb").write(checksum)
open("cms", "wb").write(part(toc.find("x-signature")))
assert toc.find("signature").get("style") == "RSA"
open("classic", "wb").write(part(toc.find("signature")))
open("table", "wb").write(table)
"#;
    let output =
        Command::new("python3").args(["-c", script]).current_dir(full.dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    // The extensions by which Apple marks its certificates are critical, and unknown to openssl.
    let verify = "openssl cms -verify -ignore_critical -inform DER -in cms -binary -CAfile credentials/root.crt -purpose any";
    let dir = full.dir.path();
    shell(dir, &format!("{verify} -content checksum -out verified && cmp verified checksum"));
    shell(dir, &format!("! {verify} -content cms >/dev/null 2>&1"));
    // The classic one, over the table's SHA-1: as readers do that know no CMS.
    shell(dir, "openssl x509 -in credentials/installer.crt -noout -pubkey >installer.pub");
    let classic = "openssl dgst -sha1 -verify installer.pub -signature classic";
    shell(dir, &format!("{classic} table && ! {classic} cms >/dev/null 2>&1"));
}

#[test]
fn tickets_are_stapled_once_into_package_and_update() {
    let Some(full) = Full::get() else { return };
    let package = fs::read(full.path("dist/Russet-1.2.3.pkg")).unwrap();
    let trailer = &package[package.len() - 16..];
    assert_eq!(&trailer[..4], b"t8lr");
    let count = package.windows(4).filter(|window| *window == b"s8ch").count();
    assert_eq!(count, 1, "stapled more than once");
    let archive = full.path("dist/russet-1.2.3-macos-universal.tar.gz").display().to_string();
    let listing = tool("bsdtar", &["-tf", &archive]);
    assert!(listing.lines().all(|line| line.starts_with("RussetAgent.app/")), "{listing}");
    let ticket = tool("bsdtar", &["-xOf", &archive, "RussetAgent.app/Contents/CodeResources"]);
    let (for_package, for_bundle) =
        full.apple.seen(|seen| (seen.tickets[0].clone(), seen.tickets[1].clone()));
    assert!(for_package.starts_with("2/1/") && for_bundle.starts_with("2/2/"));
    assert_eq!(ticket, format!("s8ch ticket for {for_bundle}"));
}

#[test]
fn what_was_uploaded_is_the_signed_package_under_its_own_hash() {
    let Some(full) = Full::get() else { return };
    let signed = fs::read(full.path("dist/.state/work/sign-package/Russet-1.2.3.pkg")).unwrap();
    full.apple.seen(|seen| {
        assert!(seen.uploads == [signed.clone()]);
        assert_eq!(
            seen.submissions[0]["sha256"],
            russet_notarize::hash::hex(&russet_notarize::hash::sha256(&signed))
        );
    });
}

#[test]
fn the_manifest_is_signed_and_says_that_it_is_linked_against_stubs() {
    let Some(full) = Full::get() else { return };
    let envelope: Envelope =
        serde_json::from_slice(&fs::read(full.path("dist/manifest.json")).unwrap()).unwrap();
    let public = fs::read(full.path("credentials/update.pub")).unwrap();
    let signature = STANDARD.decode(&envelope.signatures[0].signature).unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &public)
        .verify(&signed_bytes(&envelope.payload), &signature)
        .unwrap();
    let manifest: Manifest = serde_json::from_str(&envelope.payload).unwrap();
    assert!(manifest.linked_against_stubs);
    assert_eq!((manifest.channel.as_str(), manifest.version.as_str()), ("nightly", "1.2.3"));
    let artifact = manifest.artifact(Platform::MacosUniversal).unwrap();
    let archive = full.path("dist").join(&artifact.file);
    assert_eq!(artifact.size, fs::metadata(&archive).unwrap().len());
    assert_eq!(artifact.sha256, tool("sha256sum", &[&archive.display().to_string()])[..64]);
    assert_eq!(artifact.minimum_os["arm64"], "11.0");
    assert_eq!(artifact.minimum_os["x86_64"], "10.15");
}

#[test]
fn sums_and_bill_of_materials_are_those_of_the_release() {
    let Some(full) = Full::get() else { return };
    let said = shell(&full.path("dist"), "sha256sum -c SHA256SUMS");
    assert_eq!(said.matches(": OK").count(), 4, "{said}");
    let bom: Value =
        serde_json::from_slice(&fs::read(full.path("dist/Russet-1.2.3.cdx.json")).unwrap())
            .unwrap();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    let names: Vec<&str> =
        bom["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    for name in ["russet-boot", "tokio", "security-framework"] {
        assert!(names.contains(&name), "{name} is missing");
    }
    for name in ["proptest", "apple-codesign", "linux-raw-sys"] {
        assert!(!names.contains(&name), "{name} is no part of what is released");
    }
}

#[test]
fn what_has_not_changed_is_not_done_again() {
    let Some(full) = Full::get() else { return };
    let output = full.run();
    assert!(output.status.success(), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let again: Vec<&str> = report["stages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stage| !stage["skipped"].as_bool().unwrap())
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(again, ["build"], "cargo decides about the build, nothing else was to do");
    full.apple.seen(|seen| assert_eq!(seen.submissions.len(), 1));
}

#[test]
fn without_credentials_it_is_signed_ad_hoc_and_said_to_be_for_testing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(binaries) = small(&dir.path().join("binaries")) else { return };
    let out = dir.path().join("dist");
    let output = notarize(&["release"], &out, &binaries, None);
    assert!(output.status.success(), "{}", text(&output));
    for said in [
        "sign: ad hoc, for testing",
        "sign-package: not signed, for testing",
        "notarize: not submitted, for testing",
        "channel testing, not signed",
    ] {
        assert!(text(&output).contains(said), "{said}: {}", text(&output));
    }
    // With the companion, which comes first: the agent's script starts it.
    let listing = tool("bsdtar", &["-tf", &out.join("Russet-1.2.3.pkg").display().to_string()]);
    let at =
        |name: &str| listing.find(name).unwrap_or_else(|| panic!("{name} is not in {listing}"));
    assert!(at("menubar.pkg/Payload") < at("agent.pkg/Payload"), "{listing}");
    let output = notarize(&["manifest", "--channel", "stable"], &out, &binaries, None);
    assert!(!output.status.success());
    assert!(
        text(&output).contains("linked against stubs") && text(&output).contains("hint:"),
        "{}",
        text(&output)
    );
    // From a stage on, everything is done again.
    let output =
        notarize(&["release", "--from", "archive", "--output", "json"], &out, &binaries, None);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let skipped = |name: &str| {
        report["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap()["skipped"].clone()
    };
    assert_eq!(
        (skipped("sign"), skipped("archive"), skipped("sums")),
        (true.into(), false.into(), false.into())
    );
}

#[test]
fn an_invalid_verdict_is_a_failure_with_apples_reasons_and_a_stage_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(binaries) = small(&dir.path().join("binaries")) else { return };
    let (out, keys) = (dir.path().join("dist"), dir.path().join("credentials"));
    fs::create_dir(&keys).unwrap();
    credentials(&keys, true);
    let words = ["release", "--credentials", &keys.display().to_string()];
    let apple = Apple::start(Script {
        verdicts: VecDeque::from(["Invalid", "Accepted"]),
        ..Script::default()
    });
    let output = notarize(&words, &out, &binaries, Some(&apple));
    assert!(!output.status.success());
    for said in ["is Invalid", "does not include a secure timestamp", "log.json"] {
        assert!(text(&output).contains(said), "{said}: {}", text(&output));
    }
    assert!(!out.join("Russet-1.2.3.pkg").exists(), "what was found invalid is not published");
    assert!(out.join(".state/work/notarize/log.json").exists());
    let output = notarize(&words, &out, &binaries, Some(&apple));
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output)
            .contains("sign-package: by Developer ID Installer: Tester (ABCDE12345) (unchanged)"),
        "{}",
        text(&output)
    );
}

#[test]
fn an_architecture_that_is_there_twice_is_refused_before_it_is_joined() {
    let dir = tempfile::tempdir().unwrap();
    let Some(binaries) = small(&dir.path().join("binaries")) else { return };
    let folder =
        |architecture: &str| binaries.join(format!("{architecture}-apple-darwin/debug/russet"));
    fs::copy(folder("aarch64"), folder("x86_64")).unwrap();
    let output = notarize(&["release"], &dir.path().join("dist"), &binaries, None);
    assert!(
        !output.status.success() && text(&output).contains("is not for x86_64 alone"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_credential_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(binaries) = small(&dir.path().join("binaries")) else { return };
    fs::write(dir.path().join("update.pem"), "-----BEGIN PRIVATE KEY-----").unwrap();
    fs::set_permissions(dir.path().join("update.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let words = ["release", "--credentials", &dir.path().display().to_string()];
    let output = notarize(&words, &dir.path().join("dist"), &binaries, None);
    assert!(!output.status.success() && text(&output).contains("chmod 600"), "{}", text(&output));
}
