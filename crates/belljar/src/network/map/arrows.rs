//! Arrows between boxes: from side to side, each with a place of its own there.

use super::layout::Rect;
use super::svg::{COLOURS, Drawn, escaped};
use super::words;
use crate::network::names::Names;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Which side of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Left,
    Right,
}

/// A line between two boxes, with a head at one end or at both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    from: usize,
    to: usize,
    both: bool,
}

/// Writes all of them; where members of a box reach each other, the box has a mark.
pub(super) fn write(out: &mut String, names: &Names<'_>, port: u16, drawn: &Drawn<'_>) {
    let lines = lines(drawn);
    let places = places(&lines, &drawn.layout.nodes);
    let said = |place: usize| words::of_node(names, &drawn.nodes[place]).0;
    for (number, line) in lines.iter().enumerate() {
        let colour = line.from % COLOURS.len();
        let start =
            if line.both { format!(" marker-start=\"url(#head{colour})\"") } else { String::new() };
        let arrow = if line.both { "↔" } else { "→" };
        let title = format!("{} {arrow} {} (tcp {port})", said(line.from), said(line.to));
        let _ = writeln!(
            out,
            "<path class=\"flow c{colour}\" d=\"{}\"{start} marker-end=\"url(#head{colour})\">\
             <title>{}</title></path>",
            curve(places[&(number, false)], places[&(number, true)]),
            escaped(&title)
        );
    }
    for (from, _) in drawn.flows.all.iter().filter(|(from, to)| from == to) {
        let at = &drawn.layout.nodes[*from];
        let colour = from % COLOURS.len();
        let (x, y) = (at.right() + 4, at.y + 12);
        let title = format!("{} ↻ (tcp {port})", said(*from));
        let _ = writeln!(
            out,
            "<text class=\"loop h{colour}\" x=\"{x}\" y=\"{y}\">↻<title>{}</title></text>",
            escaped(&title)
        );
    }
}

/// Each pair of boxes once.
fn lines(drawn: &Drawn<'_>) -> Vec<Line> {
    let all = &drawn.flows.all;
    let line = |&(from, to): &(usize, usize)| {
        let both = all.contains(&(to, from));
        (from != to && !(both && to < from)).then_some(Line { from, to, both })
    };
    all.iter().filter_map(line).collect()
}

/// The sides at which a line between two boxes begins and ends.
fn sides(from: &Rect, to: &Rect) -> (Side, Side) {
    if from.right() <= to.x {
        (Side::Right, Side::Left)
    } else if to.right() <= from.x {
        (Side::Left, Side::Right)
    } else {
        // One column: out at the right, and in again.
        (Side::Right, Side::Right)
    }
}

/// Where each line begins (`false`) and ends (`true`): the lines at a side are shared out over its
/// length, in the order of where they lead, so that few of them cross.
fn places(lines: &[Line], rects: &[Rect]) -> BTreeMap<(usize, bool), (i32, i32, Side)> {
    let mut at: BTreeMap<(usize, Side), Vec<(i32, usize, bool)>> = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let (from, to) = (&rects[line.from], &rects[line.to]);
        let (leaves, arrives) = sides(from, to);
        at.entry((line.from, leaves)).or_default().push((to.y, number, false));
        at.entry((line.to, arrives)).or_default().push((from.y, number, true));
    }
    let mut places = BTreeMap::new();
    for ((node, side), mut ends) in at {
        ends.sort_unstable();
        let rect = &rects[node];
        let x = if side == Side::Left { rect.x } else { rect.right() };
        let count = i32::try_from(ends.len()).unwrap_or(i32::MAX - 1);
        for ((_, number, end), nth) in ends.into_iter().zip(1..) {
            // The top is the mark's of who reaches its like.
            let y = rect.y + 8 + (rect.h - 10) * nth / (count + 1);
            places.insert((number, end), (x, y, side));
        }
    }
    places
}

/// A curve that leaves and arrives level.
fn curve((x1, y1, from): (i32, i32, Side), (x2, y2, to): (i32, i32, Side)) -> String {
    let pull = match from == to {
        // The further, the wider; but never into the next column.
        true => 26 + ((y2 - y1).abs() / 6).min(60),
        false => ((x2 - x1).abs() / 2).clamp(30, 160),
    };
    let out = |x: i32, side: Side| if side == Side::Left { x - pull } else { x + pull };
    format!("M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}", out(x1, from), out(x2, to))
}
