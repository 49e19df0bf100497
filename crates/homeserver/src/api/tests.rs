//! What is answered at all: to real web clients, and of everything that the specification knows.

mod answers;
mod deleted_data;
mod requests;
mod specification;
mod web_clients;
