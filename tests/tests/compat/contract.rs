//! `wit/` against `wit/since-v0.1/`, and proof that the judges of it notice what they are there for.

use patrol_tests::contract::{broken, compatible, frozen, text};
use patrol_tests::hostile;

fn released() -> String {
    text(&frozen())
}

#[test]
fn a_policy_for_the_first_contract_runs_on_the_current_one() {
    let (old, new) = (released(), text(&hostile::wit()));
    assert_eq!(compatible(&old, &new), Ok(()));
    assert_eq!(broken(&old, &new), Ok(Vec::new()));
}

#[test]
fn the_frozen_contract_is_the_one_that_was_released() {
    use sha2::{Digest as _, Sha256};
    assert_eq!(
        patrol::release::hex(&Sha256::digest(released())),
        "eb05c1a4c0a31e23f7ff11aacfd43755c1bf4b082a84d339b4a713d382fdd0a6",
        "wit/since-v0.1/ is never edited: see its README"
    );
}

/// A change of the contract: what is replaced by what, where, and which item is named for it.
struct Change {
    from: &'static str,
    to: &'static str,
    named: &'static str,
    /// Whether the component model notices by itself.
    seen: bool,
}

#[test]
fn what_breaks_a_released_policy_is_found_and_named() {
    let changes = [
        // A function that is gone, has another parameter, another result.
        Change {
            from: "    draw: func() -> digest;\n",
            to: "",
            named: "entropy.draw is gone",
            seen: true,
        },
        Change {
            from: "count-live-tokens: func(owner: id,",
            to: "count-live-tokens: func(owner: id, tenant: id,",
            named: "storage.count-live-tokens was",
            seen: true,
        },
        Change {
            from: "sweep: func(limit: u32)",
            to: "sweep: func(limit: u64)",
            named: "engine.sweep was",
            seen: true,
        },
        // A record, an enum and a variant with more in it, less in it, or in another order.
        Change {
            from: "        /// Bytes 24 to 31.\n        d: u64,\n",
            to: "",
            named: "types.digest was record {a: u64, b: u64, c: u64, d: u64}",
            seen: true,
        },
        Change {
            from: "        /// Why.\n        cause: cause,\n",
            to: "        /// Why.\n        cause: cause,\n        /// By whom.\n        who: id,\n",
            named: "types.end was",
            seen: true,
        },
        Change {
            from: "        session-replaced,\n    }\n\n    /// When something ended",
            to: "        session-replaced,\n        /// New.\n        stolen,\n    }\n\n    /// When something ended",
            named: "types.cause was",
            seen: true,
        },
        Change {
            from: "        /// A whole tenant's.\n        tenant(id),\n        /// One user's.\n        owner(id),\n",
            to: "        /// One user's.\n        owner(id),\n        /// A whole tenant's.\n        tenant(id),\n",
            named: "types.scope was",
            seen: true,
        },
        // The other name for the same number.
        Change {
            from: "type audience = u32;",
            to: "type audience = u64;",
            named: "types.audience was u32, and is u64",
            seen: true,
        },
        // The host demands more, or takes an interface away.
        Change {
            from: "    describe: func() -> description;\n",
            to: "    describe: func() -> description;\n\n    /// New.\n    licence: func() -> string;\n",
            named: "about.licence is new among the exports",
            seen: true,
        },
        Change {
            from: "    import clock;\n",
            to: "",
            named: "import clock is gone",
            seen: true,
        },
        Change {
            from: "    export about;\n",
            to: "",
            named: "export about is gone",
            // A host that asks less of a policy can run more of them; people ask what runs, though.
            seen: false,
        },
        // A type that nothing uses on the way of a component that was made for it.
        Change {
            from: "    /// Now. The same instant throughout one call to the engine.\n",
            to: "",
            named: "clock.now lost its doc comment",
            seen: false,
        },
        Change {
            from: "        /// SHA-256 of the session's 32 secret bytes.\n",
            to: "",
            named: "types.session.digest lost its doc comment",
            seen: false,
        },
    ];
    let old = released();
    for Change {
        from,
        to,
        named,
        seen,
    } in changes
    {
        assert_eq!(old.matches(from).count(), 1, "{from}");
        let new = old.replace(from, to);
        let found = broken(&old, &new).unwrap();
        assert!(found.iter().any(|one| one.contains(named)), "{named}: {found:?}");
        assert_eq!(compatible(&old, &new).is_err(), seen, "{named}");
    }
}

#[test]
fn a_contract_that_offers_more_is_compatible() {
    let old = released();
    let new = old
        .replace("    import clock;\n", "    import clock;\n    import weather;\n")
        .replace(
            "    now: func() -> timestamp;\n",
            "    now: func() -> timestamp;\n\n    /// New.\n    resolution: func() -> duration;\n",
        )
        .replace("use types.{timestamp};", "use types.{timestamp, duration};")
        .replace(
            "/// The only source of time.",
            "/// The only source of time, and of its resolution.",
        )
        + "\n/// New.\ninterface weather {\n    /// New.\n    rain: func() -> bool;\n}\n";
    assert_ne!(old, new);
    assert_eq!(compatible(&old, &new), Ok(()));
    assert_eq!(broken(&old, &new), Ok(Vec::new()));
    // The other way round it is not: a policy that needs rain is nothing for a host without it.
    assert!(compatible(&new, &old).is_err());
}
