//! The App Server backend against the real App Server, with a scripted model behind it.

mod breaks;
mod model;
mod relay;
mod server;
mod talk;
