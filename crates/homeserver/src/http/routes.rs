//! The routes of all endpoints, made of ruma's metadata: every stable and unstable path of an endpoint leads to one handler.
//!
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
use ruma::api::{IncomingRequest, Metadata, path_builder::PathBuilder};

use super::{
    answer::{error_response, response},
    auth::Identified,
    call::Call,
    rate_limit::{CountedAs, rate_of},
};
use crate::{
    blocking::watched,
    error::{Error, Result},
    server::Server,
};

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Erased = Arc<dyn Fn(Server, Request, Vec<String>) -> Answering + Send + Sync>;

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
        if R::METHOD == Method::GET {
            Self::Stops
        } else {
            Self::GoesOn
        }
    }
}

/// Collects the routes.
#[derive(Debug, Default)]
pub struct Routes {
    router: Router<Server>,
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
        R::Authentication: Identified,
        F: Fn(Server, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        self.paths::<R>(
            R::PATH_BUILDER.all_paths(),
            &erase(handler),
            Abandoned::of::<R>(),
        )
    }

    /// The same for an endpoint that reads nothing but the configuration: it answers at once, however busy the pool is.
    #[must_use]
    pub fn add_light<R, F, A>(self, handler: F) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: Identified,
        F: Fn(Server, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        let erased: Erased = Arc::new(move |server, request, args| {
            let handler = handler.clone();
            Box::pin(async move {
                let outcome = match read(&server, request, &args).await {
                    Ok(call) => handler(server, call).await,
                    Err(error) => Err(error),
                };
                response(outcome)
            })
        });
        self.paths::<R>(R::PATH_BUILDER.all_paths(), &erased, Abandoned::of::<R>())
    }

    /// The same for an endpoint that only reads or waits although it is no `GET`: it ends when its caller hangs up.
    #[must_use]
    pub fn add_waiting<R, F, A>(self, handler: F) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: Identified,
        F: Fn(Server, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        self.paths::<R>(
            R::PATH_BUILDER.all_paths(),
            &erase(handler),
            Abandoned::Stops,
        )
    }

    /// The same for an endpoint of files: its handler reads the body and writes the answer piece by piece.
    #[must_use]
    pub fn add_streamed<R, F, A>(self, handler: F) -> Self
    where
        R: IncomingRequest + Metadata + Send + 'static,
        R::Authentication: Identified,
        F: Fn(Server, Call<R>, Body) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<Response<Body>>> + Send + 'static,
    {
        let erased: Erased = Arc::new(move |server, request, args| {
            let handler = handler.clone();
            Box::pin(async move {
                match Call::<R>::begin(&server, request, &args).await {
                    Ok((call, body)) => {
                        let (pool, owner) = (server.blocking.clone(), call.owner());
                        let answer = async move { handler(server, call, body).await };
                        let outcome = pool.run(owner, answer).await;
                        outcome.unwrap_or_else(error_response)
                    }
                    Err(error) => error_response(error),
                }
            })
        });
        self.paths::<R>(R::PATH_BUILDER.all_paths(), &erased, Abandoned::of::<R>())
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
        R::Authentication: Identified,
        F: Fn(Server, Call<R>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
    {
        let inner = erase(handler);
        let erased: Erased = Arc::new(move |server, request, mut args| {
            args.extend(extra_args.iter().map(|arg| (*arg).to_owned()));
            inner(server, request, args)
        });
        self.paths::<R>([path].into_iter(), &erased, Abandoned::of::<R>())
    }

    fn paths<R: Metadata>(
        mut self,
        paths: impl Iterator<Item = &'static str>,
        erased: &Erased,
        abandoned: Abandoned,
    ) -> Self {
        let Ok(method) = MethodFilter::try_from(R::METHOD) else {
            return self;
        };
        for path in paths {
            let erased = erased.clone();
            let counted = CountedAs(rate_of(&R::METHOD, path));
            let handler =
                move |State(server): State<Server>, args: RawPathParams, mut request: Request| {
                    request.extensions_mut().insert(counted);
                    let args = args.iter().map(|(_, value)| value.to_owned()).collect();
                    run(erased.clone(), server, request, args, abandoned)
                };
            self.router = self.router.route(&positional(path), on(method, handler));
        }
        self
    }

    /// The router itself, for routes that are no endpoints of ruma's.
    #[must_use]
    pub fn and(mut self, routes: impl FnOnce(Router<Server>) -> Router<Server>) -> Self {
        self.router = routes(self.router);
        self
    }

    /// All routes that were added.
    pub fn into_router(self) -> Router<Server> {
        self.router
    }
}

/// Forgets the types of a handler, so that everything around it is compiled once.
fn erase<R, F, A>(handler: F) -> Erased
where
    R: IncomingRequest + Metadata + Send + 'static,
    R::Authentication: Identified,
    F: Fn(Server, Call<R>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<R::OutgoingResponse>> + Send + 'static,
{
    Arc::new(move |server, request, args| {
        let handler = handler.clone();
        Box::pin(async move {
            match read::<R>(&server, request, &args).await {
                Ok(call) => {
                    let (pool, owner) = (server.blocking.clone(), call.owner());
                    let answer = async move { response(handler(server, call).await) };
                    pool.run(owner, answer).await
                }
                Err(error) => error_response(error),
            }
        })
    })
}

async fn read<R>(server: &Server, request: Request, args: &[String]) -> Result<Call<R>>
where
    R: IncomingRequest + Metadata,
    R::Authentication: Identified,
{
    let limit = server.config.listen.max_request_size.as_len();
    Call::read(server, request, args, limit).await
}

async fn run(
    erased: Erased,
    server: Server,
    request: Request,
    args: Vec<String>,
    abandoned: Abandoned,
) -> Response<Body> {
    let answer = watched(erased(server, request, args));
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
