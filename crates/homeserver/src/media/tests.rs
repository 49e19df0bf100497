//! Files through the API: what goes up comes down unchanged, harmless and small if asked.

mod files;
mod permits;
mod places;
mod previews;
mod quota;
mod ranges;
mod thumbnails;

use std::{io::Cursor, time::Duration};

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::testing::{TestServer, TestUser};

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.bytes).unwrap();
        body["errcode"].as_str().unwrap().to_owned()
    }
}

async fn ask(test: &TestServer, request: http::request::Builder, body: Vec<u8>) -> Answer {
    let request = request.body(Body::from(body)).unwrap();
    let response = test.server.router().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec();
    Answer {
        status,
        headers,
        bytes,
    }
}

fn request(who: &TestUser, method: Method, path: &str) -> http::request::Builder {
    let token = format!("Bearer {}", who.token);
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, token)
}

async fn get(test: &TestServer, who: &TestUser, path: &str) -> Answer {
    let path = format!("/_matrix/client/v1/media/{path}");
    ask(test, request(who, Method::GET, &path), Vec::new()).await
}

/// Uploads a file, and gives its `server/id`.
async fn upload(test: &TestServer, who: &TestUser, kind: &str, bytes: Vec<u8>) -> String {
    let path = "/_matrix/media/v3/upload?filename=a%20file.bin";
    let request = request(who, Method::POST, path).header(header::CONTENT_TYPE, kind);
    let answer = ask(test, request, bytes).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
    body["content_uri"]
        .as_str()
        .unwrap()
        .replacen("mxc://", "", 1)
}

fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7])
    });
    DynamicImage::ImageRgb8(picture)
        .write_to(&mut Cursor::new(&mut bytes), format)
        .unwrap();
    bytes
}
