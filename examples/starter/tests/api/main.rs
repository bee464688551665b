//! The service over real HTTP: started in this process, on a port of its own, in a folder of its own.

mod login;
mod outage;
mod problems;
mod refresh;
mod register;
mod sessions;
mod support;
mod tokens;
