//! What stands in `#[config(…)]` and in doc comments.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, ExprRange, Lit, LitStr, Path, RangeLimits, Token, UnOp};

/// Attributes of a field or a variant.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) name: Option<String>,
    pub(crate) default: Option<TokenStream>,
    pub(crate) range: Option<(TokenStream, TokenStream)>,
    pub(crate) rest: bool,
    pub(crate) with_middleware: bool,
}

/// Where a type finds `stead_config`, if it says so itself.
pub(crate) struct CrateAttribute(pub(crate) Option<Path>);

/// Attributes of a struct.
#[derive(Default)]
pub(crate) struct TableAttributes {
    pub(crate) shorthand: Option<LitStr>,
    pub(crate) check: Option<Path>,
}

impl FieldAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut parsed = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    parsed.name = Some(meta.value()?.parse::<LitStr>()?.value());
                } else if meta.path.is_ident("default") {
                    parsed.default = Some(if meta.input.peek(Token![=]) {
                        literal(&meta.value()?.parse()?)?
                    } else {
                        quote!(stead_config::Literal::Table)
                    });
                } else if meta.path.is_ident("range") {
                    parsed.range = Some(range(&meta.value()?.parse()?)?);
                } else if meta.path.is_ident("rest") {
                    parsed.rest = true;
                } else if meta.path.is_ident("with_middleware") {
                    parsed.with_middleware = true;
                } else {
                    return Err(meta.error(
                        "a field takes `default`, `range`, `name`, `rest` or `with_middleware`",
                    ));
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }
}

impl CrateAttribute {
    pub(crate) fn parse(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut place = None;
        for attribute in attributes.iter().filter(|a| a.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("crate") {
                    place = Some(meta.value()?.parse()?);
                } else if meta.input.peek(Token![=]) {
                    meta.value()?.parse::<Expr>()?;
                }
                Ok(())
            })?;
        }
        Ok(Self(place))
    }
}

impl TableAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut parsed = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("shorthand") {
                    parsed.shorthand = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("check") {
                    parsed.check = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("crate") {
                    // Read by `CrateAttribute`.
                    meta.value()?.parse::<Path>()?;
                } else {
                    return Err(meta.error("a type takes `shorthand`, `check` or `crate`"));
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }
}

/// The doc comment, paragraphs kept apart by an empty line.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|a| a.path().is_ident("doc")).filter_map(|attribute| {
        match &attribute.meta.require_name_value().ok()?.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        }
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn range(expression: &ExprRange) -> syn::Result<(TokenStream, TokenStream)> {
    match (&expression.start, &expression.limits, &expression.end) {
        (Some(start), RangeLimits::Closed(_), Some(end)) => Ok((literal(start)?, literal(end)?)),
        _ => Err(syn::Error::new_spanned(expression, "write both bounds: `range = 1..=10`")),
    }
}

/// A Rust literal, or an array of them, as the `Literal` that stands for the same TOML value.
fn literal(expression: &Expr) -> syn::Result<TokenStream> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            Ok(quote!(stead_config::Literal::Text(#text)))
        }
        Expr::Lit(ExprLit { lit: Lit::Bool(boolean), .. }) => {
            Ok(quote!(stead_config::Literal::Boolean(#boolean)))
        }
        Expr::Lit(ExprLit { lit: Lit::Int(_), .. }) => {
            Ok(quote!(stead_config::Literal::Integer(#expression)))
        }
        Expr::Lit(ExprLit { lit: Lit::Float(_), .. }) => {
            Ok(quote!(stead_config::Literal::Float(#expression)))
        }
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            Ok(quote!(stead_config::Literal::Integer(#expression)))
        }
        Expr::Array(array) => {
            let items = array.elems.iter().map(literal).collect::<syn::Result<Vec<_>>>()?;
            Ok(quote!(stead_config::Literal::List(&[#(#items),*])))
        }
        _ => Err(syn::Error::new_spanned(
            expression,
            "write the value as TOML does: a string, number, boolean or array of them",
        )),
    }
}
