//! Somebody changes what lies in the data directory: a stored release, the database that names it, compiled code. It is
//! refused and named, and the last good release runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use patrol_tests::deployment::operator;
use patrol_tests::maker::Maker;
use patrol_tests::wasm;
use serde_json::Value;

use crate::activation::{component, events, running, staged};

/// Where each part of a release file is.
struct Parts {
    manifest: usize,
    signer: usize,
    signature: usize,
    component: usize,
}

fn parts(file: &[u8]) -> Parts {
    let length = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let manifest = b"patrol-release-1\n".len() + 4;
    let signer = manifest + length(manifest - 4) + 4;
    assert_eq!(length(signer - 4), 32 + 64);
    Parts {
        manifest,
        signer,
        signature: signer + 32,
        component: signer + 32 + 64 + 4,
    }
}

type Change = Box<dyn Fn(&mut Vec<u8>)>;

/// Every way to change a release file, by what it is called.
fn changes(file: &[u8]) -> Vec<(&'static str, Change)> {
    let flip = |at: usize| -> Change { Box::new(move |bytes| bytes[at] ^= 1) };
    let Parts {
        manifest,
        signer,
        signature,
        component,
    } = parts(file);
    let version = manifest
        + file[manifest..]
            .windows(9)
            .position(|text| text == b"version =")
            .unwrap();
    vec![
        ("the first line", flip(3)),
        ("the manifest's length", flip(manifest - 1)),
        ("the manifest", flip(version + 11)),
        ("the signature's length", flip(signer - 1)),
        ("the signer's key", flip(signer + 5)),
        ("the signature", flip(signature + 40)),
        ("the component's length", flip(component - 1)),
        ("the component's head", flip(component)),
        ("the component", flip(component + (file.len() - component) / 2)),
        ("the last byte", flip(file.len() - 1)),
        ("cut short", Box::new(|bytes| bytes.truncate(bytes.len() - 1))),
        ("longer", Box::new(|bytes| bytes.push(0))),
        ("empty", Box::new(Vec::clear)),
    ]
}

fn stored(maker: &Maker, id: &str) -> PathBuf {
    maker.program.data().join("releases").join(format!("{id}.patrol"))
}

/// What was said on standard error by this.
fn said_by<T>(maker: &Maker, act: impl FnOnce() -> T) -> (T, String) {
    let before = maker.program.said().len();
    let done = act();
    (done, maker.program.said().split_off(before))
}

#[test]
fn a_stored_release_that_was_altered_anywhere_is_neither_activated_nor_run() {
    let (maker, ids) = staged(2);
    maker.program.json(&["policy", "activate", &ids[0]]);
    let path = stored(&maker, &ids[1]);
    let good = fs::read(&path).unwrap();
    let (first, second) = (component(&maker, &ids[0]), component(&maker, &ids[1]));

    // Before it is activated: nothing changes.
    for (what, change) in changes(&good) {
        let mut altered = good.clone();
        change(&mut altered);
        fs::write(&path, altered).unwrap();
        let said = maker.judge(&["policy", "activate", &ids[1]]).expect(what);
        assert!(
            said.contains("(digest)") && said.contains("was altered") && said.contains(&ids[1]),
            "{what}: {said}"
        );
    }
    fs::remove_file(&path).unwrap();
    let said = maker.judge(&["policy", "activate", &ids[1]]).unwrap();
    assert!(
        said.contains("cannot be read") && said.contains("stage the release again"),
        "{said}"
    );
    assert_eq!(events(&maker, "activate_policy"), 1);
    assert_eq!(running(&maker), first);

    // After: the one before it runs, and that is said.
    fs::write(&path, &good).unwrap();
    maker.program.json(&["policy", "activate", &ids[1]]);
    for (what, change) in changes(&good) {
        let mut altered = good.clone();
        change(&mut altered);
        fs::write(&path, altered).unwrap();
        let (runs, said) = said_by(&maker, || running(&maker));
        assert_eq!(runs, first, "{what}");
        assert!(
            said.contains("was altered") && said.contains(&ids[1]),
            "{what}: {said}"
        );
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(running(&maker), second);
}

/// Whoever can write to the database can name another file, and give it the right name; not sign it.
#[test]
fn a_release_that_was_put_in_anothers_place_is_not_run() {
    let (maker, ids) = staged(1);
    let built_in = running(&maker);
    maker.program.json(&["policy", "activate", &ids[0]]);
    let active = component(&maker, &ids[0]);
    assert_ne!(active, built_in);

    maker.key("stranger.key");
    let stranger = maker.path("stranger.key");
    let strange = maker.release(9, &["--key", stranger.to_str().unwrap()]);
    let unsigned = maker.release(8, &["--unsigned"]);
    for (file, says) in [
        (strange, "not among `[policy] trusted_keys`"),
        (unsigned, "it is not signed"),
    ] {
        let run = maker.program.run(&["policy", "inspect", file.to_str().unwrap()]);
        let shown: Value = serde_json::from_str(&run.out).unwrap();
        let id = shown["id"].as_str().unwrap();
        fs::copy(&file, stored(&maker, id)).unwrap();
        rename_release(&maker.program.data(), &ids[0], id);
        let (runs, said) = said_by(&maker, || running(&maker));
        assert_eq!(runs, built_in, "{said}");
        assert!(said.contains("(signature)") && said.contains(says), "{said}");
        rename_release(&maker.program.data(), id, &ids[0]);
        assert_eq!(running(&maker), active);
    }
}

fn rename_release(data: &Path, from: &str, to: &str) {
    let database = rusqlite::Connection::open(data.join("patrol.db")).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    for (table, column) in [("release", "digest"), ("activation", "release")] {
        let sql = format!("UPDATE {table} SET {column} = unhex(?2) WHERE {column} = unhex(?1)");
        assert_eq!(database.execute(&sql, [from, to]).unwrap(), 1, "{table}");
    }
}

#[test]
fn a_key_that_is_no_longer_trusted_activates_nothing() {
    let (maker, ids) = staged(1);
    maker.configure("");
    let said = maker.judge(&["policy", "activate", &ids[0]]).unwrap();
    assert!(
        said.contains("(signature)") && said.contains(&maker.public),
        "{said}"
    );
    assert_eq!(events(&maker, "activate_policy"), 0);
}

#[test]
fn what_is_kept_of_releases_is_their_owners_alone() {
    let (maker, ids) = staged(1);
    maker.program.json(&["policy", "activate", &ids[0]]);
    running(&maker);
    for (name, least) in [("releases", 1), ("compiled", 1)] {
        let directory = maker.program.data().join(name);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&directory), 0o700, "{name}");
        let files: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(files.len() >= least, "{name}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

/// The files of compiled code.
fn compiled(maker: &Maker) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(maker.program.data().join("compiled"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn compiled_code_that_was_altered_is_not_run_but_compiled_again() {
    // By its name, the built-in policy's file is the same everywhere; staging leaves that of the release, too.
    let (untouched, _) = staged(0);
    running(&untouched);
    let built_in = compiled(&untouched);
    let built_in = built_in[0].file_name().unwrap();
    let (maker, ids) = staged(1);
    running(&maker);
    maker.program.json(&["policy", "activate", &ids[0]]);
    let active = running(&maker);
    let (other, own): (Vec<_>, Vec<_>) = compiled(&maker)
        .into_iter()
        .partition(|file| file.ends_with(built_in));
    let (other, file) = (fs::read(&other[0]).unwrap(), &own[0]);
    let name = file.to_str().unwrap().to_owned();
    let good = fs::read(file).unwrap();
    let flip = |at: usize| {
        let mut altered = good.clone();
        altered[at] ^= 1;
        altered
    };
    let cases = [
        ("the first line", flip(3), "not a cache file of this version"),
        ("the checksum", flip(16 + 5), "its checksum differs"),
        ("the code's head", flip(48), "its checksum differs"),
        ("the code", flip(good.len() / 2), "its checksum differs"),
        ("the last byte", flip(good.len() - 1), "its checksum differs"),
        (
            "cut short",
            good[..good.len() - 1].to_vec(),
            "its checksum differs",
        ),
        ("cut to the first line", good[..16].to_vec(), "cut short"),
        ("longer", [&good[..], b"\0"].concat(), "its checksum differs"),
        ("another policy's", other, "its checksum differs"),
        ("empty", Vec::new(), "not a cache file of this version"),
    ];
    for (what, altered, says) in cases {
        fs::write(file, altered).unwrap();
        let (runs, said) = said_by(&maker, || running(&maker));
        assert_eq!(runs, active, "{what}");
        assert!(
            said.contains("compiled again") && said.contains(says) && said.contains(&name),
            "{what}: {said}"
        );
        assert!(fs::read(file).unwrap() == good, "{what}: it was written anew");
    }
    fs::set_permissions(file, fs::Permissions::from_mode(0o620)).unwrap();
    let (runs, said) = said_by(&maker, || running(&maker));
    assert_eq!(runs, active);
    assert!(
        said.contains("writable for others") && said.contains(&name),
        "{said}"
    );
    let (runs, said) = said_by(&maker, || running(&maker));
    assert_eq!((runs, said.as_str()), (active, ""));
}

/// The library refuses as the program does.
#[test]
fn a_tampered_release_is_refused_by_the_library_too() {
    let (maker, ids) = staged(1);
    let path = stored(&maker, &ids[0]);
    let mut bytes = fs::read(&path).unwrap();
    let at = parts(&bytes).component + 100;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let patrol = patrol::service::Patrol::open(patrol::service::Settings {
        config: patrol::Config::load(Some(&maker.program.configuration())).unwrap(),
        ..patrol::service::Settings::new(&maker.program.data())
    })
    .unwrap();
    let refused = patrol.release(&ids[0]).unwrap_err();
    assert!(refused.to_string().contains("was altered"), "{refused}");
    // Nor can what was read of it be staged again.
    let refused = patrol::release::Release::parse(&bytes)
        .map_err(patrol::service::ReleaseError::from)
        .and_then(|release| patrol.stage(&operator(), &release))
        .unwrap_err();
    assert!(refused.to_string().contains("(digest)"), "{refused}");
    assert_eq!(patrol.policy_digest(), digest(wasm::embedded()));
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
