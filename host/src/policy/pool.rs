//! One call to the guest: an instance, a deadline, a verdict.
//!
//! What decides whether an instance may live on is in [`Pool::call`] alone: with concurrency support off, wasmtime lets
//! an instance be entered again after it trapped, in whatever state that left it, so the pool must not.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use patrol_policy::types::{Denial, Outage};
use wasmtime::component::Instance;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use super::bindings::{self, patrol::policy::types as wit};
use super::exports::Call;
use super::fault::{Ending, Fault, printable};
use super::limits::{HANDLES, HOSTCALL_BYTES, IDLE_INSTANCES, Limiter};
use super::ports::{State, Told};
use super::release::{Isolation, LoadError, Options, Release};
use super::runtime::ticks_for;

/// An instance, not yet made before its first call, and how many calls it may still serve.
pub(super) struct Slot<H: 'static> {
    store: Store<State<H>>,
    instance: Option<Instance>,
    /// Its functions, once it is used again.
    bound: Option<bindings::Policy>,
    calls_left: u32,
}

/// What a guest said: a fault outside, the contract's own denial inside.
pub(super) type Answered<W> = wasmtime::Result<Result<W, wit::Denial>>;

/// The instances of one release.
pub(super) struct Pool<H: 'static> {
    release: Release<H>,
    limiter: Limiter,
    candidate: bool,
    calls_per_instance: NonZeroU32,
    idle: Mutex<Vec<Slot<H>>>,
}

impl<H: patrol_policy::Host + Send + 'static> Pool<H> {
    pub(super) fn new(release: Release<H>, options: &Options) -> Self {
        let calls = match options.isolation {
            Isolation::PerCall => 1,
            Isolation::Warm { max_calls } => max_calls,
        };
        Self {
            release,
            limiter: Limiter::new(options.memory_bytes, options.table_elements),
            candidate: options.candidate,
            calls_per_instance: NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN),
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn release(&self) -> &Release<H> {
        &self.release
    }

    /// Has the guest answer one question for `host`, which always comes back. `lift` judges a yes.
    pub(super) fn call<W, T>(
        &self,
        host: H,
        deadline: Duration,
        question: impl FnOnce(Call<'_, State<H>>) -> Answered<W>,
        lift: impl FnOnce(W) -> Result<T, String>,
    ) -> (H, Result<T, Ending>) {
        let mut slot = self.take();
        slot.store.data_mut().begin(host);
        // Before instantiation: it runs the guest's start function.
        slot.store.set_epoch_deadline(ticks_for(deadline));
        let answer = self.instance(&mut slot).and_then(|instance| {
            question(Call {
                exports: &self.release.exports,
                instance: &instance,
                bound: slot.bound.as_ref(),
                store: &mut slot.store,
            })
        });
        let (host, told) = slot.store.data_mut().finish();
        // INVARIANT: `begin` put the host there, the slot is ours alone, and nothing but `finish` takes it out.
        let Some(host) = host else {
            unreachable!("the host of a call is gone")
        };

        let verdict = judge(answer, told, deadline, lift);
        // A refusal is an answer like any other; after anything else the guest's memory is not to be trusted.
        if matches!(verdict, Ok(_) | Err(Ending::Refused(_))) {
            self.put(slot);
        }
        (host, verdict)
    }

    /// Makes an instance, and drops it: the first thing that a component does is what it does when it starts.
    pub(super) fn try_out(&self, deadline: Duration) -> Result<(), LoadError> {
        let mut slot = self.fresh();
        slot.store.set_epoch_deadline(ticks_for(deadline));
        let instance = self
            .instance(&mut slot)
            .map_err(|e| LoadError::Start(Fault::from_error(&e, deadline)))?;
        bindings::Policy::new(&mut slot.store, &instance)
            .map_err(|e| LoadError::Exports(printable(&format!("{e:#}"))))?;
        Ok(())
    }

    fn instance(&self, slot: &mut Slot<H>) -> wasmtime::Result<Instance> {
        if let Some(instance) = slot.instance {
            if slot.bound.is_none() {
                slot.bound = Some(bindings::Policy::new(&mut slot.store, &instance)?);
            }
            return Ok(instance);
        }
        let instance = self.release.pre.instantiate(&mut slot.store)?;
        slot.instance = Some(instance);
        Ok(instance)
    }

    pub(super) fn take(&self) -> Slot<H> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| self.fresh())
    }

    pub(super) fn put(&self, mut slot: Slot<H>) {
        slot.calls_left = slot.calls_left.saturating_sub(1);
        if slot.calls_left == 0 {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_INSTANCES {
            idle.push(slot);
        }
    }

    /// How many calls each idle instance has left.
    #[cfg(test)]
    pub(super) fn idle_calls_left(&self) -> Vec<u32> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|slot| slot.calls_left)
            .collect()
    }

    fn fresh(&self) -> Slot<H> {
        let runtime = &self.release.runtime;
        let state = State::new(self.limiter, runtime.ticks.clone(), self.candidate);
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(out_of_time);
        Slot {
            store,
            instance: None,
            bound: None,
            calls_left: self.calls_per_instance.get(),
        }
    }
}

/// The deadline is up: time that the host took is given back, once; then it is over.
#[allow(clippy::unnecessary_wraps, reason = "wasmtime's signature")]
fn out_of_time<H>(mut store: StoreContextMut<'_, State<H>>) -> wasmtime::Result<UpdateDeadline> {
    Ok(match store.data_mut().waited() {
        0 => UpdateDeadline::Interrupt,
        ticks => UpdateDeadline::Continue(ticks),
    })
}

/// What an answer is worth.
fn judge<W, T>(
    answer: Answered<W>,
    told: Told,
    deadline: Duration,
    lift: impl FnOnce(W) -> Result<T, String>,
) -> Result<T, Ending> {
    let answer = answer.map_err(|e| Ending::Fault(Fault::from_error(&e, deadline)))?;
    // First of all: a secret in a yes that does not count is wiped, too.
    let answer = answer.map(lift).map_err(Denial::from);
    // Before the verdict: a policy that was told that the store failed cannot have decided anything.
    if let Some(outage) = told.outage {
        return Err(Ending::Outage(outage));
    }
    match answer {
        Ok(Ok(yes)) => Ok(yes),
        Ok(Err(violation)) => Err(Ending::Fault(Fault::Contract(violation))),
        Err(Denial::Refused(refusal)) => Err(Ending::Refused(refusal)),
        // Only the policy can see that records which were read in good order make no sense together.
        Err(Denial::Outage(Outage::Corrupt)) => Err(Ending::Outage(Outage::Corrupt)),
        Err(Denial::Outage(outage)) if told.unkeyed.is_some() => Err(Ending::Outage(outage)),
        Err(Denial::Outage(_)) => Err(Ending::Fault(Fault::Contract(
            "it reported an outage that did not happen".to_owned(),
        ))),
    }
}
