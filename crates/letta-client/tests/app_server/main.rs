//! The App Server backend against the real App Server, with a scripted model behind it.

mod model;
mod server;
mod talk;
