//! A small tree of `XML` elements: names without their prefixes, attributes, text.

use crate::limits;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::fmt::Write as _;

/// An element. Namespaces are written where a model wants them and not looked at when read: so do
/// clients and services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Without a prefix when read.
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    /// All text directly in the element, put together.
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn with_text(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), text: text.into(), ..Self::default() }
    }

    /// Reads a document. `None` if it is not one: broken, with a document type, entities of its own,
    /// too deep or too large.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut count = 0;
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    count += 1;
                    if root.is_some() || open.len() >= limits::DEPTH || count > limits::ELEMENTS {
                        return None;
                    }
                    open.push(Self::opened(&start)?);
                }
                Event::Empty(start) => {
                    count += 1;
                    if root.is_some() || count > limits::ELEMENTS {
                        return None;
                    }
                    close(Self::opened(&start)?, &mut open, &mut root);
                }
                Event::End(_) => close(open.pop()?, &mut open, &mut root),
                Event::Text(text) => add(&mut open, &text.xml10_content())?,
                Event::CData(data) => add(&mut open, &data.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let resolved = match reference.resolve_char_ref().ok()? {
                        Some(c) => c,
                        None => entity(&reference.xml10_content())?,
                    };
                    add(&mut open, resolved.encode_utf8(&mut [0; 4]))?;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::DocType(_) => return None,
                Event::Eof => return if open.is_empty() { root } else { None },
            }
        }
    }

    fn opened(start: &BytesStart<'_>) -> Option<Self> {
        let mut element = Self::new(start.local_name().as_ref());
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
            let name: &str = attribute.key.as_ref();
            element.attributes.push((name.to_owned(), value));
        }
        Some(element)
    }

    /// The text of an element that has no others in it.
    pub(crate) fn leaf(&self) -> Option<&str> {
        self.children.is_empty().then_some(self.text.as_str())
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Appends the element as text.
    pub(crate) fn write(&self, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"");
            escape(value, true, out);
            out.push('"');
        }
        if self.children.is_empty() && self.text.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        escape(&self.text, false, out);
        for child in &self.children {
            child.write(out);
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

/// Adds text to the innermost open element. Outside of all there may only be white space.
fn add(open: &mut [Element], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// Characters that `XML` 1.0 cannot hold at all become the replacement character.
fn escape(text: &str, attribute: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' if attribute => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\n' | '\t' => out.push(c),
            c if u32::from(c) < 32 || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut element = Element::new("a");
        element.attributes.push(("b".to_owned(), "<\"&'\n\t>".to_owned()));
        element.children.push(Element::with_text("c", " \r\n&lt;é\u{1}]]>"));
        let mut text = String::new();
        element.write(&mut text);
        let read = Element::parse(text.as_bytes()).unwrap();
        assert_eq!(read.attribute("b"), Some("<\"&'\n\t>"));
        assert_eq!(read.children[0].text, " \r\n&lt;é\u{fffd}]]>");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for wrong in [
            "",
            "text",
            "<a>",
            "<a/><b/>",
            "<a></b>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<a>&x;</a>",
            "<a b='1' b='2'/>",
            "<a/>tail",
        ] {
            assert_eq!(Element::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let deep = "<a>".repeat(limits::DEPTH + 1) + &"</a>".repeat(limits::DEPTH + 1);
        assert_eq!(Element::parse(deep.as_bytes()), None);
        assert!(
            Element::parse(b"<?xml version='1.0'?> <p:a xmlns:p='x'><!-- c --></p:a> ").is_some()
        );
    }
}
