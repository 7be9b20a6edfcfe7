//! The table of every way out, and what it may come to.

const TABLE: &str = include_str!("table.txt");

/// Lines that are seen and not tried; `facts.rs` looks at what they say.
const FACTS: [&str; 19] = [
    "interfaces",
    "net-dev",
    "routes4",
    "routes6",
    "setuid-copy",
    "status",
    "namespaces",
    "leaked-descriptors",
    "processes",
    "environment",
    "uid-map",
    "gid-map",
    "setgroups-file",
    "cgroup",
    "mounts",
    "limits",
    "hostname",
    "hosts",
    "resolv",
];

/// The words of the table's last column.
const REASONS: [(&str, &str); 9] = [
    ("own", "allowed, as it concerns the container alone"),
    ("never", "what a process has given up, the kernel gives back to none; so outside as well"),
    ("kernel", "a kernel may be built or set so that it refuses this to all"),
    ("host", "the privilege is that of the host's own root: there, the control is root's"),
    ("machine", "not every machine has this file"),
    ("masked", "opens, and is empty: facts.rs reads it"),
    ("ids", "lists only those whose ids the container's namespace has: facts.rs reads it"),
    ("owned", "a promise and not a way out: the contract says that it can be written"),
    ("fact", "seen and not tried"),
];

/// One row: the words that are accepted.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) inside: Vec<&'static str>,
    pub(crate) root: Vec<&'static str>,
    pub(crate) user: Vec<&'static str>,
    pub(crate) why: &'static str,
}

/// Every row.
pub(crate) fn ways() -> Vec<Way> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#')).map(row);
    let fact = || vec!["seen"];
    let facts = FACTS.into_iter().map(|name| Way {
        name,
        inside: fact(),
        root: fact(),
        user: fact(),
        why: "fact",
    });
    rows.chain(facts).collect()
}

fn row(line: &'static str) -> Way {
    let columns: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    let (name, inside, root, user, why) = match columns[..] {
        [name, inside, root, user] => (name, inside, root, user, ""),
        [name, inside, root, user, why] => (name, inside, root, user, why),
        _ => panic!("not a row: {line}"),
    };
    assert!(why.is_empty() || REASONS.iter().any(|(word, _)| *word == why), "no reason: {line}");
    let words = |text: &'static str| text.split('|').collect();
    Way { name, inside: words(inside), root: words(root), user: words(user), why }
}
