//! What a policy may use. Every limit of the runtime stands here.
//!
//! | limit | value | bounds |
//! | --- | --- | --- |
//! | [`COMPONENT_BYTES`] | 1 MiB | compile time and code size of a release; checked before it is parsed; a setting, up to [`COMPONENT_CEILING`], 32 MiB |
//! | [`ARTIFACT_BYTES`] | 256 MiB | what is read of a file in the cache of compiled code |
//! | [`DEADLINE`] | 50 ms | time in the guest of one decision, instantiation included |
//! | [`BULK_DEADLINE`] | 1 s | the same for `sweep`, `list-tokens`, `foresee`, `revoke-all`, `preview-auth-method` |
//! | [`MEMORY_BYTES`] | 1 MiB | linear memory of an instance; a setting, up to [`MEMORY_CEILING`], 64 MiB |
//! | [`MEMORIES`], [`TABLES`], [`INSTANCES`] | 1, 4, 8 | core memories, tables and instances inside one component |
//! | [`TABLE_ELEMENTS`] | 1,024 | elements of one table; a setting, up to [`TABLE_CEILING`], 16,384 |
//! | [`INSTANCE_BYTES`] | 256 KiB | wasmtime's own records of one instance |
//! | [`WASM_STACK_BYTES`] | 256 KiB | native stack of the guest, so recursion; a thread's stack must be larger |
//! | [`HOST_CALLS`] | 10,000 | calls from the guest to the host during one decision |
//! | [`HOSTCALL_BYTES`] | 1 MiB | what one call in either direction copies from the guest: lists, strings |
//! | [`HANDLES`] | 16 | resource handles; the contract has none |
//! | [`CONCURRENT_INSTANCES`] | 1,000 | instances alive at once, of all releases in the process |
//! | [`IDLE_INSTANCES`] | 32 | warm instances kept while nobody asks, a release |
//! | [`LOG_LINES`], [`LOG_CHARS`] | 16, 1,024 | log lines of one decision, and the characters of each |
//! | [`REASON_CHARS`] | 300 | text in a fault |
//! | [`PRESENTED_BYTES`] | 1,024 | a presented secret; a longer one is malformed and never reaches the guest |
//! | [`SECRET_BYTES`] | 256 | a secret that the guest made |
//! | [`NAME_BYTES`] | 4,096 | a name or a method, from a caller or from the guest |
//! | [`LISTED_TOKENS`] | 2,048 | tokens in an owner's list |
//! | [`SWEPT_AT_ONCE`] | 500 | records of each kind in one round of `sweep`; larger limits are lowered to it |
//! | [`FORESEEN_AT_ONCE`] | 128 | states handed to one call of `foresee`; longer lists are split |
//!
//! Where a limit is a setting, what it is without one is enough for a policy that is compiled to WebAssembly, with
//! nothing to spare for one that brings an interpreter along. Its ceiling is what the engine, of which there is one in a
//! process whatever the settings, is made for.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::fault::Stop;

/// Largest component, in bytes, where the settings say nothing.
pub const COMPONENT_BYTES: usize = 1 << 20;
/// The most that the settings may allow.
pub const COMPONENT_CEILING: usize = 32 << 20;
/// Bytes read of a cached file. Native code takes three to four times what the component does.
pub const ARTIFACT_BYTES: u64 = 256 << 20;
/// Time for one decision.
pub const DEADLINE: Duration = Duration::from_millis(50);
/// Time for one call that works on many records.
pub const BULK_DEADLINE: Duration = Duration::from_secs(1);
/// Linear memory of one instance, in bytes, where the settings say nothing.
pub const MEMORY_BYTES: usize = 1 << 20;
/// The most that the settings may allow. It costs nothing until it is used: of the 4 GiB of address space that a memory
/// takes anyhow, so that no access needs a check, as much can be made accessible.
pub const MEMORY_CEILING: usize = 64 << 20;
/// Core memories in one component.
pub const MEMORIES: usize = 1;
/// Core tables in one component: the guest's own, and those of the adapters that componentization adds.
pub const TABLES: usize = 4;
/// Core instances in one component: the guest and the adapters.
pub const INSTANCES: usize = 8;
/// Elements of one table, where the settings say nothing.
pub const TABLE_ELEMENTS: usize = 1_024;
/// The most that the settings may allow. The pool keeps 128 KiB of address space for each table, 512 MiB in all.
pub const TABLE_CEILING: usize = 16_384;
/// wasmtime's own records of one instance, in bytes.
pub const INSTANCE_BYTES: usize = 256 << 10;
/// Native stack of the guest, in bytes.
pub const WASM_STACK_BYTES: usize = 256 << 10;
/// Host calls in one decision. `sweep` and `list-tokens` make a few for each record.
pub const HOST_CALLS: u32 = 10_000;
/// Bytes that one call copies out of the guest.
pub const HOSTCALL_BYTES: usize = 1 << 20;
/// Resource handles.
pub const HANDLES: usize = 16;
/// Instances alive at once in the process; calls are synchronous, so this is a number of threads.
pub const CONCURRENT_INSTANCES: u32 = 1_000;
/// Warm instances kept idle.
pub const IDLE_INSTANCES: usize = 32;
/// Log lines of one decision.
pub const LOG_LINES: u32 = 16;
/// Characters of a log line.
pub const LOG_CHARS: usize = 1_024;
/// Characters of a guest's text in a fault.
pub const REASON_CHARS: usize = 300;
/// Bytes of a presented secret.
pub const PRESENTED_BYTES: usize = 1_024;
/// Bytes of a secret that the guest made.
pub const SECRET_BYTES: usize = 256;
/// Bytes of a name or a method.
pub const NAME_BYTES: usize = 4_096;
/// Tokens in an owner's list.
pub const LISTED_TOKENS: usize = 2_048;
/// Records of each kind in one round of `sweep`.
pub const SWEPT_AT_ONCE: u32 = 500;
/// States handed to one call of `foresee`.
pub const FORESEEN_AT_ONCE: usize = 128;

/// Says no to a store that wants more than its share. The refusal ends the call: a policy that would carry on
/// without the memory it asked for has not been seen yet, and "wanted 2 MiB" is a better message than what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limiter {
    memory_bytes: usize,
    table_elements: usize,
}

impl Limiter {
    pub(super) const fn new(memory_bytes: usize, table_elements: usize) -> Self {
        Self {
            memory_bytes,
            table_elements,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= self.memory_bytes {
            return Ok(true);
        }
        Err(Stop::Memory(format!(
            "{desired} bytes, where {} are allowed by `[policy] memory`",
            self.memory_bytes
        ))
        .into())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= self.table_elements {
            return Ok(true);
        }
        Err(Stop::Memory(format!(
            "a table of {desired}, where {} elements are allowed by `[policy] table_elements`",
            self.table_elements
        ))
        .into())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn memory_grows_up_to_the_limit_and_not_past_it() {
        let mut limiter = Limiter::new(2 << 16, 1);
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        let error = limiter.memory_growing(2 << 16, 3 << 16, None).unwrap_err();
        assert_eq!(
            error.downcast_ref::<Stop>(),
            Some(&Stop::Memory(
                "196608 bytes, where 131072 are allowed by `[policy] memory`".to_owned()
            ))
        );
    }

    #[test]
    fn tables_grow_up_to_the_limit_and_not_past_it() {
        let mut limiter = Limiter::new(1 << 16, 7);
        assert!(limiter.table_growing(0, 7, None).unwrap());
        let error = limiter.table_growing(7, 8, None).unwrap_err();
        assert_eq!(
            error.downcast_ref::<Stop>(),
            Some(&Stop::Memory(
                "a table of 8, where 7 elements are allowed by `[policy] table_elements`".to_owned()
            ))
        );
    }
}
