//! Listening to decisions.

use std::sync::{Arc, Mutex};

use patrol::service::{Exchange, Listener, Patrol};

/// Keeps everything that it hears.
#[derive(Default)]
pub struct Ear(Mutex<Vec<Arc<Exchange>>>);

impl Listener for Ear {
    fn hear(&self, exchange: &Arc<Exchange>) {
        self.0.lock().unwrap().push(Arc::clone(exchange));
    }
}

impl Ear {
    /// Listens from now on.
    pub fn at(patrol: &Patrol) -> Arc<Self> {
        let ear = Arc::new(Self::default());
        patrol.listen(ear.clone());
        ear
    }

    /// What was heard, each written down and read again, as a journal does it.
    pub fn heard(&self) -> Vec<Arc<Exchange>> {
        let heard = self.0.lock().unwrap();
        let again = heard.iter().map(|exchange| {
            let mut bytes = Vec::new();
            exchange.encode(&mut bytes).unwrap();
            let read = Exchange::decode(&bytes).unwrap();
            assert_eq!(read, **exchange);
            Arc::new(read)
        });
        again.collect()
    }
}
