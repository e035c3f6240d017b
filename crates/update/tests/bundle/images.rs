//! Images, from where they lie to where they go.

use crate::repository::NOW;
use crate::world::*;
use model::Reason;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read};
use update::bundle::{BadBundle, CheckedReader, Chosen, Kept, Statement, VerifiedImage, collect, follow};

#[test]
fn an_image_that_was_exchanged_in_the_vault() {
    let mut world = World::alone();
    let mut stored = world.make();
    stored.images.insert("gateway-1.img".into(), b"software of a Gateway".to_vec());
    assert_eq!(world.flash(&stored, "gateway"), Err(BadBundle::ImageMismatch("gateway-1.img".into())));
    stored.images.insert("gateway-1.img".into(), [GATEWAY, b"!"].concat());
    assert_eq!(world.flash(&stored, "gateway"), Err(BadBundle::ImageTooLong("gateway-1.img".into())));
    stored.images.insert("gateway-1.img".into(), GATEWAY[1..].to_vec());
    assert_eq!(world.flash(&stored, "gateway"), Err(BadBundle::ImageMismatch("gateway-1.img".into())));
}
/// What a box chooses that follows a repository which announces [`GATEWAY`].
fn chosen() -> Chosen {
    let mut world = World::alone();
    let inventory = world.inventory();
    match follow(&inventory, NOW, &mut world.images, world.director.as_mut()) {
        Ok(chosen) => chosen.into_iter().find(|chosen| chosen.target().name() == "gateway-1.img").unwrap(),
        Err(_) => panic!("the repository cannot be followed"),
    }
}
/// An image that flows by, as it does at sm on its way into the vault.
#[track_caller]
fn flow(image: &[u8], expected: Result<(), fn(String) -> BadBundle>) {
    let expected = expected.map_err(|bad| bad("gateway-1.img".into()));
    assert_eq!(CheckedReader::new(image, chosen()).read_through().map(|_| ()), expected);
    // The same, passed on.
    let mut checked = CheckedReader::new(image, chosen());
    let read = checked.read_to_end(&mut Vec::new());
    assert_eq!(read.is_err(), matches!(expected, Err(BadBundle::ImageTooLong(_))));
    assert_eq!(checked.finish().map(|_| ()), expected);
}

#[test]
fn the_image_that_was_announced() {
    flow(GATEWAY, Ok(()));
}
#[test]
fn an_image_with_one_octet_more() {
    flow(&[GATEWAY, b"!"].concat(), Err(BadBundle::ImageTooLong));
}
#[test]
fn an_image_with_one_octet_less() {
    flow(&GATEWAY[1..], Err(BadBundle::ImageMismatch));
}
#[test]
fn no_image() {
    flow(b"", Err(BadBundle::ImageMismatch));
}
#[test]
fn another_image_of_the_same_length() {
    flow(b"Software of a gateway", Err(BadBundle::ImageMismatch));
}
#[test]
fn an_endless_image_is_read_to_one_octet_more() {
    let mut source = std::io::repeat(7).take(1 << 40);
    let checked = CheckedReader::new(&mut source, chosen()).read_through().map(|_| ());
    assert_eq!(checked, Err(BadBundle::ImageTooLong("gateway-1.img".into())));
    assert_eq!((1 << 40) - source.limit(), GATEWAY.len() as u64 + 1);
}
#[test]
fn an_image_that_cannot_be_read() {
    struct Broken(ErrorKind);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
    }
    let read = |kind| CheckedReader::new(GATEWAY[..7].chain(Broken(kind)), chosen()).read_through().map(|_| ());
    assert_eq!(read(ErrorKind::Other), Err(BadBundle::ImageUnreadable("gateway-1.img".into())));
    assert_eq!(read(ErrorKind::InvalidData), Err(BadBundle::ImageMismatch("gateway-1.img".into())), "altered at rest");
}

/// More than is held back at the end.
static LONG: [u8; 200_000] = [9; 200_000];

/// Reads a verified image for a device, from a store that gives something else the second time: how much comes out?
fn reread(announced: &'static [u8], stored: &[u8]) -> (usize, bool) {
    let mut world = World::with(announced);
    let made = world.make();
    let release = world.verify(&made).unwrap().release(&kind("gateway")).unwrap();
    let verified: VerifiedImage = release.verify_image(announced).unwrap();
    let (mut out, mut reader) = (Vec::new(), verified.reader(stored));
    let whole = reader.read_to_end(&mut out).is_ok();
    assert!(whole || reader.read(&mut [0; 9]).is_err(), "a reader that failed stays so");
    assert_eq!(out, announced[..out.len()].to_vec());
    (out.len(), whole)
}

#[test]
fn a_verified_image_is_read_whole() {
    for len in [1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        assert_eq!(reread(&LONG[..len], &LONG[..len]), (len, true));
    }
}
#[test]
fn an_image_altered_since_it_was_verified_never_comes_out_whole() {
    let mut altered = LONG.to_vec();
    altered[199_999] = 8;
    assert_eq!(reread(&LONG, &altered), (200_000 - 65_536, false));
    assert_eq!(reread(&LONG, &LONG[..199_999]), (200_000 - 65_536, false));
    assert_eq!(reread(&LONG, &[&LONG[..], b"!"].concat()), (200_000 - 65_536, false));
    assert_eq!(reread(&LONG, &LONG[..100_000]), (100_000, false));
}
#[test]
fn an_image_of_nothing_is_not_announced() {
    assert_eq!(update::Image::measure(&mut std::io::empty()), Err(update::BadRelease::BadLength));
}

/// Whoever has sm's key says something else of the images than upstream does.
#[track_caller]
fn said_otherwise(change: impl FnOnce(&mut Value)) {
    let mut world = World::alone();
    let stored = world.make();
    let mut images = stored.images_said();
    change(&mut images);
    let forged = stored.forged(&stored.files(), &images);
    refused(&mut world, &forged, &BadBundle::OtherImages, Reason::UpstreamSignature);
}
#[test]
fn the_manifest_says_nothing_that_the_metadata_does_not_say() {
    said_otherwise(|images| images[0]["device_types"] = json!(["gateway", "sensor.a"]));
    said_otherwise(|images| images[0]["counter"] = json!(7));
    said_otherwise(|images| images[0]["length"] = json!(7));
    said_otherwise(|images| images[0]["path"] = json!("elsewhere"));
    said_otherwise(|images| images[0]["target"] = json!("a.img"));
    said_otherwise(|images| *images = json!([images[0]]));
    said_otherwise(|images| *images = json!([]));
}
#[test]
fn images_are_not_exchanged_by_the_manifest() {
    let mut world = World::alone();
    let stored = world.make();
    let mut images = stored.images_said();
    images[0]["sha256"] = json!(x509::sha256(SENSOR));
    let mut forged = stored.forged(&stored.files(), &images);
    assert_eq!(world.flash(&forged, "gateway"), Err(BadBundle::OtherImages));
    forged.images.insert("gateway-1.img".into(), SENSOR.to_vec());
    assert_eq!(world.flash(&forged, "gateway"), Err(BadBundle::ImageMismatch("gateway-1.img".into())));
}
#[test]
fn a_type_that_the_box_has_only_now_has_no_release_yet() {
    let mut world = World::alone();
    let stored = world.make();
    assert_eq!(world.flash(&stored, "sensor.b"), Ok(None));
    let text = String::from_utf8(stored.octets.clone()).unwrap();
    // Whoever has sm's key says that the box had it: there is a release, and the manifest has none.
    let octets = text.replacen(r#""sensor.a"],"files""#, r#""sensor.a","sensor.b"],"files""#, 1).into_bytes();
    let line = octets.split(|c| *c == b'\n').next().unwrap();
    let statement = Statement { bundle: x509::sha256(line), ..stored.statement.clone().unwrap() };
    let forged = Stored { statement: Some(statement), octets, ..stored };
    refused(&mut world, &forged, &BadBundle::OtherImages, Reason::UpstreamSignature);
}
#[test]
fn a_bundle_has_all_images_that_were_chosen_and_no_other() {
    let mut world = World::alone();
    let stored = world.make();
    let inventory = world.inventory();
    let chosen = follow(&inventory, NOW, &mut world.images, None).unwrap();
    let again = |skip: usize| {
        let kept: Kept = world.images.kept.clone();
        let collected = collect(&inventory, NOW, world.roots(), &kept, None).unwrap();
        let octets = |c: &update::bundle::Chosen| stored.images[c.target().name()].clone();
        let checked =
            chosen.iter().skip(skip).map(|c| CheckedReader::new(octets(c).as_slice(), c.clone()).read_through());
        collected.close(checked.collect::<Result<_, _>>().unwrap()).map(|made| made.octets().to_vec())
    };
    assert_eq!(again(0), Ok(stored.octets.clone()));
    assert_eq!(again(1), Err(BadBundle::OtherImages));
}
