//! Enums: a unit variant is a word, a struct variant a table known by its first key, a variant with
//! one unnamed field any value that is no table.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields, Ident, Type};

use crate::attributes::{FieldAttributes, TableAttributes, docs};
use crate::table::{Table, snake_case};

/// The variants of an enum, by what they look like in the configuration.
#[derive(Default)]
struct Variants<'a> {
    words: Vec<(&'a Ident, String, String)>,
    tables: Vec<(&'a Ident, Table<'a>, String)>,
    inner: Option<(&'a Ident, &'a Type)>,
}

pub(crate) fn derive(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    TableAttributes::parse(&input.attrs)?;
    let variants = Variants::parse(data)?;
    let name = &input.ident;
    let statics = variants.words_static();
    let (decode, schema, magnitude) = (variants.decode(), variants.schema(), variants.magnitude());
    Ok(quote! {
        impl stead_config::Config for #name {
            fn decode(
                value: &stead_config::Value,
                decoder: &mut stead_config::Decoder<'_>,
            ) -> ::core::option::Option<Self> {
                #statics
                #decode
            }

            fn schema() -> stead_config::Schema {
                #statics
                #schema
            }

            #magnitude
        }
    })
}

impl<'a> Variants<'a> {
    fn parse(data: &'a DataEnum) -> syn::Result<Self> {
        let mut variants = Self::default();
        for variant in &data.variants {
            let (ident, docs) = (&variant.ident, docs(&variant.attrs));
            let attributes = FieldAttributes::parse(&variant.attrs)?;
            match &variant.fields {
                Fields::Unit => {
                    let word = attributes.name.unwrap_or_else(|| snake_case(ident));
                    variants.words.push((ident, word, docs));
                }
                Fields::Named(named) => {
                    let table = Table::parse(named)?;
                    if table.first_key().is_none() {
                        return Err(syn::Error::new(ident.span(), "a table variant needs a key"));
                    }
                    variants.tables.push((ident, table, docs));
                }
                Fields::Unnamed(fields)
                    if fields.unnamed.len() == 1 && variants.inner.is_none() =>
                {
                    variants.inner = fields.unnamed.first().map(|field| (ident, &field.ty));
                }
                Fields::Unnamed(_) => {
                    return Err(syn::Error::new(
                        ident.span(),
                        "Config takes one variant with one unnamed field",
                    ));
                }
            }
        }
        Ok(variants)
    }

    fn words_static(&self) -> TokenStream {
        let words = self
            .words
            .iter()
            .map(|(_, name, docs)| quote!(stead_config::Word { name: #name, docs: #docs }));
        quote!(const WORDS: &[stead_config::Word] = &[#(#words),*];)
    }

    fn decode(&self) -> TokenStream {
        let names = self.words.iter().map(|(_, name, _)| name);
        let idents = self.words.iter().map(|(ident, _, _)| ident);
        let only_table = self.tables.len() == 1;
        let tables = self.tables.iter().map(|(ident, table, _)| {
            let (statics, reads, fields) = (table.statics(), table.reads(), table.idents());
            let first = table.first_key();
            quote! {
                if let ::core::option::Option::Some(table) = value.as_table()
                    && (#only_table || table.entry(#first).is_some())
                {
                    #statics
                    let mut fields = decoder.fields(value, FIELDS, ::core::option::Option::None)?;
                    #reads
                    fields.finish();
                    return ::core::option::Option::Some(Self::#ident { #(#fields: #fields?),* });
                }
            }
        });
        let inner = self.inner.iter().map(|(ident, ty)| {
            quote! {
                if value.as_table().is_none() {
                    if decoder.wrong_word::<#ty>(value, WORDS) {
                        return ::core::option::Option::None;
                    }
                    let decoded = <#ty as stead_config::Config>::decode(value, decoder);
                    return decoded.map(Self::#ident);
                }
            }
        });
        quote! {
            match value.as_str() {
                #(::core::option::Option::Some(#names) => {
                    return ::core::option::Option::Some(Self::#idents);
                })*
                _ => {}
            }
            #(#tables)*
            #(#inner)*
            decoder.no_variant(value, WORDS, &<Self as stead_config::Config>::schema());
            ::core::option::Option::None
        }
    }

    /// A range bounds the variant that takes a value.
    fn magnitude(&self) -> Option<TokenStream> {
        let (ident, _) = self.inner?;
        Some(quote! {
            fn magnitude(&self) -> ::core::option::Option<i128> {
                #[allow(unreachable_patterns)]
                match self {
                    Self::#ident(inner) => stead_config::Config::magnitude(inner),
                    _ => ::core::option::Option::None,
                }
            }
        })
    }

    fn schema(&self) -> TokenStream {
        let words = (!self.words.is_empty()).then(|| quote!(stead_config::Schema::Words(WORDS)));
        let inner = self.inner.map(|(_, ty)| quote!(<#ty as stead_config::Config>::schema()));
        let tables = self.tables.iter().map(|(_, table, docs)| {
            let statics = table.statics();
            let schema = table.schema(docs, &TableAttributes::default());
            quote!({ #statics stead_config::Schema::Table(#schema) })
        });
        let parts: Vec<TokenStream> = words.into_iter().chain(inner).chain(tables).collect();
        if let [one] = parts.as_slice() {
            return one.clone();
        }
        quote!(stead_config::Schema::OneOf(::std::vec![#(#parts),*]))
    }
}
