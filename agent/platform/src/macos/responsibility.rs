//! Responsibility: the process that macOS asks about privacy on behalf of another one.
//!
//! A program inherits the responsible process of whoever starts it; what launchd starts is
//! responsible for itself. So a grant to `russet-boot`, which launchd starts, would be one to every
//! step of every job. A task agent therefore disclaims that: it executes itself again, in the same
//! process, with an attribute that LLDB, Chromium and Qt Creator use for the same purpose.
//!
//! Both functions are exported by libSystem without a header of Apple's SDK, and are looked up when
//! the process runs: a macOS without them starts tasks as it did before.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::darwin_abi::{POSIX_SPAWN_SETEXEC, PROC_PIDPATHINFO_MAXSIZE};
use crate::privacy::Responsible;

/// `responsibility_spawnattrs_setdisclaim`, as base/process/launch_mac.cc of Chromium declares it.
/// LLDB (PosixSpawnResponsible.h, llvm-project 041c7b84) takes a `bool`: 1 is the same register.
type SetDisclaim = unsafe extern "C" fn(*mut libc::posix_spawnattr_t, libc::c_int) -> libc::c_int;

/// `responsibility_get_pid_responsible_for_pid`, as exelban/stats and others declare it.
type ResponsibleFor = unsafe extern "C" fn(libc::pid_t) -> libc::pid_t;

/// Executes a program in place of this one, as its own responsible process. The process, its
/// descriptors, its group and its session stay, as with execve(2).
///
/// # Errors
///
/// It could not: this macOS does not know how, or refused. A success does not return.
pub fn disclaim_responsibility(program: &Path, arguments: &[OsString]) -> io::Result<()> {
    let Some(symbol) = find_symbol(c"responsibility_spawnattrs_setdisclaim") else {
        return Err(io::Error::other("this macOS does not know of it"));
    };
    // SAFETY: The symbol is this function (see `SetDisclaim`).
    let set_disclaim = unsafe { std::mem::transmute::<*mut libc::c_void, SetDisclaim>(symbol) };
    let name = c_string(program.as_os_str())?;
    let words =
        std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    let words: Vec<CString> = words.map(c_string).collect::<io::Result<_>>()?;
    let variables = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        c_string(&name)
    });
    let variables: Vec<CString> = variables.collect::<io::Result<_>>()?;
    let (words, variables) = (pointers(&words), pointers(&variables));
    let mut attributes: libc::posix_spawnattr_t = std::ptr::null_mut();
    // SAFETY: spawn.h: the attributes are initialized first, and not used once they are destroyed.
    // The lists end with a null pointer, and what they point to lives through the call.
    unsafe {
        spawn_check(libc::posix_spawnattr_init(&raw mut attributes))?;
        let flags = POSIX_SPAWN_SETEXEC;
        let ready = spawn_check(libc::posix_spawnattr_setflags(&raw mut attributes, flags))
            .and_then(|()| spawn_check(set_disclaim(&raw mut attributes, 1)));
        // With `SETEXEC` it is an execve(2): nothing of it returns.
        let error = ready.and_then(|()| {
            spawn_check(libc::posix_spawn(
                std::ptr::null_mut(),
                name.as_ptr(),
                std::ptr::null(),
                &raw const attributes,
                words.as_ptr(),
                variables.as_ptr(),
            ))
        });
        libc::posix_spawnattr_destroy(&raw mut attributes);
        error
    }
}

/// Returns the program that macOS asks about privacy on behalf of this process.
pub(super) fn responsible_program() -> Responsible {
    let path = responsible_pid().and_then(path_of).or_else(topmost_ancestor);
    path.map_or(Responsible::Unknown, |path| Responsible::of_path(&path))
}

fn responsible_pid() -> Option<libc::pid_t> {
    let symbol = find_symbol(c"responsibility_get_pid_responsible_for_pid")?;
    // SAFETY: The symbol is this function (see `ResponsibleFor`), which takes and returns numbers.
    let pid = unsafe {
        let responsible_for = std::mem::transmute::<*mut libc::c_void, ResponsibleFor>(symbol);
        responsible_for(libc::getpid())
    };
    (pid > 0).then_some(pid)
}

/// The program of the ancestor that launchd started, which is most likely the responsible one.
fn topmost_ancestor() -> Option<PathBuf> {
    let mut pid = i32::try_from(std::process::id()).ok()?;
    // Bounded, since numbers are given out anew while this looks.
    for _ in 0..64 {
        let parent = super::process_table::parent_of(pid)?;
        if parent <= 1 {
            return path_of(pid);
        }
        pid = parent;
    }
    None
}

fn path_of(pid: libc::pid_t) -> Option<PathBuf> {
    let mut buffer = vec![0_u8; usize::try_from(PROC_PIDPATHINFO_MAXSIZE).unwrap_or_default()];
    // SAFETY: libproc.h: the buffer is as long as its size says.
    let length =
        unsafe { libc::proc_pidpath(pid, buffer.as_mut_ptr().cast(), PROC_PIDPATHINFO_MAXSIZE) };
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    buffer.truncate(length);
    Some(PathBuf::from(OsString::from_vec(buffer)))
}

fn find_symbol(name: &CStr) -> Option<*mut libc::c_void> {
    // SAFETY: The name is a C string; looking a symbol up among what is loaded runs nothing.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

/// The calls of spawn.h return their error.
fn spawn_check(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// The list of pointers that exec-like calls take.
fn pointers(texts: &[CString]) -> Vec<*mut libc::c_char> {
    let pointers = texts.iter().map(|text| text.as_ptr().cast_mut());
    pointers.chain(std::iter::once(std::ptr::null_mut())).collect()
}
