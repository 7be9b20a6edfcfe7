//! The fields of records.

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident $name:literal $version:literal,)*) => {
        /// A field of a record ("Available fields").
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field { $($(#[$doc])* $variant,)* }

        impl Field {
            /// All, in the order of AWS's table; Belljar's own are last.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, as in `${name}`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The version of flow logs that brought it.
            #[must_use]
            pub const fn version(self) -> u8 {
                match self { $(Self::$variant => $version,)* }
            }
        }
    };
}

fields! {
    /// The highest version among the fields.
    Version "version" 2,
    /// The account.
    AccountId "account-id" 2,
    /// The interface at which it was recorded.
    InterfaceId "interface-id" 2,
    /// Source; of what the interface sends, always an address of its own.
    SrcAddr "srcaddr" 2,
    /// Destination; of what the interface is sent, always an address of its own.
    DstAddr "dstaddr" 2,
    /// Source port; 0 without ports.
    SrcPort "srcport" 2,
    /// Destination port; 0 without ports.
    DstPort "dstport" 2,
    /// IANA's number.
    Protocol "protocol" 2,
    /// Packets.
    Packets "packets" 2,
    /// Bytes, heads included.
    Bytes "bytes" 2,
    /// When the first packet came, in Unix seconds.
    Start "start" 2,
    /// When the last packet came.
    End "end" 2,
    /// `ACCEPT` or `REJECT`.
    Action "action" 2,
    /// `OK`, `NODATA` or `SKIPDATA`.
    LogStatus "log-status" 2,
    /// The interface's VPC.
    VpcId "vpc-id" 3,
    /// The interface's subnet.
    SubnetId "subnet-id" 3,
    /// The interface's instance, if that is the customer's: of none here.
    InstanceId "instance-id" 3,
    /// FIN 1, SYN 2, RST 4, SYN-ACK 18, together.
    TcpFlags "tcp-flags" 3,
    /// `IPv4` or `IPv6`.
    Type "type" 3,
    /// The packet's own source.
    PktSrcAddr "pkt-srcaddr" 3,
    /// The packet's own destination.
    PktDstAddr "pkt-dstaddr" 3,
    /// The region.
    Region "region" 4,
    /// The id of the interface's zone.
    AzId "az-id" 4,
    /// `wavelength`, `outpost`, `localzone`: none here.
    SublocationType "sublocation-type" 4,
    /// Of which: none here.
    SublocationId "sublocation-id" 4,
    /// The AWS service that the packet's source is an address of.
    PktSrcAwsService "pkt-src-aws-service" 5,
    /// The AWS service that the packet's destination is an address of.
    PktDstAwsService "pkt-dst-aws-service" 5,
    /// `ingress` or `egress`, as the interface sees it.
    FlowDirection "flow-direction" 5,
    /// By what way it left the interface.
    TrafficPath "traffic-path" 5,
    /// Belljar's own: which layer refused it. Of no version, so that it makes no record another's.
    BelljarLayer "belljar-layer" 2,
}

/// Fields of later versions, which are known and not served.
pub(super) const LATER: [(&str, u8); 14] = [
    ("ecs-cluster-arn", 7),
    ("ecs-cluster-name", 7),
    ("ecs-container-instance-arn", 7),
    ("ecs-container-instance-id", 7),
    ("ecs-container-id", 7),
    ("ecs-second-container-id", 7),
    ("ecs-service-name", 7),
    ("ecs-task-definition-arn", 7),
    ("ecs-task-arn", 7),
    ("ecs-task-id", 7),
    ("reject-reason", 8),
    ("resource-id", 9),
    ("encryption-status", 10),
    ("next-hop-interface-id", 10),
];

impl Field {
    /// The field of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.name() == name)
    }
}
