//! `belljar network map`: a VPC drawn, and who may reach whom in it.
//!
//! Interfaces of one subnet and the same groups are one box: the rules say the same of all of them.
//! One of each box is asked for by `reach`, which is what is enforced.

mod arrows;
mod flows;
mod layout;
mod lines;
mod nodes;
mod svg;
#[cfg(test)]
mod tests;
mod words;

use super::names::Names;
use belljar_vpc::id::VpcId;

/// Pairs of boxes that are tried, at most: some seconds' work.
const MAX_PAIRS: usize = 4096;

/// A VPC as an SVG, with arrows for TCP connections to a port.
pub(super) fn draw(names: &Names<'_>, vpc: &VpcId, port: u16) -> String {
    let nodes = nodes::of_vpc(names.network, vpc);
    let flows = flows::find(names.network, &nodes, port, MAX_PAIRS);
    let lines = lines::of(&flows, &layout::columns(names.network, vpc, &nodes));
    let layout = layout::arrange(names.network, vpc, &nodes, lines::lanes(&lines));
    let drawn = svg::Drawn { nodes: &nodes, flows: &flows, lines: &lines, layout: &layout };
    svg::write(names, vpc, port, &drawn)
}
