//! The item and its menu, as ksni wants them.

use std::sync::Arc;

use ksni::menu::{CheckmarkItem, StandardItem, SubMenu};
use ksni::{Icon, MenuItem, ToolTip};
use russet_menubar_bundle::{Picture, Shape};
use tokio::sync::mpsc::UnboundedSender;

use crate::controller::{Choice, Event, Item, Model};
use crate::front::now_ms;

/// Sizes of the picture: for panels of the usual height, and on fine screens.
const SIZES: [u32; 2] = [22, 48];

/// The item in the tray.
pub(super) struct Tray {
    events: UnboundedSender<Event>,
    model: Option<Arc<Model>>,
    /// The last picture, drawn when it is another one.
    drawn: Option<(Shape, Vec<Icon>)>,
}

impl Tray {
    pub(super) fn new(events: UnboundedSender<Event>) -> Self {
        Self { events, model: None, drawn: None }
    }

    /// Something else is known.
    pub(super) fn set(&mut self, model: Arc<Model>) {
        let shape = model.view(now_ms()).shape;
        self.model = Some(model);
        if self.drawn.as_ref().is_none_or(|(drawn, _)| *drawn != shape) {
            self.drawn = Some((
                shape,
                SIZES.into_iter().filter_map(|size| tray_icon(shape, size)).collect(),
            ));
        }
    }
}

impl ksni::Tray for Tray {
    const MENU_ON_ACTIVATE: bool = true;

    fn id(&self) -> String {
        "russet".to_owned()
    }

    fn title(&self) -> String {
        "Russet".to_owned()
    }

    fn icon_pixmap(&self) -> Vec<Icon> {
        self.drawn.as_ref().map(|(_, icons)| icons.clone()).unwrap_or_default()
    }

    fn tool_tip(&self) -> ToolTip {
        let summary = self.model.as_ref().map(|model| model.view(now_ms()).summary);
        ToolTip {
            title: "Russet".to_owned(),
            description: summary.unwrap_or_default(),
            ..ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let view = self.model.as_ref().map(|model| model.view(now_ms()));
        view.map(|view| tray_items(&view.menu)).unwrap_or_default()
    }

    /// That this is defined makes ksni look at `Tray::menu` again: times in it are of now, and
    /// nothing has to run for them while nobody looks.
    fn menu_about_to_show(&mut self) {}
}

fn tray_items(items: &[Item]) -> Vec<MenuItem<Tray>> {
    items.iter().map(item).collect()
}

fn item(item: &Item) -> MenuItem<Tray> {
    match item {
        Item::Separator => MenuItem::Separator,
        Item::Text(text) => StandardItem {
            label: escape_mnemonics(text),
            enabled: false,
            ..StandardItem::default()
        }
        .into(),
        Item::Menu(text, below) => SubMenu {
            label: escape_mnemonics(text),
            submenu: tray_items(below),
            ..SubMenu::default()
        }
        .into(),
        Item::Choice { label: text, choice, is_enabled, is_ticked } => {
            let (label, enabled, activate) =
                (escape_mnemonics(text), *is_enabled, choose(choice.clone()));
            match *is_ticked {
                Some(checked) => {
                    CheckmarkItem { label, enabled, checked, activate, ..CheckmarkItem::default() }
                        .into()
                }
                None => StandardItem { label, enabled, activate, ..StandardItem::default() }.into(),
            }
        }
    }
}

fn choose(choice: Choice) -> Box<dyn Fn(&mut Tray) + Send> {
    Box::new(move |tray| {
        // Nobody listens any more when the companion ends.
        drop(tray.events.send(Event::Chosen(choice.clone())));
    })
}

/// An underscore marks a letter for the keyboard; two are one.
fn escape_mnemonics(text: &str) -> String {
    text.replace('_', "__")
}

fn tray_icon(shape: Shape, size: u32) -> Option<Icon> {
    let picture = Picture::on_any_ground(shape, size).ok()?;
    let side = i32::try_from(picture.size()).ok()?;
    let mut data = picture.into_rgba();
    for pixel in data.chunks_exact_mut(4) {
        // Alpha first.
        pixel.rotate_right(1);
    }
    Some(Icon { width: side, height: side, data })
}
