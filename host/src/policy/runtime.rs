//! The one wasmtime engine of the process and the thread that makes time pass for guests.
//!
//! All releases share the engine, so that its pool of instances and its ticker exist once. It lives as long as any
//! [`Policy`](super::Policy) does; the ticker holds it weakly and ends with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::limits::{
    CONCURRENT_INSTANCES, INSTANCE_BYTES, INSTANCES, MEMORIES, MEMORY_CEILING, TABLE_CEILING, TABLES,
    WASM_STACK_BYTES,
};

/// How often the epoch moves, and so how exact a deadline is. At 2 ms the ticker's cost is not measurable and 50 ms
/// is kept within 4 %.
const TICK: Duration = Duration::from_millis(2);

/// How many ticks have passed. Cheap enough to be read around every host call.
#[derive(Default)]
pub(super) struct Ticks(AtomicU64);

impl Ticks {
    pub(super) fn now(&self) -> u64 {
        // Relaxed: nothing is published through it.
        self.0.load(Ordering::Relaxed)
    }

    fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The ticks that `time` takes at least: the tick that is under way does not count.
pub(super) fn ticks_for(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX >> 1).saturating_add(1)
}

/// The engine and its clock.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) ticks: Arc<Ticks>,
}

impl Runtime {
    /// The runtime of this process; the first caller makes it.
    pub(super) fn shared() -> Result<Arc<Self>, String> {
        static SHARED: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());

        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = shared.upgrade() {
            return Ok(runtime);
        }
        let runtime = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&runtime);
        Ok(runtime)
    }

    fn start() -> Result<Self, String> {
        let engine = Engine::new(&config()).map_err(|e| format!("{e:#}"))?;
        let ticks = Arc::<Ticks>::default();
        let (weak, passing) = (engine.weak(), Arc::clone(&ticks));
        thread::Builder::new()
            .name("patrol-ticker".to_owned())
            .spawn(move || {
                // Without this thread an endless loop in a guest would never end, so it does nothing that can fail.
                while let Some(engine) = weak.upgrade() {
                    passing.pass();
                    engine.increment_epoch();
                    drop(engine);
                    thread::sleep(TICK);
                }
            })
            .map_err(|e| format!("cannot start the ticker thread: {e}"))?;
        Ok(Self { engine, ticks })
    }
}

fn config() -> Config {
    let mut config = Config::new();

    // Calls are synchronous and short; the bookkeeping for concurrent tasks costs each of them.
    config.concurrency_support(false);
    // The deadline. Checked at loop heads and function entries, at the price of a load and a compare.
    config.epoch_interruption(true);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.cranelift_opt_level(OptLevel::Speed);

    // What a release may be made of: what rustc emits for wasm32-unknown-unknown, plus the 128-bit SIMD that makes
    // SHA-256 faster. Each proposal that is off is compiler and runtime code that a hostile component cannot reach.
    config.wasm_simd(true);
    config.wasm_relaxed_simd(false);
    config.wasm_bulk_memory(true);
    config.wasm_multi_value(true);
    config.wasm_extended_const(true);
    config.wasm_tail_call(false);
    config.wasm_multi_memory(false);
    config.wasm_memory64(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_wide_arithmetic(false);

    // A trap is reported by its cause; the guest is stripped, so its frames would name nothing.
    config.wasm_backtrace_max_frames(None);
    config.generate_address_map(false);

    // Fresh instances share the pages of the component's initial memory until they write to them.
    config.memory_init_cow(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    config
}

/// The pool: what all instances together may take, and what stays in memory between two of them.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();

    // Instances alive at once. Address space is reserved for all of them now, memory is used as they come.
    pool.total_component_instances(CONCURRENT_INSTANCES);
    pool.total_memories(CONCURRENT_INSTANCES);
    // A component is several core instances and tables: its own and its adapters'.
    pool.total_core_instances(CONCURRENT_INSTANCES.saturating_mul(small(INSTANCES)));
    pool.total_tables(CONCURRENT_INSTANCES.saturating_mul(small(TABLES)));

    // The shape of one component; one that exceeds it does not load.
    pool.max_core_instances_per_component(small(INSTANCES));
    pool.max_memories_per_component(small(MEMORIES));
    pool.max_tables_per_component(small(TABLES));
    pool.max_memories_per_module(small(MEMORIES));
    pool.max_tables_per_module(small(TABLES));
    // wasmtime's records of an instance: functions, globals, tables.
    pool.max_component_instance_size(INSTANCE_BYTES);
    pool.max_core_instance_size(INSTANCE_BYTES);
    // The hard end of a memory and a table. The engine outlives any configuration, so this is what one may ask for at
    // most: it costs address space alone. The limiter says no where the configuration does, with a better message.
    pool.max_memory_size(MEMORY_CEILING);
    pool.table_elements(TABLE_CEILING);

    // When an instance goes, its first 64 KiB are wiped by hand and stay mapped, which is all of a policy that stays
    // in one page; the rest goes back to the kernel. With PAGEMAP_SCAN (Linux 6.7) only pages that were written to
    // are wiped.
    pool.linear_memory_keep_resident(64 << 10);
    pool.table_keep_resident(4 << 10);
    pool.pagemap_scan(Enabled::Auto);
    // Slots remember the release that they were last used for. A few per release are plenty: slots are reused last
    // in, first out.
    pool.max_unused_warm_slots(64);
    // At once: what a guest held must not linger until a batch is full.
    pool.decommit_batch_size(1);
    pool
}

fn small(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked_for() {
        assert_eq!(ticks_for(Duration::from_millis(50)), 26);
        assert_eq!(ticks_for(Duration::from_micros(1)), 2);
        assert_eq!(ticks_for(Duration::ZERO), 1);
    }

    #[test]
    fn the_ticker_ends_with_the_engine() {
        let runtime = Runtime::start().unwrap();
        let ticks = Arc::clone(&runtime.ticks);
        while ticks.now() < 3 {
            thread::sleep(TICK);
        }
        drop(runtime);
        // The ticker's own reference is the last one but ours.
        let mut patience = 1_000;
        while Arc::strong_count(&ticks) > 1 && patience > 0 {
            thread::sleep(TICK);
            patience -= 1;
        }
        assert_eq!(Arc::strong_count(&ticks), 1);
    }

    #[test]
    fn policies_share_one_engine() {
        let (one, other) = (Runtime::shared().unwrap(), Runtime::shared().unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }
}
