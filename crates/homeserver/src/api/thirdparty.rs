//! Networks behind application services. What their users and rooms are is asked of the application services that bridge them.
//!
//! Each of them is asked with the time and the size of answers that any question to it has; one that does not answer, or no JSON of
//! the right kind, is as if it knew nothing.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#third-party-networks>,
//! <https://spec.matrix.org/v1.19/application-service-api/#third-party-networks>

use std::collections::BTreeSet;

use ruma::api::client::thirdparty::{
    get_location_for_protocol, get_location_for_room_alias, get_protocol, get_protocols,
    get_user_for_protocol, get_user_for_user_id,
};
use serde_json::{Map, Value};

use super::untyped::{Json, Untyped};
use crate::{
    appservices::{Appservice, path_part},
    error::{Error, Result},
    http::{Call, Routes},
    services::{AppState, Services},
};

/// Where application services answer about networks.
const PATH: &str = "/_matrix/app/v1/thirdparty";

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add_waiting(protocols)
        .add_waiting(protocol)
        .add_waiting(user_of_protocol)
        .add_waiting(location_of_protocol)
        .add_waiting(user)
        .add_waiting(location)
}

async fn protocols(
    services: AppState,
    _: Call<Untyped<get_protocols::v3::Request>>,
) -> Result<Json> {
    let all = services.appservices.all();
    let names: BTreeSet<String> = all
        .iter()
        .flat_map(|appservice| appservice.registration().protocols())
        .cloned()
        .collect();
    let mut protocols = Map::new();
    for name in names {
        if let Some(about) = about_protocol(&services, &name).await {
            protocols.insert(name, about);
        }
    }
    Ok(Json(protocols.into()))
}

async fn protocol(
    services: AppState,
    call: Call<Untyped<get_protocol::v3::Request>>,
) -> Result<Json> {
    let about = about_protocol(&services, &call.body.request.protocol).await;
    let about =
        about.ok_or_else(|| Error::not_found("No application service has this protocol"))?;
    Ok(Json(about))
}

/// What the application services say of a protocol: the instances of all of them, everything else as the first one has it.
async fn about_protocol(services: &Services, name: &str) -> Option<Value> {
    let path = format!("{PATH}/protocol/{}", path_part(name));
    let answers = services.appservices.query_json(&path, speaks(name)).await;
    let mut answers = answers.into_iter().filter(Value::is_object);
    let mut about = answers.next()?;
    let instances = |answer: &mut Value| match answer.get_mut("instances").map(Value::take) {
        Some(Value::Array(instances)) => instances,
        _ => Vec::new(),
    };
    let mut all = instances(&mut about);
    for mut other in answers {
        all.extend(instances(&mut other));
    }
    about["instances"] = all.into();
    for (key, default) in [
        ("user_fields", Value::Array(Vec::new())),
        ("location_fields", Value::Array(Vec::new())),
        ("icon", "".into()),
        ("field_types", Map::new().into()),
    ] {
        if about.get(key).is_none() {
            about[key] = default;
        }
    }
    Some(about)
}

fn speaks(name: &str) -> impl Fn(&Appservice) -> bool {
    move |appservice| {
        let spoken = appservice.registration().protocols();
        spoken.iter().any(|spoken| spoken == name)
    }
}

async fn user_of_protocol(
    services: AppState,
    call: Call<Untyped<get_user_for_protocol::v3::Request>>,
) -> Result<Json> {
    let protocol = &call.body.request.protocol;
    of_protocol(&services, "user", protocol, &call.facts.query).await
}

async fn location_of_protocol(
    services: AppState,
    call: Call<Untyped<get_location_for_protocol::v3::Request>>,
) -> Result<Json> {
    let protocol = &call.body.request.protocol;
    of_protocol(&services, "location", protocol, &call.facts.query).await
}

/// The users or rooms of a protocol whose fields are as the query says.
async fn of_protocol(services: &Services, kind: &str, protocol: &str, query: &str) -> Result<Json> {
    let path = format!(
        "{PATH}/{kind}/{}{}",
        path_part(protocol),
        without_token(query)
    );
    found(services, &path, speaks(protocol)).await
}

async fn user(
    services: AppState,
    call: Call<Untyped<get_user_for_user_id::v3::Request>>,
) -> Result<Json> {
    let user = &call.body.request.userid;
    let path = format!("{PATH}/user?userid={}", path_part(user.as_str()));
    let is_theirs = |appservice: &Appservice| appservice.registration().matches_user(user);
    found(&services, &path, is_theirs).await
}

async fn location(
    services: AppState,
    call: Call<Untyped<get_location_for_room_alias::v3::Request>>,
) -> Result<Json> {
    let alias = &call.body.request.alias;
    let path = format!("{PATH}/location?alias={}", path_part(alias.as_str()));
    let is_theirs = |appservice: &Appservice| appservice.registration().matches_alias(alias);
    found(&services, &path, is_theirs).await
}

async fn found(
    services: &Services,
    path: &str,
    is_asked: impl Fn(&Appservice) -> bool,
) -> Result<Json> {
    let answers = services.appservices.query_json(path, is_asked).await;
    let lists = answers.into_iter().filter_map(|answer| match answer {
        Value::Array(items) => Some(items),
        _ => None,
    });
    let found: Vec<Value> = lists.flatten().filter(Value::is_object).collect();
    if found.is_empty() {
        return Err(Error::not_found("No application service knows of any"));
    }
    Ok(Json(found.into()))
}

/// The query as it is given on: the token in it is for this server, and nobody else.
fn without_token(query: &str) -> String {
    let mut given_on = form_urlencoded::Serializer::new(String::new());
    let own = ["access_token", "user_id", "device_id"];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !own.contains(&&*name) {
            given_on.append_pair(&name, &value);
        }
    }
    let given_on = given_on.finish();
    if given_on.is_empty() {
        return given_on;
    }
    format!("?{given_on}")
}
