//! `#[derive(Config)]`: a struct with named fields becomes a table of the configuration, an enum a
//! word of it.
//!
//! The derive only lists what a type declares (names, doc comments, defaults, ranges) and calls
//! `stead_config`, where the work and the messages are. It writes two methods of the trait
//! `Config`:
//! `decode` and `schema`. The attributes are described at that trait.

#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, parse_macro_input};

mod attributes;
mod table;
mod words;

/// Derives `stead_config::Config`; see there for the attributes.
#[proc_macro_derive(Config, attributes(config))]
pub fn config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let tokens = match &input.data {
        Data::Struct(data) => table::derive(&input, data),
        Data::Enum(data) => words::derive(&input, data),
        Data::Union(_) => Err(syn::Error::new(input.ident.span(), "Config needs a struct or enum")),
    };
    tokens.unwrap_or_else(syn::Error::into_compile_error).into()
}
