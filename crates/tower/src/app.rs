//! What can be served: a service, or what makes services, with its type forgotten.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use stead_core::{Handler, LocalKeys};
use tokio::runtime::Handle;
use tower_service::Service;

use crate::outside::Outside;
use crate::service::{Make, Many, One, ServiceHandler};
use crate::shared::lock;
use crate::{Body, BoxError};

/// A service that can stand in a route, its type forgotten. Whatever takes services takes an `App`
/// too; one is made by hand only to run a service elsewhere ([`App::on_runtime`]).
///
/// ```
/// # use stead_tower as stead;
/// # use stead::{Body, BoxError};
/// # async fn hello(_: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
/// #     Ok(http::Response::new("hello".into()))
/// # }
/// use stead::App;
///
/// let app = App::new(tower::service_fn(hello));
/// let same = app.clone();
/// ```
#[derive(Clone)]
pub struct App(Arc<dyn Prototype>);

/// What a service learns of where it stands.
pub struct Facts<'a> {
    /// Hands out the places of worker-local state.
    pub keys: &'a LocalKeys,
    /// The route's name in the log.
    pub route: &'a str,
}

impl App {
    /// A service that runs on Stead's workers, beside the connections: its futures need not be
    /// `Send`, and one that computes for long keeps its neighbours waiting.
    ///
    /// ```
    /// # use stead_tower as stead;
    /// use stead::{App, Body, BoxError};
    ///
    /// async fn hello(_: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
    ///     Ok(http::Response::new("hello".into()))
    /// }
    ///
    /// let app = App::new(tower::service_fn(hello));
    /// ```
    pub fn new<A: IntoApp<M>, M>(service: A) -> Self {
        service.into_app()
    }

    /// A service that runs on a tokio runtime of the caller's, body included. For services that
    /// compute for long, or that share state with tasks of that runtime.
    ///
    /// ```
    /// # use stead_tower as stead;
    /// # use stead::{App, Body, BoxError};
    /// # async fn report(_: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
    /// #     Ok(http::Response::new("much work".into()))
    /// # }
    /// # fn example(runtime: tokio::runtime::Handle) {
    /// let app = App::on_runtime(tower::service_fn(report), runtime);
    /// # }
    /// ```
    pub fn on_runtime<S, B>(service: S, runtime: Handle) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data: Send> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(One(Outside::new(service, runtime)))
    }

    fn of<M: Make>(make: M) -> Self {
        Self(Arc::new(Mutex::new(make)))
    }

    /// The handler of one route.
    pub fn handler(&self, facts: &Facts<'_>) -> Box<dyn Handler> {
        self.0.handler(facts)
    }
}

/// Makes handlers out of a service of some type.
trait Prototype: Send + Sync {
    fn handler(&self, facts: &Facts<'_>) -> Box<dyn Handler>;
}

/// A service need not be `Sync`: the lock is taken once a worker.
impl<M: Make> Prototype for Mutex<M> {
    fn handler(&self, facts: &Facts<'_>) -> Box<dyn Handler> {
        let make = lock(self).clone();
        Box::new(ServiceHandler::new(make, facts))
    }
}

/// What Stead can serve:
///
/// - a service that takes `Request<Body>` and gives a `Response` with any body: axum's `Router` and
///   `MethodRouter`, anything of `tower`;
/// - what makes such a service out of the peer's address: axum's
///   `into_make_service_with_connect_info::<SocketAddr>()` and `into_make_service()`. It is asked
///   once a request;
/// - an [`App`].
///
/// `Marker` tells these apart; it is always inferred.
///
/// ```
/// # use stead_tower as stead;
/// use stead::{App, Body, BoxError, IntoApp};
///
/// fn named<M>(name: &str, service: impl IntoApp<M>) -> (String, App) {
///     (name.to_owned(), service.into_app())
/// }
///
/// async fn hello(_: http::Request<Body>) -> Result<http::Response<Body>, BoxError> {
///     Ok(http::Response::new("hello".into()))
/// }
///
/// let (name, app) = named("hello", tower::service_fn(hello));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that Stead can serve",
    label = "no service of `Request<stead::Body>` that is `Clone + Send + 'static`",
    note = "a `Router` whose state is missing becomes a service by `.with_state(…)`",
    note = "a function is served as `tower::service_fn(function)` or through a `Router`"
)]
pub trait IntoApp<Marker> {
    /// Forgets the type.
    fn into_app(self) -> App;
}

/// Marks a service whose answers have bodies of type `B`.
pub struct OfService<B>(std::marker::PhantomData<fn() -> B>);
/// Marks what makes services of type `S`, whose answers have bodies of type `B`.
pub struct OfMake<S, B>(std::marker::PhantomData<fn() -> (S, B)>);
/// Marks an [`App`].
pub struct OfApp(());

impl<S, B> IntoApp<OfService<B>> for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    fn into_app(self) -> App {
        App::of(One(self))
    }
}

impl<M, S, B> IntoApp<OfMake<S, B>> for M
where
    M: Service<SocketAddr, Response = S> + Clone + Send + 'static,
    M::Error: Into<BoxError>,
    S: Service<Request<Body>, Response = Response<B>> + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    fn into_app(self) -> App {
        App::of(Many(self))
    }
}

impl IntoApp<OfApp> for App {
    fn into_app(self) -> App {
        self
    }
}
