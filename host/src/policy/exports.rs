//! The functions of `wit/engine.wit` and `wit/about.wit`, looked up one at a time.
//!
//! The generated bindings look up and type-check all exports whenever an instance is made, which costs a fresh instance
//! 2.4 µs; one function costs 0.1. All of them are checked once, when a release is loaded; see
//! [`Pool::try_out`](super::pool::Pool::try_out).

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance};

use super::bindings::exports::patrol::policy::{about::Description, engine::*};
use super::bindings::patrol::policy::types::{Actor, Denial, Id, Scope, TokenState};

/// An instance that is about to be asked; each function of the contract is a method.
pub(super) struct Call<'a, S: 'static> {
    pub(super) exports: &'a Exports,
    pub(super) instance: &'a Instance,
    pub(super) store: &'a mut Store<S>,
}

macro_rules! exports {
    ($($function:ident = $interface:literal $name:literal ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        /// Where the functions are in a component.
        pub(super) struct Exports { $($function: ComponentExportIndex,)* }

        impl Exports {
            /// Finds them; the first name that is missing where one is.
            pub(super) fn find(component: &Component) -> Result<Self, &'static str> {
                Ok(Self { $($function: find(component, $interface, $name)?,)* })
            }
        }

        impl<S> Call<'_, S> {
            $(pub(super) fn $function(self, $($argument: $type),*) -> wasmtime::Result<$result> {
                let Self { exports, instance, store } = self;
                let function = instance.get_typed_func::<($($type,)*), ($result,)>(&mut *store, exports.$function)?;
                Ok(function.call(store, ($($argument,)*))?.0)
            })*
        }
    };
}

exports! {
    issue = "patrol:policy/engine@0.1.0" "issue" (request: &IssueRequest, actor: Actor) -> Result<Issued, Denial>;
    authenticate = "patrol:policy/engine@0.1.0" "authenticate" (presented: &[u8], audience: u32)
        -> Result<Grant, Denial>;
    open_session = "patrol:policy/engine@0.1.0" "open-session" (presented: &[u8], audience: u32)
        -> Result<OpenedSession, Denial>;
    check_session = "patrol:policy/engine@0.1.0" "check-session" (presented: &[u8], audience: u32)
        -> Result<SessionGrant, Denial>;
    close_session = "patrol:policy/engine@0.1.0" "close-session" (presented: &[u8]) -> Result<ClosedSession, Denial>;
    revoke = "patrol:policy/engine@0.1.0" "revoke" (token: Id, actor: Actor) -> Result<(), Denial>;
    revoke_all = "patrol:policy/engine@0.1.0" "revoke-all" (owner: Id, actor: Actor) -> Result<u32, Denial>;
    rotate = "patrol:policy/engine@0.1.0" "rotate" (token: Id, overlap: u64, actor: Actor) -> Result<Issued, Denial>;
    change_auth_method = "patrol:policy/engine@0.1.0" "change-auth-method" (scope: Scope, method: &str, actor: Actor)
        -> Result<bool, Denial>;
    preview_auth_method = "patrol:policy/engine@0.1.0" "preview-auth-method" (scope: Scope, method: &str, actor: Actor)
        -> Result<MethodPreview, Denial>;
    decide_password_sign_in = "patrol:policy/engine@0.1.0" "decide-password-sign-in" (owner: Id)
        -> Result<(), Denial>;
    list_tokens = "patrol:policy/engine@0.1.0" "list-tokens" (owner: Id, actor: Actor)
        -> Result<Vec<ListedToken>, Denial>;
    foresee = "patrol:policy/engine@0.1.0" "foresee" (states: &[TokenState]) -> Vec<Outlook>;
    sweep = "patrol:policy/engine@0.1.0" "sweep" (limit: u32) -> Result<Swept, Denial>;
    describe = "patrol:policy/about@0.1.0" "describe" () -> Description;
}

fn find(
    component: &Component,
    interface: &str,
    function: &'static str,
) -> Result<ComponentExportIndex, &'static str> {
    let interface = component.get_export_index(None, interface).ok_or(function)?;
    component
        .get_export_index(Some(&interface), function)
        .ok_or(function)
}
