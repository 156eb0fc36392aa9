//! From the bytes of a component to something that can be instantiated in microseconds, or the reason why not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings;
use super::cache::{Cache, Miss};
use super::exports::Exports;
use super::fault::{Fault, printable};
use super::limits::{
    BULK_DEADLINE, COMPONENT_BYTES, COMPONENT_CEILING, DEADLINE, MEMORY_BYTES, MEMORY_CEILING, TABLE_CEILING,
    TABLE_ELEMENTS,
};
use super::ports::State;
use super::runtime::Runtime;
use super::world::{self, PACKAGE};

/// The component that `build.rs` built.
pub(super) static EMBEDDED: &[u8] = include_bytes!(env!("PATROL_COMPONENT"));

/// Whether an instance serves one call or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A fresh instance for each call: nothing that one caller handed in can reach another.
    PerCall,
    /// An instance is used again, up to `max_calls` times, and dropped early if a call ends in a fault or an outage.
    Warm {
        /// Calls before an instance is replaced; 0 counts as 1.
        max_calls: u32,
    },
}

/// How a policy is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether instances are used again.
    pub isolation: Isolation,
    /// Time that the guest may take for one decision; time that the host takes for it does not count.
    pub deadline: Duration,
    /// The same for calls that work on many records.
    pub bulk_deadline: Duration,
    /// The most bytes of a component.
    pub component_bytes: usize,
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// The most elements of one table.
    pub table_elements: usize,
    /// Where compiled code is kept. `None`: it is compiled at each start.
    pub cache_dir: Option<PathBuf>,
    /// Whether it only says what it would decide. What it logs is then no matter of the log, where it could not be told
    /// from what the policy says that decides: it is there for whoever asks for `patrol::policy::candidate=debug`.
    pub candidate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            isolation: Isolation::PerCall,
            deadline: DEADLINE,
            bulk_deadline: BULK_DEADLINE,
            component_bytes: COMPONENT_BYTES,
            memory_bytes: MEMORY_BYTES,
            table_elements: TABLE_ELEMENTS,
            cache_dir: None,
            candidate: false,
        }
    }
}

/// Why a component is not a policy that this host runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Too many bytes.
    #[error(
        "the policy has {bytes} bytes, where {allowed} are allowed by `[policy] max_component`: build it smaller, in \
         Rust with `--profile component`, or raise the setting"
    )]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        allowed: usize,
    },
    /// Not a component that this wasmtime reads.
    #[error(
        "the policy is not a WebAssembly component that this host can run: {0}; `cargo build -p patrol-policy --target \
         wasm32-unknown-unknown` makes one"
    )]
    NotAComponent(String),
    /// An import of something else than the contract's interfaces.
    #[error(
        "the policy imports {0}, which this host does not offer: a policy may import only {PACKAGE}* 0.1{hint}",
        hint = without(.0)
    )]
    Imports(String),
    /// Written for another line of the contract.
    #[error("the policy is written for {package} {line}, this host offers 0.1: {what}", package = PACKAGE.trim_end_matches('/'))]
    Line {
        /// Its line, such as 0.2.
        line: String,
        /// What to do.
        what: &'static str,
    },
    /// An import of the contract that this host does not have, or not yet.
    #[error(
        "the policy needs {what} of {package} {version}, which this host does not have: upgrade patrol, or build the \
         policy against this release's wit/",
        package = PACKAGE.trim_end_matches('/')
    )]
    Newer {
        /// The interface, and the function where the interface is known.
        what: String,
        /// The version that it was built against.
        version: String,
    },
    /// An import of the contract with another type.
    #[error(
        "the policy's imports are not those of patrol:policy 0.1: {0}; build it against this release's wit/"
    )]
    ImportTypes(String),
    /// An export that is missing or of another type.
    #[error(
        "the policy's exports are not those of patrol:policy 0.1: {0}; build it against this release's wit/"
    )]
    Exports(String),
    /// More memories, tables or instances than a policy may have, or larger ones.
    #[error("the policy is larger than this host allows: {0}; `host/src/policy/limits.rs` lists the limits")]
    Limits(String),
    /// It did not get as far as being asked.
    #[error("the policy cannot be started: {0}")]
    Start(Fault),
    /// Settings that make no sense.
    #[error("the policy cannot be run with these settings: {0}")]
    Options(String),
    /// wasmtime does not work here.
    #[error(
        "WebAssembly cannot be run on this machine: {0}; it needs a 64-bit processor and free address space"
    )]
    Engine(String),
}

/// A component that passed all checks, for hosts of type `H`.
pub(super) struct Release<H: 'static> {
    pub(super) runtime: Arc<Runtime>,
    pub(super) pre: InstancePre<State<H>>,
    pub(super) exports: Exports,
    pub(super) digest: [u8; 32],
    pub(super) import_names: Vec<String>,
    pub(super) export_names: Vec<String>,
    pub(super) size: usize,
    pub(super) from_cache: bool,
}

impl<H: patrol_policy::Host + Send + 'static> Release<H> {
    pub(super) fn load(bytes: &[u8], options: &Options) -> Result<Self, LoadError> {
        check_options(options)?;
        // Before the compiler sees any of it.
        check(bytes, options.component_bytes)?;
        let runtime = Runtime::shared().map_err(LoadError::Engine)?;
        let engine = &runtime.engine;
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let (component, from_cache) = compile(&runtime, bytes, &digest, options)?;

        let shape = component.component_type();
        let import_names: Vec<String> = shape.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let mut linker = Linker::<State<H>>::new(engine);
        bindings::Policy::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)
            .map_err(|e| LoadError::Engine(printable(&format!("{e:#}"))))?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|e| LoadError::ImportTypes(printable(&format!("{e:#}"))))?;
        let exports = Exports::find(&component)
            .map_err(|missing| LoadError::Exports(format!("there is no function {missing}")))?;
        let export_names = shape.exports(engine).map(|(name, _)| name.to_owned()).collect();
        Ok(Self {
            pre,
            digest,
            import_names,
            export_names,
            exports,
            size: bytes.len(),
            from_cache,
            runtime,
        })
    }
}

/// All that can be known of a component without compiling it.
pub(super) fn check(bytes: &[u8], allowed: usize) -> Result<(), LoadError> {
    if bytes.len() > allowed {
        return Err(LoadError::TooLarge {
            bytes: bytes.len(),
            allowed,
        });
    }
    world::check(bytes)
}

/// How to be rid of imports that many tools add unasked.
fn without(import: &str) -> &'static str {
    if import.starts_with("wasi:") {
        "; no policy has WASI: build it for wasm32-unknown-unknown, or have the tool that made it leave WASI out"
    } else {
        ""
    }
}

fn check_options(options: &Options) -> Result<(), LoadError> {
    let ranges = [
        (
            "bytes of a component",
            options.component_bytes,
            1,
            COMPONENT_CEILING,
        ),
        ("bytes of memory", options.memory_bytes, 1 << 16, MEMORY_CEILING),
        ("elements of a table", options.table_elements, 1, TABLE_CEILING),
    ];
    for (what, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            let text = format!("{value} {what} are not between {least} and {most}");
            return Err(LoadError::Options(text));
        }
    }
    if options.deadline.is_zero() || options.bulk_deadline.is_zero() {
        return Err(LoadError::Options(
            "a deadline of zero refuses everything".to_owned(),
        ));
    }
    Ok(())
}

/// The component's native code, from the cache or made now; whether it came from the cache.
fn compile(
    runtime: &Runtime,
    bytes: &[u8],
    digest: &[u8; 32],
    options: &Options,
) -> Result<(Component, bool), LoadError> {
    let engine = &runtime.engine;
    let cache = options.cache_dir.as_deref().and_then(|directory| {
        Cache::open(directory)
            .inspect_err(|miss| tracing::warn!("compiled policies are not cached: {miss}"))
            .ok()
    });
    match cache.as_ref().map(|cache| cache.load(engine, digest)) {
        Some(Ok(component)) => return Ok((component, true)),
        Some(Err(Miss::Absent)) | None => {}
        Some(Err(miss)) => tracing::warn!("the policy is compiled again: {miss}"),
    }
    let component = Component::from_binary(engine, bytes).map_err(|e| refused(&e))?;
    if let Some(Err(miss)) = cache.map(|cache| cache.store(engine, digest, &component)) {
        tracing::warn!("the compiled policy is not cached: {miss}");
    }
    Ok((component, false))
}

/// Whether a component was malformed or merely too large, which wasmtime tells apart by text only.
fn refused(error: &wasmtime::Error) -> LoadError {
    let text = printable(&format!("{error:#}"));
    if text.contains("exceeds the") {
        LoadError::Limits(text)
    } else {
        LoadError::NotAComponent(text)
    }
}
