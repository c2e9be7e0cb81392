//! A window with a log: text that grows, which can be searched and copied. It follows the end for
//! as long as the end is in sight; who scrolls up stays there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use objc2::rc::Retained;
use objc2::{MainThreadMarker, MainThreadOnly as _};
use objc2_app_kit::{NSBackingStoreType, NSColor, NSFont, NSTextView, NSWindow, NSWindowStyleMask};
use objc2_foundation::{NSPoint, NSRange, NSRect, NSSize, NSString};

use crate::controller::Log;

/// A window with more text than this, in UTF-16 units, loses the first quarter of it.
const LONGEST: usize = 8 * 1024 * 1024;

/// The end is in sight where no more than this is below, in points.
const NEAR_THE_END: f64 = 40.0;

/// A window, on the main thread.
#[derive(Debug)]
pub(super) struct LogWindow {
    pub(super) log: Log,
    pub(super) window: Retained<NSWindow>,
    pub(super) text: Retained<NSTextView>,
    pub(super) is_closed: Arc<AtomicBool>,
}

impl Drop for LogWindow {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

impl LogWindow {
    /// Returns true if it is this window.
    pub(super) fn is(&self, window: &NSWindow) -> bool {
        std::ptr::eq(&*self.window, window)
    }

    /// Adds text at the end.
    pub(super) fn add(&self, text: &str) {
        let view = &self.text;
        let (seen, all) = (view.visibleRect(), view.bounds());
        let below = all.size.height - (seen.origin.y + seen.size.height);
        let length = view.string().length();
        let at = |start, length| NSRange::new(start, length);
        view.replaceCharactersInRange_withString(at(length, 0), &NSString::from_str(text));
        if length > LONGEST {
            view.replaceCharactersInRange_withString(at(0, LONGEST / 4), &NSString::new());
        }
        if below < NEAR_THE_END {
            view.scrollRangeToVisible(at(view.string().length(), 0));
        }
    }
}

/// Makes a window with nothing in it.
pub(super) fn make_window(
    title: &str,
    main: MainThreadMarker,
) -> Option<(Retained<NSWindow>, Retained<NSTextView>)> {
    let frame = NSRect::new(NSPoint::new(0.0, 0.0), NSSize::new(900.0, 540.0));
    let style = NSWindowStyleMask::Titled
        | NSWindowStyleMask::Closable
        | NSWindowStyleMask::Miniaturizable
        | NSWindowStyleMask::Resizable;
    // SAFETY: usual values, on the main thread.
    let window = unsafe {
        NSWindow::initWithContentRect_styleMask_backing_defer(
            NSWindow::alloc(main),
            frame,
            style,
            NSBackingStoreType::Buffered,
            true,
        )
    };
    // SAFETY: it is released when we let go of it, and not once more by closing it.
    unsafe { window.setReleasedWhenClosed(false) };
    let scroll = NSTextView::scrollableTextView(main);
    let text = scroll.documentView()?.downcast::<NSTextView>().ok()?;
    text.setEditable(false);
    text.setRichText(false);
    text.setFont(NSFont::userFixedPitchFontOfSize(11.0).as_deref());
    // A text view that is made in code stays black in dark mode without it.
    text.setTextColor(Some(&NSColor::textColor()));
    text.setUsesFindBar(true);
    text.setIncrementalSearchingEnabled(true);
    window.setTitle(&NSString::from_str(title));
    window.setContentView(Some(&scroll));
    window.center();
    Some((window, text))
}
