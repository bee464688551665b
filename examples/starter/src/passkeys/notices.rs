//! The emails about passkeys. Change the texts here.

use crate::outbox::Notice;

/// A notice that ends with what to do about it.
macro_rules! notice {
    ($kind:literal, $subject:literal, $text:literal) => {
        Notice {
            kind: $kind,
            subject: $subject,
            text: concat!(
                $text,
                "\n\nIf this was not you, choose a new password at once, and remove\n\
                 the passkeys that are not yours:"
            ),
        }
    };
}

pub(super) const ADDED: Notice = notice!(
    "passkey_added",
    "A passkey was added",
    "A passkey has just been added to your account. It is enough to log in."
);
pub(super) const REMOVED: Notice = notice!(
    "passkey_removed",
    "A passkey was removed",
    "A passkey has just been removed from your account. It no longer works."
);
/// A passkey may have been copied.
pub(super) const REFUSED: Notice = notice!(
    "passkey_refused",
    "A passkey may have been copied",
    "Somebody has used a passkey of your account that may be a copy: its counter\n\
     has gone back. It is not accepted any more. Log in another way, remove it,\n\
     and add a new one."
);
