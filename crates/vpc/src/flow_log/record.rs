//! Records, and how they are written.

use super::field::Field;
use super::format::Format;
use super::layer::Layer;
use super::packet::Flags;
use crate::id::{FlowLogId, InterfaceId, SubnetId, VpcId};
use crate::network::Direction;
use crate::rules::TCP;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The records of one flow log and interval; those of a long one are several batches'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Batch {
    /// The flow log.
    pub flow_log: FlowLogId,
    /// The interval's beginning, in Unix seconds.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// Which of the interval's batches this is, from 0.
    pub part: u32,
    /// By the interface at which they were recorded.
    pub interfaces: BTreeMap<InterfaceId, Interface>,
}

/// The records of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Interface {
    /// Where it is, or was: it may be gone.
    pub place: Place,
    /// What was recorded.
    pub records: Vec<Record>,
}

/// Where an interface is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Place {
    /// Its VPC.
    pub vpc: VpcId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// The subnet's zone, by name.
    pub zone: String,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// When the first packet came, in Unix seconds.
    pub start: u64,
    /// When the last packet came.
    pub end: u64,
    /// What there was.
    pub status: Status,
}

/// `log-status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// This.
    Ok(Flow),
    /// Nothing came by in the interval.
    NoData,
    /// More than what the other records say, which was not kept.
    SkipData,
}

/// Packets of one direction between the same two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Flow {
    /// As the interface sees it.
    pub direction: Direction,
    /// `srcaddr`.
    pub source: IpAddr,
    /// `dstaddr`.
    pub destination: IpAddr,
    /// `pkt-srcaddr`.
    pub packet_source: IpAddr,
    /// `pkt-dstaddr`.
    pub packet_destination: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// IANA's number.
    pub protocol: u8,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Of TCP.
    pub flags: Flags,
    /// What refused them.
    pub refused: Option<Layer>,
    /// `traffic-path`.
    pub path: Option<u8>,
    /// The AWS service that `packet_source` is an address of.
    pub source_service: Option<String>,
    /// The AWS service that `packet_destination` is an address of.
    pub destination_service: Option<String>,
}

/// What records say that is the same in all of them.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The account.
    pub account: &'a str,
    /// The region.
    pub region: &'a str,
    /// The interface.
    pub interface: &'a InterfaceId,
    /// Where it is.
    pub place: &'a Place,
    /// The id of its zone, `use1-az1`.
    pub zone_id: &'a str,
}

impl Batch {
    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.interfaces.values().map(|i| i.records.len()).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Record {
    /// The record as a line. What does not apply is `-`.
    #[must_use]
    pub fn line(&self, format: &Format, context: &Context<'_>) -> String {
        let version = format.version();
        let text = |f: &Field| self.text(*f, version, context).unwrap_or_else(|| "-".to_owned());
        format.fields().iter().map(text).collect::<Vec<_>>().join(" ")
    }

    fn text(&self, field: Field, version: u8, context: &Context<'_>) -> Option<String> {
        Some(match field {
            Field::Version => version.to_string(),
            Field::AccountId => context.account.to_owned(),
            Field::InterfaceId => context.interface.to_string(),
            Field::Start => self.start.to_string(),
            Field::End => self.end.to_string(),
            Field::LogStatus => match self.status {
                Status::Ok(_) => "OK",
                Status::NoData => "NODATA",
                Status::SkipData => "SKIPDATA",
            }
            .to_owned(),
            Field::VpcId => context.place.vpc.to_string(),
            Field::SubnetId => context.place.subnet.to_string(),
            Field::Region => context.region.to_owned(),
            Field::AzId => context.zone_id.to_owned(),
            // No interface is of an instance that the customer owns, or of a sublocation.
            Field::InstanceId | Field::SublocationType | Field::SublocationId => return None,
            _ => match &self.status {
                Status::Ok(flow) => return flow.text(field),
                Status::NoData | Status::SkipData => return None,
            },
        })
    }
}

impl Flow {
    fn text(&self, field: Field) -> Option<String> {
        Some(match field {
            Field::SrcAddr => self.source.to_string(),
            Field::DstAddr => self.destination.to_string(),
            Field::PktSrcAddr => self.packet_source.to_string(),
            Field::PktDstAddr => self.packet_destination.to_string(),
            Field::SrcPort => self.source_port.to_string(),
            Field::DstPort => self.destination_port.to_string(),
            Field::Protocol => self.protocol.to_string(),
            Field::Packets => self.packets.to_string(),
            Field::Bytes => self.bytes.to_string(),
            Field::Action => match self.refused {
                None => "ACCEPT".to_owned(),
                Some(_) => "REJECT".to_owned(),
            },
            Field::TcpFlags if self.protocol == TCP => self.flags.bits().to_string(),
            Field::TcpFlags => "0".to_owned(),
            Field::Type if self.source.is_ipv4() => "IPv4".to_owned(),
            Field::Type => "IPv6".to_owned(),
            Field::PktSrcAwsService => return self.source_service.clone(),
            Field::PktDstAwsService => return self.destination_service.clone(),
            Field::FlowDirection => match self.direction {
                Direction::Ingress => "ingress".to_owned(),
                Direction::Egress => "egress".to_owned(),
            },
            Field::TrafficPath => return self.path.map(|p| p.to_string()),
            Field::BelljarLayer => return self.refused.map(|l| l.name().to_owned()),
            _ => return None,
        })
    }
}
