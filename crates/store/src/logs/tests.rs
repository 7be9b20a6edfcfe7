use super::*;
use rusqlite::Connection;

const GROUP: &str = "/aws/sagemaker/TrainingJobs";

fn db() -> Connection {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    c.execute_batch(SCHEMA).unwrap();
    c
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn event(millis: i64, message: impl Into<String>) -> LogEvent {
    LogEvent { at: at(millis), message: message.into() }
}

fn add(c: &Connection, stream: &str, events: &[LogEvent]) {
    append_creating(c, GROUP, stream, events, at(1_000_000)).unwrap();
}

fn page(c: &Connection, stream: &str, direction: Direction, limit: usize) -> Page {
    read(c, GROUP, stream, Range::ALL, direction, limit).unwrap()
}

fn lines(page: &Page) -> Vec<&str> {
    page.events.iter().map(|e| e.message.as_str()).collect()
}

/// All events, page by page, in both directions: which must agree.
fn all(c: &Connection, stream: &str, limit: usize) -> Vec<StoredEvent> {
    let mut forward = Vec::new();
    let mut next = None;
    loop {
        let page = page(c, stream, Direction::Forward(next), limit);
        next = Some(page.forward);
        if page.events.is_empty() {
            break;
        }
        forward.extend(page.events);
    }
    let mut backward = Vec::new();
    let mut next = None;
    loop {
        let page = page(c, stream, Direction::Backward(next), limit);
        next = Some(page.backward);
        if page.events.is_empty() {
            break;
        }
        backward.splice(0..0, page.events);
    }
    assert_eq!(forward, backward);
    forward
}

fn blocks(c: &Connection) -> i64 {
    c.query_row("SELECT count(*) FROM log_block", [], |r| r.get(0)).unwrap()
}

/// The invariant: blocks lie in order and do not overlap, and their rows say what is in them.
fn check_blocks(c: &Connection) {
    let mut list = c
        .prepare(
            "SELECT stream, first_at, first_seq, last_at, last_seq, size, body FROM log_block
                  ORDER BY stream, first_at, first_seq",
        )
        .unwrap();
    let mut rows = list.query([]).unwrap();
    let mut before = None;
    while let Some(row) = rows.next().unwrap() {
        let stream: i64 = row.get(0).unwrap();
        let key = |i| Key { at: row.get(i).unwrap(), seq: row.get(i + 1).unwrap() };
        let body: Vec<u8> = row.get(6).unwrap();
        let events: Vec<_> = block::Reader::new(&body).unwrap().map(|e| e.unwrap().key).collect();
        assert!(events.is_sorted_by(|a, b| a < b));
        assert_eq!((events.first(), events.last()), (Some(&key(1)), Some(&key(3))));
        assert_eq!(row.get::<_, i64>(5).unwrap(), body.len() as i64);
        assert!(before.is_none_or(|(s, last)| s != stream || last < key(1)));
        before = Some((stream, key(3)));
    }
}

#[test]
fn events_of_one_moment_keep_the_order_in_which_they_came() {
    let c = db();
    add(&c, "s", &[event(5, "a"), event(5, "b")]);
    add(&c, "s", &[event(5, "c"), event(4, "late"), event(5, "d\0e")]);
    assert_eq!(
        lines(&page(&c, "s", Direction::Forward(None), 99)),
        ["late", "a", "b", "c", "d\0e"]
    );
    all(&c, "s", 2);
    check_blocks(&c);
}

/// Against a sorted list: random batches, small and large events, early and late.
#[test]
fn any_order_of_appending_reads_back_in_order() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for round in 0..6 {
        let c = db();
        let mut expected: Vec<(i64, i64, String)> = Vec::new();
        for batch in 0..40_i64 {
            let mut events = Vec::new();
            for _ in 0..draw(if round % 3 == 0 { 200 } else { 4 }) {
                let when = if draw(4) == 0 { draw(1000) as i64 } else { batch * 20 };
                let size = if draw(20) == 0 { draw(200_000) } else { draw(100) } as usize;
                let message = format!("{}{}", expected.len(), "x".repeat(size));
                expected.push((when, expected.len() as i64, message.clone()));
                events.push(event(when, message));
            }
            add(&c, "s", &events);
        }
        check_blocks(&c);
        expected.sort();
        let read: Vec<_> =
            all(&c, "s", 70).into_iter().map(|e| (e.key.at, e.key.seq, e.message)).collect();
        assert!(read == expected, "round {round}");
    }
}

#[test]
fn a_place_stays_valid_while_events_are_added() {
    let c = db();
    create_group(&c, GROUP, &[], at(0)).unwrap();
    create_stream(&c, GROUP, "s", at(0)).unwrap();
    let nothing = page(&c, "s", Direction::Backward(None), 10);
    assert!(nothing.events.is_empty());
    add(&c, "s", &[event(10, "a"), event(20, "b"), event(30, "c")]);
    assert_eq!(
        lines(&page(&c, "s", Direction::Forward(Some(nothing.forward)), 9)),
        ["a", "b", "c"]
    );
    let latest = page(&c, "s", Direction::Backward(None), 2);
    assert_eq!(lines(&latest), ["b", "c"]);
    add(&c, "s", &[event(40, "d"), event(5, "z")]);
    assert_eq!(lines(&page(&c, "s", Direction::Forward(Some(latest.forward)), 9)), ["d"]);
    assert_eq!(lines(&page(&c, "s", Direction::Backward(Some(latest.backward)), 9)), ["z", "a"]);
    let end = page(&c, "s", Direction::Forward(Some(latest.forward.next())), 9);
    let again = page(&c, "s", Direction::Forward(Some(end.forward)), 9);
    assert!(again.events.is_empty());
    assert_eq!(again.forward, end.forward, "at the end the place does not change");
}

#[test]
fn a_range_has_its_start_and_not_its_end() {
    let c = db();
    add(&c, "s", &[event(10, "a"), event(20, "b"), event(20, "c"), event(30, "d")]);
    let range = Range { start: 20, end: 30 };
    for direction in [Direction::Forward(None), Direction::Backward(None)] {
        let page = read(&c, GROUP, "s", range, direction, 9).unwrap();
        assert_eq!(lines(&page), ["b", "c"]);
    }
}

#[test]
fn a_page_is_bounded_in_events_and_bytes_and_never_empty_for_a_long_line() {
    let c = db();
    let many: Vec<_> = (0..10_001).map(|i| event(i, "x")).collect();
    add(&c, "many", &many);
    assert_eq!(page(&c, "many", Direction::Forward(None), usize::MAX).events.len(), 10_000);
    let long: Vec<_> = (0..9).map(|i| event(i, "y".repeat(256 << 10))).collect();
    add(&c, "long", &long);
    assert_eq!(page(&c, "long", Direction::Forward(None), 99).events.len(), 3);
    assert_eq!(all(&c, "long", 99).len(), 9);
    add(&c, "cut", &[event(1, "é".repeat(1 << 20)), event(2, "z")]);
    let cut = page(&c, "cut", Direction::Forward(None), 99);
    assert_eq!(cut.events.len(), 1);
    assert_eq!(cut.events[0].message.len(), MAX_MESSAGE);
}

#[test]
fn single_lines_share_blocks() {
    let c = db();
    for i in 0..1000 {
        add(&c, "s", &[event(i, "one line of forty bytes, more or less...")]);
    }
    assert!(blocks(&c) <= 3, "{} blocks", blocks(&c));
    check_blocks(&c);
}

#[test]
fn groups_and_streams_are_made_once_and_listed_in_order() {
    let c = db();
    let tags = [("k".to_owned(), "v".to_owned())];
    create_group(&c, "b", &tags, at(1)).unwrap();
    create_group(&c, "a/Xy", &[], at(2)).unwrap();
    assert!(matches!(create_group(&c, "b", &[], at(1)), Err(LogError::GroupExists)));
    assert!(matches!(create_stream(&c, "c", "s", at(1)), Err(LogError::NoGroup)));
    let names = |prefix, pattern, after, limit| -> Vec<String> {
        let groups = list_groups(&c, prefix, pattern, after, limit).unwrap();
        groups.into_iter().map(|g| g.name).collect()
    };
    assert_eq!(names("", "", "", 9), ["a/Xy", "b"]);
    assert_eq!(names("", "", "a/Xy", 9), ["b"]);
    assert_eq!(names("a", "", "", 9), ["a/Xy"]);
    assert_eq!(names("", "xY", "", 9), ["a/Xy"]);
    assert_eq!(get_group(&c, "b").unwrap().tags, tags);
    set_retention(&c, "b", Some(7)).unwrap();
    assert_eq!(get_group(&c, "b").unwrap().retention, Some(7));
    assert!(matches!(set_retention(&c, "c", None), Err(LogError::NoGroup)));
    for name in ["j/2", "j/1", "k", "j"] {
        create_stream(&c, "b", name, at(1)).unwrap();
    }
    assert!(matches!(create_stream(&c, "b", "k", at(1)), Err(LogError::StreamExists)));
    append(&c, "b", "j/1", &[event(50, "x")], at(60)).unwrap();
    let list = |prefix: &str, order: &StreamOrder, descending, limit| -> Vec<Stream> {
        list_streams(&c, "b", prefix, order, descending, limit).unwrap()
    };
    let names =
        |streams: Vec<Stream>| -> Vec<String> { streams.into_iter().map(|s| s.name).collect() };
    let by_name = |after: Option<&str>| StreamOrder::Name { after: after.map(Into::into) };
    assert_eq!(names(list("j/", &by_name(None), false, 9)), ["j/1", "j/2"]);
    assert_eq!(names(list("", &by_name(Some("j/1")), false, 1)), ["j/2"]);
    assert_eq!(names(list("", &by_name(Some("j/1")), true, 9)), ["j"]);
    let latest = list("", &StreamOrder::LastEvent { after: None }, true, 1).remove(0);
    assert_eq!((latest.name.as_str(), latest.last_event), ("j/1", Some(at(50))));
    assert_eq!((latest.last_ingestion, latest.events), (Some(at(60)), 1));
    let after = StreamOrder::LastEvent { after: Some((at(50), latest.id)) };
    assert_eq!(list("", &after, true, 9).len(), 3);
    assert_eq!(get_group(&c, "b").unwrap().bytes, 27);
}

#[test]
fn what_is_deleted_is_gone_at_once_and_its_blocks_bit_by_bit() {
    let c = db();
    for _ in 0..5 {
        let long: Vec<_> = (0..4).map(|i| event(i, "y".repeat(100 << 10))).collect();
        add(&c, "a", &long);
    }
    add(&c, "b", &[event(1, "x")]);
    delete_stream(&c, GROUP, "a").unwrap();
    assert!(matches!(
        read(&c, GROUP, "a", Range::ALL, Direction::Forward(None), 9),
        Err(LogError::NoStream)
    ));
    add(&c, "a", &[event(7, "new")]);
    assert_eq!(lines(&page(&c, "a", Direction::Forward(None), 9)), ["new"]);
    let mut rounds = 0;
    while expire(&c, at(0), 3).unwrap() == 3 {
        rounds += 1;
    }
    assert!(rounds >= 3, "{rounds}");
    assert_eq!(blocks(&c), 2);
    delete_group(&c, GROUP).unwrap();
    assert!(matches!(get_group(&c, GROUP), Err(LogError::NoGroup)));
    expire(&c, at(0), 99).unwrap();
    assert_eq!(blocks(&c), 0);
}

#[test]
fn what_is_older_than_the_retention_is_deleted_also_inside_a_block() {
    let c = db();
    let day = 24 * 60 * 60 * 1000;
    add(&c, "s", &[event(0, "old"), event(day, "edge"), event(2 * day, "young")]);
    assert_eq!(expire(&c, at(9 * day), 99).unwrap(), 0, "without a retention nothing is");
    set_retention(&c, GROUP, Some(1)).unwrap();
    assert_eq!(expire(&c, at(2 * day), 99).unwrap(), 1);
    assert_eq!(lines(&page(&c, "s", Direction::Forward(None), 9)), ["edge", "young"]);
    assert_eq!(expire(&c, at(2 * day), 99).unwrap(), 0);
    assert_eq!(expire(&c, at(4 * day), 99).unwrap(), 1);
    assert_eq!(blocks(&c), 0);
    check_blocks(&c);
}

/// All that a search finds, page by page.
fn find(c: &Connection, which: Which<'_>, limit: usize, word: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let query = Search { which, range: Range::ALL, from, limit };
        let page = search(c, GROUP, &query, |m| m.contains(word)).unwrap();
        assert!(page.events.len() <= limit);
        found.extend(page.events.into_iter().map(|(s, _, e)| (s, e.message)));
        let Some(next) = page.next else { break };
        assert!(from.is_none_or(|from| from < next), "it goes on");
        from = Some(next);
    }
    found
}

#[test]
fn a_search_weaves_streams_together_in_the_order_of_time() {
    let c = db();
    add(&c, "j/1", &[event(10, "a1"), event(10, "a2"), event(30, "a3")]);
    add(&c, "j/2", &[event(10, "b1"), event(20, "b2"), event(40, "nothing")]);
    add(&c, "k", &[event(15, "k1")]);
    for limit in 1..9 {
        let lines = |which, word| -> Vec<String> {
            find(&c, which, limit, word).into_iter().map(|e| e.1).collect()
        };
        assert_eq!(lines(Which::Prefix("j/"), ""), ["a1", "a2", "b1", "b2", "a3", "nothing"]);
        assert_eq!(lines(Which::Prefix(""), "1"), ["a1", "b1", "k1"]);
        let names = ["k".to_owned(), "j/2".to_owned(), "k".to_owned()];
        assert_eq!(lines(Which::Names(&names), ""), ["b1", "k1", "b2", "nothing"]);
    }
    let missing = ["x".to_owned()];
    let query = Search { which: Which::Names(&missing), range: Range::ALL, from: None, limit: 9 };
    assert!(matches!(search(&c, GROUP, &query, |_| true), Err(LogError::NoStream)));
}

#[test]
fn a_search_that_finds_little_looks_at_a_bounded_part_at_a_time() {
    let c = db();
    for i in 0..700 {
        add(&c, &format!("s{}", i % 7), &[event(i / 7, format!("{i}{}", "x".repeat(100_000)))]);
    }
    let query = Search { which: Which::Prefix(""), range: Range::ALL, from: None, limit: 9 };
    let mut seen = 0;
    let first = search(&c, GROUP, &query, |m| {
        seen += m.len();
        false
    })
    .unwrap();
    assert!(first.events.is_empty() && first.next.is_some());
    assert!((4 << 20..16 << 20).contains(&seen), "{seen}");
    assert_eq!(find(&c, Which::Prefix("s"), 9, "699x").len(), 1);
    assert_eq!(find(&c, Which::Prefix("s"), 10_000, "x").len(), 700);
}
