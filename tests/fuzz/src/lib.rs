//! The places where bytes that a stranger made are read: each takes any bytes without a panic, and what it takes for good
//! keeps a promise that is checked here.
//!
//! `tests/fuzz/run` feeds them, coverage-guided, with a fixed number of inputs; `cargo fuzz` does so for as long as one
//! likes. The seeds beside them are read by the test below in every run of the tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a broken promise is a panic, which is what the fuzzer looks for"
)]

use patrol::journal::fuzz as journal;
use patrol::policy::{Options, Policy};
use patrol::release::{Manifest, Release};
use patrol::scenario::Scenario;
use patrol_policy::token::{self, Kind};
use patrol_policy::types::{Id, Parameters, RefusalReason};
use patrol_tests::memory::MemoryHost;
use patrol_tests::native::Native;

/// The largest component that is compiled here; larger ones would only take longer.
const SMALL: usize = 16 << 10;

/// The file of a release, on the way that it has in `stage`, up to where its component would be compiled.
pub fn release(data: &[u8]) {
    let Ok(release) = Release::parse(data) else {
        return;
    };
    assert!(release.to_bytes() == data, "there is one file for one release");
    if release.check(&[], true).is_ok() {
        assert!(release.signer().is_none(), "nobody is trusted");
    }
    // Whatever the checks say, the next step must stand it.
    let _ = Policy::<MemoryHost>::check(release.component(), &Options::default());
}

/// A component on its way from bytes to a verdict; what is compiled is small.
pub fn component(data: &[u8]) {
    if Policy::<MemoryHost>::check(data, &Options::default()).is_err() || data.len() > SMALL {
        return;
    }
    let Ok(policy) = Policy::<MemoryHost>::load(data, &Options::default()) else {
        return;
    };
    // Whatever it does, the call ends, and what was handed in comes back.
    let host = Native::new(Parameters::default()).host;
    let rows = host.rows.clone();
    let (back, _) = policy.describe(host);
    assert!(back.rows == rows, "a description changes nothing");
}

/// A segment of the journal: any bytes, and one that is whole but for some bytes of it.
pub fn journal(data: &[u8]) {
    const KEY: [u8; 32] = [7; 32];
    let _ = journal::parse(data, &KEY, 1);
    let (change, body) = data.split_first_chunk::<8>().unwrap_or((&[0; 8], data));
    let written = vec![journal::records(body)];
    let whole = journal::build(&written, &KEY, 1).expect("what was read can be sealed");
    let read = journal::parse(&whole, &KEY, 1);
    assert!(read.troubles.is_empty(), "{:?}", read.troubles);
    let mut sorted = written.concat();
    sorted.sort_by_key(|record| record.at);
    assert!(read.records == sorted, "what was written is read");
    // Whatever was altered is told, and nothing is read that was not written.
    let (at, with) = change.split_at(4);
    let at = u32::from_be_bytes(at.try_into().unwrap()) as usize % whole.len();
    let mut altered = whole.clone();
    for (byte, with) in altered[at..].iter_mut().zip(with) {
        *byte ^= with;
    }
    // The block that closes has no records, and nobody opens what it has of them: its last tag.
    let looked_at = whole.len() - 16;
    if altered[..looked_at] != whole[..looked_at] {
        let read = journal::parse(&altered, &KEY, 1);
        assert!(!read.troubles.is_empty(), "byte {at} of {}", whole.len());
        assert!(read.records.iter().all(|record| sorted.contains(record)));
    }
}

/// The manifest of a release.
pub fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        let text = manifest.text().expect("it was one");
        assert!(text.as_bytes() == data, "there is one text for one manifest");
    }
}

/// A scenario.
pub fn scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(bad) = Scenario::parse("fuzz.toml", text) {
        let lines = text.lines().count().max(1) + 1;
        assert!(!bad.mistakes.is_empty(), "what is wrong is said");
        assert!(
            bad.mistakes
                .iter()
                .all(|mistake| (1..=lines).contains(&mistake.line)),
            "{bad}"
        );
    }
}

/// A presented token; and any 48 bytes as the parts of one.
pub fn token(data: &[u8]) {
    for kind in [Kind::Pat, Kind::Session, Kind::Account] {
        let _ = token::parse(kind, data);
    }
    let Some((id, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let Some((secret, rest)) = rest.split_first_chunk::<32>() else {
        return;
    };
    let id = Id::from_u128(u128::from_be_bytes(*id));
    let text = token::compose(Kind::Pat, id, secret);
    let parsed = token::parse(Kind::Pat, text.expose()).expect("what was composed is well-formed");
    assert!(parsed.id() == id, "the id comes back");
    assert!(
        token::parse(Kind::Session, text.expose()).is_err(),
        "a token is no session"
    );
    // One wrong character, wherever it is and whatever it is, is noticed.
    if let [at, to, ..] = *rest {
        let mut wrong = text.expose().to_vec();
        let at = usize::from(at) % wrong.len();
        if wrong[at] != to {
            wrong[at] = to;
            let refused = token::parse(Kind::Pat, &wrong).expect_err("it was changed");
            assert!(
                matches!(refused, RefusalReason::Malformed | RefusalReason::BadChecksum),
                "{refused:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use patrol::release::SecretKey;
    use patrol_tests::hostile;

    use super::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 6] = [
        ("component", component),
        ("journal", super::journal),
        ("manifest", manifest),
        ("release", release),
        ("scenario", scenario),
        ("token", token),
    ];

    fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read(path).unwrap())
            })
            .collect()
    }

    #[test]
    fn every_seed_is_digested() {
        let mut bytes = 0;
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(seeds.len() >= 3, "{name}");
            for (_, seed) in seeds {
                bytes += seed.len();
                target(&seed);
            }
        }
        assert!(bytes < 256 << 10, "the seeds are {bytes} bytes: keep them small");
    }

    /// Seeds that are refused at the first look would leave the fuzzer at the door.
    #[test]
    fn some_seeds_go_all_the_way() {
        let some = |target: &str, good: &dyn Fn(&[u8]) -> bool| {
            assert!(seeds(target).iter().any(|(_, seed)| good(seed)), "{target}");
        };
        some("component", &|seed| {
            seed.len() <= SMALL && Policy::<MemoryHost>::load(seed, &Options::default()).is_ok()
        });
        some("journal", &|seed| {
            seed.get(8..)
                .is_some_and(|body| !journal::records(body).is_empty())
        });
        some("manifest", &|seed| Manifest::parse(seed).is_ok());
        some("release", &|seed| {
            Release::parse(seed).is_ok_and(|release| {
                release.check(&[], true).is_ok()
                    && Policy::<MemoryHost>::check(release.component(), &Options::default()).is_ok()
            })
        });
        some("release", &|seed| {
            Release::parse(seed).is_ok_and(|release| {
                release.signer().is_some() && release.check(&[*release.signer().unwrap()], false).is_ok()
            })
        });
        some("scenario", &|seed| {
            std::str::from_utf8(seed).is_ok_and(|text| Scenario::parse("seed.toml", text).is_ok())
        });
        some("token", &|seed| token::parse(Kind::Pat, seed).is_ok());
    }

    /// Where the seeds come from; `cargo test -p patrol-fuzz -- --ignored` writes them anew, after a change of a form.
    #[test]
    #[ignore = "writes the seeds"]
    fn write_the_seeds() {
        let write = |target: &str, name: &str, bytes: &[u8]| {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), bytes).unwrap();
        };
        let smallest = hostile::componentize("(module)", &hostile::wit()).unwrap();
        write("component", "traps", &smallest);
        write("component", "nothing", &wat::parse_str("(component)").unwrap());
        for case in ["other-export", "unknown-import", "wasi-import"] {
            write("component", case, &hostile::policy(case));
        }

        let manifest = Manifest {
            name: "seed".to_owned(),
            version: "1.2.0-rc.1".to_owned(),
            release: 7,
            component: String::new(),
            wit: patrol::release::CONTRACT.to_owned(),
            minimum_host: "0.1.0".to_owned(),
            created: "2027-01-31T17:00:00Z".to_owned(),
            notes: "Seven idle days.\n\"Twenty\" tokens; n\u{e4}mlich.".to_owned(),
        };
        let key = SecretKey::generate().unwrap();
        let small = wat::parse_str("(component)").unwrap();
        for (name, component, key) in [
            ("unsigned", &smallest, None),
            ("signed", &small, Some(&key)),
            ("signed-not-a-component", &b"text".to_vec(), Some(&key)),
        ] {
            let release = Release::make(manifest.clone(), component.clone(), key).unwrap();
            write("release", name, &release.to_bytes());
            write("manifest", name, release.manifest().text().unwrap().as_bytes());
        }
        write("manifest", "not-canonical", b"name = 'x'\nrelease = +1\n[more]\n");

        // A record: its time, its length and what it says; then one of another segment, and one that is cut short.
        let record = |at: u64, bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).unwrap();
            [&at.to_le_bytes()[..], &length.to_le_bytes(), bytes].concat()
        };
        let two = [record(5, b"first"), record(7, b"second")].concat();
        write(
            "journal",
            "two-records",
            &[&[0, 0, 0, 40, 1, 0, 0, 0][..], &two].concat(),
        );
        write(
            "journal",
            "unaltered",
            &[&[0; 8][..], &record(5, b"first")].concat(),
        );
        write(
            "journal",
            "cut-short",
            &[&[0, 0, 0, 99, 0, 2, 0, 0][..], &two[..30]].concat(),
        );
        let whole = journal::build(&[journal::records(&two)], &[7; 32], 1).unwrap();
        write("journal", "segment", &whole);

        let (id, secret) = (
            Id {
                hi: 0x0123_4567,
                lo: 0x89ab_cdef,
            },
            [0x5a; 32],
        );
        for (name, kind) in [("pat", Kind::Pat), ("session", Kind::Session)] {
            write("token", name, token::compose(kind, id, &secret).expose());
        }
        write("token", "parts", &[[7; 48].as_slice(), b"\x50a"].concat());

        for scenario in ["r02-only-the-hash", "r05-disabled-owners", "sessions"] {
            let text = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{scenario}.toml"));
            write("scenario", scenario, &fs::read(text).unwrap());
        }
        write(
            "scenario",
            "mistakes",
            b"abut = 1\nstart = \"yesterday\"\n[parameters]\nidle = 3\n[[step]]\ndo = \"isue\"\n[[step]]\nat = \"+1d\"\ndo = \"verify\"\ntoken = \"x\"\n",
        );
    }
}
