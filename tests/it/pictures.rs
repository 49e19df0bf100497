//! People show agents pictures and files, and reply to what was said: what of that reaches Letta, and what the room hears.

use std::io::Cursor;

use image::{
    DynamicImage, Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder},
};
use serde_json::{Value, json};

use crate::approvals::hears;
use crate::support::person::Person;
use crate::support::world::{SOON, World};

/// A picture that is not the same everywhere.
pub fn picture(width: u32, height: u32) -> RgbImage {
    let mut state = 1_u32;
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = |at: u32| u8::try_from(at % 200).unwrap() + state.to_be_bytes()[0] % 50;
        Rgb([value(x / 8), value(y / 8), value(x + y)])
    })
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(picture(width, height));
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Uploads a file and sends it; gives its event id. `caption`: what is said of it.
pub async fn show(
    person: &Person,
    room: &str,
    (msgtype, name, mimetype): (&str, &str, &str),
    bytes: &[u8],
    caption: &str,
) -> String {
    let url = person.upload(bytes, mimetype).await;
    let mut content = json!({
        "msgtype": msgtype, "body": name, "url": url,
        "info": { "mimetype": mimetype, "size": bytes.len() },
    });
    if !caption.is_empty() {
        content["filename"] = name.into();
        content["body"] = caption.into();
    }
    person.send(room, content).await
}

/// What the agent has answered to an event, once it contains these words.
async fn answered(world: &World, room: &str, event: &str, words: &str) -> String {
    let answer = world
        .alice
        .wait_for_answer(room, event, SOON, |text| text.contains(words))
        .await;
    answer.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_every_kind_reach_the_agent() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let alice = &world.alice;
    let image = |name, mimetype| ("m.image", name, mimetype);

    let red = png(40, 30);
    let shown = show(
        alice,
        &room,
        image("red.png", "image/png"),
        &red,
        "pictures:",
    )
    .await;
    let told = answered(&world, &room, &shown, "pictures: ").await;
    assert_eq!(told, format!("pictures: image/png, {} bytes", red.len()));
    let seen = world.letta.demo.pictures();
    assert_eq!(seen.last().map(|image| &*image.bytes), Some(&*red));

    // 12 megapixels, scaled.
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 90);
    picture(4_000, 3_000).write_with_encoder(encoder).unwrap();
    let shown = show(
        alice,
        &room,
        image("big.jpg", "image/jpeg"),
        &jpeg,
        "pictures:",
    )
    .await;
    answered(&world, &room, &shown, "pictures: image/jpeg").await;
    let seen = world.letta.demo.pictures();
    let scaled = image::load_from_memory(&seen.last().expect("a picture").bytes).unwrap();
    assert_eq!((scaled.width(), scaled.height()), (2_000, 1_500));

    let mut gif = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut gif);
        for color in [[255, 0, 0, 255], [0, 0, 255, 255]] {
            let frame = RgbaImage::from_pixel(20, 10, Rgba(color));
            encoder.encode_frame(Frame::new(frame)).unwrap();
        }
    }
    let shown = show(alice, &room, image("a.gif", "image/gif"), &gif, "pictures:").await;
    answered(&world, &room, &shown, "pictures: image/png").await;

    // A sticker has no caption: the agent says what it was told.
    let url = alice.upload(&red, "image/png").await;
    let sticker = json!({ "body": "a cat waves", "url": url, "info": { "mimetype": "image/png" } });
    alice.send_of("m.sticker", &room, sticker).await;
    hears(&world.alice, &room, "[sticker: a cat waves]").await;
    assert_eq!(world.letta.demo.pictures().len(), 4);

    // Broken: described, and who has sent it is told.
    let cut = &red[..red.len() / 2];
    let shown = show(alice, &room, image("cut.png", "image/png"), cut, "").await;
    let told = answered(&world, &room, &shown, "[image: cut.png]").await;
    assert!(told.contains("it cannot be shown to you"), "{told}");
    hears(&world.alice, &room, "[PICTURE_UNREADABLE]").await;
    let shown = show(
        alice,
        &room,
        image("bomb.png", "image/png"),
        &bomb(&red),
        "",
    )
    .await;
    answered(&world, &room, &shown, "too many pixels").await;
    hears(&world.alice, &room, "50000 times 50000 pixels").await;
    assert_eq!(world.letta.demo.pictures().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_pictures_and_the_words_about_them_are_one_question() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let red = png(40, 30);
    for name in ["1.png", "2.png"] {
        let image = ("m.image", name, "image/png");
        show(&world.alice, &room, image, &red, "").await;
    }
    world.alice.say(&room, "pictures:").await;
    let size = red.len();
    let both = format!("pictures: image/png, {size} bytes; image/png, {size} bytes");
    hears(&world.alice, &room, &both).await;
    assert_eq!(world.letta.runs(), 1);
}

/// A PNG that says that it has 2.5 gigapixels.
fn bomb(png: &[u8]) -> Vec<u8> {
    let mut bytes = png.to_vec();
    for at in [16, 20] {
        bytes[at..at + 4].copy_from_slice(&50_000_u32.to_be_bytes());
    }
    let mut sum = u32::MAX;
    for byte in &bytes[12..29] {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ ((sum & 1) * 0xedb8_8320);
        }
    }
    bytes[29..33].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn text_file_is_read_and_a_reply_says_what_it_is_about() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let alice = &world.alice;
    let code = b"fn main() {\n    // ```\n}\n";
    let file = ("m.file", "main.rs", "application/octet-stream");
    let shown = show(alice, &room, file, code, "").await;
    let told = answered(&world, &room, &shown, "[file: main.rs").await;
    assert!(
        told.contains("[file: main.rs, application/octet-stream, 25 bytes]"),
        "{told}"
    );
    assert!(told.contains("fn main() {"), "{told}");
    let file = ("m.file", "a.pdf", "application/pdf");
    let shown = show(alice, &room, file, b"%PDF-1.7\n\xff\xff", "").await;
    let pdf = answered(&world, &room, &shown, "[file: a.pdf").await;
    assert!(
        pdf.contains("what is in this file is not passed on"),
        "{pdf}"
    );

    let first = alice.say(&room, "the first thing").await;
    answered(&world, &room, &first, "the first thing").await;
    let next = alice.say(&room, "say: the second thing").await;
    answered(&world, &room, &next, "the second thing").await;
    // What was said just now needs no quote; what was said before does.
    let last = world.settled(&room).await;
    let answer = last.timeline.last().expect("the answer").event_id.clone();
    let reply = alice.reply(&room, &answer, "and this?").await;
    let told = answered(&world, &room, &reply, "and this?").await;
    assert!(!told.contains("in reply to"), "{told}");
    let reply = alice.reply(&room, &first, "and this one?").await;
    let told = answered(&world, &room, &reply, "and this one?").await;
    let whom = format!("in reply to {} of ", alice.user_id);
    assert!(
        told.contains(&whom) && told.contains("\"the first thing\""),
        "{told}"
    );
    let reply = alice.reply(&room, "$nothing:letta.test", "and what?").await;
    let told = answered(&world, &room, &reply, "and what?").await;
    assert!(!told.contains("in reply to"), "{told}");
}

/// A double of a transcription server: it hears how many bytes there are, and refuses what is no Ogg.
async fn transcription_server() -> String {
    let listen = |body: axum::body::Bytes| async move {
        let at = body.windows(4).position(|window| window == b"OggS");
        let form = String::from_utf8_lossy(&body).into_owned();
        match at {
            Some(_) if form.contains("whisper-test") => {
                let text = "say: I have heard you";
                Ok(axum::Json(json!({ "text": text })))
            }
            _ => Err(http::StatusCode::BAD_REQUEST),
        }
    };
    let route = axum::routing::post(listen);
    let router = axum::Router::new().route("/v1/audio/transcriptions", route);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_message_is_answered_as_if_it_were_written() {
    let url = transcription_server().await;
    let world = World::plan()
        .with("TRANSCRIPTION__URL", &url)
        .with("TRANSCRIPTION__MODEL", "whisper-test")
        .start()
        .await;
    let (_, room) = world.first_room().await;
    let voice = ("m.audio", "Voice message.ogg", "audio/ogg");
    let said = show(&world.alice, &room, voice, b"OggS\0\x02 OpusHead", "").await;
    let told = answered(&world, &room, &said, "heard").await;
    assert_eq!(told, "I have heard you");
    let said = show(&world.alice, &room, voice, b"RIFF", "").await;
    let told = answered(&world, &room, &said, "[audio: Voice message.ogg").await;
    assert!(told.contains("it could not be turned into text"), "{told}");
    hears(&world.alice, &room, "[TRANSCRIPTION_FAILED]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_model_that_takes_no_pictures_the_room_hears_once() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    world
        .letta
        .demo
        .set_faults(|faults| faults.no_pictures = true);
    let image = ("m.image", "red.png", "image/png");
    for turn in ["one", "two"] {
        let red = png(8, 8);
        let shown = show(&world.alice, &room, image, &red, turn).await;
        let told = answered(&world, &room, &shown, turn).await;
        assert!(told.contains("your model takes no pictures"), "{told}");
    }
    let seen = world.settled(&room).await;
    let heard: Vec<&Value> = seen
        .timeline
        .iter()
        .filter(|entry| entry.says("[NO_PICTURES]"))
        .map(|entry| &entry.content)
        .collect();
    assert_eq!(heard.len(), 1, "{seen}");
    // The model was asked twice about the first, and once about the second.
    assert_eq!(world.letta.runs(), 3);
}
