//! A network to try things with.

use super::names::Tags;
use belljar_vpc::Network;
use belljar_vpc::sample;

/// Two zones, a private subnet in each and a public one; training, a model and an endpoint for
/// `sagemaker.api`; S3 by a gateway, that the second private subnet lacks.
pub(crate) const TEXT: &str = "
vpc vpc-a 10.0.0.0/16
subnet subnet-a vpc-a us-east-1a 10.0.1.0/24
subnet subnet-b vpc-a us-east-1b 10.0.2.0/24
subnet subnet-p vpc-a us-east-1a 10.0.9.0/28
group sg-train vpc-a
  egress tcp 443 pl-s3
  egress tcp 443 sg-vpce
group sg-model vpc-a
  ingress tcp 443 sg-train
  egress tcp 443 0.0.0.0/0
group sg-vpce vpc-a
  ingress tcp 443 sg-train
group sg-web vpc-a
  ingress tcp 443 0.0.0.0/0
  egress all 0.0.0.0/0
table rtb-a vpc-a subnet-a
  pl-s3 vpce-s3
table rtb-b vpc-a subnet-b
  0.0.0.0/0 nat-a
table rtb-p vpc-a subnet-p
  0.0.0.0/0 igw-a
eni eni-t1 subnet-a 10.0.1.10 sg-train
eni eni-t2 subnet-a 10.0.1.11 sg-train
eni eni-t3 subnet-b 10.0.2.10 sg-train
eni eni-m1 subnet-b 10.0.2.20 sg-model
eni eni-v1 subnet-a 10.0.1.50 sg-vpce managed
eni eni-n1 subnet-p 10.0.9.5 - forwards managed
eni eni-w1 subnet-p 10.0.9.6=203.0.113.6 sg-web
igw igw-a vpc-a
eip eipalloc-n 203.0.113.5 eni-n1 10.0.9.5
nat nat-a subnet-p eni-n1 eipalloc-n
list pl-s3 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
gateway vpce-s3 vpc-a com.amazonaws.us-east-1.s3 rtb-a
interface vpce-sm vpc-a com.amazonaws.us-east-1.sagemaker.api eni-v1 private
";

pub(crate) fn network(text: &str) -> Network {
    Network::new(sample::read(text).unwrap()).unwrap()
}

/// Tags `Name`.
pub(crate) fn tags(all: &[(&str, &str)]) -> Tags {
    let tag = |name: &str| [("Name".to_owned(), name.to_owned())].into();
    all.iter().map(|(id, name)| ((*id).to_owned(), tag(name))).collect()
}
