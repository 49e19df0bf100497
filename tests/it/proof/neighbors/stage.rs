//! What all floods share: the homeserver's address, those who make the floods, and a room that the innocent user is in, too.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::flood::Answer;
use crate::proof::account::{Account, http_from};
use crate::proof::room_of;

/// How many accounts make the floods.
const ATTACKERS: usize = 4;

pub struct Stage {
    pub url: String,
    pub at: SocketAddr,
    /// Whether this is a measurement.
    pub full: bool,
    /// In how many rooms an account is that walks through all of them.
    pub rooms: usize,
    pub attackers: Vec<Account>,
    /// The only room that they share with the innocent user.
    pub lounge: String,
}

impl Stage {
    pub async fn new(url: &str, port: u16, full: bool, rooms: usize, innocent: &Account) -> Self {
        let mut attackers = Vec::new();
        for number in 0..ATTACKERS {
            attackers.push(Account::register(url, &format!("attacker{number}")).await);
        }
        let all: Vec<_> = attackers.iter().chain([innocent]).collect();
        let lounge = room_of(&all).await;
        Self {
            url: url.to_owned(),
            at: (Ipv4Addr::LOCALHOST, port).into(),
            full,
            rooms,
            attackers,
            lounge,
        }
    }

    /// A size for `make test`, or for a measurement.
    pub fn size(&self, usual: usize, full: usize) -> usize {
        if self.full { full } else { usual }
    }

    /// Whoever makes the rounds of this task.
    pub fn attacker(&self, task: usize) -> &Account {
        &self.attackers[task % self.attackers.len()]
    }

    /// A room of all who make the floods.
    pub async fn room_of_attackers(&self) -> String {
        room_of(&self.attackers.iter().collect::<Vec<_>>()).await
    }

    /// One request of whoever makes the rounds of this task.
    pub async fn fire(&self, task: usize, method: Method, path: &str, body: Bytes) -> Answer {
        let attacker = self.attacker(task);
        Answer::of(&attacker.send_bytes(method, path, body).await)
    }

    /// Clients of different addresses, which have nobody's token.
    pub fn strangers(network: u8, count: usize) -> Vec<reqwest::Client> {
        let addresses = (0..count).map(|number| address(network, number));
        addresses
            .map(|address| http_from(Some(address.into())))
            .collect()
    }

    /// One request without a token.
    pub async fn fire_unknown(&self, from: &reqwest::Client, path: &str, body: Bytes) -> Answer {
        let request = from
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json");
        let answer = match request.body(body).send().await {
            Ok(answer) => Ok(answer.status()),
            Err(error) => Err(error),
        };
        Answer::of(&answer)
    }
}

/// One of the addresses that this machine has on loopback. Each flood has a network of its own.
pub fn address(network: u8, number: usize) -> Ipv4Addr {
    let host = u8::try_from(number % 250 + 1).expect("small");
    Ipv4Addr::new(127, 0, network, host)
}

/// JSON as the body of many requests.
pub fn body(value: &Value) -> Bytes {
    value.to_string().into()
}
