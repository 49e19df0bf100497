//! Where a registration file and a configuration no longer agree.

use letta_client::AgentId;
use regex::Regex;
use ruma::api::appservice::Namespace;

use super::{Registration, RegistrationError};
use crate::config::{Config, Secret, http_url};

/// Any agent will do: all are named alike.
const SOME_AGENT: &str = "agent-00000000-0000-4000-8000-000000000000";

impl Registration {
    /// Each difference between this file and `config`, in words; empty if they agree.
    ///
    /// A namespace may be written in another way as long as it holds the same names.
    pub fn differences(&self, config: &Config) -> Vec<String> {
        let appservice = &config.appservice;
        let address = http_url::text(&appservice.address);
        let url = self
            .stable
            .url
            .as_deref()
            .map(|url| url.trim_end_matches('/'));
        let mut found = Vec::new();
        let texts = [
            (
                "id",
                Some(&*self.stable.id),
                "appservice.id",
                &*appservice.id,
            ),
            ("url", url, "appservice.address", address),
            (
                "sender_localpart",
                Some(&*self.stable.sender_localpart),
                "appservice.bot.username",
                &*appservice.bot.username,
            ),
        ];
        for (key, here, config_key, there) in texts {
            if here != Some(there) {
                let here = here.unwrap_or("null");
                found.push(format!("`{key}` is {here}, but `{config_key}` is {there}"));
            }
        }
        let tokens = [
            ("as_token", &self.stable.as_token, &appservice.as_token),
            ("hs_token", &self.stable.hs_token, &appservice.hs_token),
        ];
        for (key, here, there) in tokens {
            if Secret::new(&**here) != *there {
                found.push(format!("`{key}` is not `appservice.{key}`"));
            }
        }
        if self.stable.rate_limited == Some(true) {
            found.push("`rate_limited` is true, so answers may come late".to_owned());
        }
        self.namespace_differences(config, &mut found);
        if let Err(error @ RegistrationError::TooWide { .. }) = self.refuse_too_wide(config) {
            found.push(error.to_string());
        }
        found
    }

    fn namespace_differences(&self, config: &Config, found: &mut Vec<String>) {
        let Ok(identity) = config.identity() else {
            return;
        };
        let Ok(agent) = AgentId::parse(SOME_AGENT) else {
            return;
        };
        let namespaces = &self.stable.namespaces;
        for (list, id) in [
            ("users", identity.bot().to_string()),
            ("users", identity.ghost(&agent).to_string()),
            ("aliases", identity.space_alias().to_string()),
            ("aliases", identity.alias(&agent).to_string()),
        ] {
            let holding = match list {
                "users" => &namespaces.users,
                _ => &namespaces.aliases,
            };
            let mut holding = holding
                .iter()
                .filter(|namespace| holds(namespace, &id))
                .peekable();
            if holding.peek().is_none() {
                found.push(format!("no regex of `namespaces.{list}` matches {id}"));
            } else if !holding.any(|namespace| namespace.exclusive) {
                found.push(format!(
                    "`namespaces.{list}` holds {id}, but not exclusively"
                ));
            }
        }
    }
}

fn holds(namespace: &Namespace, id: &str) -> bool {
    Regex::new(&namespace.regex).is_ok_and(|regex| regex.is_match(id))
}
