//! What the fuzzers call: one function for each parser that reads what others wrote.
//!
//! Each takes any bytes and panics if a promise of the parser is broken. The binaries in
//! `fuzz/fuzz_targets` give them what libFuzzer invents, the test `replay` gives them the committed
//! corpus, on the stable compiler and without libFuzzer.

#![forbid(unsafe_code)]

/// Turns the list of targets into modules, functions and [`ALL`].
macro_rules! targets {
    ($($name:ident,)*) => {
        $(mod $name;
        pub use $name::$name;)*

        /// Every target: its name, which is also that of its corpus, and its function.
        pub const ALL: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name),)*];
    };
}

mod transcript;

targets! {
    chunked, client_hello, config, http2, path, proxy_header, range, request, response, route,
}
