//! Which lines are drawn, and by what way: from side to side of neighbouring columns, or, if others
//! are between, through a lane below all of them, so that no line crosses a box.

use super::flows::Flows;

/// A line between two boxes, with a head at one end or at both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) both: bool,
    /// The lane that it goes through, if it does.
    pub(super) lane: Option<usize>,
}

/// Each pair of boxes once; `columns` are those of the boxes. All lines of a box share a lane.
pub(super) fn of(flows: &Flows, columns: &[usize]) -> Vec<Line> {
    let mut lanes: Vec<usize> = Vec::new();
    let mut lines = Vec::new();
    for &(from, to) in &flows.all {
        let both = flows.all.contains(&(to, from));
        if from == to || (both && to < from) {
            continue;
        }
        let far = columns[from].abs_diff(columns[to]) > 1;
        let lane = far.then(|| {
            let there = lanes.iter().position(|of| *of == from);
            there.unwrap_or_else(|| {
                lanes.push(from);
                lanes.len() - 1
            })
        });
        lines.push(Line { from, to, both, lane });
    }
    lines
}

/// How many lanes they need.
pub(super) fn lanes(lines: &[Line]) -> usize {
    lines.iter().filter_map(|line| line.lane).max().map_or(0, |last| last + 1)
}
