//! Relative paths begin in the folder of their file.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::json;

use super::{Config, Sources, file};
use crate::config::layer::PATH_KEYS;

/// A configuration in which every path is relative, as TOML.
fn relative() -> String {
    let keys = PATH_KEYS.map(|key| format!("{key} = 'some/where'"));
    format!("server_name = 'example.org'\n{}\n", keys.join("\n"))
}

/// The paths of a configuration, by key.
fn paths(config: &Config) -> Vec<String> {
    let values = serde_json::to_value(config).unwrap();
    let path = |key: &str| {
        let value = key
            .split('.')
            .try_fold(&values, |value, part| value.get(part))
            .and_then(|value| value.as_str());
        value
            .unwrap_or_else(|| panic!("{key} is not there"))
            .to_owned()
    };
    PATH_KEYS.into_iter().map(path).collect()
}

#[test]
fn relative_paths_of_a_file_begin_in_its_folder() {
    let (folder, sources) = file(&relative());
    let (config, _) = Config::load(&sources).unwrap();
    let expected = folder.path().join("some/where").display().to_string();
    assert_eq!(paths(&config), [&*expected; PATH_KEYS.len()]);
}

#[test]
fn relative_paths_of_a_block_begin_in_the_folder_of_its_file() {
    let mut block = json!({ "server_name": "example.org", "tls": {} });
    for key in PATH_KEYS {
        match key.split_once('.') {
            Some((section, key)) => block[section][key] = json!("some/where"),
            None => block[key] = json!("some/where"),
        }
    }
    let sources = Sources {
        inline: block.as_object().cloned(),
        inline_folder: "/etc/bridge".into(),
        ..Sources::default()
    };
    let (config, _) = Config::load(&sources).unwrap();
    assert_eq!(paths(&config), ["/etc/bridge/some/where"; PATH_KEYS.len()]);
}

#[test]
fn absolute_paths_stay_as_they_are() {
    let text = "server_name = 'example.org'\ndatabase_path = '/data'\n";
    let (_folder, sources) = file(text);
    let (config, _) = Config::load(&sources).unwrap();
    assert_eq!(config.database.database_path, Path::new("/data"));
}

/// Every field of the sections that holds a path is in the list.
#[test]
fn path_keys_are_complete() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/sections");
    let field = regex::Regex::new(r"pub (\w+): (?:Option<)?PathBuf").unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        found.extend(field.captures_iter(&text).map(|field| field[1].to_owned()));
    }
    let listed = PATH_KEYS.map(|key| key.rsplit('.').next().unwrap().to_owned());
    assert_eq!(found, BTreeSet::from(listed));
}
