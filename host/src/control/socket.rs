//! Where the socket is.
//!
//! The address of a Unix socket has 107 bytes, and a data directory may lie deeper than that. Then the directory is
//! opened, and the socket named by way of the descriptor: `/proc/self/fd/7/control.sock` is the same file.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::service::ServeLock;

/// The socket's name in the data directory.
pub const NAME: &str = "control.sock";
/// What it is called before it can be used.
const NEW: &str = "control.sock.new";
/// The longest address, in bytes.
const ADDRESS_BYTES: usize = 107;

/// A path in the data directory that fits into an address, for as long as this lives.
struct Short {
    path: PathBuf,
    // Where the path goes by way of the descriptor.
    _directory: Option<File>,
}

impl Short {
    fn of(data: &Path, name: &str) -> io::Result<Self> {
        let path = data.join(name);
        if path.as_os_str().as_bytes().len() <= ADDRESS_BYTES {
            return Ok(Self {
                path,
                _directory: None,
            });
        }
        let directory = File::open(data)?;
        let descriptors = Path::new("/proc/self/fd");
        if !descriptors.is_dir() {
            return Err(io::Error::other(
                "its path is too long for a socket, and /proc is not there to shorten it: use a --data directory \
                 with a shorter path",
            ));
        }
        Ok(Self {
            path: descriptors.join(directory.as_raw_fd().to_string()).join(name),
            _directory: Some(directory),
        })
    }
}

/// Connects to the server of a data directory.
pub(super) fn connect(data: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(Short::of(data, NAME)?.path)
}

/// The socket of a server; removed when dropped, which comes before the end of the server's lock.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    pub(super) listener: UnixListener,
    /// The user that this process is.
    pub(super) owner: u32,
    /// The file's number, by which it is known to be still the one that was made.
    inode: u64,
}

impl Socket {
    /// Makes it. One that a killed server left behind is replaced: with the lock held, nobody listens there.
    ///
    /// # Errors
    /// Where it cannot be made, or where something else has its name.
    pub fn bind(data: &Path, _no_other_server: &ServeLock) -> io::Result<Self> {
        let path = data.join(NAME);
        for path in [&path, &data.join(NEW)] {
            match fs::symlink_metadata(path) {
                Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
                Ok(_) => {
                    let text = format!("{} is no socket: move it elsewhere", path.display());
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let listener = UnixListener::bind(Short::of(data, NEW)?.path)?;
        // Under its name it is never open to others.
        fs::set_permissions(data.join(NEW), Permissions::from_mode(0o600))?;
        fs::rename(data.join(NEW), &path)?;
        let metadata = fs::symlink_metadata(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            owner: metadata.uid(),
            inode: metadata.ino(),
            path,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the control socket could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn a_socket_is_its_owners_alone_replaces_a_stale_one_and_is_gone_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let lock = ServeLock::take(directory.path()).unwrap();
        // As a killed server leaves it.
        drop(UnixListener::bind(directory.path().join(NAME)).unwrap());
        drop(UnixListener::bind(directory.path().join(NEW)).unwrap());
        let socket = Socket::bind(directory.path(), &lock).unwrap();
        let mode = fs::metadata(directory.path().join(NAME)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
        connect(directory.path()).unwrap();
        drop(socket);
        let left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["serve.lock"]);
    }

    #[test]
    fn what_is_no_socket_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let lock = ServeLock::take(directory.path()).unwrap();
        fs::write(directory.path().join(NAME), "precious").unwrap();
        let error = Socket::bind(directory.path(), &lock).unwrap_err();
        assert!(error.to_string().contains("is no socket"), "{error}");
        assert_eq!(fs::read(directory.path().join(NAME)).unwrap(), b"precious");
    }

    #[test]
    fn a_socket_can_lie_deeper_than_an_address_is_long() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("a-long-name".repeat(10)).join("data");
        fs::create_dir_all(&data).unwrap();
        assert!(data.as_os_str().len() > ADDRESS_BYTES);
        let lock = ServeLock::take(&data).unwrap();
        let socket = Socket::bind(&data, &lock).unwrap();
        let mut client = connect(&data).unwrap();
        client.write_all(b"hello").unwrap();
        drop(client);
        let mut text = String::new();
        let (mut stream, _) = socket.listener.accept().unwrap();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        drop(socket);
        assert!(!data.join(NAME).exists());
    }
}
