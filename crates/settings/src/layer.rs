//! One source of values with its name, so that an error can say where a value stands.

use figment::{
    Metadata, Profile, Provider, Source,
    value::{Dict, Map, Value},
};

/// What stands between a key and its value, unless the layer says otherwise.
const YAML_EQUALS: &str = ": ";

/// Some values, and where they come from. Later layers win.
#[derive(Clone)]
pub struct Layer {
    origin: String,
    equals: &'static str,
    values: Dict,
}

impl Layer {
    /// Values of one origin.
    pub fn new(origin: impl Into<String>, values: Dict) -> Self {
        Self {
            origin: origin.into(),
            equals: YAML_EQUALS,
            values,
        }
    }

    /// One value at one path, for example `["well_known", "client"]`.
    pub fn of_value<S: AsRef<str>>(origin: impl Into<String>, path: &[S], value: Value) -> Self {
        let nested = path.iter().rev().fold(value, |value, key| {
            Value::from(Dict::from([(key.as_ref().to_owned(), value)]))
        });
        Self::new(origin, nested.into_dict().unwrap_or_default())
    }

    /// The same layer, with what stands between a key and its value there. It is found as the custom source of the metadata, for
    /// the examples of errors.
    #[must_use]
    pub fn written_with(self, equals: &'static str) -> Self {
        Self { equals, ..self }
    }

    /// Whether it sets this key.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The value of a key, which may be `section.key`.
    pub fn value_mut(&mut self, key: &str) -> Option<&mut Value> {
        let mut parts = key.split('.');
        let last = parts.next_back()?;
        let mut values = &mut self.values;
        for part in parts {
            match values.get_mut(part)? {
                Value::Dict(_, section) => values = section,
                _ => return None,
            }
        }
        values.get_mut(last)
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.origin.clone(), Source::Custom(self.equals.to_owned()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

#[cfg(test)]
mod tests {
    use figment::Figment;

    use super::*;

    #[test]
    fn later_layer_wins_and_is_named_as_the_origin() {
        let weak = Layer::of_value("a file", &["server", "port"], Value::from(1));
        let strong = Layer::of_value("a variable", &["server", "port"], Value::from(2));
        let figment = Figment::from(weak).merge(strong);
        assert_eq!(figment.extract_inner::<u16>("server.port").unwrap(), 2);
        let origin = figment.find_metadata("server.port").unwrap();
        assert_eq!(origin.name, "a variable");
    }

    #[test]
    fn value_is_found_by_its_dotted_key() {
        let mut layer = Layer::of_value("a file", &["tls", "certs"], Value::from("a.crt"));
        assert!(layer.has("tls"));
        *layer.value_mut("tls.certs").unwrap() = Value::from("b.crt");
        assert_eq!(
            layer.value_mut("tls.certs").unwrap().as_str(),
            Some("b.crt")
        );
        assert!(layer.value_mut("tls.certs.more").is_none());
        assert!(layer.value_mut("tls.key").is_none());
    }
}
