//! CIDR blocks as they are written in requests.

use crate::network::error::{invalid, refused};
use belljar_aws::AwsError;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The longest and the shortest prefix of a VPC's or subnet's IPv4 block (VPC User Guide).
const SIZES: std::ops::RangeInclusive<u8> = 16..=28;

/// Any block, its host bits made zero, as EC2 does: `100.68.0.18/18` is `100.68.0.0/18`.
///
/// # Errors
/// If it is none.
pub(crate) fn any(text: &str) -> Result<IpNet, AwsError> {
    let parsed = if text.contains('/') { text.parse::<IpNet>().ok() } else { None };
    parsed.map(|block| block.trunc()).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        invalid(format!("CIDR block {shown} is malformed"))
    })
}

fn not_valid(text: &str, parameter: &str) -> AwsError {
    let shown: String = text.chars().take(64).collect();
    invalid(format!(
        "Value ({shown}) for parameter {parameter} is invalid. This is not a valid CIDR block."
    ))
}

/// An IPv4 block, its host bits made zero.
///
/// # Errors
/// If it is none.
pub(crate) fn v4(text: &str, parameter: &str) -> Result<Ipv4Net, AwsError> {
    text.parse().map(|block: Ipv4Net| block.trunc()).map_err(|_| not_valid(text, parameter))
}

/// An IPv6 block, its host bits made zero.
///
/// # Errors
/// If it is none.
pub(crate) fn v6(text: &str, parameter: &str) -> Result<Ipv6Net, AwsError> {
    text.parse().map(|block: Ipv6Net| block.trunc()).map_err(|_| not_valid(text, parameter))
}

/// The block of a VPC.
///
/// # Errors
/// If it is none, too large or too small, or of addresses that no network has.
pub(crate) fn of_vpc(text: &str) -> Result<Ipv4Net, AwsError> {
    let block = sized(v4(text, "cidrBlock")?, "InvalidVpc.Range")?;
    let first = block.network();
    // No network's own: unspecified, loopback, link-local, multicast and reserved (VPC User Guide,
    // "VPC CIDR blocks").
    let special = [0, 127].contains(&first.octets()[0]) || first.is_link_local();
    if special || first.octets()[0] >= 224 {
        return Err(refused("InvalidVpc.Range", format!("The CIDR '{block}' is invalid.")));
    }
    Ok(block)
}

/// The block of a subnet.
///
/// # Errors
/// If it is none, or too large or too small.
pub(crate) fn of_subnet(text: &str) -> Result<Ipv4Net, AwsError> {
    sized(v4(text, "cidrBlock")?, "InvalidSubnet.Range")
}

fn sized(block: Ipv4Net, code: &'static str) -> Result<Ipv4Net, AwsError> {
    if SIZES.contains(&block.prefix_len()) {
        return Ok(block);
    }
    Err(refused(code, format!("The CIDR '{block}' is invalid.")))
}

/// Whether two blocks have an address in common.
pub(crate) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}
