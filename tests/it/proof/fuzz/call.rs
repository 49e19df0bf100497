//! One generated request: mostly right, sometimes with one thing wrong, sometimes rubbish.

use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use url::form_urlencoded;

use super::catalogue::{Operation, Parameter, ParameterLocation};
use super::fixture::PICTURE;
use super::pool::{Kind, MYSELF, Pool};
use super::{contents, rubbish, shape};
use crate::proof::account::part;

/// How much of a body is shown when a request found a fault.
const SHOWN_CHARS: usize = 1_500;

/// As whom a request is made.
#[derive(Clone, Debug)]
pub enum RequestUser {
    Nobody,
    Impostor,
    Person(usize),
    Admin,
    /// The application service, as itself or as somebody.
    Appservice(Option<String>),
}

#[derive(Clone)]
pub struct Call {
    pub who: RequestUser,
    pub method: String,
    /// Path and query.
    pub uri: String,
    pub media: Option<&'static str>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body)
            .chars()
            .take(SHOWN_CHARS)
            .collect();
        let (method, uri) = (&self.method, &self.uri);
        write!(
            f,
            "{method} {uri}\n  as {:?}, {:?}\n  {body}",
            self.who, self.media
        )
    }
}

impl Call {
    /// The request with the name of whoever makes it where it is meant; an application service says as whom it acts.
    #[must_use]
    pub fn said_by(mut self, user: &str) -> Self {
        self.uri = self.uri.replace(&part(MYSELF), &part(user));
        if let Ok(text) = std::str::from_utf8(&self.body) {
            self.body = text
                .replace(&format!("\"{MYSELF}\""), &format!("\"{user}\""))
                .into_bytes();
        }
        if let RequestUser::Appservice(Some(user)) = &self.who {
            let and = if self.uri.contains('?') { '&' } else { '?' };
            self.uri = format!("{}{and}user_id={}", self.uri, part(user));
        }
        self
    }
}

/// Requests for this operation.
pub fn call(operation: &Operation, pool: &Arc<Pool>) -> BoxedStrategy<Call> {
    let method = Just(operation.method.clone());
    let other = select(vec![
        "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH",
    ]);
    let method = prop_oneof![60 => method, 1 => other.prop_map(str::to_owned)];
    let uri = (path(operation, pool), query(operation, pool));
    let uri = uri.prop_map(|(path, query)| {
        if query.is_empty() {
            return path;
        }
        format!("{path}?{query}")
    });
    (
        who(pool),
        method,
        uri,
        media(operation),
        body(operation, pool),
    )
        .prop_map(|(who, method, uri, media, body)| Call {
            who,
            method,
            uri,
            media,
            body,
        })
        .boxed()
}

fn who(pool: &Pool) -> BoxedStrategy<RequestUser> {
    let users = pool
        .of(Kind::User)
        .into_iter()
        .filter_map(|user| match user {
            Value::String(user) => Some(user),
            _ => None,
        });
    let users: Vec<String> = users.chain(["@agent_1:nowhere".to_owned()]).collect();
    prop_oneof![
        12 => (0_usize..2).prop_map(RequestUser::Person),
        3 => Just(RequestUser::Admin),
        1 => Just(RequestUser::Appservice(None)),
        2 => select(users).prop_map(|user| RequestUser::Appservice(Some(user))),
        1 => Just(RequestUser::Nobody),
        1 => Just(RequestUser::Impostor),
    ]
    .boxed()
}

fn path(operation: &Operation, pool: &Arc<Pool>) -> BoxedStrategy<String> {
    let parts = operation.path.split('/').skip(1);
    let parts: Vec<BoxedStrategy<String>> = parts
        .map(|literal| {
            let parameter = operation.parameters.iter().find(|parameter| {
                parameter.place == ParameterLocation::Path
                    && literal == format!("{{{}}}", parameter.name)
            });
            match parameter {
                None => Just(literal.to_owned()).boxed(),
                Some(parameter) => texts(parameter, pool)
                    .prop_map(|texts| part(&texts.concat()))
                    .boxed(),
            }
        })
        .collect();
    let version = select(vec!["r0", "v1", "unstable"]);
    (parts, prop::option::weighted(0.05, version))
        .prop_map(|(parts, version)| {
            let path = format!("/{}", parts.join("/"));
            match version {
                Some(version) => path.replacen("/v3/", &format!("/{version}/"), 1),
                None => path,
            }
        })
        .boxed()
}

/// What a parameter can say: several texts if it can be given several times.
fn texts(parameter: &Parameter, pool: &Arc<Pool>) -> BoxedStrategy<Vec<String>> {
    let right = shape::value(&parameter.schema, &parameter.name, pool);
    let right = right.prop_map(|value| match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        one => vec![plain(&one)],
    });
    prop_oneof![14 => right, 1 => rubbish::text().prop_map(|text| vec![text])].boxed()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn query(operation: &Operation, pool: &Arc<Pool>) -> BoxedStrategy<String> {
    let parameters = operation.parameters.iter();
    let parameters = parameters.filter(|parameter| parameter.place == ParameterLocation::Query);
    let pairs: Vec<BoxedStrategy<String>> = parameters
        .map(|parameter| {
            // Without a patience of their own, requests wait for that of the server.
            let always = parameter.name.starts_with("timeout");
            let often = if parameter.required { 0.97 } else { 0.5 };
            let name = parameter.name.clone();
            let pairs = texts(parameter, pool).prop_map(move |texts| {
                let pairs = texts.iter().map(|text| (&name, text));
                form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish()
            });
            if always {
                return pairs.boxed();
            }
            prop::option::weighted(often, pairs)
                .prop_map(Option::unwrap_or_default)
                .boxed()
        })
        .collect();
    let junk = select(vec![
        "%zz",
        "%ff=%ff",
        "&&=&",
        "limit=1&limit=x",
        "access_token=x",
        "user_id=%40x%3Ay",
        "org.matrix.msc3202.device_id=X",
        "ts=-1",
        "server_name=127.0.0.1%3A9",
    ]);
    (pairs, prop::option::weighted(0.08, junk))
        .prop_map(|(pairs, junk)| {
            let all = pairs.into_iter().chain(junk.map(str::to_owned));
            let all: Vec<String> = all.filter(|pair| !pair.is_empty()).collect();
            all.join("&")
        })
        .boxed()
}

fn media(operation: &Operation) -> BoxedStrategy<Option<&'static str>> {
    let right = match &operation.body {
        None => None,
        Some(body) if body.media == "application/json" => Some("application/json"),
        Some(_) => Some("image/png"),
    };
    let wrong = select(vec![
        None,
        Some("text/plain"),
        Some("application/json; charset=utf-16"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("text/html"),
        Some(";;;"),
    ]);
    prop_oneof![20 => Just(right), 1 => wrong].boxed()
}

fn body(operation: &Operation, pool: &Arc<Pool>) -> BoxedStrategy<Vec<u8>> {
    let Some(body) = &operation.body else {
        return prop_oneof![30 => Just(Vec::new()), 1 => rubbish::bytes()].boxed();
    };
    if body.media != "application/json" {
        return prop_oneof![1 => Just(PICTURE.to_vec()), 1 => rubbish::bytes()].boxed();
    }
    let right = shape::value(&body.schema, "", pool);
    let right = match contents::bodies(&operation.path, pool) {
        bodies if bodies.is_empty() => right,
        bodies => prop_oneof![1 => right, 1 => select(bodies)].boxed(),
    };
    let changes = prop::collection::vec(rubbish::change(), 1..3);
    let wrong = (right.clone(), changes).prop_map(|(mut value, changes)| {
        for change in changes {
            change.apply(&mut value);
        }
        value
    });
    prop_oneof![
        10 => right.prop_map(|value| value.to_string().into_bytes()),
        5 => wrong.prop_map(|value| value.to_string().into_bytes()),
        2 => rubbish::bytes(),
    ]
    .boxed()
}
