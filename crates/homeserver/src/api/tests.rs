//! What is answered at all: to real web clients, and of everything that the specification knows.

mod answers;
mod deleted_data;
mod details;
mod requests;
mod specification;
mod synapse_admin;
mod web_clients;
