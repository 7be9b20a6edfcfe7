//! Where everything is: zones are columns, subnets boxes in them, and what leads out is a column at
//! the right edge. Between the columns there is room for the arrows.

use super::nodes::Node;
use crate::network::facts::subnets;
use belljar_vpc::Network;
use belljar_vpc::id::{SubnetId, VpcId};

/// Around everything.
const MARGIN: i32 = 24;
/// The title above the columns.
const TITLE: i32 = 64;
/// A column's width.
const COLUMN: i32 = 300;
/// Between columns, for arrows.
const GUTTER: i32 = 110;
/// A zone's head.
const ZONE_HEAD: i32 = 36;
/// A subnet's head.
const SUBNET_HEAD: i32 = 54;
/// Inside of a zone and of a subnet, around what is in it.
const PAD: i32 = 12;
/// A box's height.
const BOX: i32 = 48;
/// Between boxes.
const GAP: i32 = 14;
/// Between the lanes below the columns.
const LANE: i32 = 9;
/// What is said below.
const LEGEND: i32 = 64;
/// What the legend needs, however small the network is.
const MIN_WIDTH: i32 = 760;

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: i32,
    pub(super) h: i32,
}

impl Rect {
    pub(super) fn right(&self) -> i32 {
        self.x + self.w
    }

    pub(super) fn bottom(&self) -> i32 {
        self.y + self.h
    }
}

/// Where everything is.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    /// The VPC itself.
    pub(super) vpc: Rect,
    pub(super) zones: Vec<(String, Rect)>,
    pub(super) subnets: Vec<(SubnetId, Rect)>,
    /// Of each box, in their order.
    pub(super) nodes: Vec<Rect>,
    /// And their columns: zones from 0, then the edge.
    pub(super) columns: Vec<usize>,
    /// Where the lanes begin.
    lanes: i32,
    /// Where the legend begins.
    pub(super) legend: i32,
}

impl Layout {
    /// How far down a lane is.
    pub(super) fn lane(&self, number: usize) -> i32 {
        self.lanes + LANE * i32::try_from(number).unwrap_or(0)
    }

    /// The room between a column and the next one.
    pub(super) fn between(&self, left: usize) -> (i32, i32) {
        let zone = |place: usize| self.zones.get(place).map(|(_, rect)| rect);
        let from = zone(left).map_or(self.vpc.right(), Rect::right);
        let to = zone(left + 1).map_or(self.vpc.right() + GUTTER, |rect| rect.x);
        (from, to)
    }
}

/// The zones of a VPC, which are columns.
fn zones<'a>(network: &'a Network, vpc: &VpcId) -> Vec<&'a str> {
    let mut zones: Vec<&str> = subnets(network, vpc).iter().map(|(_, zone)| *zone).collect();
    zones.sort_unstable();
    zones.dedup();
    zones
}

/// The columns of boxes.
pub(super) fn columns(network: &Network, vpc: &VpcId, nodes: &[Node]) -> Vec<usize> {
    let zones = zones(network, vpc);
    let column = |node: &Node| {
        let subnet = network.subnets.get(&node.class()?.subnet)?;
        zones.iter().position(|zone| *zone == subnet.zone)
    };
    nodes.iter().map(|node| column(node).unwrap_or(zones.len())).collect()
}

/// Arranges the boxes of a VPC, with that many lanes below the columns.
pub(super) fn arrange(network: &Network, vpc: &VpcId, nodes: &[Node], lanes: usize) -> Layout {
    let mut layout = Layout {
        nodes: vec![Rect::default(); nodes.len()],
        columns: columns(network, vpc, nodes),
        ..Layout::default()
    };
    let inside = subnets(network, vpc);
    let top = MARGIN + TITLE;
    let mut x = MARGIN + PAD;
    let mut bottom = top + ZONE_HEAD;
    for zone in zones(network, vpc) {
        let mut y = top + ZONE_HEAD;
        for (id, _) in inside.iter().filter(|(_, of)| *of == zone) {
            y = subnet(&mut layout, nodes, id, (x + PAD, y)) + PAD;
        }
        let rect = Rect { x, y: top, w: COLUMN, h: y - top };
        layout.zones.push((zone.to_owned(), rect));
        bottom = bottom.max(rect.bottom());
        x += COLUMN + GUTTER;
    }
    layout.lanes = bottom + PAD;
    if lanes > 0 {
        bottom = layout.lane(lanes - 1);
    }
    // The last gutter is outside of the VPC: the arrows to what leads out of it cross its border.
    let right = if layout.zones.is_empty() { x + COLUMN } else { x - GUTTER };
    layout.vpc = Rect { x: MARGIN, y: MARGIN, w: right + PAD - MARGIN, h: bottom + PAD - MARGIN };
    edge(&mut layout, nodes, top);
    layout
}

/// Places what leads out of the VPC, and the legend below all.
fn edge(layout: &mut Layout, nodes: &[Node], top: i32) {
    let mut y = top;
    for (place, _) in nodes.iter().enumerate().filter(|(_, n)| n.class().is_none()) {
        layout.nodes[place] =
            Rect { x: layout.vpc.right() + GUTTER, y, w: COLUMN - 2 * PAD, h: BOX };
        y += BOX + GAP;
    }
    let right = layout.nodes.iter().map(Rect::right).max().unwrap_or(0);
    layout.width = (layout.vpc.right().max(right) + MARGIN).max(MIN_WIDTH);
    layout.legend = layout.vpc.bottom().max(y) + GAP;
    layout.height = layout.legend + LEGEND;
}

/// Places a subnet and its boxes; answers where it ends.
fn subnet(layout: &mut Layout, nodes: &[Node], id: &SubnetId, (x, top): (i32, i32)) -> i32 {
    let w = COLUMN - 2 * PAD;
    let mut y = top + SUBNET_HEAD;
    let here = |n: &Node| n.class().is_some_and(|c| c.subnet == *id);
    for (place, _) in nodes.iter().enumerate().filter(|(_, n)| here(n)) {
        layout.nodes[place] = Rect { x: x + PAD, y, w: w - 2 * PAD, h: BOX };
        y += BOX + GAP;
    }
    let rect = Rect { x, y: top, w, h: y - top };
    layout.subnets.push((id.clone(), rect));
    rect.bottom()
}
