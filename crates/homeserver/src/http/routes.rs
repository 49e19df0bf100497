//! The routes of all endpoints, made of ruma's metadata: every stable and unstable path of an endpoint leads to one handler.
//!
//! Every route has a limit for its body, and there is no way to add one without it. The table of all routes says which.
//! A request that may change something runs to its end even if its caller hangs up: what a handler began, it ends. Handlers run
//! in the [`crate::blocking`] pool, their answers are written there, too; only one that reads neither the database nor anything
//! else that grows is added with [`Routes::add_light`] and answers on the async workers.

use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request, State},
    routing::{MethodFilter, on},
};
use futures_util::FutureExt;
use http::{Method, Response};
use ruma::api::{IncomingRequest, Metadata, error::ErrorKind, path_builder::PathBuilder};
use tokio_util::sync::CancellationToken;

use super::{
    answer::{error_response, response_with},
    auth::IdentifyCaller,
    body::{self, BodyPermits},
    body_limit::BodyLimit,
    call::{Call, facts_of},
    guests::{self, GuestsAllowed},
    json,
    rate_limit::{CountedRate, rate_of},
    required_keys,
    walks::HandlerCost,
};
use crate::{
    blocking::watched,
    caller::RequestMetadata,
    error::{Error, Result},
    services::{AppState, Services},
};

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Erased =
    Arc<dyn Fn(AppState, Request, Vec<String>, CancellationToken) -> Answering + Send + Sync>;

/// One route, as the table has it.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "tests compare the table with the specification")]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with the names of its arguments in braces.
    pub path: &'static str,
    /// How long a body can be.
    pub body: BodyLimit,
    /// Whether guests may call it.
    pub guests: bool,
}

/// Whether a request goes on without its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abandoned {
    /// It reads or waits; without its caller it is for nobody.
    Stops,
    /// It changes something.
    GoesOn,
}

impl Abandoned {
    fn of<R: Metadata>() -> Self {
        Self::of_method(&R::METHOD)
    }

    fn of_method(method: &Method) -> Self {
        if method == Method::GET {
            Self::Stops
        } else {
            Self::GoesOn
        }
    }
}

/// Collects the routes.
#[derive(Debug, Default)]
pub struct Routes {
    router: Router<AppState>,
    table: Vec<Route>,
}

impl Routes {
    #[allow(
        clippy::should_implement_trait,
        reason = "a route is added, not summed"
    )]
    /// Routes everything that ruma knows as paths of `R` to the handler.
    #[must_use]
    pub fn add<R, F, A>(self, handler: F) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: IdentifyCaller,
        F: Fn(AppState, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        let limit = BodyLimit::of::<R>();
        self.paths(
            &R::METHOD,
            R::PATH_BUILDER.all_paths(),
            &erase(handler, limit, Abandoned::of::<R>()),
            Abandoned::of::<R>(),
            limit,
        )
    }

    /// The same for an endpoint that reads nothing but the configuration: it answers at once, however busy the pool is.
    #[must_use]
    pub fn add_light<R, F, A>(self, handler: F) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: IdentifyCaller,
        F: Fn(AppState, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        let limit = BodyLimit::of::<R>();
        let keys = required_keys::of::<R>();
        let erased: Erased = Arc::new(move |services, request, args, disconnected| {
            let handler = handler.clone();
            Box::pin(async move {
                let outcome = match read(&services, request, args, limit, disconnected).await {
                    Ok((call, permits)) => {
                        permits.stop_giving_way();
                        handler(services, call).await
                    }
                    Err(error) => Err(error),
                };
                response_with(keys, outcome)
            })
        });
        self.paths(
            &R::METHOD,
            R::PATH_BUILDER.all_paths(),
            &erased,
            Abandoned::of::<R>(),
            limit,
        )
    }

    /// The same for an endpoint that only reads or waits although it is no `GET`: it ends when its caller hangs up.
    #[must_use]
    pub fn add_waiting<R, F, A>(self, handler: F) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: IdentifyCaller,
        F: Fn(AppState, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        let limit = BodyLimit::of::<R>();
        self.paths(
            &R::METHOD,
            R::PATH_BUILDER.all_paths(),
            &erase(handler, limit, Abandoned::Stops),
            Abandoned::Stops,
            limit,
        )
    }

    /// The same for an endpoint of files: its handler reads the body and writes the answer piece by piece.
    #[must_use]
    pub fn add_streamed<R, F, A>(self, handler: F) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: IdentifyCaller,
        F: Fn(AppState, Call<R>, Body) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<Response<Body>>> + Send + 'static,
    {
        let limit = BodyLimit::File;
        let erased: Erased = Arc::new(move |services, request, args, disconnected| {
            let handler = handler.clone();
            Box::pin(async move {
                let begun = Call::<R>::begin(&services, request, &args, limit, disconnected);
                match begun.await {
                    Ok((call, body)) => {
                        let (pool, holder) = (services.blocking.clone(), call.acts_for());
                        let answer = async move { handler(services, call, body).await };
                        let outcome = pool.run(holder, answer).await;
                        outcome.unwrap_or_else(error_response)
                    }
                    Err(error) => error_response(error),
                }
            })
        });
        self.paths(
            &R::METHOD,
            R::PATH_BUILDER.all_paths(),
            &erased,
            Abandoned::of::<R>(),
            limit,
        )
    }

    /// Routes one more path, which ruma does not list, to a handler. `extra_args` stand for the path's missing last arguments.
    #[must_use]
    pub fn add_path<R, F, A>(
        self,
        path: &'static str,
        extra_args: &'static [&'static str],
        handler: F,
    ) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: IdentifyCaller,
        F: Fn(AppState, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        let limit = BodyLimit::of::<R>();
        let inner = erase(handler, limit, Abandoned::of::<R>());
        let erased: Erased = Arc::new(move |services, request, mut args, disconnected| {
            args.extend(extra_args.iter().map(|arg| (*arg).to_owned()));
            inner(services, request, args, disconnected)
        });
        let abandoned = Abandoned::of::<R>();
        self.paths(&R::METHOD, [path].into_iter(), &erased, abandoned, limit)
    }

    /// Routes one path that is none of ruma's to a handler that reads the body itself, out of the facts. It is one for callers
    /// without an access token.
    #[must_use]
    pub fn add_raw<F, A>(
        self,
        method: &Method,
        path: &'static str,
        body_max_bytes: usize,
        handler: F,
    ) -> Self
    where
        F: Fn(AppState, RequestMetadata) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<Response<Body>>> + Send + 'static,
    {
        let limit = BodyLimit::Json {
            without_token: body_max_bytes,
            with_token: body_max_bytes,
        };
        let erased: Erased = Arc::new(move |services, request, _, disconnected| {
            let handler = handler.clone();
            Box::pin(async move {
                let (parts, body) = request.into_parts();
                let mut facts = facts_of(&services, &parts, disconnected);
                let max_request_size = services.config.listen.max_request_size.as_len();
                let max_bytes = limit.bytes(false, max_request_size);
                let holder = facts.anonymous_holder();
                let outcome = match services.body_pools.read(body, &holder, max_bytes).await {
                    Ok(held) => {
                        let (bytes, permits) = held.into_parts();
                        permits.stop_giving_way();
                        facts.bytes = bytes;
                        match json::check(&facts.bytes) {
                            Ok(()) => {
                                let (pool, holder) =
                                    (services.blocking.clone(), facts.anonymous_holder());
                                pool.run(holder, handler(services, facts)).await
                            }
                            Err(refusal) => Err(refusal.into()),
                        }
                    }
                    Err(error) => Err(error),
                };
                outcome.unwrap_or_else(error_response)
            })
        });
        let abandoned = Abandoned::of_method(method);
        self.paths(method, [path].into_iter(), &erased, abandoned, limit)
    }

    fn paths(
        mut self,
        method: &Method,
        paths: impl Iterator<Item = &'static str>,
        erased: &Erased,
        abandoned: Abandoned,
        limit: BodyLimit,
    ) -> Self {
        let Ok(filter) = MethodFilter::try_from(method.clone()) else {
            return self;
        };
        for path in paths {
            let erased = erased.clone();
            let counted = CountedRate(rate_of(method, path));
            let guests = guests::may_call(method, path);
            let handler = move |State(services): State<AppState>,
                                args: RawPathParams,
                                mut request: Request| {
                request.extensions_mut().insert(counted);
                request.extensions_mut().insert(GuestsAllowed(guests));
                let args = args.iter().map(|(_, value)| value.to_owned()).collect();
                run(erased.clone(), services, request, args, abandoned)
            };
            self.router = self.router.route(&positional(path), on(filter, handler));
            self.table.push(Route {
                method: method.clone(),
                path,
                body: limit,
                guests,
            });
        }
        self
    }

    /// Adds other routes with a layer around them.
    #[must_use]
    pub fn merge_layered(
        mut self,
        other: Self,
        layer: impl FnOnce(Router<AppState>) -> Router<AppState>,
    ) -> Self {
        self.router = self.router.merge(layer(other.router));
        self.table.extend(other.table);
        self
    }

    /// The table of all routes that were added.
    #[cfg(test)]
    pub fn table(&self) -> &[Route] {
        &self.table
    }

    /// All routes that were added.
    pub fn into_router(self) -> Router<AppState> {
        self.router
    }
}

/// Forgets the types of a handler, so that everything around it is compiled once.
fn erase<R, F, A>(handler: F, limit: BodyLimit, abandoned: Abandoned) -> Erased
where
    R: IncomingRequest + Metadata + Send + 'static,
    R::Authentication: IdentifyCaller,
    F: Fn(AppState, Call<R>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
{
    let (work, keys) = (HandlerCost::of::<R>(), required_keys::of::<R>());
    Arc::new(move |services, request, args, disconnected| {
        let handler = handler.clone();
        Box::pin(async move {
            match read::<R>(&services, request, args, limit, disconnected).await {
                Ok((call, permits)) => {
                    let (pool, holder) = (services.blocking.clone(), call.acts_for());
                    let place = services
                        .unread_answers
                        .reserve(&holder, call.facts.connection.as_ref());
                    let answer = async move {
                        if work != HandlerCost::Short
                            && let Err(error) = place.wait_for_room().await
                        {
                            return (error_response(error), place);
                        }
                        (response_with(keys, handler(services, call).await), place)
                    };
                    let answer = async move {
                        let (response, place) = match work {
                            HandlerCost::Walk => pool.walk(holder, answer).await,
                            HandlerCost::Short | HandlerCost::Pausing => {
                                pool.run(holder, answer).await
                            }
                        };
                        place.hold(response).await
                    };
                    if abandoned == Abandoned::GoesOn {
                        permits.stop_giving_way();
                    }
                    // One that waits for something to happen gives way: its client asks again.
                    let answer = tokio::select! {
                        answer = answer => answer,
                        () = permits.gave_way() => error_response(body::gave_way()),
                    };
                    drop(permits);
                    answer
                }
                Err(error) => error_response(error),
            }
        })
    })
}

/// Reads a request. Nothing has begun yet: a client that disconnects now leaves the queue for a permit, and holds none.
async fn read<R>(
    services: &Services,
    request: Request,
    args: Vec<String>,
    limit: BodyLimit,
    disconnected: CancellationToken,
) -> Result<(Call<R>, BodyPermits)>
where
    R: IncomingRequest + Metadata + Send + 'static,
    R::Authentication: IdentifyCaller,
{
    let is_gone = disconnected.clone();
    tokio::select! {
        biased;
        () = is_gone.cancelled() => Err(client_disconnected()),
        read = Call::<R>::read(services, request, args, limit, disconnected) => read,
    }
}

/// An answer that nobody reads.
fn client_disconnected() -> Error {
    Error::bad_request(ErrorKind::Unknown, "The client has disconnected")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the connection that waits for the answer is what the end of the server waits for"
)]
async fn run(
    erased: Erased,
    services: AppState,
    request: Request,
    args: Vec<String>,
    abandoned: Abandoned,
) -> Response<Body> {
    let disconnected = CancellationToken::new();
    // This future is dropped when the client disconnects; a task that goes on by itself sees the token cancelled.
    let _disconnects = disconnected.clone().drop_guard();
    let answer = watched(erased(services, request, args, disconnected));
    // A handler that panics is one request that fails, not a connection that is cut.
    let answered = match abandoned {
        Abandoned::Stops => AssertUnwindSafe(answer).catch_unwind().await.ok(),
        Abandoned::GoesOn => tokio::spawn(answer).await.ok(),
    };
    answered.unwrap_or_else(|| {
        error_response(Error::Broken("the handler of a request panicked".into()))
    })
}

/// The path with its arguments named by their places: the same place has different names in different endpoints.
fn positional(path: &str) -> String {
    let mut place = 0;
    let segments = path
        .split('/')
        .map(|segment| match segment.strip_prefix('{') {
            Some(_) => {
                place += 1;
                format!("{{arg{place}}}")
            }
            None => segment.to_owned(),
        });
    segments.collect::<Vec<_>>().join("/")
}
