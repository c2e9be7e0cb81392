//! The lines of a menu, as AppKit wants them.

use objc2::rc::Retained;
use objc2::runtime::AnyObject;
use objc2::{MainThreadMarker, MainThreadOnly as _, sel};
use objc2_app_kit::{NSControlStateValueOff, NSControlStateValueOn, NSMenu, NSMenuItem};
use objc2_foundation::{NSInteger, NSString};

use crate::controller::{Choice, Item};

/// Fills a menu; each line that can be chosen has the place of its choice in `choices` as its tag.
pub(super) fn fill(
    menu: &NSMenu,
    items: &[Item],
    target: &AnyObject,
    choices: &mut Vec<Choice>,
    main: MainThreadMarker,
) {
    menu.setAutoenablesItems(false);
    for item in items {
        menu.addItem(&menu_line(item, target, choices, main));
    }
}

/// Says the lines of a menu anew while it is open, where they are the same ones: nothing moves
/// below the pointer. False: they are others.
pub(super) fn retitle(menu: &NSMenu, items: &[Item]) -> bool {
    let lines = menu.itemArray();
    if lines.len() != items.len() {
        return false;
    }
    for (index, item) in items.iter().enumerate() {
        let line = lines.objectAtIndex(index);
        if let Item::Text(text) | Item::Choice { label: text, .. } | Item::Menu(text, _) = item {
            line.setTitle(&NSString::from_str(text));
        }
    }
    true
}

fn menu_line(
    item: &Item,
    target: &AnyObject,
    choices: &mut Vec<Choice>,
    main: MainThreadMarker,
) -> Retained<NSMenuItem> {
    match item {
        Item::Separator => NSMenuItem::separatorItem(main),
        Item::Text(text) => {
            let line = titled(text, main);
            line.setEnabled(false);
            line
        }
        Item::Menu(text, below) => {
            let line = titled(text, main);
            let menu = NSMenu::new(main);
            fill(&menu, below, target, choices, main);
            line.setSubmenu(Some(&menu));
            line
        }
        Item::Choice { label, choice, is_enabled, is_ticked } => {
            let line = titled(label, main);
            line.setEnabled(*is_enabled);
            line.setState(if *is_ticked == Some(true) {
                NSControlStateValueOn
            } else {
                NSControlStateValueOff
            });
            line.setTag(NSInteger::try_from(choices.len()).unwrap_or(NSInteger::MAX));
            choices.push(choice.clone());
            // SAFETY: `Target` has a method of this name that takes a menu item, and lives as long
            // as the process.
            unsafe {
                line.setTarget(Some(target));
                line.setAction(Some(sel!(choose:)));
            }
            line
        }
    }
}

fn titled(text: &str, main: MainThreadMarker) -> Retained<NSMenuItem> {
    let (title, no_key) = (NSString::from_str(text), NSString::new());
    let line = NSMenuItem::alloc(main);
    // SAFETY: there is no selector to be wrong.
    unsafe { NSMenuItem::initWithTitle_action_keyEquivalent(line, &title, None, &no_key) }
}
