//! The drawing, as SVG: by itself, without scripts, in light and in dark.

use super::flows::Flows;
use super::layout::{Layout, Rect};
use super::lines::Line;
use super::nodes::Node;
use super::{arrows, words};
use crate::network::facts::is_public;
use crate::network::names::Names;
use belljar_domain::vpc_config::free;
use belljar_vpc::id::VpcId;
use std::fmt::Write;

/// Colours of arrows, one for each box that they come from, over and over; in light and in dark.
pub(super) const COLOURS: [(&str, &str); 6] = [
    ("#1f6fb2", "#6cb6ff"),
    ("#b4501e", "#f0925f"),
    ("#2f7d3b", "#6fce7d"),
    ("#7f48a8", "#c79bf0"),
    ("#8a6a10", "#e0bd55"),
    ("#1d7d80", "#5fd0d3"),
];

/// At the right side of a box, where nothing is written.
const CLIP: i32 = 6;
/// So many lines hide each other: they are drawn thinner.
const MANY: usize = 120;

/// What is drawn.
pub(super) struct Drawn<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) flows: &'a Flows,
    pub(super) lines: &'a [Line],
    pub(super) layout: &'a Layout,
}

/// Writes it. (Writing into a `String` cannot fail.)
pub(super) fn write(names: &Names<'_>, vpc: &VpcId, port: u16, drawn: &Drawn<'_>) -> String {
    let mut out = String::new();
    let layout = drawn.layout;
    let title = format!("VPC {}: who may reach whom at TCP port {port}", names.label(vpc.as_str()));
    let (w, h) = (layout.width, layout.height);
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" \
         height=\"{h}\" role=\"img\">\n<title>{}</title>",
        escaped(&title)
    );
    head(&mut out);
    let _ = writeln!(out, "<rect class=\"back\" width=\"{w}\" height=\"{h}\"/>");
    frame(&mut out, names, vpc, layout);
    // Below the boxes: an arrow that crosses one goes on behind it.
    let many = if drawn.lines.len() > MANY { " class=\"many\"" } else { "" };
    let _ = writeln!(out, "<g{many}>");
    arrows::write(&mut out, names, port, drawn);
    out.push_str("</g>\n");
    for (node, rect) in drawn.nodes.iter().zip(&layout.nodes) {
        self::node(&mut out, names, node, rect);
    }
    legend(&mut out, port, drawn);
    out.push_str("</svg>\n");
    out
}

/// Styles, and the heads of arrows.
fn head(out: &mut String) {
    out.push_str(
        "<style>
text { font: 12px system-ui, sans-serif; fill: #1c2330; }
text.big { font-size: 17px; font-weight: 600; }
text.name { font-weight: 600; }
text.dim { fill: #5a6475; }
.back { fill: #ffffff; }
.vpc { fill: #f6f8fb; stroke: #8893a5; }
.zone { fill: none; stroke: #b4bdcb; stroke-dasharray: 5 4; }
.subnet { fill: #ffffff; stroke: #4f8a5b; }
.subnet.public { stroke: #b98a1f; }
.box { fill: #e9eff8; stroke: #5b6f8f; }
.box.edge { fill: #f3ecdf; stroke: #8f7a4f; }
.flow { fill: none; stroke-width: 1.6; }
.many .flow { stroke-width: 1; stroke-opacity: 0.35; }
.flow:hover { stroke-width: 4; stroke-opacity: 1; }
text.loop { font-size: 16px; stroke: none; }
",
    );
    for (place, (light, _)) in COLOURS.iter().enumerate() {
        let _ = writeln!(out, ".c{place} {{ stroke: {light}; }} .h{place} {{ fill: {light}; }}");
    }
    out.push_str(
        "@media (prefers-color-scheme: dark) {
text { fill: #e4e9f2; }
text.dim { fill: #a3adbd; }
.back { fill: #12161d; }
.vpc { fill: #181d26; stroke: #66718a; }
.zone { stroke: #4a5468; }
.subnet { fill: #12161d; stroke: #5da26b; }
.subnet.public { stroke: #d0a545; }
.box { fill: #243044; stroke: #7f95b8; }
.box.edge { fill: #3a3222; stroke: #b79d66; }
",
    );
    for (place, (_, dark)) in COLOURS.iter().enumerate() {
        let _ = writeln!(out, ".c{place} {{ stroke: {dark}; }} .h{place} {{ fill: {dark}; }}");
    }
    out.push_str("}\n</style>\n<defs>\n");
    for place in 0..COLOURS.len() {
        let _ = writeln!(
            out,
            "<marker id=\"head{place}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
             markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\">\
             <path class=\"h{place}\" d=\"M0 0 L8 4 L0 8 Z\"/></marker>"
        );
    }
    out.push_str("</defs>\n");
}

/// The VPC, its zones and its subnets.
fn frame(out: &mut String, names: &Names<'_>, vpc: &VpcId, layout: &Layout) {
    rect(out, "vpc", 10, &layout.vpc);
    let blocks = names.network.vpc(vpc).map(|v| {
        let all: Vec<String> = v.cidrs.iter().map(|c| c.block.to_string()).collect();
        all.join(", ")
    });
    let (x, y) = (layout.vpc.x + 14, layout.vpc.y + 28);
    let room = layout.vpc.w - 28;
    let name = format!("VPC {}", names.short(vpc.as_str()));
    // Its letters are of 17 px.
    text(out, "big", (x, y), &words::fitting(&name, room * 12 / 17, true));
    let id = names.name(vpc.as_str()).map(|_| format!("{vpc} · ")).unwrap_or_default();
    let below = format!("{id}{}", blocks.unwrap_or_default());
    text(out, "dim", (x, y + 20), &words::fitting(&below, room, false));
    for (zone, at) in &layout.zones {
        rect(out, "zone", 8, at);
        text(out, "name", (at.x + 12, at.y + 23), &format!("zone {zone}"));
    }
    for (id, at) in &layout.subnets {
        let public = is_public(names.network, id);
        let (class, kind) =
            if public { ("subnet public", "public") } else { ("subnet", "private") };
        let block = names.network.subnets.get(id).map(|s| s.block.to_string()).unwrap_or_default();
        let second = format!("{block} · {kind} · {} free", free(names.network, id));
        let all = format!("{}\n{second}", names.label(id.as_str()));
        let _ = writeln!(out, "<g><title>{}</title>", escaped(&all));
        rect(out, class, 6, at);
        lines(out, at, 12, (21, &names.short(id.as_str())), (40, &second));
        out.push_str("</g>\n");
    }
}

/// Two lines of a box: as much as is seen of them.
fn lines(out: &mut String, at: &Rect, x: i32, first: (i32, &str), second: (i32, &str)) {
    let room = at.w - CLIP - x;
    clipped(out, at, |out| {
        text(out, "name", (x, first.0), &words::fitting(first.1, room, true));
        text(out, "dim", (x, second.0), &words::fitting(second.1, room, false));
    });
}

fn node(out: &mut String, names: &Names<'_>, node: &Node, at: &Rect) {
    let (first, second) = words::of_node(names, node);
    let class = if node.class().is_some() { "box" } else { "box edge" };
    let _ = writeln!(out, "<g><title>{}</title>", escaped(&words::all_of_node(names, node)));
    rect(out, class, 5, at);
    lines(out, at, 10, (20, &first), (38, &second));
    out.push_str("</g>\n");
}

fn legend(out: &mut String, port: u16, drawn: &Drawn<'_>) {
    let (x, y) = (drawn.layout.vpc.x, drawn.layout.legend);
    let flows = drawn.flows;
    let said = format!(
        "An arrow leads from who may open a TCP connection to whom, at port {port}; ↻: members of a \
         box reach each other."
    );
    text(out, "dim", (x, y + 18), &said);
    let cut = match flows.tried == flows.pairs {
        true => format!(
            "All {} pairs of boxes were asked for, by one interface of each. Point at something for \
             its names.",
            flows.pairs
        ),
        false => format!(
            "Only {} of {} pairs of boxes were asked for: arrows are missing.",
            flows.tried, flows.pairs
        ),
    };
    text(out, if flows.tried == flows.pairs { "dim" } else { "name" }, (x, y + 38), &cut);
}

fn rect(out: &mut String, class: &str, round: i32, at: &Rect) {
    let Rect { x, y, w, h } = at;
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{round}\"/>"
    );
}

/// What `inside` writes is seen only inside of the rectangle: an `svg` in an `svg` is clipped.
fn clipped(out: &mut String, at: &Rect, inside: impl FnOnce(&mut String)) {
    let Rect { x, y, w, h } = at;
    let w = w - CLIP;
    let _ = writeln!(out, "<svg x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\">");
    inside(out);
    out.push_str("</svg>\n");
}

fn text(out: &mut String, class: &str, (x, y): (i32, i32), text: &str) {
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(text));
}

/// For XML; what it has no characters for is taken out.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            '\n' => safe.push('\n'),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
