use super::layout::{Layout, Rect, arrange};
use super::nodes::Node;
use super::*;
use crate::network::testing::{TEXT, network, tags};
use belljar_vpc::Network;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::{BTreeMap, BTreeSet};

fn vpc() -> VpcId {
    "vpc-a".parse().unwrap()
}

/// What is in an SVG: how often each element of each class is there.
fn read(svg: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut reader = Reader::from_str(svg);
    let mut depth = 0;
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Event::Start(e) | Event::Empty(e) => {
                let name = e.name().as_ref().to_owned();
                assert_ne!(name, "script");
                let class = e.attributes().map(Result::unwrap).find_map(|a| {
                    assert!(!a.key.as_ref().starts_with("on"), "a script");
                    (a.key.as_ref() == "class").then(|| a.value.to_string())
                });
                *counts.entry(format!("{name} {}", class.unwrap_or_default())).or_insert(0) += 1;
                depth += i32::from(matches!(event, Event::Start(_)));
            }
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    counts
}

fn drawn(text: &str, named: &[(&str, &str)]) -> String {
    let (network, tags) = (network(text), tags(named));
    draw(&Names::new(&network, &tags), &vpc(), 443)
}

#[test]
fn every_box_and_arrow_is_there() {
    let network = network(TEXT);
    let nodes = nodes::of_vpc(&network, &vpc());
    let said = |place: &usize| match &nodes[*place] {
        Node::Class(class) => class.members[0].to_string(),
        Node::Internet(_) => "internet".to_owned(),
        Node::Endpoint(id) => id.to_string(),
        Node::Peering(id, _) => id.to_string(),
    };
    let flows = flows::find(&network, &nodes, 443, MAX_PAIRS);
    let found: Vec<String> =
        flows.all.iter().map(|(from, to)| format!("{} {}", said(from), said(to))).collect();
    let expected = [
        "eni-t1 eni-v1", // by the endpoint's group
        "eni-t1 vpce-s3",
        "eni-t3 eni-v1",
        "eni-m1 eni-w1",
        "eni-m1 internet", // by the NAT gateway
        "eni-w1 internet",
        "internet eni-w1",
    ];
    for flow in expected {
        assert!(found.contains(&flow.to_owned()), "{flow} is missing: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert_eq!(flows.tried, flows.pairs);

    let counts = read(&drawn(TEXT, &[]));
    assert_eq!((counts["rect box"], counts["rect box edge"]), (6, 2), "{counts:#?}");
    assert_eq!((counts["rect subnet"], counts["rect subnet public"]), (2, 1), "{counts:#?}");
    let arrows: usize =
        counts.iter().filter(|(k, _)| k.starts_with("path flow")).map(|(_, n)| n).sum();
    // Fewer boxes begin something than there are colours, so no two have the same one.
    let colours = counts.keys().filter(|k| k.starts_with("path flow")).count();
    assert_eq!(colours, lines_from(&network, &nodes, &flows), "{counts:#?}");
    // One has a head at both ends.
    assert_eq!(arrows, expected.len() - 1);
}

/// How many boxes a line begins at.
fn lines_from(network: &Network, nodes: &[Node], flows: &flows::Flows) -> usize {
    let lines = lines::of(flows, &layout::columns(network, &vpc(), nodes));
    lines.iter().map(|line| line.from).collect::<BTreeSet<_>>().len()
}

/// A line through a lane: straight, so that its corners say where it goes.
#[test]
fn no_lane_crosses_a_box() {
    let network = network(TEXT);
    let nodes = nodes::of_vpc(&network, &vpc());
    let flows = flows::find(&network, &nodes, 443, MAX_PAIRS);
    let lines = lines::of(&flows, &layout::columns(&network, &vpc(), &nodes));
    let layout = arrange(&network, &vpc(), &nodes, lines::lanes(&lines));
    check(&layout);
    let svg = drawn(TEXT, &[]);
    let ways = svg.split(" d=\"").filter(|w| w.contains(" L") && w.contains("marker-end="));
    let mut seen = 0;
    for way in ways {
        let way = way.split('"').next().unwrap().replace(['M', 'L', 'Q'], "");
        let numbers: Vec<i32> = way.split_whitespace().map(|n| n.parse().unwrap()).collect();
        for (one, other) in numbers.chunks(2).zip(numbers.chunks(2).skip(1)) {
            let (x, y) = (one[0].min(other[0]), one[1].min(other[1]));
            let (w, h) = ((one[0] - other[0]).abs(), (one[1] - other[1]).abs());
            let part = Rect { x, y, w, h };
            assert!(layout.nodes.iter().all(|node| apart(&part, node)), "{part:?} {way}");
        }
        seen += 1;
    }
    assert_eq!(seen, lines.iter().filter(|line| line.lane.is_some()).count());
    assert!(seen > 0);
}

/// What the rules say of IPv6 is no less so.
#[test]
fn what_ipv6_reaches_is_drawn() {
    let text = "vpc vpc-a 10.0.0.0/16 2600:1::/56\nigw igw-a vpc-a\n\
        subnet subnet-a vpc-a us-east-1a 10.0.1.0/24 2600:1::/64\n\
        group sg-a vpc-a\n  ingress tcp 443 ::/0\n  egress all ::/0\n\
        eni eni-a subnet-a 10.0.1.10,2600:1::10 sg-a\n\
        eni eni-b subnet-a 10.0.1.11 sg-a\n\
        table rtb-a vpc-a subnet-a\n  ::/0 igw-a\n";
    let network = network(text);
    let nodes = nodes::of_vpc(&network, &vpc());
    let flows = flows::find(&network, &nodes, 443, MAX_PAIRS);
    // The box with IPv6 and the internet, both ways; the other one has none.
    let (with, internet) = (nodes.iter().position(|n| n.class().is_some_and(|c| c.v6)), 2);
    let with = with.unwrap();
    let expected = [(with, internet), (internet, with)];
    assert_eq!(flows.all, expected.into(), "{nodes:#?}");
}

#[test]
fn texts_end_where_their_room_does() {
    assert_eq!(words::fitting("10.0.0.0/24 · private · 251 free", 258, false).len(), 34);
    let cut = words::fitting("a-subnet-with-a-name-that-is-rather-long", 258, true);
    assert!(cut.starts_with("a-subnet-with-a-name") && cut.ends_with('…'), "{cut}");
    assert_eq!(words::fitting("", 0, true), "");
    assert!(words::fitting("訓練グループの長い名前です", 60, true).chars().count() < 6);
}

#[test]
fn names_are_text_and_nothing_else() {
    let bad = "</text><script>alert(1)</script>&\"'\u{1b}\u{ffff}";
    let svg = drawn(TEXT, &[("vpc-a", bad), ("subnet-a", bad), ("sg-train", bad), ("igw-a", bad)]);
    assert!(!svg.contains("<script"), "{svg}");
    read(&svg);
}

#[test]
fn what_was_not_tried_is_said() {
    let network = network(TEXT);
    let nodes = nodes::of_vpc(&network, &vpc());
    let flows = flows::find(&network, &nodes, 443, 3);
    assert_eq!(flows.tried, 3);
    let layout = arrange(&network, &vpc(), &nodes, 0);
    let tags = tags(&[]);
    let lines = lines::of(&flows, &layout.columns);
    let drawn = svg::Drawn { nodes: &nodes, flows: &flows, lines: &lines, layout: &layout };
    let svg = svg::write(&Names::new(&network, &tags), &vpc(), 443, &drawn);
    assert!(svg.contains(&format!("Only 3 of {} pairs", flows.pairs)), "{svg}");
}

fn apart(one: &Rect, other: &Rect) -> bool {
    one.right() <= other.x
        || other.right() <= one.x
        || one.bottom() <= other.y
        || other.bottom() <= one.y
}

fn inside(inner: &Rect, outer: &Rect) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.right() <= outer.right()
        && inner.bottom() <= outer.bottom()
}

fn check(layout: &Layout) {
    let page = Rect { x: 0, y: 0, w: layout.width, h: layout.legend };
    let subnets: Vec<&Rect> = layout.subnets.iter().map(|(_, r)| r).collect();
    let zones: Vec<&Rect> = layout.zones.iter().map(|(_, r)| r).collect();
    for of in [&subnets, &zones, &layout.nodes.iter().collect()] {
        for (place, one) in of.iter().enumerate() {
            assert!(inside(one, &page), "{one:?} {page:?}");
            assert!(of[..place].iter().all(|other| apart(one, other)), "{one:?}");
        }
    }
    assert!(zones.iter().all(|z| inside(z, &layout.vpc)));
    assert!(subnets.iter().all(|s| zones.iter().any(|z| inside(s, z))));
    // A box is in a subnet, or outside of the VPC.
    for node in &layout.nodes {
        assert!(apart(node, &layout.vpc) || subnets.iter().any(|s| inside(node, s)), "{node:?}");
    }
}

#[test]
fn nothing_overlaps() {
    for text in [TEXT, "vpc vpc-a 10.0.0.0/16", "vpc vpc-a 10.0.0.0/16\nigw igw-a vpc-a"] {
        let network = network(text);
        check(&arrange(&network, &vpc(), &nodes::of_vpc(&network, &vpc()), 3));
        read(&drawn(text, &[]));
    }
}
