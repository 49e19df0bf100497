//! Puts every Letta agent into Matrix as a person of its own.

pub mod commands;
pub mod config;
pub mod matrix;
