//! What a worker counts. One writer, many readers: no locked instruction on the request path.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Reason;

/// A number that its worker alone changes and that anyone may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. INVARIANT: called from one thread only.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes `n` away. INVARIANT: called from one thread only.
    pub fn subtract(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Everything that one worker counts. `status` shows the sums over all workers.
        #[derive(Debug)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)*
            /// Outcomes, in the order of [`Reason::ALL`].
            pub outcomes: Vec<Counter>,
        }

        impl Default for Counters {
            fn default() -> Self {
                Self {
                    $($name: Counter::default(),)*
                    outcomes: Reason::ALL.iter().map(|_| Counter::default()).collect(),
                }
            }
        }

        impl Counters {
            /// Name, meaning and value of each counter but the outcomes.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc,)+), self.$name.value()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Connections accepted since the start.
    connections_accepted,
    /// Connections open now.
    connections_open,
    /// Connections parked now.
    connections_parked,
    /// Exchanges answered or cut since the start.
    requests,
    /// Exchanges under way now.
    requests_active,
    /// Bytes read from peers.
    bytes_in,
    /// Bytes written to peers.
    bytes_out,
    /// Bytes of bodies before `compress` made them smaller.
    compress_bytes_in,
    /// Bytes of these bodies afterwards.
    compress_bytes_out,
    /// Failed attempts to accept for lack of descriptors.
    accepts_without_descriptor,
    /// Access records dropped: the writer fell behind, or could not write them.
    access_records_dropped,
    /// Panics caught.
    panics,
}

impl Counters {
    /// Counts one outcome.
    pub fn outcome(&self, reason: Reason) {
        if let Some(counter) = self.outcomes.get(reason as usize) {
            counter.add(1);
        }
    }
}
