//! The services of AWS that endpoints of a VPC can lead to, and all names that they have.

use crate::dns::host_of;
use crate::id::EndpointId;

/// A service with endpoints in VPCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// What stands behind `com.amazonaws.REGION.`: `sagemaker.api`.
    pub name: &'static str,
    /// Whether gateway endpoints lead to it.
    pub gateway: bool,
    /// Whether it is its host itself that is asked.
    own: bool,
    /// Whether it is what is below its host that is asked: buckets, registries.
    pub(crate) below: bool,
}

const fn single(name: &'static str) -> Service {
    Service { name, gateway: false, own: true, below: false }
}

/// Those that Belljar serves, in the order of their names. Each has interface endpoints.
pub const SERVICES: [Service; 7] = [
    single("ecr.api"),
    Service { name: "ecr.dkr", gateway: false, own: false, below: true },
    single("logs"),
    Service { name: "s3", gateway: true, own: true, below: true },
    single("sagemaker.api"),
    single("sagemaker.runtime"),
    single("sts"),
];

/// The service of a name like `com.amazonaws.us-east-1.s3`, if it is one of this region.
#[must_use]
pub fn find(name: &str, region: &str) -> Option<&'static Service> {
    let (of, short) = crate::network::service(name)?;
    SERVICES.iter().find(|service| of == region && service.name == short)
}

impl Service {
    /// `com.amazonaws.REGION.…`.
    #[must_use]
    pub fn full_name(&self, region: &str) -> String {
        format!("com.amazonaws.{region}.{}", self.name)
    }

    /// The names that lead to an interface endpoint with private DNS; `*.` stands for all below.
    #[must_use]
    pub fn private_names(&self, region: &str) -> Vec<String> {
        let host = host_of(region, self.name);
        let below = self.below.then(|| format!("*.{host}"));
        self.own.then_some(host).into_iter().chain(below).collect()
    }

    /// What the names of all of its endpoints stand below.
    #[must_use]
    pub fn base_name(&self, region: &str) -> String {
        host_of(&format!("{region}.vpce"), self.name)
    }

    /// The names of an interface endpoint itself: of all its interfaces, then for each zone (of its
    /// interface there). Those of S3 stand above its buckets.
    #[must_use]
    pub fn endpoint_names(&self, id: &EndpointId, region: &str, zones: &[&str]) -> Vec<String> {
        let base = self.base_name(region);
        let star = if self.name == "s3" { "*." } else { "" };
        let tail = tail(id);
        let all = std::iter::once(format!("{star}{id}-{tail}.{base}"));
        all.chain(zones.iter().map(|zone| format!("{star}{id}-{tail}-{zone}.{base}"))).collect()
    }
}

/// Eight letters and digits that follow from an endpoint's id (FNV-1a), as AWS has eight of its own
/// behind it.
pub(crate) fn tail(id: &EndpointId) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in id.as_str().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let digit = |n: u64| char::from_digit(u32::try_from(n % 36).unwrap_or_default(), 36);
    (0..8).filter_map(|place| digit(hash / 36_u64.pow(place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_of_its_region() {
        assert_eq!(find("com.amazonaws.us-east-1.s3", "us-east-1").unwrap().name, "s3");
        for other in ["com.amazonaws.eu-west-1.s3", "com.amazonaws.us-east-1.kms", "s3", ""] {
            assert!(find(other, "us-east-1").is_none(), "{other}");
        }
    }

    #[test]
    fn names_are_those_that_clients_use() {
        let private = |name: &str| {
            find(&format!("com.amazonaws.r.{name}"), "r").unwrap().private_names("r").join(" ")
        };
        assert_eq!(private("sagemaker.api"), "api.sagemaker.r.amazonaws.com");
        assert_eq!(private("ecr.dkr"), "*.dkr.ecr.r.amazonaws.com");
        assert_eq!(private("s3"), "s3.r.amazonaws.com *.s3.r.amazonaws.com");
    }

    #[test]
    fn an_endpoint_has_a_name_and_one_for_each_zone() {
        let id: EndpointId = "vpce-1".parse().unwrap();
        let names = find("com.amazonaws.r.logs", "r").unwrap().endpoint_names(&id, "r", &["ra"]);
        let [all, zone] = names.as_slice() else { panic!("{names:?}") };
        let tail = all.strip_prefix("vpce-1-").unwrap().strip_suffix(".logs.r.vpce.amazonaws.com");
        assert_eq!(tail.unwrap().len(), 8);
        assert_eq!(zone.replace("-ra", ""), *all);
    }
}
