//! What is answered at all: to real web clients, and of everything that the specification knows.

mod specification;
mod web_clients;
