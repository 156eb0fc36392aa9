//! Sees what a gateway sends to Patrol, whatever protocol it speaks.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Hands on all that comes to one port to another, and keeps it. Its threads end with the test's process.
pub struct Tap {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    /// Between these two ports of this machine.
    pub fn start(from: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", from)).expect("the port is free");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for inward in listener.incoming().filter_map(Result::ok) {
                let Ok(outward) = TcpStream::connect(("127.0.0.1", to)) else {
                    continue;
                };
                let index = {
                    let mut kept = kept.lock().expect("nobody fails with it");
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                let (back, ward) = (outward.try_clone(), inward.try_clone());
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    pass(inward, outward, |bytes| {
                        kept.lock().expect("nobody fails with it")[index].extend_from_slice(bytes);
                    });
                });
                if let (Ok(back), Ok(ward)) = (back, ward) {
                    std::thread::spawn(move || pass(back, ward, |_| {}));
                }
            }
        });
        Self { seen }
    }

    /// What came over each connection on which anything came.
    pub fn connections(&self) -> Vec<Vec<u8>> {
        let seen = self.seen.lock().expect("nobody fails with it");
        seen.iter().filter(|bytes| !bytes.is_empty()).cloned().collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut keep: impl FnMut(&[u8])) {
    // Small pieces must not wait for each other.
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(length) if length > 0 => {
                keep(&buffer[..length]);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
