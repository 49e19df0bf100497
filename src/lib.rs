//! Puts every Letta agent into Matrix as a person of its own.

pub mod app;
pub mod cli;
pub mod config;
#[cfg(test)]
mod house;
pub mod identity;
pub mod registration;
