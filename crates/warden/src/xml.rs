//! What is read of the small documents that AWS's services answer with.

/// What the first element of a name holds, if that is no other element.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.contains('<')).then_some(text)
}

/// The text of an element (XML 1.0, 4.6; services write no other references).
pub(crate) fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&#34;", "\"");
    text.replace("&apos;", "'").replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_and_read() {
        let xml =
            "<Error><Code>X</Code><Message>a &lt;b&gt; &quot;&amp;lt;&quot;</Message></Error>";
        assert_eq!(element(xml, "Message").map(plain).unwrap(), "a <b> \"&lt;\"");
        assert_eq!(element(xml, "Error"), None);
        assert_eq!(element(xml, "Other"), None);
        assert_eq!(element("<Message>cut", "Message"), None);
    }
}
