//! User-interactive authentication: the caller proves in one or more stages that it may do what it asks for.
//!
//! A session belongs to one endpoint and one caller, lives in memory and ends by itself. A wrong answer is a 401 with the session, so
//! that the client can try again. Spec:
//! <https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ruma::{
    OwnedUserId, UserId,
    api::{
        client::uiaa::{AuthData, AuthFlow, AuthType, UiaaInfo, UserIdentifier},
        error::{ErrorKind, StandardErrorBody},
    },
};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    Accounts, credential::ProvenPassword, identity, most_frequent_network, new_token,
    registration_tokens,
};
use crate::{
    caller::{Caller, RequestMetadata},
    error::{Error, Result},
    holder::network_of,
    limits::{UIA_SESSION_LIFE, UIA_SESSIONS_MAX},
};

/// What a caller has proven so far.
#[derive(Clone, Debug)]
struct Session {
    endpoint: String,
    user: Option<OwnedUserId>,
    proven: Proof,
    ends: Instant,
    /// Where it was begun.
    network: Option<IpAddr>,
}

/// What was proven.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    completed: Vec<AuthType>,
    /// The password that was shown. What is done with it counts only as long as it is the password.
    pub password: Option<ProvenPassword>,
    /// The registration token that was shown. Whoever makes the account takes it as used.
    pub registration_token: Option<String>,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    all: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// The session with this id, if it is one of this endpoint and caller and has not ended.
    fn get(&self, id: &str, wanted: &Session, now: Instant) -> Option<Proof> {
        let all = self.lock();
        let session = all.get(id)?;
        let fits = session.endpoint == wanted.endpoint && session.user == wanted.user;
        (fits && session.ends > now).then(|| session.proven.clone())
    }

    /// Ends all sessions of a user: what was proven with an old password proves nothing.
    pub(crate) fn end_all(&self, user: &UserId) {
        let theirs = |session: &Session| session.user.as_deref() == Some(user);
        self.lock().retain(|_, session| !theirs(session));
    }

    fn put(&self, id: String, session: Session, now: Instant) {
        let mut all = self.lock();
        if all.len() >= UIA_SESSIONS_MAX && !all.contains_key(&id) {
            all.retain(|_, session| session.ends > now);
            if all.len() >= UIA_SESSIONS_MAX {
                let most = most_frequent_network(all.values().map(|session| session.network));
                let of_most = all.iter().filter(|(_, session)| session.network == most);
                let oldest = of_most.min_by_key(|(_, session)| session.ends);
                if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                    all.remove(&oldest);
                }
            }
        }
        all.insert(id, session);
    }
}

/// Lets somebody with an account on, who has to prove with the password that it is them.
///
/// An application service has proven enough with its token: it has no passwords to show. The password that was shown is given on to
/// what is done with it, which checks under its lock that nobody has changed it.
///
/// # Errors
///
/// 401 with the flows as long as that is not proven.
pub async fn authorize(
    accounts: &Accounts,
    caller: &Caller,
    facts: &RequestMetadata,
    auth: Option<&AuthData>,
) -> Result<Option<ProvenPassword>> {
    if caller.appservice.is_some() {
        return Ok(None);
    }
    let flows = [AuthFlow::new(vec![AuthType::Password])];
    let proof = authorize_with(accounts, Some(caller), facts, auth, &flows).await?;
    Ok(proof.password)
}

/// Lets somebody on who has gone through one of the flows.
///
/// # Errors
///
/// 401 with the flows as long as none of them is complete.
pub async fn authorize_with(
    accounts: &Accounts,
    caller: Option<&Caller>,
    facts: &RequestMetadata,
    auth: Option<&AuthData>,
    flows: &[AuthFlow],
) -> Result<Proof> {
    let now = Instant::now();
    let sessions = &accounts.sessions;
    let mut session = Session {
        endpoint: facts.path.clone(),
        user: caller.map(|caller| caller.user_id.clone()),
        proven: Proof::default(),
        ends: now + UIA_SESSION_LIFE,
        network: facts.ip.map(network_of),
    };
    let Some(auth) = auth else {
        return Err(further(accounts, new_token(), session, flows, None, now));
    };
    let id = match auth.session() {
        Some(id) => {
            let Some(proven) = sessions.get(id, &session, now) else {
                let wrong = (ErrorKind::Unknown, "This session is not known or has ended");
                return Err(further(
                    accounts,
                    new_token(),
                    session,
                    flows,
                    Some(wrong),
                    now,
                ));
            };
            session.proven = proven;
            id.to_owned()
        }
        // Clients that know the only flow go through it in one step.
        None => new_token(),
    };
    if let Err(wrong) = stage(accounts, auth, facts, flows, &mut session).await? {
        return Err(further(accounts, id, session, flows, Some(wrong), now));
    }
    let done = |flow: &AuthFlow| {
        let completed = &session.proven.completed;
        flow.stages.iter().all(|stage| completed.contains(stage))
    };
    if flows.iter().any(done) {
        sessions.lock().remove(&id);
        return Ok(session.proven);
    }
    Err(further(accounts, id, session, flows, None, now))
}

/// Why a stage is not passed.
type Wrong = (ErrorKind, &'static str);

/// Goes through one stage.
async fn stage(
    accounts: &Accounts,
    auth: &AuthData,
    facts: &RequestMetadata,
    flows: &[AuthFlow],
    session: &mut Session,
) -> Result<Result<(), Wrong>> {
    let Some(kind) = auth.auth_type() else {
        return Ok(Ok(()));
    };
    if !flows.iter().any(|flow| flow.stages.contains(&kind)) {
        return Ok(Err((ErrorKind::Unrecognized, "No flow has such a stage")));
    }
    let passed = match auth {
        AuthData::Dummy(_) => Ok(()),
        AuthData::Password(shown) => {
            let user = session.user.as_ref();
            let named = (&shown.identifier, &*shown.password);
            let proven = password(accounts, user, named, facts).await?;
            proven.map(|proven| session.proven.password = Some(proven))
        }
        AuthData::RegistrationToken(shown) => {
            if registration_tokens::check_shown_token(accounts, facts, &shown.token).await? {
                session.proven.registration_token = Some(shown.token.clone());
                Ok(())
            } else {
                Err((
                    ErrorKind::Unauthorized,
                    "This registration token is not valid",
                ))
            }
        }
        _ => Err((ErrorKind::Unrecognized, "No flow has such a stage")),
    };
    if passed.is_ok() && !session.proven.completed.contains(&kind) {
        session.proven.completed.push(kind);
    }
    Ok(passed)
}

async fn password(
    accounts: &Accounts,
    caller: Option<&OwnedUserId>,
    (identifier, password): (&UserIdentifier, &str),
    facts: &RequestMetadata,
) -> Result<Result<ProvenPassword, Wrong>> {
    let wrong = (ErrorKind::Forbidden, "Wrong user or password");
    let named = identity::named_by(accounts, identifier);
    match (caller, named) {
        (Some(caller), Ok(named)) if *caller == named => {
            let proven = accounts.prove_password(&named, password, facts);
            Ok(proven.await?.ok_or(wrong))
        }
        _ => Ok(Err(wrong)),
    }
}

/// The answer that asks for more, with the session kept for it.
fn further(
    accounts: &Accounts,
    id: String,
    session: Session,
    flows: &[AuthFlow],
    wrong: Option<Wrong>,
    now: Instant,
) -> Error {
    let mut info = UiaaInfo::new(flows.to_vec());
    info.completed.clone_from(&session.proven.completed);
    // Clients look into it for every stage, there or not.
    info.params = RawValue::from_string("{}".to_owned()).ok();
    info.session = Some(id.clone());
    info.auth_error =
        wrong.map(|(kind, text)| Box::new(StandardErrorBody::new(kind, text.to_owned())));
    accounts.sessions.put(id, session, now);
    Error::Interactive(Box::new(info))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn session(endpoint: &str, ends: Instant) -> Session {
        Session {
            endpoint: endpoint.to_owned(),
            user: None,
            proven: Proof::default(),
            ends,
            network: None,
        }
    }

    #[test]
    fn a_session_is_for_one_endpoint_and_ends() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let one = session("/one", now + UIA_SESSION_LIFE);
        sessions.put("id".to_owned(), one.clone(), now);
        assert!(sessions.get("id", &one, now).is_some());
        assert!(sessions.get("id", &session("/two", now), now).is_none());
        assert!(sessions.get("id", &one, now + UIA_SESSION_LIFE).is_none());
    }

    #[test]
    fn oldest_session_of_whoever_has_most_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        for count in 0..=UIA_SESSIONS_MAX {
            let ends = now + UIA_SESSION_LIFE + Duration::from_millis(count.try_into().unwrap());
            let mut session = session("/one", ends);
            // The very first is of somebody else.
            session.network = (count > 0).then(|| [192, 0, 2, 1].into());
            sessions.put(count.to_string(), session, now);
        }
        let kept = sessions.lock();
        assert_eq!(kept.len(), UIA_SESSIONS_MAX);
        assert!(kept.contains_key("0"));
        assert!(!kept.contains_key("1"));
    }
}
