//! Arrows between boxes: from side to side, each with a place of its own there.

use super::layout::{Layout, Rect};
use super::lines::Line;
use super::svg::{COLOURS, Drawn, escaped};
use super::words;
use crate::network::names::Names;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Radius of a corner.
const CORNER: i32 = 7;

/// Which side of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Left,
    Right,
}

/// What has a place at a box's side, or between columns: the beginnings of a box's lines through a
/// lane share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Begin(usize),
    Lane(usize),
    End(usize),
}

type Point = (i32, i32);

/// Writes all of them; where members of a box reach each other, the box has a mark.
pub(super) fn write(out: &mut String, names: &Names<'_>, port: u16, drawn: &Drawn<'_>) {
    let places = places(drawn);
    let turns = turns(drawn);
    let said = |place: usize| words::of_node(names, &drawn.nodes[place]).0;
    let colours = colours(drawn);
    for (number, line) in drawn.lines.iter().enumerate() {
        let (begin, end) = slots(number, line);
        let (from, to) = (places[&begin], places[&end]);
        let way = match line.lane {
            None => curve(from, to),
            Some(lane) => {
                let y = drawn.layout.lane(lane);
                let (x1, x2) = (turns[&begin], turns[&end]);
                let ((a, _), (b, _)) = (from, to);
                cornered(&[a, (x1, a.1), (x1, y), (x2, y), (x2, b.1), b])
            }
        };
        let colour = colours[&line.from];
        let head = |which: &str| format!(" marker-{which}=\"url(#head{colour})\"");
        let start = if line.both { head("start") } else { String::new() };
        let arrow = if line.both { "↔" } else { "→" };
        let title = format!("{} {arrow} {} (tcp {port})", said(line.from), said(line.to));
        let _ = writeln!(
            out,
            "<path class=\"flow c{colour}\" d=\"{way}\"{start}{}><title>{}</title></path>",
            head("end"),
            escaped(&title)
        );
    }
    for (from, _) in drawn.flows.all.iter().filter(|(from, to)| from == to) {
        let at = &drawn.layout.nodes[*from];
        let colour = colours[from];
        let (x, y) = (at.right() + 3, at.y + 12);
        let title = format!("{} ↻ (tcp {port})", said(*from));
        let _ = writeln!(
            out,
            "<text class=\"loop h{colour}\" x=\"{x}\" y=\"{y}\">↻<title>{}</title></text>",
            escaped(&title)
        );
    }
}

/// The colour of each box that something begins at: by turns, so that no two have the same one before
/// all are used.
fn colours(drawn: &Drawn<'_>) -> BTreeMap<usize, usize> {
    let loops = drawn.flows.all.iter().filter(|(from, to)| from == to).map(|(from, _)| *from);
    let from: BTreeSet<usize> = drawn.lines.iter().map(|line| line.from).chain(loops).collect();
    from.into_iter().zip((0..COLOURS.len()).cycle()).collect()
}

/// The places that a line begins and ends at.
fn slots(number: usize, line: &Line) -> (Slot, Slot) {
    let begin = if line.lane.is_some() { Slot::Lane(line.from) } else { Slot::Begin(number) };
    (begin, Slot::End(number))
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

/// Where each line begins and ends: the lines at a side are shared out over its length, in the order
/// of where they lead, so that few of them cross. Those through a lane are lowest.
fn places(drawn: &Drawn<'_>) -> BTreeMap<Slot, (Point, Side)> {
    let rects = &drawn.layout.nodes;
    let mut at: BTreeMap<(usize, Side), Vec<(i32, Slot)>> = BTreeMap::new();
    for (number, line) in drawn.lines.iter().enumerate() {
        let (from, to) = (&rects[line.from], &rects[line.to]);
        let (leaves, arrives) = sides(from, to);
        let (begin, end) = slots(number, line);
        let far = |y: i32| if line.lane.is_some() { i32::MAX } else { y };
        // A box's lane leaves to the right if one of its lines does: its slots are side by side.
        at.entry((line.from, leaves)).or_default().push((far(to.y), begin));
        at.entry((line.to, arrives)).or_default().push((far(from.y), end));
    }
    let mut places = BTreeMap::new();
    for ((node, side), mut ends) in at {
        ends.sort_unstable();
        ends.dedup();
        let rect = &rects[node];
        let x = if side == Side::Left { rect.x } else { rect.right() };
        let count = i32::try_from(ends.len()).unwrap_or(i32::MAX - 1);
        for ((_, slot), nth) in ends.into_iter().zip(1..) {
            // The top is the mark's of who reaches its like.
            let y = rect.y + 8 + (rect.h - 10) * nth / (count + 1);
            places.insert(slot, ((x, y), side));
        }
    }
    places
}

/// Where, between two columns, a line turns down to its lane or up from it.
fn turns(drawn: &Drawn<'_>) -> BTreeMap<Slot, i32> {
    let Layout { nodes, columns, .. } = drawn.layout;
    let mut between: BTreeMap<usize, Vec<Slot>> = BTreeMap::new();
    for (number, line) in drawn.lines.iter().enumerate().filter(|(_, l)| l.lane.is_some()) {
        let (leaves, arrives) = sides(&nodes[line.from], &nodes[line.to]);
        let (begin, end) = slots(number, line);
        for (node, side, slot) in [(line.from, leaves, begin), (line.to, arrives, end)] {
            let left = if side == Side::Right { columns[node] } else { columns[node] - 1 };
            let here = between.entry(left).or_default();
            if !here.contains(&slot) {
                here.push(slot);
            }
        }
    }
    let mut turns = BTreeMap::new();
    for (left, slots) in between {
        let (from, to) = drawn.layout.between(left);
        let count = i32::try_from(slots.len()).unwrap_or(i32::MAX - 1);
        for (slot, nth) in slots.into_iter().zip(1..) {
            turns.insert(slot, from + (to - from) * nth / (count + 1));
        }
    }
    turns
}

/// A curve that leaves and arrives level.
fn curve(((x1, y1), from): (Point, Side), ((x2, y2), to): (Point, Side)) -> String {
    let pull = match from == to {
        // The further, the wider; but never into the next column.
        true => 26 + ((y2 - y1).abs() / 6).min(60),
        false => ((x2 - x1).abs() / 2).clamp(30, 160),
    };
    let out = |x: i32, side: Side| if side == Side::Left { x - pull } else { x + pull };
    format!("M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}", out(x1, from), out(x2, to))
}

/// Straight lines, level and upright in turn, with round corners.
fn cornered(points: &[Point]) -> String {
    let mut way = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        if place == 0 {
            let _ = write!(way, "M{x} {y}");
        } else if let Some(next) = points.get(place + 1) {
            let before = toward((*x, *y), points[place - 1]);
            let after = toward((*x, *y), *next);
            let _ = write!(way, " L{} {} Q{x} {y} {} {}", before.0, before.1, after.0, after.1);
        } else {
            let _ = write!(way, " L{x} {y}");
        }
    }
    way
}

/// A corner's length from one point towards another, at most half of the way.
fn toward((x, y): Point, (to_x, to_y): Point) -> Point {
    let step = |by: i32| by.signum() * (by.abs() / 2).min(CORNER);
    (x + step(to_x - x), y + step(to_y - y))
}
