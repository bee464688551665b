//! For browsers: a page at `/`, and the refresh token in a cookie that no script can read.

mod cookie;
mod mark;
mod page;
mod transport;

pub(crate) use mark::client_mark;
pub(crate) use page::routes;
pub(crate) use transport::in_cookie;
