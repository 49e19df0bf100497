//! The shape of the configuration, derived from its types: which keys there are and what each holds.
//!
//! It says how to read an environment variable, which key a misspelled one may mean, and what
//! stands as a comment in the sample.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

static ROOT: LazyLock<Value> = LazyLock::new(|| {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
});

/// One key of the configuration, or all of it.
#[derive(Clone, Copy)]
pub(super) struct Node(&'static Value);

/// The configuration as a whole.
pub(super) fn root() -> Node {
    Node(&ROOT)
}

/// The key at this path, for example `["appservice", "port"]`.
pub(super) fn at<'a>(path: impl IntoIterator<Item = &'a str>) -> Option<Node> {
    path.into_iter().try_fold(root(), Node::child)
}

/// Every path to a key with this name.
pub(super) fn paths_to(name: &str) -> Vec<String> {
    fn walk(node: Node, at: &str, name: &str, found: &mut Vec<String>) {
        for (key, child) in node.children() {
            let path = if at.is_empty() {
                key.to_owned()
            } else {
                format!("{at}.{key}")
            };
            if key == name {
                found.push(path.clone());
            }
            walk(child, &path, name, found);
        }
    }
    let mut found = Vec::new();
    walk(root(), "", name, &mut found);
    found
}

impl Node {
    /// The keys of a section, in the order of their declaration.
    pub(super) fn children(self) -> impl Iterator<Item = (&'static str, Self)> {
        let properties = self.0.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flatten()
            .map(|(key, child)| (key.as_str(), Self(child)))
    }

    /// The key of this name in a section.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        self.children()
            .find(|(key, _)| *key == name)
            .map(|(_, child)| child)
    }

    /// What it is for.
    pub(super) fn description(self) -> &'static str {
        self.0
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Whether it holds text as it stands, so that `123` is not a number there.
    pub(super) fn is_text(self) -> bool {
        self.any(&|node| {
            let kind = &node["type"];
            kind == "string"
                || kind
                    .as_array()
                    .is_some_and(|kinds| kinds.contains(&"string".into()))
        })
    }

    /// Whether it holds a list.
    pub(super) fn is_list(self) -> bool {
        self.any(&|node| node["type"] == "array")
    }

    /// Whether its value must not be shown.
    pub(super) fn is_secret(self) -> bool {
        self.any(&|node| node["writeOnly"] == true)
    }

    fn any(self, test: &dyn Fn(&Value) -> bool) -> bool {
        let alternatives = ["anyOf", "oneOf"]
            .into_iter()
            .filter_map(|key| self.0.get(key)?.as_array());
        test(self.0) || alternatives.flatten().any(|node| Self(node).any(test))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_what_they_hold() {
        let node = |path: &str| at(path.split('.')).unwrap_or_else(|| panic!("no {path}"));
        assert!(node("letta.api_key").is_secret() && node("letta.api_key").is_text());
        assert!(node("appservice.hs_token").is_secret());
        assert!(node("letta.backend").is_text() && !node("letta.backend").is_secret());
        assert!(node("rooms.topic").is_text() && node("letta.poll_interval").is_text());
        assert!(!node("appservice.port").is_text());
        assert!(node("letta.include").is_list());
        assert!(at(["letta", "nothing"]).is_none());
        assert_eq!(
            paths_to("address"),
            ["homeserver.address", "appservice.address"]
        );
    }

    #[test]
    fn every_key_says_what_it_is_for() {
        fn walk(node: Node, path: &str) {
            for (key, child) in node.children() {
                assert!(
                    !child.description().is_empty(),
                    "{path}.{key} has no description"
                );
                walk(child, &format!("{path}.{key}"));
            }
        }
        walk(root(), "");
    }
}
