//! Notifications, without a sound.

use block2::RcBlock;
use objc2::AnyThread as _;
use objc2::runtime::Bool;
use objc2_foundation::{NSBundle, NSError, NSString};
use objc2_user_notifications::{
    UNAuthorizationOptions, UNMutableNotificationContent, UNNotificationRequest,
    UNUserNotificationCenter,
};

use crate::controller::Notice;

/// Tells the person, if they let us. The system asks them once.
pub(super) fn post_notification(notice: &Notice) {
    // Without a bundle, the centre throws an exception.
    if NSBundle::mainBundle().bundleIdentifier().is_none() {
        crate::print_error(&format!("{}: {}", notice.title, notice.text));
        return;
    }
    let notice = notice.clone();
    let may = RcBlock::new(move |is_granted: Bool, _: *mut NSError| {
        if is_granted.as_bool() {
            deliver_notification(&notice);
        }
    });
    UNUserNotificationCenter::currentNotificationCenter()
        .requestAuthorizationWithOptions_completionHandler(UNAuthorizationOptions::Alert, &may);
}

fn deliver_notification(notice: &Notice) {
    let content = UNMutableNotificationContent::init(UNMutableNotificationContent::alloc());
    content.setTitle(&NSString::from_str(&notice.title));
    content.setBody(&NSString::from_str(&notice.text));
    // The same text again takes the place of the one before.
    let name = NSString::from_str(&notice.text);
    let request =
        UNNotificationRequest::requestWithIdentifier_content_trigger(&name, &content, None);
    UNUserNotificationCenter::currentNotificationCenter()
        .addNotificationRequest_withCompletionHandler(&request, None);
}
