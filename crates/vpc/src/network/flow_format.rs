//! The fields of a flow log's records (Amazon VPC User Guide, "Flow log records").

/// The format of a flow log that names none: version 2, in its order.
pub const DEFAULT_FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} \
    ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

/// Belljar's own field: which layer refused, `sg` or `nacl`; AWS does not say.
pub const REFUSED_BY: &str = "belljar-refused-by";

/// The fields of versions 2 to 5, each with its version.
pub const FIELDS: [(&str, u8); 30] = [
    ("version", 2),
    ("account-id", 2),
    ("interface-id", 2),
    ("srcaddr", 2),
    ("dstaddr", 2),
    ("srcport", 2),
    ("dstport", 2),
    ("protocol", 2),
    ("packets", 2),
    ("bytes", 2),
    ("start", 2),
    ("end", 2),
    ("action", 2),
    ("log-status", 2),
    ("vpc-id", 3),
    ("subnet-id", 3),
    ("instance-id", 3),
    ("tcp-flags", 3),
    ("type", 3),
    ("pkt-srcaddr", 3),
    ("pkt-dstaddr", 3),
    ("region", 4),
    ("az-id", 4),
    ("sublocation-type", 4),
    ("sublocation-id", 4),
    ("pkt-src-aws-service", 5),
    ("pkt-dst-aws-service", 5),
    ("flow-direction", 5),
    ("traffic-path", 5),
    (REFUSED_BY, 5),
];

/// The names of the fields of a format, in its order.
///
/// # Errors
/// The first word that is no `${field}`, or the name of a field that is not known; the empty text
/// if there is none at all.
pub fn fields(format: &str) -> Result<Vec<&'static str>, String> {
    let mut found = Vec::new();
    for word in format.split_ascii_whitespace() {
        let name = word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let name = name.ok_or_else(|| word.to_owned())?;
        let known = FIELDS.iter().find(|(field, _)| *field == name);
        found.push(known.ok_or_else(|| name.to_owned())?.0);
    }
    if found.is_empty() { Err(String::new()) } else { Ok(found) }
}

/// The version of a format: the highest of its fields.
#[must_use]
pub fn version(fields: &[&str]) -> u8 {
    let of = |name: &&str| FIELDS.iter().find(|(field, _)| field == name).map(|(_, v)| *v);
    fields.iter().filter_map(of).max().unwrap_or(2).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_its_fields() {
        let default = fields(DEFAULT_FORMAT).unwrap();
        assert_eq!((default.len(), version(&default)), (14, 2));
        let all = fields("${flow-direction}  ${srcaddr}").unwrap();
        assert_eq!((all.as_slice(), version(&all)), (&["flow-direction", "srcaddr"][..], 5));
        assert_eq!(fields("${version} ${colour}"), Err("colour".into()));
        assert_eq!(fields("version"), Err("version".into()));
        assert_eq!(fields(" "), Err(String::new()));
    }
}
