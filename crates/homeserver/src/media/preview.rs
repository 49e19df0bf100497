//! Previews of links: the server looks at a page so that its users need not show themselves to it.
//!
//! Only pages that the configuration allows are asked, at addresses that it does not forbid, and every redirect is a new question.
//! What is read has a limit, and so has the time that all of it may take. Previews are remembered for a while.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url>

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{StatusCode, header};
use quick_cache::sync::Cache;
use ruma::{UserId, api::error::ErrorKind};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::{Media, Upload, opengraph, thumbnail};
use crate::{
    config::Outbound,
    error::{Error, Result},
    holder::Holder,
    limits::{
        PREVIEW_PICTURE_MAX_BYTES, PREVIEW_REDIRECTS_MAX, PREVIEW_TIMEOUT, PREVIEW_URL_MAX_BYTES,
        PREVIEWS_AT_ONCE, PREVIEWS_REMEMBERED,
    },
    outbound::GuardedHttpClient,
    permits::{HolderLimits, Permits},
};

/// How long a preview is remembered.
const PREVIEW_LIFE: Duration = Duration::from_hours(1);
/// How many of the pages that are asked at the same time are for one user: the others go on while its pages do not answer.
const PREVIEWS_SHARE: HolderLimits = HolderLimits {
    user: 2,
    appservice: 2,
};
/// All previews. Clones are the same.
#[derive(Clone, Debug)]
pub struct Previews {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    outbound: Outbound,
    http: GuardedHttpClient,
    media: Media,
    asking: Permits,
    known: Cache<String, (Instant, Value)>,
}

/// What an address answered.
struct Page {
    url: Url,
    content_type: String,
    bytes: Vec<u8>,
}

fn unreachable(reason: impl std::fmt::Display) -> Error {
    Error::refused(
        StatusCode::BAD_GATEWAY,
        ErrorKind::Unknown,
        format!("There is no preview of this address: {reason}"),
    )
}

impl Previews {
    /// Previews within these limits; their pictures become files.
    pub fn new(media: Media, outbound: &Outbound) -> Self {
        let inner = Inner {
            http: GuardedHttpClient::new(outbound),
            outbound: outbound.clone(),
            media,
            asking: Permits::new(PREVIEWS_AT_ONCE, PREVIEWS_SHARE),
            known: Cache::new(PREVIEWS_REMEMBERED),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What a page says about itself.
    ///
    /// # Errors
    ///
    /// 403 if the configuration does not allow it, 502 if the page cannot be had.
    pub async fn get(&self, user: &UserId, address: &str) -> Result<Value> {
        if address.len() > PREVIEW_URL_MAX_BYTES {
            return Err(Error::invalid(format!(
                "url too long (max {PREVIEW_URL_MAX_BYTES} bytes)"
            )));
        }
        let url = Url::parse(address).map_err(|_| Error::invalid("url is no address"))?;
        self.inner.allowed(&url)?;
        if let Some((at, preview)) = self.inner.known.get(address)
            && at.elapsed() < PREVIEW_LIFE
        {
            return Ok(preview);
        }
        let holder = Holder::User(user.to_owned());
        let _permit = self.inner.asking.acquire(&holder, 1).await?;
        let preview =
            tokio::time::timeout(PREVIEW_TIMEOUT, self.inner.fetch_preview(user, url)).await;
        let preview = preview.unwrap_or_else(|_| Err(unreachable("it takes too long")))?;
        let known = (Instant::now(), preview.clone());
        self.inner.known.insert(address.to_owned(), known);
        Ok(preview)
    }
}

impl Inner {
    fn allowed(&self, url: &Url) -> Result<()> {
        if self.outbound.allows_preview(url) {
            return Ok(());
        }
        Err(Error::forbidden(
            "The configuration of this server allows no preview of this address",
        ))
    }

    async fn fetch_preview(&self, user: &UserId, url: Url) -> Result<Value> {
        let page = self
            .fetch(url, self.outbound.url_preview_max_spider_size.as_len())
            .await?;
        if page.content_type.starts_with("image/") {
            // What was cut off is no picture: it is asked for again, whole.
            let mut preview = BTreeMap::new();
            self.picture(user, page.url, &mut preview).await;
            return Ok(json!(preview));
        }
        if !page.content_type.contains("html") {
            return Ok(json!({}));
        }
        let properties =
            opengraph::properties(&opengraph::decoded(&page.content_type, &page.bytes));
        let picture = properties
            .get("og:image")
            .and_then(|picture| page.url.join(picture).ok());
        let mut preview: BTreeMap<String, Value> = properties
            .into_iter()
            .filter(|(name, _)| !name.starts_with("og:image"))
            .map(|(name, value)| (name, value.into()))
            .collect();
        if let Some(picture) = picture {
            self.picture(user, picture, &mut preview).await;
        }
        Ok(json!(preview))
    }

    /// Keeps the picture as a file. A preview is worth something without it, too.
    async fn picture(&self, user: &UserId, url: Url, preview: &mut BTreeMap<String, Value>) {
        let Ok(page) = self.fetch(url, PREVIEW_PICTURE_MAX_BYTES).await else {
            return;
        };
        if !page.content_type.starts_with("image/") || page.bytes.len() >= PREVIEW_PICTURE_MAX_BYTES
        {
            return;
        }
        let (size, dimensions) = (page.bytes.len(), thumbnail::dimensions(&page.bytes));
        let upload = Upload::whole(page.bytes, Some(page.content_type.clone()));
        match self.media.upload(user, upload).await {
            Ok(uri) => {
                preview.insert("og:image".to_owned(), json!(uri));
                preview.insert("og:image:type".to_owned(), json!(page.content_type));
                preview.insert("matrix:image:size".to_owned(), json!(size));
                if let Some((width, height)) = dimensions {
                    preview.insert("og:image:width".to_owned(), json!(width));
                    preview.insert("og:image:height".to_owned(), json!(height));
                }
            }
            Err(Error::Refused(refusal)) => {
                tracing::debug!(
                    reason = refusal.message,
                    "the picture of a preview is not kept"
                );
            }
            Err(error) => tracing::error!(%error, "the picture of a preview cannot be kept"),
        }
    }

    /// The first bytes of what the address leads to.
    async fn fetch(&self, mut url: Url, max_bytes: usize) -> Result<Page> {
        for _ in 0..=PREVIEW_REDIRECTS_MAX {
            self.allowed(&url)?;
            let request = self.http.request(reqwest::Method::GET, &url);
            let response = self.http.send(request.map_err(unreachable)?).await;
            let response = response.map_err(unreachable)?;
            if !response.status().is_redirection() {
                return read(url, response, max_bytes).await;
            }
            let to = response.headers().get(header::LOCATION);
            let to = to.and_then(|to| to.to_str().ok());
            url = to
                .and_then(|to| url.join(to).ok())
                .ok_or_else(|| unreachable("it leads nowhere"))?;
        }
        Err(unreachable("it leads on and on"))
    }
}

async fn read(url: Url, response: reqwest::Response, max_bytes: usize) -> Result<Page> {
    let mut response = response
        .error_for_status()
        .map_err(|error| unreachable(error.without_url()))?;
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map_or_else(String::new, str::to_ascii_lowercase);
    let mut bytes = Vec::new();
    while bytes.len() < max_bytes {
        let chunk = response.chunk().await;
        let Some(chunk) = chunk.map_err(|error| unreachable(error.without_url()))? else {
            break;
        };
        bytes.extend_from_slice(&chunk[..chunk.len().min(max_bytes - bytes.len())]);
    }
    Ok(Page {
        url,
        content_type,
        bytes,
    })
}
