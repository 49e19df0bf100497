//! Pictures made small, and pictures that are made to harm.

use super::*;

#[tokio::test]
async fn thumbnails_have_the_sizes_of_the_specification() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    for (format, kind, thumbnail_kind) in [
        (ImageFormat::Png, "image/png", "image/png"),
        (ImageFormat::Jpeg, "image/jpeg", "image/jpeg"),
        (ImageFormat::Gif, "image/gif", "image/png"),
        (ImageFormat::WebP, "image/webp", "image/png"),
    ] {
        let file = upload(&test, &alice, kind, picture(1000, 500, format)).await;
        for (query, size) in [
            ("width=20&height=30&method=crop", (32, 32)),
            ("width=96&height=96&method=crop", (96, 96)),
            ("width=300&height=200&method=scale", (320, 160)),
            ("width=5000&height=5000", (800, 400)),
        ] {
            // The second time it comes from disk.
            for _ in 0..2 {
                let small = get(&test, &alice, &format!("thumbnail/{file}?{query}")).await;
                assert_eq!(small.status, StatusCode::OK, "{kind} {query}");
                assert_eq!(small.header("content-type"), thumbnail_kind);
                assert!(small.header("content-disposition").starts_with("inline"));
                let small = image::load_from_memory(&small.bytes).unwrap();
                assert_eq!((small.width(), small.height()), size, "{kind} {query}");
            }
        }
    }
    let tiny = picture(10, 10, ImageFormat::Png);
    let file = upload(&test, &alice, "image/png", tiny.clone()).await;
    let same = get(
        &test,
        &alice,
        &format!("thumbnail/{file}?width=96&height=96"),
    )
    .await;
    assert_eq!(same.bytes, tiny);
}

/// A PNG that says it is huge, in a few bytes.
fn bomb() -> Vec<u8> {
    let mut bytes = picture(4, 4, ImageFormat::Png);
    bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &bytes[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_hostile_picture_is_refused_and_still_a_file() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let whole = picture(500, 500, ImageFormat::Png);
    for (bytes, status, code) in [
        (bomb(), StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"),
        (
            whole[..whole.len() / 2].to_vec(),
            StatusCode::BAD_REQUEST,
            "M_UNKNOWN",
        ),
        (b"no picture".to_vec(), StatusCode::BAD_REQUEST, "M_UNKNOWN"),
        (Vec::new(), StatusCode::BAD_REQUEST, "M_UNKNOWN"),
    ] {
        let file = upload(&test, &alice, "image/png", bytes.clone()).await;
        let refused = get(
            &test,
            &alice,
            &format!("thumbnail/{file}?width=96&height=96"),
        )
        .await;
        assert_eq!((refused.status, &*refused.code()), (status, code));
        assert_eq!(
            get(&test, &alice, &format!("download/{file}")).await.bytes,
            bytes
        );
    }
    let file = upload(&test, &alice, "image/png", whole).await;
    for thin in [(200_000, 1), (1, 200_000)] {
        let thin = picture(thin.0, thin.1, ImageFormat::Png);
        let thin = upload(&test, &alice, "image/png", thin).await;
        for (fit, area) in [("crop", 96 * 96), ("scale", 96)] {
            let path = format!("thumbnail/{thin}?width=96&height=96&method={fit}");
            let small = get(&test, &alice, &path).await;
            let small = image::load_from_memory(&small.bytes).unwrap();
            assert_eq!(small.width() * small.height(), area);
        }
    }
    let drawing = upload(&test, &alice, "image/svg+xml", b"<svg/>".to_vec()).await;
    let path = format!("thumbnail/{drawing}?width=96&height=96");
    let as_it_is = get(&test, &alice, &path).await;
    assert_eq!(as_it_is.bytes, b"<svg/>");
    assert!(
        as_it_is
            .header("content-disposition")
            .starts_with("attachment")
    );
    let nothing = get(&test, &alice, &format!("thumbnail/{file}?width=0&height=9")).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
}
