//! `#[derive(Config)]`: a struct with named fields becomes a table of the configuration, an enum a
//! word of it.
//!
//! The derive only lists what a type declares (names, doc comments, defaults, ranges) and calls
//! `stead_config`, where the work and the messages are. It writes two methods of the trait
//! `Config`: `decode` and `schema`. The attributes are described at that trait.
//!
//! Where `stead_config` is found differs: by its own name in this workspace, through `stead` for a
//! program that depends on the library alone. So there are two derives of one code.

#![forbid(unsafe_code)]

use attributes::CrateAttribute;
use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Path, parse_macro_input, parse_quote};

mod attributes;
mod table;
mod words;

/// Derives `stead_config::Config`; see there for the attributes.
#[proc_macro_derive(Config, attributes(config))]
pub fn config(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input as DeriveInput), parse_quote!(::stead_config))
}

/// Derives `stead::kinds::Config`, in programs on the library; the attributes are described at the
/// trait.
#[proc_macro_derive(LibraryConfig, attributes(config))]
pub fn library_config(input: TokenStream) -> TokenStream {
    derive(&parse_macro_input!(input as DeriveInput), parse_quote!(::stead::kinds::config))
}

/// Writes the code of a type; `place` is where `stead_config` is, unless the type says it.
fn derive(input: &DeriveInput, place: Path) -> TokenStream {
    let tokens = CrateAttribute::parse(&input.attrs).and_then(|own| {
        let place = own.0.unwrap_or(place);
        let tokens = match &input.data {
            Data::Struct(data) => table::derive(input, data),
            Data::Enum(data) => words::derive(input, data),
            Data::Union(_) => {
                Err(syn::Error::new(input.ident.span(), "Config needs a struct or enum"))
            }
        }?;
        Ok(quote! {
            const _: () = {
                use #place as stead_config;
                #tokens
            };
        })
    });
    tokens.unwrap_or_else(syn::Error::into_compile_error).into()
}
