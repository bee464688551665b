//! Scopes as types: [`Scope`] for one, and [`Scopes`] for combinations of them.

use std::marker::PhantomData;

use super::require::Require;
use crate::claims::is_scope_token;
use crate::verifier::VerifiedToken;

/// A scope as a type. Define scopes with [`scopes!`](crate::scopes), or implement it:
///
/// ```
/// use tower_jwt_auth::guard::Scope;
///
/// struct OrdersRead;
///
/// impl Scope for OrdersRead {
///     const NAME: &'static str = "orders:read";
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a scope",
    note = "define it by `tower_jwt_auth::scopes! {{ pub struct OrdersRead = \"orders:read\"; }}`"
)]
pub trait Scope: 'static {
    /// The name of the scope (RFC 6749 section 3.3). Code that uses a malformed name does not compile.
    const NAME: &'static str;
}

/// A combination of scopes that a token must have, as a type: one [`Scope`], a tuple that requires all of its
/// members, or [`AnyOf`] a tuple, which requires at least one.
///
/// ```
/// use tower_jwt_auth::guard::{AnyOf, Scopes};
///
/// tower_jwt_auth::scopes! {
///     struct OrdersRead = "orders:read";
///     struct OrdersWrite = "orders:write";
///     struct Admin = "admin";
/// }
///
/// type MayEdit = AnyOf<(Admin, (OrdersRead, OrdersWrite))>;
/// assert_eq!(MayEdit::alternatives(), [vec!["admin"], vec!["orders:read", "orders:write"]]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which scopes are required",
    note = "use a type from `tower_jwt_auth::scopes!`, a tuple of 2 to 8 of them (all are required), or `AnyOf<(A, B)>`",
    note = "an empty tuple would require nothing, so it is not allowed"
)]
pub trait Scopes: sealed::Sealed + 'static {
    /// Returns whether the token has the scopes.
    fn are_granted(token: &VerifiedToken) -> bool;

    /// Returns the sets of scopes that suffice: a list of alternatives, each of which is a list of scopes
    /// that are needed together. This is the form of `security` in an OpenAPI operation.
    fn alternatives() -> Vec<Vec<&'static str>>;

    /// Returns the requirement as a value, to use it as a layer or to combine it with others.
    fn requirement() -> Require;
}

/// Requires at least one member of a tuple of scopes.
#[derive(Debug)]
pub struct AnyOf<L>(PhantomData<fn() -> L>);

/// Defines scopes as types, with their names checked at compile time.
///
/// ```
/// tower_jwt_auth::scopes! {
///     /// Reads orders.
///     pub struct OrdersRead = "orders:read";
///     pub struct OrdersWrite = "orders:write";
/// }
///
/// assert_eq!(OrdersRead::NAME, "orders:read");
/// ```
///
/// A name with a space does not compile:
///
/// ```compile_fail
/// tower_jwt_auth::scopes! { struct Orders = "orders read"; }
/// ```
#[macro_export]
macro_rules! scopes {
    ($($(#[$meta:meta])* $visibility:vis struct $type:ident = $name:expr;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility struct $type;

        impl $type {
            /// The name of the scope.
            $visibility const NAME: &'static str = $name;
        }

        impl $crate::guard::Scope for $type {
            const NAME: &'static str = $type::NAME;
        }

        const _: () = $crate::guard::assert_scope($type::NAME);
    )+};
}

/// Stops the compilation if this is not a valid scope.
#[doc(hidden)]
pub const fn assert_scope(name: &str) {
    assert!(
        is_scope_token(name),
        "the NAME of a scope must be printable ASCII without space, `\"` and `\\`, and not empty (RFC 6749 section 3.3)"
    );
}

mod sealed {
    pub trait Sealed {}

    impl<S: super::Scope> Sealed for S {}
    impl<L> Sealed for super::AnyOf<L> {}
}

/// A tuple of scopes, of which all or any are required.
pub trait List: 'static {
    #[doc(hidden)]
    fn any_granted(token: &VerifiedToken) -> bool;
    #[doc(hidden)]
    fn any_alternatives() -> Vec<Vec<&'static str>>;
    #[doc(hidden)]
    fn any_requirement() -> Require;
}

impl<S: Scope> Scopes for S {
    fn are_granted(token: &VerifiedToken) -> bool {
        const { assert_scope(S::NAME) };
        token.has_scope(S::NAME)
    }

    fn alternatives() -> Vec<Vec<&'static str>> {
        const { assert_scope(S::NAME) };
        vec![vec![S::NAME]]
    }

    fn requirement() -> Require {
        const { assert_scope(S::NAME) };
        Require::scope(S::NAME)
    }
}

impl<L: List> Scopes for AnyOf<L> {
    fn are_granted(token: &VerifiedToken) -> bool {
        L::any_granted(token)
    }

    fn alternatives() -> Vec<Vec<&'static str>> {
        L::any_alternatives()
    }

    fn requirement() -> Require {
        L::any_requirement()
    }
}

macro_rules! tuple {
    ($first:ident $($more:ident)+) => {
        impl<$first: Scopes, $($more: Scopes),+> sealed::Sealed for ($first, $($more),+) {}

        impl<$first: Scopes, $($more: Scopes),+> Scopes for ($first, $($more),+) {
            fn are_granted(token: &VerifiedToken) -> bool {
                $first::are_granted(token) $(&& $more::are_granted(token))+
            }

            fn alternatives() -> Vec<Vec<&'static str>> {
                let sets = $first::alternatives();
                $(let sets = product(&sets, &$more::alternatives());)+
                sets
            }

            fn requirement() -> Require {
                $first::requirement() $(.and($more::requirement()))+
            }
        }

        impl<$first: Scopes, $($more: Scopes),+> List for ($first, $($more),+) {
            fn any_granted(token: &VerifiedToken) -> bool {
                $first::are_granted(token) $(|| $more::are_granted(token))+
            }

            fn any_alternatives() -> Vec<Vec<&'static str>> {
                let mut sets = $first::alternatives();
                $(sets.extend($more::alternatives());)+
                sets
            }

            fn any_requirement() -> Require {
                $first::requirement() $(.or($more::requirement()))+
            }
        }
    };
}

tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);

/// Combines each set of `one` with each set of `other`.
fn product(one: &[Vec<&'static str>], other: &[Vec<&'static str>]) -> Vec<Vec<&'static str>> {
    let pairs = one
        .iter()
        .flat_map(|left| other.iter().map(move |right| (left, right)));
    pairs
        .map(|(left, right)| {
            let mut set = left.clone();
            set.extend(right.iter().filter(|scope| !left.contains(scope)));
            set
        })
        .collect()
}
