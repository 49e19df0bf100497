//! From a file and the environment to a checked [`Config`].

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    value::{Dict, Value},
};

use settings::{Layer, Problem};

use super::{Config, ConfigError, check, error::problem, layers::Environment};

impl Config {
    /// Reads the file at `path` and the environment of this process, and checks everything.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &Environment::of_process())
    }

    /// [`Config::load`] with another environment.
    pub fn load_with(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let figment = figment(path, environment)?;
        let mut config = extract(&figment)?;
        let mut problems = check::problems(&config);
        for problem in &mut problems {
            let found = figment.find_metadata(&problem.key);
            let origin =
                found.map_or_else(|| path.display().to_string(), |data| data.name.to_string());
            problem.origin = Some(origin);
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        for path in config.paths_mut() {
            *path = folder.join(&*path);
        }
        folder.clone_into(&mut config.folder);
        Ok(config)
    }

    /// Reads without checking what the values mean: tokens may be missing, the domain an example.
    ///
    /// For the commands that complete a configuration. Paths stay as they are written.
    pub fn read(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        extract(&figment(path, environment)?)
    }

    /// This configuration with what `environment` sets.
    pub fn with(&self, environment: &Environment) -> Result<Self, ConfigError> {
        let values = Value::serialize(self).map(|value| value.into_dict().unwrap_or_default());
        let values = values.map_err(|error| ConfigError::Invalid(vec![problem(&error)]))?;
        let own = Layer::new("the configuration", values);
        extract(&add(Figment::from(own), environment)?)
    }

    /// Every path of it. Relative ones begin in the folder of the file.
    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let tuwunel_config = self.homeserver.tuwunel_config.as_mut();
        std::iter::once(&mut self.journal.path).chain(tuwunel_config)
    }

    /// What is wrong with it; empty if the bridge can start.
    pub fn problems(&self) -> Vec<Problem> {
        check::problems(self)
    }
}

fn figment(path: &Path, environment: &Environment) -> Result<Figment, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    // An empty file is an empty configuration, whose mandatory keys are then missed one by one.
    let values: Option<Dict> = serde_yaml::from_str(&text).map_err(|error| ConfigError::Yaml {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    let mut values = values.unwrap_or_default();
    move_listen_addresses(&mut values);
    let file = Layer::new(path.display().to_string(), values);
    add(Figment::from(file), environment)
}

/// Tuwunel's `address` is where it listens, ours is where an external homeserver is. They can be told apart: one holds IP addresses,
/// the other one begins with `http`.
fn move_listen_addresses(values: &mut Dict) {
    let Some(Value::Dict(_, homeserver)) = values.get_mut("homeserver") else {
        return;
    };
    let external = homeserver.get("mode").and_then(Value::as_str) == Some("external");
    let listens = match homeserver.get("address") {
        Some(Value::Array(_, list)) => list.clone(),
        Some(Value::String(_, text)) if text.parse::<IpAddr>().is_ok() => {
            vec![Value::from(text.as_str())]
        }
        _ => return,
    };
    if !external && !homeserver.contains_key("listen") {
        homeserver.remove("address");
        homeserver.insert("listen".to_owned(), Value::from(listens));
    }
}

fn add(figment: Figment, environment: &Environment) -> Result<Figment, ConfigError> {
    let layers = environment
        .layers()
        .map_err(|problem| ConfigError::Invalid(vec![problem]))?;
    Ok(layers.into_iter().fold(figment, Figment::merge))
}

fn extract(figment: &Figment) -> Result<Config, ConfigError> {
    let invalid = |error: figment::Error| {
        ConfigError::Invalid(error.into_iter().map(|error| problem(&error)).collect())
    };
    figment.extract().map_err(invalid)
}

#[cfg(test)]
mod tests;
