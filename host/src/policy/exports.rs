//! The functions of `wit/engine.wit` and `wit/about.wit`, looked up one at a time where an instance is fresh.
//!
//! The generated bindings look up and type-check all exports of an instance, which costs 2.4 µs; one function costs
//! 0.1. So that is what the first call does, which may be the only one; the second looks all of them up. They are
//! checked once before, when a release is loaded; see [`Pool::try_out`](super::pool::Pool::try_out).

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance};

use super::bindings::Policy;
use super::bindings::exports::patrol::policy::{about::Description, engine::*};
use super::bindings::patrol::policy::types::{Actor, Denial, Id, Scope, TokenState};

/// An instance that is about to be asked; each function of the contract is a method.
pub(super) struct Call<'a, S: 'static> {
    pub(super) exports: &'a Exports,
    pub(super) instance: &'a Instance,
    /// All functions, if they have been looked up.
    pub(super) bound: Option<&'a Policy>,
    pub(super) store: &'a mut Store<S>,
}

macro_rules! exports {
    ($($function:ident = $accessor:ident $call:ident $interface:literal $name:literal ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
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
                let Self { exports, instance, bound, store } = self;
                if let Some(bound) = bound {
                    return bound.$accessor().$call(store, $($argument),*);
                }
                let function = instance.get_typed_func::<($($type,)*), ($result,)>(&mut *store, exports.$function)?;
                Ok(function.call(store, ($($argument,)*))?.0)
            })*
        }
    };
}

exports! {
    issue = patrol_policy_engine call_issue "patrol:policy/engine@0.1.0" "issue" (request: &IssueRequest, actor: Actor) -> Result<Issued, Denial>;
    authenticate = patrol_policy_engine call_authenticate "patrol:policy/engine@0.1.0" "authenticate" (presented: &[u8], audience: u32)
        -> Result<Grant, Denial>;
    open_session = patrol_policy_engine call_open_session "patrol:policy/engine@0.1.0" "open-session" (presented: &[u8], audience: u32)
        -> Result<OpenedSession, Denial>;
    check_session = patrol_policy_engine call_check_session "patrol:policy/engine@0.1.0" "check-session" (presented: &[u8], audience: u32)
        -> Result<SessionGrant, Denial>;
    close_session = patrol_policy_engine call_close_session "patrol:policy/engine@0.1.0" "close-session" (presented: &[u8]) -> Result<ClosedSession, Denial>;
    revoke = patrol_policy_engine call_revoke "patrol:policy/engine@0.1.0" "revoke" (token: Id, actor: Actor) -> Result<(), Denial>;
    revoke_all = patrol_policy_engine call_revoke_all "patrol:policy/engine@0.1.0" "revoke-all" (owner: Id, actor: Actor) -> Result<u32, Denial>;
    rotate = patrol_policy_engine call_rotate "patrol:policy/engine@0.1.0" "rotate" (token: Id, overlap: u64, actor: Actor) -> Result<Issued, Denial>;
    change_auth_method = patrol_policy_engine call_change_auth_method "patrol:policy/engine@0.1.0" "change-auth-method" (scope: Scope, method: &str, actor: Actor)
        -> Result<bool, Denial>;
    preview_auth_method = patrol_policy_engine call_preview_auth_method "patrol:policy/engine@0.1.0" "preview-auth-method" (scope: Scope, method: &str, actor: Actor)
        -> Result<MethodPreview, Denial>;
    decide_password_sign_in = patrol_policy_engine call_decide_password_sign_in "patrol:policy/engine@0.1.0" "decide-password-sign-in" (owner: Id)
        -> Result<(), Denial>;
    list_tokens = patrol_policy_engine call_list_tokens "patrol:policy/engine@0.1.0" "list-tokens" (owner: Id, actor: Actor)
        -> Result<Vec<ListedToken>, Denial>;
    foresee = patrol_policy_engine call_foresee "patrol:policy/engine@0.1.0" "foresee" (states: &[TokenState]) -> Vec<Outlook>;
    sweep = patrol_policy_engine call_sweep "patrol:policy/engine@0.1.0" "sweep" (limit: u32) -> Result<Swept, Denial>;
    describe = patrol_policy_about call_describe "patrol:policy/about@0.1.0" "describe" () -> Description;
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
