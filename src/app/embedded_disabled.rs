//! What stands in the place of the embedded homeserver in a build without it: nothing that could ever be.

use axum::Router;
use system::condition::StoreCondition;

use crate::{config::Config, workers::Tasks};

/// There is none. A configuration that asks for it is refused before.
pub(super) enum EmbeddedHomeserver {}

impl EmbeddedHomeserver {
    pub(super) async fn open(_: &mut Config, _: Option<&super::DemoUser>) -> anyhow::Result<Self> {
        anyhow::bail!("this program was built without the embedded homeserver")
    }

    pub(super) fn condition(&self) -> StoreCondition {
        match *self {}
    }

    pub(super) fn router(&self) -> Router {
        match *self {}
    }

    pub(super) fn address(&self) -> String {
        match *self {}
    }

    pub(super) async fn serve(
        &self,
        _: &Config,
        _: Router,
        _: Tasks,
    ) -> anyhow::Result<std::future::Ready<anyhow::Result<()>>> {
        match *self {}
    }

    pub(super) async fn greet(&self, _: &Config) {
        match *self {}
    }

    pub(super) async fn execute(&self, _: &[String]) -> anyhow::Result<()> {
        match *self {}
    }

    pub(super) async fn shut_down(&self) {
        match *self {}
    }

    pub(super) async fn failed(&self) -> &'static str {
        match *self {}
    }

    pub(super) async fn close(self) -> super::ExitAction {
        match self {}
    }
}
