//! Structs: one table, one key a field.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{DataStruct, DeriveInput, Fields, FieldsNamed, Ident, Type};

use crate::attributes::{FieldAttributes, TableAttributes, docs};

pub(crate) fn derive(input: &DeriveInput, data: &DataStruct) -> syn::Result<TokenStream> {
    let Fields::Named(named) = &data.fields else {
        return Err(syn::Error::new(input.ident.span(), "Config needs a struct with named fields"));
    };
    let attributes = TableAttributes::parse(&input.attrs)?;
    let table = Table::parse(named)?;
    let shorthand = table.shorthand(&attributes)?;
    let (name, docs) = (&input.ident, docs(&input.attrs));
    let (reads, idents) = (table.reads(), table.idents());
    let statics = table.statics();
    let schema = table.schema(&docs, &attributes);
    let check = attributes.check.iter();
    let (generics, type_generics, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics stead_config::Config for #name #type_generics #bounds {
            fn decode(
                value: &stead_config::Value,
                decoder: &mut stead_config::Decoder<'_>,
            ) -> ::core::option::Option<Self> {
                #statics
                let mut fields = decoder.fields(value, FIELDS, #shorthand)?;
                #reads
                fields.finish();
                let decoded = Self { #(#idents: #idents?),* };
                #(#check(&decoded, value.span, decoder);)*
                ::core::option::Option::Some(decoded)
            }

            fn schema() -> stead_config::Schema {
                #statics
                stead_config::Schema::Table(#schema)
            }
        }
    })
}

/// The named fields of a struct or of a variant.
pub(crate) struct Table<'a> {
    keys: Vec<KeyField<'a>>,
    rest: Option<(&'a Ident, &'a Type)>,
}

struct KeyField<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    name: String,
    docs: String,
    attributes: FieldAttributes,
}

impl<'a> Table<'a> {
    pub(crate) fn parse(named: &'a FieldsNamed) -> syn::Result<Self> {
        let mut table = Self { keys: Vec::new(), rest: None };
        for field in &named.named {
            let Some(ident) = &field.ident else { continue };
            let attributes = FieldAttributes::parse(&field.attrs)?;
            if attributes.rest {
                if table.rest.replace((ident, &field.ty)).is_some() {
                    return Err(syn::Error::new(ident.span(), "only one field can be `rest`"));
                }
                continue;
            }
            let name = attributes.name.clone().unwrap_or_else(|| ident.unraw().to_string());
            let docs = docs(&field.attrs);
            table.keys.push(KeyField { ident, ty: &field.ty, name, docs, attributes });
        }
        Ok(table)
    }

    /// The key by which a variant is told from its neighbours: its first.
    pub(crate) fn first_key(&self) -> Option<&str> {
        self.keys.first().map(|key| key.name.as_str())
    }

    /// The declarations that decoding and schema share.
    pub(crate) fn statics(&self) -> TokenStream {
        let fields = self.keys.iter().map(|key| {
            let KeyField { name, docs, .. } = key;
            let default = optional(key.attributes.default.as_ref());
            let range = key.attributes.range.as_ref().map(|(low, high)| quote!((#low, #high)));
            let range = optional(range.as_ref());
            let with_middleware = key.attributes.with_middleware;
            quote!(stead_config::Field {
                name: #name,
                docs: #docs,
                default: #default,
                range: #range,
                with_middleware: #with_middleware,
            })
        });
        quote!(const FIELDS: &[stead_config::Field] = &[#(#fields),*];)
    }

    /// One `let` a field: an `Option` of its value, so that every field is looked at.
    pub(crate) fn reads(&self) -> TokenStream {
        let keys = self.keys.iter().enumerate().map(|(index, key)| {
            let KeyField { ident, ty, .. } = key;
            quote!(let #ident = fields.take::<#ty>(#index);)
        });
        let rest = self.rest.iter().map(|(ident, ty)| quote!(let #ident = fields.rest::<#ty>();));
        quote!(#(#keys)* #(#rest)*)
    }

    pub(crate) fn idents(&self) -> Vec<&Ident> {
        let keys = self.keys.iter().map(|key| key.ident);
        keys.chain(self.rest.iter().map(|(ident, _)| *ident)).collect()
    }

    pub(crate) fn schema(&self, docs: &str, attributes: &TableAttributes) -> TokenStream {
        let fields = self.keys.iter().enumerate().map(|(index, key)| {
            let ty = key.ty;
            quote!(stead_config::FieldSchema::of::<#ty>(&FIELDS[#index]))
        });
        let shorthand = optional(attributes.shorthand.as_ref());
        let rest = self.rest.map(|(_, ty)| quote!(<#ty as stead_config::Rest>::SCHEMA));
        let rest = optional(rest.as_ref());
        quote!(stead_config::TableSchema {
            docs: #docs,
            fields: ::std::vec![#(#fields),*],
            shorthand: #shorthand,
            rest: #rest,
        })
    }

    /// The index of the shorthand's field, as an expression.
    fn shorthand(&self, attributes: &TableAttributes) -> syn::Result<TokenStream> {
        let Some(shorthand) = &attributes.shorthand else { return Ok(optional(None::<&Ident>)) };
        match self.keys.iter().position(|key| key.name == shorthand.value()) {
            Some(index) => Ok(quote!(::core::option::Option::Some(#index))),
            None => Err(syn::Error::new(shorthand.span(), "`shorthand` names no field")),
        }
    }
}

/// `Some(tokens)` or `None`, as an expression.
pub(crate) fn optional(tokens: Option<&impl quote::ToTokens>) -> TokenStream {
    let none = || quote!(::core::option::Option::None);
    tokens.map_or_else(none, |tokens| quote!(::core::option::Option::Some(#tokens)))
}

/// `BodyIdle` → `body_idle`.
pub(crate) fn snake_case(ident: &Ident) -> String {
    let mut name = String::new();
    for c in ident.unraw().to_string().chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}
