//! Push rules: what notifies whom.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-rules-api>

use ruma::{
    api::client::push::{
        delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled,
        get_pushrules_all, get_pushrules_global_scope, set_pushrule, set_pushrule_actions,
        set_pushrule_enabled,
    },
    push::{InsertPushRuleError, RemovePushRuleError, RuleKind, Ruleset},
};

use crate::{
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    push::{limits, rules},
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(all)
        .add_path("/_matrix/client/v3/pushrules", &[], all)
        .add(global)
        .add_path("/_matrix/client/v3/pushrules/global", &[], global)
        .add(get)
        .add(set)
        .add(delete)
        .add(actions)
        .add(set_actions)
        .add(enabled)
        .add(set_enabled)
}

fn unknown_rule() -> Error {
    Error::not_found("There is no such push rule")
}

fn load(services: &Services, caller: &Caller) -> Result<Ruleset> {
    rules::load(&services.store, &caller.user_id)
}

/// Changes the rules of the caller, one change after the other. The rule that is named is held to the limits; others may have been
/// stored before there were any.
async fn edit(
    services: &Services,
    caller: &Caller,
    named: Option<(RuleKind, &str)>,
    change: impl FnOnce(&mut Ruleset) -> Result<()>,
) -> Result<()> {
    let _one_at_a_time = services.push_rules.rulesets.editing(&caller.user_id).await;
    let before = load(services, caller)?;
    let mut rules = before.clone();
    change(&mut rules)?;
    limits::check_change(&before, &rules, named)?;
    rules::save(&services.store, &services.stream, &caller.user_id, rules).await
}

async fn all(
    services: AppState,
    call: Call<get_pushrules_all::v3::Request>,
) -> Result<get_pushrules_all::v3::Response> {
    Ok(get_pushrules_all::v3::Response::new(load(
        &services,
        &call.caller,
    )?))
}

async fn global(
    services: AppState,
    call: Call<get_pushrules_global_scope::v3::Request>,
) -> Result<get_pushrules_global_scope::v3::Response> {
    Ok(get_pushrules_global_scope::v3::Response::new(load(
        &services,
        &call.caller,
    )?))
}

async fn get(
    services: AppState,
    call: Call<get_pushrule::v3::Request>,
) -> Result<get_pushrule::v3::Response> {
    let rules = load(&services, &call.caller)?;
    let rule = rules
        .get(call.body.kind, &call.body.rule_id)
        .ok_or_else(unknown_rule)?;
    Ok(get_pushrule::v3::Response::new(rule.into()))
}

async fn set(
    services: AppState,
    call: Call<set_pushrule::v3::Request>,
) -> Result<set_pushrule::v3::Response> {
    let set_pushrule::v3::Request {
        rule,
        after,
        before,
        ..
    } = call.body;
    let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
    edit(&services, &call.caller, Some((kind, &id)), |rules| {
        rules
            .insert(rule, after.as_deref(), before.as_deref())
            .map_err(|error| refused_rule(&error))
    })
    .await?;
    Ok(set_pushrule::v3::Response::new())
}

fn refused_rule(error: &InsertPushRuleError) -> Error {
    Error::invalid(error.to_string())
}

async fn delete(
    services: AppState,
    call: Call<delete_pushrule::v3::Request>,
) -> Result<delete_pushrule::v3::Response> {
    let delete_pushrule::v3::Request { kind, rule_id, .. } = call.body;
    edit(&services, &call.caller, None, |rules| {
        rules.remove(kind, rule_id).map_err(|error| match error {
            RemovePushRuleError::NotFound => unknown_rule(),
            error => Error::invalid(error.to_string()),
        })
    })
    .await?;
    Ok(delete_pushrule::v3::Response::new())
}

async fn actions(
    services: AppState,
    call: Call<get_pushrule_actions::v3::Request>,
) -> Result<get_pushrule_actions::v3::Response> {
    let rules = load(&services, &call.caller)?;
    let rule = rules
        .get(call.body.kind, &call.body.rule_id)
        .ok_or_else(unknown_rule)?;
    Ok(get_pushrule_actions::v3::Response::new(
        rule.actions().to_vec(),
    ))
}

async fn set_actions(
    services: AppState,
    call: Call<set_pushrule_actions::v3::Request>,
) -> Result<set_pushrule_actions::v3::Response> {
    let set_pushrule_actions::v3::Request {
        kind,
        rule_id,
        actions,
        ..
    } = call.body;
    let named = Some((kind.clone(), &*rule_id));
    edit(&services, &call.caller, named, |rules| {
        rules
            .set_actions(kind, &rule_id, actions)
            .map_err(|_| unknown_rule())
    })
    .await?;
    Ok(set_pushrule_actions::v3::Response::new())
}

async fn enabled(
    services: AppState,
    call: Call<get_pushrule_enabled::v3::Request>,
) -> Result<get_pushrule_enabled::v3::Response> {
    let rules = load(&services, &call.caller)?;
    let rule = rules
        .get(call.body.kind, &call.body.rule_id)
        .ok_or_else(unknown_rule)?;
    Ok(get_pushrule_enabled::v3::Response::new(rule.enabled()))
}

async fn set_enabled(
    services: AppState,
    call: Call<set_pushrule_enabled::v3::Request>,
) -> Result<set_pushrule_enabled::v3::Response> {
    let set_pushrule_enabled::v3::Request {
        kind,
        rule_id,
        enabled,
        ..
    } = call.body;
    edit(&services, &call.caller, None, |rules| {
        rules
            .set_enabled(kind, rule_id, enabled)
            .map_err(|_| unknown_rule())
    })
    .await?;
    Ok(set_pushrule_enabled::v3::Response::new())
}
