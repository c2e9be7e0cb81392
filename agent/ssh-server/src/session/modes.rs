//! Modes of a terminal, as a client has them on its own (RFC 4254, 8).

use nix::sys::termios::{
    ControlFlags, InputFlags, LocalFlags, OutputFlags, SpecialCharacterIndices as Character,
    Termios,
};
use russh::Pty;

/// Value of a character that is switched off (RFC 4254, 8).
const DISABLED: u32 = 255;

/// Byte that switches a character off: `_POSIX_VDISABLE`, 0 on Linux and 255 on Darwin
/// (sys/termios.h, XNU).
const VDISABLE: u8 = if cfg!(target_os = "macos") { 0xff } else { 0 };

/// Sets the modes that both ends know.
pub(crate) fn apply_modes(settings: &mut Termios, modes: &[(Pty, u32)]) {
    for (mode, value) in modes {
        if let Some(character) = character_of(*mode) {
            let byte = if *value == DISABLED { Some(VDISABLE) } else { u8::try_from(*value).ok() };
            if let Some(byte) = byte {
                settings.control_chars[character as usize] = byte;
            }
            continue;
        }
        let is_set = *value != 0;
        if let Some(flag) = input_flag(*mode) {
            settings.input_flags.set(flag, is_set);
        } else if let Some(flag) = local_flag(*mode) {
            settings.local_flags.set(flag, is_set);
        } else if let Some(flag) = output_flag(*mode) {
            settings.output_flags.set(flag, is_set);
        } else if let Some(flag) = control_flag(*mode) {
            settings.control_flags.set(flag, is_set);
        }
    }
}

fn character_of(mode: Pty) -> Option<Character> {
    Some(match mode {
        Pty::VINTR => Character::VINTR,
        Pty::VQUIT => Character::VQUIT,
        Pty::VERASE => Character::VERASE,
        Pty::VKILL => Character::VKILL,
        Pty::VEOF => Character::VEOF,
        Pty::VEOL => Character::VEOL,
        Pty::VEOL2 => Character::VEOL2,
        Pty::VSTART => Character::VSTART,
        Pty::VSTOP => Character::VSTOP,
        Pty::VSUSP => Character::VSUSP,
        Pty::VREPRINT => Character::VREPRINT,
        Pty::VWERASE => Character::VWERASE,
        Pty::VLNEXT => Character::VLNEXT,
        Pty::VDISCARD => Character::VDISCARD,
        _ => return None,
    })
}

fn input_flag(mode: Pty) -> Option<InputFlags> {
    Some(match mode {
        Pty::IGNPAR => InputFlags::IGNPAR,
        Pty::PARMRK => InputFlags::PARMRK,
        Pty::INPCK => InputFlags::INPCK,
        Pty::ISTRIP => InputFlags::ISTRIP,
        Pty::INLCR => InputFlags::INLCR,
        Pty::IGNCR => InputFlags::IGNCR,
        Pty::ICRNL => InputFlags::ICRNL,
        Pty::IXON => InputFlags::IXON,
        Pty::IXANY => InputFlags::IXANY,
        Pty::IXOFF => InputFlags::IXOFF,
        Pty::IMAXBEL => InputFlags::IMAXBEL,
        Pty::IUTF8 => InputFlags::IUTF8,
        _ => return None,
    })
}

fn local_flag(mode: Pty) -> Option<LocalFlags> {
    Some(match mode {
        Pty::ISIG => LocalFlags::ISIG,
        Pty::ICANON => LocalFlags::ICANON,
        Pty::ECHO => LocalFlags::ECHO,
        Pty::ECHOE => LocalFlags::ECHOE,
        Pty::ECHOK => LocalFlags::ECHOK,
        Pty::ECHONL => LocalFlags::ECHONL,
        Pty::NOFLSH => LocalFlags::NOFLSH,
        Pty::TOSTOP => LocalFlags::TOSTOP,
        Pty::IEXTEN => LocalFlags::IEXTEN,
        Pty::ECHOCTL => LocalFlags::ECHOCTL,
        Pty::ECHOKE => LocalFlags::ECHOKE,
        Pty::PENDIN => LocalFlags::PENDIN,
        _ => return None,
    })
}

fn output_flag(mode: Pty) -> Option<OutputFlags> {
    Some(match mode {
        Pty::OPOST => OutputFlags::OPOST,
        Pty::ONLCR => OutputFlags::ONLCR,
        Pty::OCRNL => OutputFlags::OCRNL,
        Pty::ONOCR => OutputFlags::ONOCR,
        Pty::ONLRET => OutputFlags::ONLRET,
        _ => return None,
    })
}

fn control_flag(mode: Pty) -> Option<ControlFlags> {
    Some(match mode {
        Pty::CS7 => ControlFlags::CS7,
        Pty::CS8 => ControlFlags::CS8,
        Pty::PARENB => ControlFlags::PARENB,
        Pty::PARODD => ControlFlags::PARODD,
        _ => return None,
    })
}
