//! A tree of elements, for the reader of this test.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

#[derive(Debug, Default, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Node>,
    pub(crate) text: String,
}

impl Node {
    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }
}

pub(crate) fn parse(text: &str) -> Node {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Node::default()];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => open.push(opened(&start)),
            Event::Empty(start) => open.last_mut().unwrap().children.push(opened(&start)),
            Event::End(_) => {
                let node = open.pop().unwrap();
                open.last_mut().unwrap().children.push(node);
            }
            Event::Text(text) => open.last_mut().unwrap().text += &text.xml10_content(),
            Event::CData(text) => open.last_mut().unwrap().text += &text.xml10_content(),
            Event::GeneralRef(reference) => {
                let text = format!("&{};", reference.xml10_content());
                open.last_mut().unwrap().text += &quick_xml::escape::unescape(&text).unwrap();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    open.remove(0).children.into_iter().next().unwrap_or_default()
}

fn opened(start: &BytesStart<'_>) -> Node {
    let attributes = start.attributes().flatten().map(|attribute| {
        let key: &str = attribute.key.as_ref();
        let value = quick_xml::escape::unescape(&attribute.value).unwrap().into_owned();
        (key.to_owned(), value)
    });
    Node {
        name: start.local_name().as_ref().to_owned(),
        attributes: attributes.collect(),
        ..Node::default()
    }
}
