//! Keys for the log window. A program without an icon in the Dock shows no menus of its own, and
//! yet its keys are those of its main menu.

use objc2::runtime::Sel;
use objc2::{MainThreadMarker, MainThreadOnly as _, sel};
use objc2_app_kit::{NSApplication, NSMenu, NSMenuItem, NSTextFinderAction};
use objc2_foundation::NSString;

/// Makes command-C, command-F and the like work.
pub(super) fn install(application: &NSApplication, main: MainThreadMarker) {
    let find = sel!(performTextFinderAction:);
    let lines: [(&str, Sel, &str, NSTextFinderAction); 7] = [
        ("Close", sel!(performClose:), "w", NSTextFinderAction(0)),
        ("Copy", sel!(copy:), "c", NSTextFinderAction(0)),
        ("Select All", sel!(selectAll:), "a", NSTextFinderAction(0)),
        ("Find…", find, "f", NSTextFinderAction::ShowFindInterface),
        ("Find Next", find, "g", NSTextFinderAction::NextMatch),
        ("Find Previous", find, "G", NSTextFinderAction::PreviousMatch),
        ("Use Selection for Find", find, "e", NSTextFinderAction::SetSearchString),
    ];
    let menu = NSMenu::new(main);
    for (title, action, key, tag) in lines {
        let line = key_item(title, Some(action), key, main);
        line.setTag(tag.0);
        menu.addItem(&line);
    }
    let (bar, edit) = (NSMenu::new(main), key_item("Edit", None, "", main));
    edit.setSubmenu(Some(&menu));
    // The first menu is the program's own, whatever is in it.
    bar.addItem(&key_item("Russet", None, "", main));
    bar.addItem(&edit);
    application.setMainMenu(Some(&bar));
}

fn key_item(
    title: &str,
    action: Option<Sel>,
    key: &str,
    main: MainThreadMarker,
) -> objc2::rc::Retained<NSMenuItem> {
    let (title, key) = (NSString::from_str(title), NSString::from_str(key));
    let line = NSMenuItem::alloc(main);
    // SAFETY: actions of AppKit's own, which whoever has the keyboard answers to.
    unsafe { NSMenuItem::initWithTitle_action_keyEquivalent(line, &title, action, &key) }
}
