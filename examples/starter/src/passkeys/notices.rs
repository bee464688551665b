//! What the owner of an account is told about its passkeys. Change the texts here.

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
    "A passkey was added to your account just now. It is enough to log in."
);
pub(super) const REMOVED: Notice = notice!(
    "passkey_removed",
    "A passkey was removed",
    "A passkey was removed from your account just now, and logs in no more."
);
/// There may be a copy of a passkey.
pub(super) const REFUSED: Notice = notice!(
    "passkey_refused",
    "A passkey may have been copied",
    "Somebody has used a passkey of your account whose counter has gone back:\n\
     there may be a copy of it. It is not accepted any more. Log in by other\n\
     means, remove it, and add a new one."
);
