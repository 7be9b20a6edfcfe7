//! Errors that come through an internet gateway: what they quote is translated too, or nobody would
//! know whose they are.

use crate::agree::runtime;
use crate::packet::{Phase, build, checksum};
use crate::scene::number;
use crate::wire::{Barrier, Wire};
use belljar_linux::netns::NetNs;
use belljar_linux::router::{RouterNet, Uplink};
use belljar_vpc::compile::{End, compile};
use belljar_vpc::id::InterfaceId;
use belljar_vpc::traffic::{Header, Payload, Transport};
use belljar_vpc::{Network, sample};
use std::net::IpAddr;

const REGION: &str = "vpc vpc-a 10.0.0.0/16\n\
    subnet subnet-a vpc-a us-east-1a 10.0.1.0/24\n\
    igw igw-a vpc-a\n\
    table rtb-a vpc-a subnet-a\n  0.0.0.0/0 igw-a\n\
    group sg-a vpc-a\n  egress all 0.0.0.0/0\n\
    eni eni-a subnet-a 10.0.1.10=203.0.113.9 sg-a\n";

const PRIVATE: [u8; 4] = [10, 0, 1, 10];
const PUBLIC: [u8; 4] = [203, 0, 113, 9];
const HOST: [u8; 4] = [8, 8, 8, 8];

/// "Fragmentation needed" (RFC 792) about a packet.
fn error(about: &[u8]) -> Vec<u8> {
    let mut icmp = vec![3, 4, 0, 0, 0, 0, 0x05, 0x00];
    icmp.extend(&about[..28]);
    let sum = checksum(&icmp, 0);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x45, 0, 0, 20 + icmp.len() as u8, 0, 9, 0, 0, 64, 1, 0, 0];
    packet.extend(HOST);
    packet.extend(PUBLIC);
    let sum = checksum(&packet, 0);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(icmp);
    packet
}

/// The next packet of IPv4: a link that is new has words of its own by IPv6.
fn next(wire: &Wire, buffer: &mut [u8]) -> Option<usize> {
    loop {
        let length = wire.receive(buffer)?;
        if buffer[0] >> 4 == 4 {
            return Some(length);
        }
    }
}

pub(crate) fn quoted() -> crate::Outcome {
    let network = Network::new(sample::read(REGION)?)?;
    let router = compile(&network, &"vpc-a".parse()?);
    runtime().block_on(async {
        let barrier = Barrier::new().await;
        let (a, edge) = (NetNs::create()?, Uplink::edge()?);
        let mut net = RouterNet::create().await?;
        let eni = router.interface(&"eni-a".parse::<InterfaceId>()?).ok_or("no link")?;
        let is_gateway = |l: &&belljar_vpc::compile::Link| matches!(l.end, End::Internet { .. });
        let gateway = router.links.values().find(is_gateway).ok_or("no gateway")?.clone();
        net.add_link(eni, &a).await?;
        net.add_link(&gateway, edge.ns()).await?;
        net.apply(router).await?;
        let (inside, outside) = (Wire::open(&a), Wire::open(edge.ns()));
        let payload = Payload::Ports { transport: Transport::Udp, source: 4000, destination: 53 };
        let (source, destination) = (IpAddr::from(PRIVATE), IpAddr::from(HOST));
        let header = Header { source, destination, payload };
        for packet in build(&header, Phase::Open, (1, 0), false) {
            inside.send(number(&a, "eth0").await, &packet);
        }
        barrier.wait();
        let mut buffer = [0; 2048];
        let length = next(&outside, &mut buffer).ok_or("the packet did not leave")?;
        assert_eq!(buffer[12..16], PUBLIC);
        outside.send(number(edge.ns(), &gateway.name).await, &error(&buffer[..length]));
        barrier.wait();
        // The world's own kernel has no route to that host, and says so first.
        let mut codes = Vec::new();
        while let Some(length) = next(&inside, &mut buffer) {
            let (head, icmp) = buffer[..length].split_at(20);
            assert_eq!((&head[16..20], icmp[0]), (&PRIVATE[..], 3));
            assert_eq!(icmp[8 + 12..8 + 16], PRIVATE, "the quoted head has the public address");
            // A sum over what has a right checksum is zero, written as all ones here.
            assert_eq!(checksum(icmp, 0), 0xffff, "the checksum is wrong");
            codes.push(icmp[1]);
        }
        assert_eq!(codes, [0, 4]);
        Ok(())
    })
}
