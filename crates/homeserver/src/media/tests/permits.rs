//! Permits for thumbnails: no file is open or read without one, and it is released by the work, not by the client.

use std::{fs, path::PathBuf};

use futures_util::future::join_all;

use super::*;
use crate::{holder::Holder, http::tests::sockets::until, limits::THUMBNAILS_AT_ONCE};

/// How many ask for a thumbnail at the same time.
const REQUESTS: usize = 50;

/// The file of an upload on disk.
fn path_of(test: &TestServer, file: &str) -> PathBuf {
    let id = file.rsplit('/').next().unwrap();
    let folder = test.server.config.database.database_path.join("media");
    folder.join(&id[..2]).join(id)
}

/// How often this process has the file open.
fn open(path: &std::path::Path) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| target == path).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_not_opened_before_their_permit() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let file = upload(
        &test,
        &alice,
        "image/png",
        picture(900, 700, ImageFormat::Png),
    )
    .await;
    let path = path_of(&test, &file);
    assert!(path.exists(), "{}", path.display());
    let thumbnails = &test.server.media.inner.thumbnails;
    let mut turns = Vec::new();
    for number in 0..THUMBNAILS_AT_ONCE {
        let holder = Holder::Appservice(number.to_string());
        turns.push(thumbnails.acquire(&holder, 1).await.unwrap());
    }
    let asked = format!("thumbnail/{file}?width=96&height=96");
    let mut requests = join_all((0..REQUESTS).map(|_| get(&test, &alice, &asked)));
    tokio::select! {
        _ = &mut requests => panic!("they were answered without a permit"),
        () = until(|| thumbnails.waiting() == REQUESTS) => {}
    }
    assert_eq!(open(&path), 0);
    drop(turns);
    for answer in requests.await {
        assert_eq!(answer.status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_has_a_share_of_the_permits() {
    let test = TestServer::start().await;
    let (greedy, other) = (test.person("greedy").await, test.person("other").await);
    let file = upload(
        &test,
        &greedy,
        "image/png",
        picture(900, 700, ImageFormat::Png),
    )
    .await;
    let thumbnails = &test.server.media.inner.thumbnails;
    let holder = Holder::User(greedy.user_id.clone());
    let held = thumbnails.acquire(&holder, 1).await.unwrap();
    assert!(thumbnails.available() > 0, "only the share is taken");
    let asked = format!("thumbnail/{file}?width=96&height=96");
    let mut waits = Box::pin(get(&test, &greedy, &asked));
    tokio::select! {
        _ = &mut waits => panic!("one more than the share was answered"),
        () = until(|| thumbnails.waiting() == 1) => {}
    }
    assert_eq!(get(&test, &other, &asked).await.status, StatusCode::OK);
    drop(held);
    assert_eq!(waits.await.status, StatusCode::OK);
}

/// Work that is under way keeps its permit although nobody waits for it any more.
#[test]
fn abandoned_picture_keeps_its_permit_until_the_thread_is_done() {
    // One thread for all that blocks, which the test can keep busy.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let test = TestServer::start().await;
        let alice = test.person("alice").await;
        let file = upload(
            &test,
            &alice,
            "image/png",
            picture(900, 700, ImageFormat::Png),
        )
        .await;
        let id = file.rsplit('/').next().unwrap();
        let (size, holder) = (
            crate::media::Size::rounded(96, 96, crate::media::Fit::Scale),
            Holder::User(alice.user_id.clone()),
        );
        let thumbnails = &test.server.media.inner.thumbnails;
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || finished.recv());
        // Not through the router: its handlers are polled on the thread that is busy.
        let patience = Duration::ZERO;
        let media = &test.server.media;
        let mut request = Box::pin(media.thumbnail(id, size, patience, &holder));
        tokio::select! {
            _ = &mut request => panic!("it was answered"),
            () = until(|| thumbnails.available() < THUMBNAILS_AT_ONCE) => {}
        }
        drop(request);
        assert_eq!(thumbnails.available(), THUMBNAILS_AT_ONCE - 1);
        finish.send(()).unwrap();
        busy.await.unwrap().unwrap();
        until(|| thumbnails.available() == THUMBNAILS_AT_ONCE).await;
    });
}
