//! Objects of the main thread: the item in the menu bar, its menu, windows.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;

use block2::RcBlock;
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject, NSObjectProtocol, ProtocolObject};
use objc2::{
    AnyThread as _, DefinedClass as _, MainThreadMarker, MainThreadOnly, define_class, msg_send,
};
use objc2_app_kit::{
    NSAboutPanelOptionCredits, NSApplication, NSImage, NSMenu, NSMenuDelegate, NSMenuItem,
    NSStatusBar, NSStatusItem, NSVariableStatusItemLength, NSWindow, NSWindowDelegate, NSWorkspace,
};
use objc2_foundation::{
    NSAttributedString, NSData, NSDictionary, NSNotification, NSRunLoop, NSRunLoopCommonModes,
    NSSize, NSString, NSTimer, NSURL,
};
use russet_menubar_bundle::{Picture, Shape};
use tokio::sync::mpsc::UnboundedSender;

use super::item;
use super::log_window::LogWindow;
use crate::controller::{Choice, Event, Model};
use crate::front::now_ms;

/// Side of the picture, in points; a fine screen has two pixels for each.
const SIDE: f64 = 18.0;
const PIXELS: u32 = 36;

thread_local! {
    /// Set once, on the main thread; nothing, on all others.
    static UI: RefCell<Option<Retained<Target>>> = const { RefCell::new(None) };
}

/// Visible parts.
#[derive(Debug)]
pub(super) struct Ui {
    events: UnboundedSender<Event>,
    item: Retained<NSStatusItem>,
    menu: Retained<NSMenu>,
    model: RefCell<Option<Arc<Model>>>,
    shape: RefCell<Option<Shape>>,
    /// Choices, by the tags of the menu's lines.
    choices: RefCell<Vec<Choice>>,
    /// Runs while the menu is open, and only then.
    timer: RefCell<Option<Retained<NSTimer>>>,
    /// By number.
    pub(super) windows: RefCell<HashMap<u64, LogWindow>>,
}

define_class!(
    /// Whom AppKit tells what the person does.
    // SAFETY: NSObject asks nothing of its subclasses, and `Target` does not implement `Drop`.
    #[unsafe(super(NSObject))]
    #[thread_kind = MainThreadOnly]
    #[name = "RussetMenubarTarget"]
    #[ivars = Ui]
    #[derive(Debug)]
    pub(super) struct Target;

    // SAFETY: NSObjectProtocol has no requirements.
    unsafe impl NSObjectProtocol for Target {}

    impl Target {
        // SAFETY: the signature of an action.
        #[unsafe(method(choose:))]
        fn choose(&self, line: &NSMenuItem) {
            self.ivars().choose(line);
        }
    }

    // SAFETY: the signatures are those of the protocol.
    unsafe impl NSMenuDelegate for Target {
        #[unsafe(method(menuNeedsUpdate:))]
        fn menu_needs_update(&self, _menu: &NSMenu) {
            self.ivars().fill(self, self.mtm());
        }

        #[unsafe(method(menuWillOpen:))]
        fn menu_will_open(&self, _menu: &NSMenu) {
            self.ivars().start_timer();
        }

        #[unsafe(method(menuDidClose:))]
        fn menu_did_close(&self, _menu: &NSMenu) {
            if let Some(timer) = self.ivars().timer.take() {
                timer.invalidate();
            }
        }
    }

    // SAFETY: the signature is that of the protocol.
    unsafe impl NSWindowDelegate for Target {
        #[unsafe(method(windowWillClose:))]
        fn window_will_close(&self, notification: &NSNotification) {
            if let Some(window) = notification.object().and_then(|it| it.downcast::<NSWindow>().ok())
            {
                self.ivars().windows.borrow_mut().retain(|_, open| !open.is(&window));
            }
        }
    }
);

impl Target {
    /// It as what it is to a window.
    fn as_window_delegate(&self) -> &ProtocolObject<dyn NSWindowDelegate> {
        ProtocolObject::from_ref(self)
    }
}

impl Ui {
    /// Shows an item without a menu yet.
    pub(super) fn start(events: UnboundedSender<Event>, main: MainThreadMarker) {
        let item = NSStatusBar::systemStatusBar().statusItemWithLength(NSVariableStatusItemLength);
        let menu = NSMenu::new(main);
        item.setMenu(Some(&menu));
        let ui = Self {
            events,
            item,
            menu: menu.clone(),
            model: RefCell::default(),
            shape: RefCell::default(),
            choices: RefCell::default(),
            timer: RefCell::default(),
            windows: RefCell::default(),
        };
        let target = Target::alloc(main).set_ivars(ui);
        // SAFETY: `init` of NSObject.
        let target: Retained<Target> = unsafe { msg_send![super(target), init] };
        // The menu does not keep its delegate; `UI` does.
        menu.setDelegate(Some(ProtocolObject::from_ref(&*target)));
        UI.set(Some(target));
    }

    /// Does something with it, on the main thread.
    pub(super) fn with(work: impl FnOnce(&Self)) {
        if let Some(target) = shared_target() {
            work(target.ivars());
        }
    }

    /// Shows what is known.
    pub(super) fn show(&self, model: Arc<Model>, main: MainThreadMarker) {
        let view = model.view(now_ms());
        self.model.replace(Some(model));
        if let Some(button) = self.item.button(main) {
            if self.shape.replace(Some(view.shape)) != Some(view.shape) {
                button.setImage(status_image(view.shape, &view.summary).as_deref());
            }
            button.setToolTip(Some(&NSString::from_str(&view.summary)));
        }
        if self.timer.borrow().is_some() {
            self.refresh();
        }
    }

    /// Makes the menu anew, just before it is seen.
    fn fill(&self, target: &Target, main: MainThreadMarker) {
        let Some(view) = self.model.borrow().as_ref().map(|model| model.view(now_ms())) else {
            return;
        };
        let mut choices = Vec::new();
        self.menu.removeAllItems();
        let target: &AnyObject = target.as_ref();
        item::fill(&self.menu, &view.menu, target, &mut choices, main);
        self.choices.replace(choices);
    }

    /// Says the lines of the open menu anew.
    fn refresh(&self) {
        if let Some(model) = self.model.borrow().as_ref() {
            item::retitle(&self.menu, &model.view(now_ms()).menu);
        }
    }

    fn choose(&self, line: &NSMenuItem) {
        let index = usize::try_from(line.tag()).unwrap_or(usize::MAX);
        if let Some(choice) = self.choices.borrow().get(index) {
            // Nobody listens any more when the companion ends.
            drop(self.events.send(Event::Chosen(choice.clone())));
        }
    }

    /// Times in the menu go on while somebody looks at it.
    fn start_timer(&self) {
        let tick = RcBlock::new(|_: NonNull<NSTimer>| Self::with(Self::refresh));
        // SAFETY: the block is run on the run loop that it is added to below, the main thread's.
        let timer = unsafe { NSTimer::timerWithTimeInterval_repeats_block(1.0, true, &tick) };
        // SAFETY: a constant of Foundation. The common modes are also those of an open menu.
        unsafe { NSRunLoop::currentRunLoop().addTimer_forMode(&timer, NSRunLoopCommonModes) };
        if let Some(before) = self.timer.replace(Some(timer)) {
            before.invalidate();
        }
    }

    /// Tells us when a window is closed.
    pub(super) fn adopt(window: &NSWindow) {
        if let Some(target) = shared_target() {
            window.setDelegate(Some(target.as_window_delegate()));
        }
    }
}

fn shared_target() -> Option<Retained<Target>> {
    UI.with_borrow(Clone::clone)
}

/// Opens a page with what the person uses for it.
pub(super) fn open_url(url: &str) {
    if let Some(url) = NSURL::URLWithString(&NSString::from_str(url)) {
        NSWorkspace::sharedWorkspace().openURL(&url);
    }
}

/// Shows the usual panel; name, version and icon come from the bundle.
pub(super) fn about(text: &str, main: MainThreadMarker) {
    let application = NSApplication::sharedApplication(main);
    let text =
        NSAttributedString::initWithString(NSAttributedString::alloc(), &NSString::from_str(text));
    let text: &AnyObject = text.as_ref();
    // SAFETY: a constant of AppKit.
    let key = unsafe { NSAboutPanelOptionCredits };
    let options = NSDictionary::from_slices(&[key], &[text]);
    come_forward(&application);
    // SAFETY: credits are an attributed string.
    unsafe { application.orderFrontStandardAboutPanelWithOptions(&options) };
}

/// Windows of a program without an icon in the Dock stay behind others unless it comes forward.
#[expect(deprecated, reason = "its successor is of macOS 14")]
pub(super) fn come_forward(application: &NSApplication) {
    application.activateIgnoringOtherApps(true);
}

fn status_image(shape: Shape, summary: &str) -> Option<Retained<NSImage>> {
    let png = Picture::template(shape, PIXELS).and_then(|picture| picture.png()).ok()?;
    let image = NSImage::initWithData(NSImage::alloc(), &NSData::with_bytes(&png))?;
    image.setSize(NSSize::new(SIDE, SIDE));
    // The system colours it: black on light, white on dark, as chosen for contrast.
    image.setTemplate(true);
    image.setAccessibilityDescription(Some(&NSString::from_str(summary)));
    Some(image)
}
