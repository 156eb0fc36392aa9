//! From the generated types to the plain ones and back, once for both sides of the boundary.

/// Implements [`From`] in both directions between the types of [`types`](crate::types) and those that a bindings
/// generator made of `wit/`: `wit_bindgen::generate!` in the component, `wasmtime::component::bindgen!` in a host.
/// The argument is the path of the module that the generator wrote to; the crate that calls the macro owns it.
///
/// ```ignore
/// mod bindings {
///     wasmtime::component::bindgen!({ path: "../wit", world: "policy" });
/// }
/// patrol_policy::contract!(bindings);
/// ```
///
/// Each record is taken apart field by field and each enum case by case, without a wildcard, so that a contract and
/// types that have drifted apart do not compile. A record names its optional records after a semicolon; all other
/// fields convert by [`Into`]. Lists of records are left to the caller.
#[macro_export]
macro_rules! contract {
    (@record $module:ident::$name:ident { $($field:ident),* $(; $($option:ident),*)? }) => {
        $crate::contract!(@one_way $module::$name => plain::$name { $($field),* ; $($($option),*)? });
        $crate::contract!(@one_way plain::$name => $module::$name { $($field),* ; $($($option),*)? });
    };
    (@one_way $a:ident::$name:ident => $b:ident::$other:ident { $($field:ident),* ; $($option:ident),* }) => {
        impl From<$a::$name> for $b::$other {
            fn from(value: $a::$name) -> Self {
                let $a::$name { $($field,)* $($option,)* } = value;
                Self { $($field: $field.into(),)* $($option: $option.map(Into::into),)* }
            }
        }
    };

    (@enum $module:ident::$name:ident { $($case:ident),* $(,)? }) => {
        impl From<$module::$name> for plain::$name {
            fn from(value: $module::$name) -> Self {
                match value { $($module::$name::$case => Self::$case),* }
            }
        }
        impl From<plain::$name> for $module::$name {
            fn from(value: plain::$name) -> Self {
                match value { $(plain::$name::$case => Self::$case),* }
            }
        }
    };
    (@variant $module:ident::$name:ident { $($case:ident),* }) => {
        impl From<$module::$name> for plain::$name {
            fn from(value: $module::$name) -> Self {
                match value { $($module::$name::$case(inner) => Self::$case(inner.into())),* }
            }
        }
        impl From<plain::$name> for $module::$name {
            fn from(value: plain::$name) -> Self {
                match value { $(plain::$name::$case(inner) => Self::$case(inner.into())),* }
            }
        }
    };

    ($($bindings:tt)+) => {
        #[allow(clippy::useless_conversion, reason = "a field of a primitive type converts to itself")]
        const _: () = {
            use $crate::types as plain;
            use $($bindings)+::exports::patrol::policy::{about, engine};
            use $($bindings)+::patrol::policy::{diagnostics, settings, storage, types};

            $crate::contract!(@record types::Id { hi, lo });
            $crate::contract!(@record types::Digest { a, b, c, d });
            $crate::contract!(@enum types::Cause {
                ExpirationDate, Idle, Revoked, AuthMethodChanged, OwnerDeleted, Rotated,
                SessionLifetime, SessionIdle, SessionClosed, SessionReplaced,
            });
            $crate::contract!(@record types::End { at, cause });
            $crate::contract!(@record types::PreviousSecret { scheme, digest, until });
            $crate::contract!(@record types::Token {
                id, owner, tenant, audience, scheme, digest, generation, created, expires, last_used, owner_epoch,
                tenant_epoch; previous, ended
            });
            $crate::contract!(@record types::Owner {
                id, tenant, enabled, deleted, epoch, epoch_since, tenant_epoch, tenant_epoch_since, multi_factor
            });
            $crate::contract!(@record types::TokenState { token, owner });
            $crate::contract!(@record types::Session {
                id, token, generation, digest, opened, last_used; ended
            });
            $crate::contract!(@record types::SessionState { session, token });
            $crate::contract!(@record types::LiveRule { now, idle_since });
            $crate::contract!(@variant types::Scope { Tenant, Owner });
            $crate::contract!(@enum types::ActorRole { Administrator, User, Token, System });
            $crate::contract!(@record types::Actor { role, id });
            $crate::contract!(@enum types::RefusalReason {
                Malformed, BadChecksum, Unknown, WrongSecret, Expired, Idle, Revoked, Rotated, AuthMethodChanged,
                WrongAudience, OwnerDisabled, OwnerDeleted, NoSuchOwner, NoSuchToken, SessionExpired, SessionIdle,
                SessionClosed, SessionReplaced, LimitReached, NameTaken, NameInvalid, ExpirationPast,
                ExpirationTooFar, OverlapTooLong, NotPermitted, PatRequired,
            });
            $crate::contract!(@record types::Refusal { reason; token });
            $crate::contract!(@enum types::Outage { Unavailable, Busy, Corrupt });
            $crate::contract!(@variant types::Denial { Refused, Outage });

            $crate::contract!(@record storage::Census { tokens, owners });
            $crate::contract!(@record settings::Parameters {
                idle_after, tokens_per_owner, max_lifetime, max_overlap, name_max_length, session_lifetime,
                session_idle, sessions_per_token, retention
            });
            $crate::contract!(@enum diagnostics::Level { Error, Warn, Info, Debug });

            $crate::contract!(@record engine::IssueRequest { owner, name, expires, audience });
            $crate::contract!(@record engine::Issued { token, secret, ends });
            $crate::contract!(@record engine::Grant { token, owner, tenant, ends });
            $crate::contract!(@record engine::OpenedSession { session, secret, grant, ends, expires });
            $crate::contract!(@record engine::SessionGrant { session, token, owner, tenant, ends });
            $crate::contract!(@record engine::ClosedSession { session, token, owner, tenant });
            $crate::contract!(@record engine::ListedToken { token, ends });
            $crate::contract!(@record engine::MethodPreview { changes, tokens, owners });
            $crate::contract!(@record engine::Outlook { live, ends });
            $crate::contract!(@record engine::Swept { ended, secrets, forgotten, sessions, more });
            $crate::contract!(@record about::Description { name, version, parameters });
        };
    };
}
