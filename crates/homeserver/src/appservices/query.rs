//! Questions to application services: are you there, is this user or this alias yours?
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#querying>

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use ruma::{RoomAliasId, UserId};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, Appservice, Appservices, Unreachable, call::path_part};
use crate::limits::APPSERVICE_QUESTION_TIMEOUT;

impl Appservice {
    /// Asks whether it is there, and how long it took to answer. If it is, what waits for it is sent at once.
    pub async fn ping(&self, id: Option<&str>) -> Result<(Answer, Duration), Unreachable> {
        let body = id.map_or_else(|| json!({}), |id| json!({ "transaction_id": id }));
        let started = Instant::now();
        let body = Bytes::from(body.to_string());
        let answer = self
            .call(Method::POST, "/_matrix/app/v1/ping", Some(body))
            .await?;
        if answer.status.is_success() {
            self.retry_now();
        }
        Ok((answer, started.elapsed()))
    }

    async fn has(&self, path: &str) -> bool {
        let answer = self.ask(path).await;
        answer.is_some_and(|answer| answer.status.is_success())
    }

    async fn ask(&self, path: &str) -> Option<Answer> {
        let asked = self.call(Method::GET, path, None);
        let answered = tokio::time::timeout(APPSERVICE_QUESTION_TIMEOUT, asked).await;
        match answered.unwrap_or(Err(Unreachable::Timeout(APPSERVICE_QUESTION_TIMEOUT))) {
            Ok(answer) => Some(answer),
            Err(error) => {
                // Whoever looks an alias up asks, without a token and as often as they like.
                if let Some(suppressed) = self.unanswered.record_occurrence((), Instant::now()) {
                    tracing::warn!(appservice.id = self.id(), %error, suppressed, "appservice did not answer a query");
                }
                None
            }
        }
    }
}

impl Appservices {
    /// Whether an application service other than `except` says that this user of its namespace is there. It may make the account
    /// while it is asked.
    pub async fn query_user(&self, user: &UserId, except: Option<&Appservice>) -> bool {
        let path = format!("/_matrix/app/v1/users/{}", path_part(user.as_str()));
        let ours = user.server_name() == self.inner.server_name;
        let asked = |appservice: &Appservice| {
            let other = except.is_none_or(|except| except.id() != appservice.id());
            ours && other && appservice.registration.matches_user(user)
        };
        self.query(&path, asked).await
    }

    /// Whether an application service says that this alias of its namespace is there. It may make the room while it is asked.
    pub async fn query_alias(&self, alias: &RoomAliasId) -> bool {
        let path = format!("/_matrix/app/v1/rooms/{}", path_part(alias.as_str()));
        self.query(&path, |appservice| {
            appservice.registration.matches_alias(alias)
        })
        .await
    }

    /// What each of the application services that this concerns answers to a `GET` of the path, if it is JSON of success.
    pub async fn query_json(
        &self,
        path: &str,
        is_asked: impl Fn(&Appservice) -> bool,
    ) -> Vec<Value> {
        let mut asked: Vec<Arc<Appservice>> = self.all();
        asked.retain(|appservice| appservice.is_reachable() && is_asked(appservice));
        let mut answers = Vec::new();
        for appservice in asked {
            if let Some(answer) = appservice
                .ask(path)
                .await
                .filter(|answer| answer.status.is_success())
            {
                answers.extend(serde_json::from_slice::<Value>(&answer.body).ok());
            }
        }
        answers
    }

    async fn query(&self, path: &str, is_asked: impl Fn(&Appservice) -> bool) -> bool {
        let mut asked: Vec<Arc<Appservice>> = self.all();
        asked.retain(|appservice| appservice.is_reachable() && is_asked(appservice));
        for appservice in asked {
            if appservice.has(path).await {
                return true;
            }
        }
        false
    }
}
