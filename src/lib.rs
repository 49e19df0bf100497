//! Puts every Letta agent into Matrix as a person of its own.
#![doc = ""]
