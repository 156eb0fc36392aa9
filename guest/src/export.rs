//! From a policy to a component.

/// Makes the crate in which it stands the component of a policy: its exports, with memory, randomness and an end for a
/// panic. A crate has one.
///
/// ```
/// # use patrol_policy::prelude::*;
/// # struct Mine;
/// # impl Policy for Mine { const NAME: &'static str = "mine"; const VERSION: &'static str = "1.0.0"; }
/// patrol_policy::export!(Mine);
/// ```
///
/// A policy that is more than a name says what it is: `export!(Mine = Mine { days: 7 })`. The value is a constant.
///
/// The crate is a `cdylib` for `wasm32-unknown-unknown`, `no_std` there, and depends on `patrol-policy` without default
/// features, since that exports the stock policy otherwise. Compiled for any other target, the macro says whether the
/// policy is one and nothing more, so that its tests run on the machine that it is written on.
#[macro_export]
macro_rules! export {
    ($policy:path) => {
        $crate::export!($policy = $policy);
    };
    ($type:ty = $policy:expr) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the host finds functions by their names")]
        const _: () = {
            struct Exported;
            impl $crate::component::Exported for Exported {
                type Policy = $type;
                const POLICY: $type = $policy;
            }
    $crate::component::bindings::export!(Exported with_types_in $crate::component::bindings);
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn is_a_policy<P: $crate::Policy>(_: &P) {}
            const POLICY: $type = $policy;
            is_a_policy(&POLICY);
        };
    };
}
