use super::*;

fn encode(events: &[(i64, i64, i64, &str)]) -> Vec<u8> {
    let mut block = Writer::new();
    for (at, seq, ingested, message) in events {
        block.push(Key { at: *at, seq: *seq }, *ingested, message);
    }
    block.finish()
}

fn decode(body: &[u8]) -> Result<Vec<(i64, i64, i64, String)>, BlockError> {
    Reader::new(body)?
        .map(|e| e.map(|e| (e.key.at, e.key.seq, e.ingested, e.message.to_owned())))
        .collect()
}

const EVENTS: &[(i64, i64, i64, &str)] = &[
    (-5, 7, 0, "before 1970"),
    (1_795_439_700_123, 0, 1_795_439_700_200, "epoch 1, loss 0.25"),
    (1_795_439_700_123, 1, 1_795_439_700_200, ""),
    (1_795_439_700_124, 900, 3, "späť ⏱"),
];

/// `golden/log-block-1.bin` was written by the first version, and is never written again.
#[test]
fn golden_block_1_is_read_and_still_written_alike() {
    let golden = include_bytes!("../../golden/log-block-1.bin");
    let expected: Vec<_> = EVENTS.iter().map(|e| (e.0, e.1, e.2, e.3.to_owned())).collect();
    assert_eq!(decode(golden).unwrap(), expected);
    assert_eq!(encode(EVENTS), golden);
}

#[test]
fn a_block_grows_at_its_end() {
    let mut body = encode(&EVENTS[..2]);
    let mut more = Writer::behind(Key { at: EVENTS[1].0, seq: EVENTS[1].1 });
    for e in &EVENTS[2..] {
        more.push(Key { at: e.0, seq: e.1 }, e.2, e.3);
    }
    body.extend(more.finish());
    assert_eq!(body, encode(EVENTS));
}

#[test]
fn what_is_not_a_block_is_an_error() {
    let body = encode(EVENTS);
    for cut in 2..body.len() {
        // Cut between events, it is a shorter block; anywhere else it is none.
        if let Ok(events) = decode(&body[..cut]) {
            assert!(events.len() < EVENTS.len());
        }
    }
    assert_eq!(decode(&[]), Err(BlockError::Damaged));
    assert_eq!(decode(&[2, 0]), Err(BlockError::Format(2)));
    assert_eq!(decode(&[1, 0xff]), Err(BlockError::Damaged));
    assert_eq!(decode(&[1, 0, 0, 0, 0x7f, b'x']), Err(BlockError::Damaged));
    assert_eq!(decode(&[1, 0, 0, 0, 1, 0xff]), Err(BlockError::Damaged), "not UTF-8");
    let huge = [[0xff; 10].as_slice(), &[1]].concat();
    assert_eq!(decode(&[&[1], huge.as_slice()].concat()), Err(BlockError::Damaged));
}
