//! [`Names`]: arguments that may be one name or several.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

/// An argument that may be one name or several: scopes, roles, authentication levels, values.
///
/// It is implemented for strings, and for arrays, slices, `Vec`s and sets of strings.
///
/// ```
/// use tower_jwt_auth::AuthError;
///
/// let configured: Vec<String> = vec!["reports:read".into(), "reports:write".into()];
/// for error in [
///     AuthError::insufficient_scope("reports:read reports:write"),
///     AuthError::insufficient_scope(["reports:read", "reports:write"]),
///     AuthError::insufficient_scope(&configured),
/// ] {
///     assert_eq!(error.scope(), Some("reports:read reports:write"));
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a name or a list of names",
    label = "expected a string, or an array, slice, `Vec` or set of strings",
    note = "write one as `\"reports:read\"` and several as `[\"reports:read\", \"reports:write\"]`",
    note = "collect an iterator first: `.collect::<Vec<String>>()`",
    note = "an `Option`, as from an environment variable, is not accepted: decide first what `None` means"
)]
pub trait Names: Sized {
    /// Calls `each` with one name after the other, in order.
    fn for_each(self, each: &mut dyn FnMut(&str));
}

macro_rules! one {
    ($($text:ty),*) => {$(
        impl Names for $text {
            fn for_each(self, each: &mut dyn FnMut(&str)) {
                each(&self);
            }
        }
    )*};
}

one!(&str, &&str, String, &String, Box<str>, Cow<'_, str>);

macro_rules! many {
    ($([$($extra:tt)*] $list:ty),*) => {$(
        impl<T: AsRef<str>, $($extra)*> Names for $list {
            fn for_each(self, each: &mut dyn FnMut(&str)) {
                self.iter().for_each(|name| each(name.as_ref()));
            }
        }
    )*};
}

many!(
    [const N: usize] [T; N],
    [const N: usize] &[T; N],
    [] &[T],
    [] Vec<T>,
    [] &Vec<T>,
    [] Box<[T]>,
    [] BTreeSet<T>,
    [] &BTreeSet<T>,
    [S] HashSet<T, S>,
    [S] &HashSet<T, S>
);
