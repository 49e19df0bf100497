//! rest (to be written)
