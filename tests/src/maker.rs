//! A maker of releases beside the program that takes them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::Program;
use crate::wasm;

/// The program, a signing key, and the releases made with it.
pub struct Maker {
    /// The program.
    pub program: Program,
    /// The public half of the key.
    pub public: String,
    directory: tempfile::TempDir,
}

impl Default for Maker {
    fn default() -> Self {
        Self::new()
    }
}

impl Maker {
    /// With a key that the configuration trusts.
    pub fn new() -> Self {
        let mut maker = Self {
            program: Program::new(),
            public: String::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        maker.public = maker.key("release.key");
        maker.configure(&format!("trusted_keys = [\"{}\"]", maker.public));
        maker
    }

    /// A path beside the program's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The settings of the policy.
    pub fn configure(&self, policy: &str) {
        let text = format!("[policy]\ndeadline = \"5s\"\n{policy}\n");
        fs::write(self.program.configuration(), text).unwrap();
    }

    /// Makes a key, and says its public half.
    pub fn key(&self, name: &str) -> String {
        let path = self.path(name);
        let record = self.program.json(&["policy", "keygen", path.to_str().unwrap()]);
        record["publicKey"].as_str().unwrap().to_owned()
    }

    /// Makes a release of the built-in policy.
    pub fn release(&self, number: u32, how: &[&str]) -> PathBuf {
        let component = self.path("policy.wasm");
        fs::write(&component, wasm::embedded()).unwrap();
        self.release_of(&component, number, how)
    }

    /// Makes a release of a component.
    pub fn release_of(&self, component: &Path, number: u32, how: &[&str]) -> PathBuf {
        let file = self.path(&format!("release-{number}.patrol"));
        let _ = fs::remove_file(&file);
        let (version, number) = (format!("1.{number}.0"), number.to_string());
        let mut args = vec![
            "policy",
            "sign",
            component.to_str().unwrap(),
            "--name",
            "stricter",
        ];
        args.extend(["--policy-version", &version, "--number", &number]);
        args.extend(["--output", file.to_str().unwrap()]);
        args.extend(how);
        let key = self.path("release.key");
        if !how.contains(&"--key") && !how.contains(&"--unsigned") {
            args.extend(["--key", key.to_str().unwrap()]);
        }
        self.program.json(&args);
        file
    }

    /// Stages a release; its id.
    pub fn stage(&self, file: &Path) -> String {
        let staged = self.program.json(&["policy", "stage", file.to_str().unwrap()]);
        staged["id"].as_str().unwrap().to_owned()
    }

    /// Has a release judged: none where it is good, else what was said about it.
    pub fn verify(&self, file: &Path) -> Option<String> {
        self.judge(&["policy", "verify", file.to_str().unwrap()])
    }

    /// The same, of any command that takes a release.
    pub fn judge(&self, args: &[&str]) -> Option<String> {
        let before = self.program.said().len();
        let run = self.program.run(args);
        let said = self.program.said().split_off(before);
        match run.code {
            Some(0) => None,
            Some(3) => Some(said),
            other => panic!("{other:?}: {said}"),
        }
    }
}
