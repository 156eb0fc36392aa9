//! What wasmtime generates from `wit/`: the only `bindgen!` of the host. Nothing outside [`policy`](super) sees these
//! types; `patrol_policy::contract!` converts them to and from `patrol_policy::types` field by field, so a change in
//! `wit/` that the two do not share stops the build.
#![allow(missing_docs, reason = "generated; wit/ documents every item")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "policy",
    // Each import may end the call as a fault: there is a limit on host calls, and `abort` does nothing else.
    imports: { default: trappable },
});

patrol_policy::contract!(self);
