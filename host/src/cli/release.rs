//! `patrol policy keygen`, `sign`, `inspect` and `verify`: releases as files, on machines with or without data.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Session;
use super::failure::{Exit, Failure};
use super::print::{fields, hex, or_dash, plain};
use crate::policy::limits::COMPONENT_CEILING;
use crate::release::{CONTRACT, HOST_VERSION, Manifest, Release, SecretKey};
use crate::time::{Clock as _, SystemClock, rfc3339};

/// What a release is made of.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  patrol policy sign stricter.wasm --name stricter --policy-version 1.2.0 --number 3 --key release.key")]
pub(super) struct SignArgs {
    /// The component
    component: PathBuf,
    /// What the policy is called: small letters, digits and dashes
    #[arg(long)]
    name: String,
    /// Its version, by semantic versioning
    #[arg(long, value_name = "VERSION")]
    policy_version: String,
    /// The release's number: a higher one comes after a lower one
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
    /// The signing key, as `patrol policy keygen` made it
    #[arg(long, value_name = "FILE", required_unless_present = "unsigned")]
    key: Option<PathBuf>,
    /// Do not sign it: only hosts with `[policy] allow_unsigned = true` take it
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    /// The contract that it was built against
    #[arg(long, value_name = "CONTRACT", default_value = CONTRACT)]
    wit: String,
    /// The lowest version of patrol that can run it
    #[arg(long, value_name = "VERSION", default_value = HOST_VERSION)]
    minimum_host: String,
    /// What is to be known about it
    #[arg(long, default_value = "")]
    notes: String,
    /// Where to write it [default: NAME-VERSION.patrol]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyRecord<'a> {
    public_key: String,
    file: &'a Path,
}

/// Makes a key, and prints its public half.
pub(super) fn keygen(session: &mut Session, file: &Path) -> anyhow::Result<Exit> {
    let key = SecretKey::generate()?;
    key.write(file)?;
    let record = KeyRecord {
        public_key: key.public().to_string(),
        file,
    };
    session.out.answer(&record, || record.public_key.clone())?;
    Ok(Exit::Done)
}

/// Makes a release of a component.
pub(super) fn sign(session: &mut Session, args: SignArgs) -> anyhow::Result<Exit> {
    let key = args.key.as_deref().map(SecretKey::read).transpose()?;
    let component = std::fs::read(&args.component)
        .with_context(|| format!("cannot read the component {}", args.component.display()))?;
    let manifest = Manifest {
        name: args.name,
        version: args.policy_version,
        release: args.number,
        component: String::new(),
        wit: args.wit,
        minimum_host: args.minimum_host,
        created: rfc3339(SystemClock::default().now()),
        notes: args.notes,
    };
    let release = Release::make(manifest, component, key.as_ref())?;
    let file = args
        .output
        .unwrap_or_else(|| PathBuf::from(release.manifest().file_name()));
    // A release that somebody may have already is not replaced by another of the same name.
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file)
        .and_then(|mut out| {
            out.write_all(&release.to_bytes())?;
            out.sync_all()
        });
    written.with_context(|| format!("cannot write the release {}", file.display()))?;
    let record = ReleaseRecord::of(&release, Some(&file));
    session.out.answer(&record, || record.text())?;
    Ok(Exit::Done)
}

/// Prints what is signed, as it is: another program signs it.
pub(super) fn message(session: &mut Session, file: &Path) -> anyhow::Result<Exit> {
    let release = read(file, COMPONENT_CEILING)?;
    session.out.bytes(&release.message())?;
    Ok(Exit::Done)
}

/// Puts an SSH signature into a release, in place: nobody but its maker has seen it without.
pub(super) fn attach(session: &mut Session, file: &Path, signature: &Path) -> anyhow::Result<Exit> {
    let release = read(file, COMPONENT_CEILING)?;
    if let Some(signer) = release.signer() {
        let message = format!(
            "{} is signed already, by {signer}: nothing was changed",
            file.display()
        );
        return Err(Failure::Usage(message).into());
    }
    let text = std::fs::read(signature)
        .with_context(|| format!("cannot read the signature {}", signature.display()))?;
    let release = release.with_ssh_signature(&text)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let written = NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).and_then(|mut out| {
        out.write_all(&release.to_bytes())?;
        out.as_file()
            .set_permissions(std::fs::metadata(file)?.permissions())?;
        out.as_file().sync_all()?;
        Ok(out.persist(file)?)
    });
    written.with_context(|| format!("cannot write the release {}", file.display()))?;
    let record = ReleaseRecord::of(&release, Some(file));
    session.out.answer(&record, || record.text())?;
    Ok(Exit::Done)
}

/// Says what is in a file, whoever signed it and whatever its size.
pub(super) fn inspect(session: &mut Session, file: &Path) -> anyhow::Result<Exit> {
    let release = read(file, COMPONENT_CEILING)?;
    let record = ReleaseRecord::of(&release, None);
    session.out.answer(&record, || record.text())?;
    Ok(Exit::Done)
}

/// Says whether a file is a release that this host would take, by the keys in the configuration.
pub(super) fn verify(session: &mut Session, file: &Path) -> anyhow::Result<Exit> {
    let policy = session.config()?.policy;
    let release = read(file, policy.max_component.bytes())?;
    release.check(&policy.trusted_keys(), policy.allow_unsigned)?;
    let record = ReleaseRecord::of(&release, None);
    session.out.answer(&record, || {
        let signed = match &record.signer {
            Some(signer) => format!("signed by {signer}, which is trusted"),
            None => "not signed, which [policy] allow_unsigned permits".to_owned(),
        };
        format!(
            "good: {} {}, release {}, {signed}",
            record.manifest.name, record.manifest.version, record.manifest.release
        )
    })?;
    Ok(Exit::Done)
}

pub(super) fn read(file: &Path, max_component: usize) -> anyhow::Result<Release> {
    let read = Release::read(file, max_component);
    Ok(read.with_context(|| format!("cannot read the release {}", file.display()))??)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseRecord<'a> {
    id: String,
    manifest: ManifestRecord<'a>,
    size: usize,
    signer: Option<String>,
    /// Why digest or signature do not hold; null: they do.
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
}

/// The manifest, with names as in all other records.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestRecord<'a> {
    name: &'a str,
    version: &'a str,
    release: u32,
    component: &'a str,
    wit: &'a str,
    minimum_host: &'a str,
    created: &'a str,
    notes: &'a str,
}

impl<'a> ReleaseRecord<'a> {
    fn of(release: &'a Release, file: Option<&'a Path>) -> Self {
        let manifest = release.manifest();
        let sound = release.check_digest().and_then(|()| release.check_signature());
        Self {
            id: hex(&release.digest()),
            manifest: ManifestRecord {
                name: &manifest.name,
                version: &manifest.version,
                release: manifest.release,
                component: &manifest.component,
                wit: &manifest.wit,
                minimum_host: &manifest.minimum_host,
                created: &manifest.created,
                notes: &manifest.notes,
            },
            size: release.component().len(),
            signer: release.signer().map(ToString::to_string),
            fault: sound.err().map(|unfit| unfit.to_string()),
            file,
        }
    }

    fn text(&self) -> String {
        let manifest = &self.manifest;
        let mut rows = vec![
            ("policy", format!("{} {}", manifest.name, plain(manifest.version))),
            ("release", manifest.release.to_string()),
            ("id", self.id.clone()),
            ("component", manifest.component.to_owned()),
            ("size", format!("{} bytes", self.size)),
            ("contract", plain(manifest.wit)),
            ("minimum host", plain(manifest.minimum_host)),
            ("created", plain(manifest.created)),
            ("notes", or_dash(Some(plain(manifest.notes)))),
            (
                "signed by",
                self.signer.clone().unwrap_or_else(|| "nobody".to_owned()),
            ),
        ];
        rows.extend(self.fault.clone().map(|fault| ("fault", fault)));
        rows.extend(self.file.map(|file| ("file", plain(&file.display().to_string()))));
        fields(rows)
    }
}
