//! Records that nobody has fetched yet.

use belljar_domain::fabric::Mark;
use belljar_vpc::flow_log::Batch;
use std::collections::VecDeque;

/// Records that are held at most: some 40 MB, hours of a service that is away.
const MOST: usize = 80_000;
/// Records of one answer, or those of its only batch. The head of a batch counts as one: it is no
/// longer than a record is.
const ANSWER: usize = 1_500;

/// Batches in the order in which they came, each with its number.
#[derive(Debug)]
pub(super) struct Queue {
    fabric: u64,
    /// The number of the first one that is held.
    first: u64,
    batches: VecDeque<Batch>,
    records: usize,
}

impl Queue {
    /// An empty one, of the fabric that has this number.
    pub(super) fn new(fabric: u64) -> Self {
        Self { fabric, first: 1, batches: VecDeque::new(), records: 0 }
    }

    /// Adds one; hands it back if there is no room.
    pub(super) fn push(&mut self, batch: Batch) -> Result<(), Batch> {
        if self.records + batch.len() > MOST {
            return Err(batch);
        }
        self.records += batch.len();
        self.batches.push_back(batch);
        Ok(())
    }

    /// Lets go of all up to this mark. That of another fabric says nothing of this one's.
    pub(super) fn release(&mut self, mark: Mark) {
        if mark.fabric != self.fabric {
            return;
        }
        while self.first <= mark.number
            && let Some(batch) = self.batches.pop_front()
        {
            self.records -= batch.len();
            self.first += 1;
        }
    }

    /// The oldest ones, as many as go into an answer, and the mark behind them.
    pub(super) fn oldest(&self) -> (Vec<Batch>, Mark) {
        let mut batches = Vec::new();
        let mut records = 0;
        for batch in &self.batches {
            records += batch.len() + 1;
            if records > ANSWER && !batches.is_empty() {
                break;
            }
            batches.push(batch.clone());
        }
        let number = self.first - 1 + batches.len() as u64;
        (batches, Mark { fabric: self.fabric, number })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belljar_domain::fabric::{Answer, MAX_ANSWER};
    use belljar_vpc::flow_log::{Flags, Flow, Interface, Layer, Place, Record, Status};
    use belljar_vpc::network::Direction;
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    fn batch(start: u64, records: usize) -> Batch {
        let place = Place {
            vpc: "vpc-1".parse().unwrap(),
            subnet: "subnet-1".parse().unwrap(),
            zone: "us-east-1a".to_owned(),
        };
        let record = Record { start, end: start + 60, status: Status::NoData };
        let interface = Interface { place, records: vec![record; records] };
        Batch {
            flow_log: "fl-1".parse().unwrap(),
            start,
            end: start + 60,
            part: 0,
            interfaces: BTreeMap::from([("eni-1".parse().unwrap(), interface)]),
        }
    }

    #[test]
    fn what_is_not_released_comes_again() {
        let mut queue = Queue::new(7);
        for start in [0, 60, 120] {
            queue.push(batch(start, 1_000)).unwrap();
        }
        let starts = |queue: &Queue| queue.oldest().0.iter().map(|b| b.start).collect::<Vec<_>>();
        assert_eq!((starts(&queue), starts(&queue)), (vec![0], vec![0]));
        let mark = queue.oldest().1;
        assert_eq!(mark, Mark { fabric: 7, number: 1 });
        queue.release(Mark { fabric: 8, number: 99 });
        assert_eq!(starts(&queue), [0], "another fabric's mark");
        queue.release(mark);
        queue.release(mark);
        assert_eq!(starts(&queue), [60]);
        queue.release(Mark { fabric: 7, number: 99 });
        assert!(queue.is_empty());
        assert_eq!(queue.oldest().1, Mark { fabric: 7, number: 3 });
    }

    #[test]
    fn it_is_bounded_and_small_ones_go_together() {
        let mut queue = Queue::new(7);
        for start in 0..80 {
            queue.push(batch(start, 1_000)).unwrap();
        }
        assert!(queue.push(batch(99, 1)).is_err());
        let mut queue = Queue::new(7);
        for start in 0..5 {
            queue.push(batch(start, 400)).unwrap();
        }
        assert_eq!(queue.oldest().0.len(), 3);
        assert!(serde_json::to_string(&queue.oldest().0).unwrap().len() < 1 << 20);
    }
    /// The longest record that there is.
    fn longest() -> Record {
        let address: IpAddr = "2600:1f18:1234:5678:9abc:def0:1234:5678".parse().unwrap();
        let service = Some("DYNAMODB".to_owned());
        let flow = Flow {
            direction: Direction::Ingress,
            source: address,
            destination: address,
            packet_source: address,
            packet_destination: address,
            source_port: u16::MAX,
            destination_port: u16::MAX,
            protocol: u8::MAX,
            packets: 1 << 40,
            bytes: 1 << 50,
            flags: Flags::of(0x17),
            refused: Some(Layer::SourceDestCheck),
            path: Some(8),
            source_service: service.clone(),
            destination_service: service,
        };
        Record { start: 1_795_439_640, end: 1_795_439_700, status: Status::Ok(flow) }
    }

    #[test]
    fn an_answer_is_never_longer_than_what_is_heard() {
        let place = Place {
            vpc: "vpc-0123456789abcdef0".parse().unwrap(),
            subnet: "subnet-0123456789abcdef0".parse().unwrap(),
            zone: "us-east-1a".to_owned(),
        };
        let batch = |interfaces: usize| {
            let interface = Interface { place: place.clone(), records: vec![longest()] };
            let id = |n: usize| format!("eni-{n:017x}").parse().unwrap();
            Batch {
                flow_log: "fl-0123456789abcdef0".parse().unwrap(),
                interfaces: (0..interfaces).map(|n| (id(n), interface.clone())).collect(),
                ..batch(1_795_439_640, 0)
            }
        };
        for (batches, interfaces) in [(1_500, 1), (750, 2), (2, 1_500)] {
            let mut queue = Queue::new(u64::MAX);
            (0..batches).for_each(|_| queue.push(batch(interfaces)).unwrap());
            let (batches, mark) = queue.oldest();
            let answer = serde_json::to_vec(&Answer::Flows { batches, mark }).unwrap();
            assert!(answer.len() < MAX_ANSWER, "{interfaces} in a batch: {}", answer.len());
        }
    }
}
