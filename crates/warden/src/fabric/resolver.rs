//! A VPC's resolver: what `vpc::dns` says of its network as it is; and of public names what the
//! host's name servers say, where the VPC has an internet gateway. Names are no way out of one that
//! has none.

use super::view::View;
use crate::dns::{Answers, Forwarder};
use belljar_domain::aws_names::is_aws;
use belljar_vpc::dns::{self, Answer, SERVICES};
use belljar_vpc::id::VpcId;
use belljar_vpc::network::RecordType as Kind;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::sync::Arc;
use tokio::sync::watch;

/// Seconds that an address of a service may be kept.
const SERVICE_TTL: u32 = 5;

/// The names of one VPC.
#[derive(Debug)]
pub(super) struct VpcNames {
    pub(super) vpc: VpcId,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) upstream: Arc<Forwarder>,
}

impl Answers for VpcNames {
    async fn look_up(&self, query: &Query, answer: &mut Message) -> ResponseCode {
        let view = self.view.borrow().clone();
        let name = query.name().to_string();
        // Of a type that is not served no name has a record; whether it exists is the same.
        let asked = kind(query.query_type());
        let found = dns::resolve(&view.network, &self.vpc, &name, asked.unwrap_or(Kind::A));
        let (records, code) = match found {
            Answer::Records(records) if asked.is_none() => {
                let aliases = records.into_iter().filter(|r| r.kind == Kind::Cname).collect();
                (aliases, ResponseCode::NoError)
            }
            Answer::Records(records) | Answer::NoData(records) => (records, ResponseCode::NoError),
            Answer::Forward(name, records)
                if view.network.internet_gateway(&self.vpc).is_some() =>
            {
                return self.forward(&name, records, (query, answer)).await;
            }
            Answer::NoName(records) | Answer::Forward(_, records) => {
                (records, ResponseCode::NXDomain)
            }
            Answer::Circle => return ResponseCode::ServFail,
            Answer::NoResolver => return ResponseCode::Refused,
        };
        let Some(records) = records.iter().map(wire).collect::<Option<Vec<_>>>() else {
            return ResponseCode::ServFail;
        };
        answer.answers.extend(records);
        code
    }
}

impl VpcNames {
    /// Asks for the name to which CNAMEs have led. AWS's are never asked for: they lead to the
    /// service, by the internet gateway.
    async fn forward(
        &self,
        name: &str,
        records: Vec<dns::Record>,
        (query, answer): (&Query, &mut Message),
    ) -> ResponseCode {
        let aliases = records.iter().map(wire).collect::<Option<Vec<_>>>();
        let (Some(aliases), Ok(name)) = (aliases, Name::from_ascii(name)) else {
            return ResponseCode::ServFail;
        };
        answer.answers.extend(aliases);
        if is_aws(&name.to_string()) {
            if query.query_type() == RecordType::A {
                let address = RData::A(SERVICES.into());
                answer.answers.push(Record::from_rdata(name, SERVICE_TTL, address));
            }
            return ResponseCode::NoError;
        }
        self.upstream.look_up(&Query::query(name, query.query_type()), answer).await
    }
}

fn kind(of: RecordType) -> Option<Kind> {
    Some(match of {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        RecordType::CNAME => Kind::Cname,
        RecordType::TXT => Kind::Txt,
        RecordType::NS => Kind::Ns,
        RecordType::SOA => Kind::Soa,
        _ => return None,
    })
}

/// A record as it is sent; `None` if its value is none of its type.
fn wire(record: &dns::Record) -> Option<Record> {
    let kind = match record.kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
        Kind::Txt => RecordType::TXT,
        Kind::Ns => RecordType::NS,
        Kind::Soa => RecordType::SOA,
    };
    let name = Name::from_ascii(&record.name).ok()?;
    let data = RData::try_from_str(kind, &record.value).ok()?;
    Some(Record::from_rdata(name, record.ttl, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_type_can_be_sent() {
        for (kind, value) in [
            (Kind::A, "10.0.0.1"),
            (Kind::Aaaa, "2600::1"),
            (Kind::Cname, "a.example.com."),
            (Kind::Txt, "\"a b\" \"c \\\"d\\\"\""),
            (Kind::Ns, "ns-1.example.com."),
            (Kind::Soa, "ns-1.example.com. host.example.com. 1 7200 900 1209600 86400"),
        ] {
            let (name, value) = ("x.example.com.".to_owned(), value.to_owned());
            let record = dns::Record { name, kind, ttl: 60, value };
            let sent = wire(&record).unwrap_or_else(|| panic!("{record:?}"));
            if let RData::TXT(text) = &sent.data {
                let parts: Vec<_> = text.txt_data.iter().map(|t| t.to_vec()).collect();
                assert_eq!(parts, [b"a b".to_vec(), b"c \"d\"".to_vec()]);
            }
        }
        let name = "x.example.com.".to_owned();
        let bad = dns::Record { name, kind: Kind::A, ttl: 60, value: "x".into() };
        assert!(wire(&bad).is_none());
    }
}
