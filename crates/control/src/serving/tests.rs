use super::testing::*;
use super::*;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn of(body: &'static str) -> Request {
    Request { body: body.into(), ..Request::default() }
}

/// A table with one instance of one container.
fn one(fake: &Fake) -> Table {
    table(vec![instance("i-1", vec![fake.container("primary")])])
}

fn echo(got: &Got, stream: &mut TcpStream) -> bool {
    say(stream, 200, "content-type: text/x\r\n", &got.body)
}

#[tokio::test]
async fn a_request_gets_through_and_its_connection_is_used_again() {
    let fake = Fake::new(echo);
    let table = table_within(KEPT, vec![instance("i-1", vec![fake.container("primary")])]);
    for _ in 0..3 {
        let answer = forward(&table, "e", &of("hello")).await.unwrap();
        assert_eq!((&*answer.body, answer.variant.as_str()), (&b"hello"[..], "v"));
        assert_eq!(answer.content_type.unwrap(), "text/x");
    }
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
    let got = &fake.got()[0];
    assert_eq!(got.line, "POST /invocations HTTP/1.1");
    assert_eq!(got.headers.len(), 2, "{:?}", got.headers);
    assert_eq!(got.header("content-length"), Some("5"));
    let instance = table.get("e").unwrap().variants[0].instances[0].clone();
    assert_eq!(instance.outstanding(), 0);
}

#[tokio::test]
async fn an_unused_connection_is_closed_soon() {
    let fake = Fake::new(echo);
    let table = one(&fake);
    forward(&table, "e", &of("a")).await.unwrap();
    tokio::time::sleep(LIMITS.idle * 3).await;
    forward(&table, "e", &of("a")).await.unwrap();
    assert_eq!(fake.connections.load(Ordering::SeqCst), 2);
}

/// A server that says it keeps a connection and closes it right after its answer.
#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_no_request() {
    let fake = Fake::new(|got, stream| {
        echo(got, stream);
        false
    });
    let table = one(&fake);
    for wait in [0, 0, 1, 5] {
        forward(&table, "e", &of("a")).await.unwrap();
        // The event loop does not see the end, whatever it is that keeps it busy.
        std::thread::sleep(Duration::from_millis(wait + 2));
    }
    assert_eq!(fake.got().len(), 4);
}

#[tokio::test]
async fn where_one_instance_cannot_be_reached_another_is_asked() {
    let (dead, alive) = (Fake::new(echo), Fake::new(echo));
    dead.closed.store(true, Ordering::SeqCst);
    let instances = vec![
        instance("i-1", vec![dead.container("primary")]),
        instance("i-2", vec![alive.container("primary")]),
        instance("i-3", vec![Container::new("primary".into(), "/nowhere".into())]),
    ];
    let table = table_within(SHORT, instances.clone());
    for _ in 0..20 {
        let patient = Request { time: Some(LIMITS.answer), ..of("a") };
        forward(&table, "e", &patient).await.unwrap();
    }
    assert_eq!(alive.got().len(), 20);
    assert!(dead.asked.lock().unwrap().len() <= 2, "suspects are left alone");
    alive.closed.store(true, Ordering::SeqCst);
    tokio::time::sleep(LIMITS.idle * 2).await;
    let begun = Instant::now();
    let failure = forward(&table, "e", &of("a")).await.unwrap_err();
    assert!(matches!(failure, Failure::Unavailable), "{failure:?}");
    assert!(begun.elapsed() >= SHORT.wait);
    assert!(instances.iter().all(|i| i.outstanding() == 0));
}

#[tokio::test]
async fn a_request_waits_for_a_replacement() {
    let fake = Fake::new(echo);
    let table = Arc::new(table(Vec::new()));
    let waiting = tokio::spawn({
        let table = table.clone();
        async move { forward(&table, "e", &of("a")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let here = instance("i-1", vec![fake.container("primary")]);
    table.set("e", Some(routes(vec![variant("v", 1.0, vec![here])])));
    waiting.await.unwrap().unwrap();
}

/// What comes of a container that does `act`, and how often it was asked.
async fn fault(act: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static) -> Fault {
    fault_of(of("hello"), act).await
}

async fn fault_of(
    request: Request,
    act: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static,
) -> Fault {
    let fake = Fake::new(act);
    let spare = Fake::new(echo);
    let broken = instance("i-1", vec![fake.container("primary")]);
    let table = table(vec![broken.clone(), instance("i-2", vec![spare.container("primary")])]);
    // The other one has more to do.
    let busy = table.get("e").unwrap().variants[0].instances[1].begin().unwrap();
    let failure = forward(&table, "e", &request).await.unwrap_err();
    drop(busy);
    assert_eq!((fake.got().len(), spare.got().len()), (1, 0), "it is not sent again");
    assert_eq!(broken.outstanding(), 0);
    match failure {
        Failure::Container { container, fault } if container == "primary" => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_container_that_breaks_off_has_lost_the_request() {
    assert!(matches!(fault(|_, _| false).await, Fault::Exited));
    let half = fault(|_, stream| {
        raw(stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        false
    });
    assert!(matches!(half.await, Fault::Exited));
    let half_chunk = fault(|_, stream| {
        raw(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf");
        false
    });
    assert!(matches!(half_chunk.await, Fault::Exited));
    let half_closed = fault(|_, stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(LIMITS.answer);
        false
    });
    assert!(matches!(half_closed.await, Fault::Exited));
}

#[tokio::test]
async fn a_container_that_speaks_no_http_is_told_from_one_that_is_gone() {
    let garbage = fault(|_, stream| {
        raw(stream, "220 mail.example.com ESMTP\r\n\r\n");
        true
    });
    assert!(matches!(garbage.await, Fault::Garbage));
    let bad_chunk = fault(|_, stream| {
        raw(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
        true
    });
    assert!(matches!(bad_chunk.await, Fault::Garbage | Fault::Exited));
}

#[tokio::test]
async fn a_container_has_its_time_and_no_more() {
    let short = Request { time: Some(SHORT.answer), ..of("hello") };
    let hang = fault_of(short.clone(), |_, _| {
        std::thread::sleep(LIMITS.answer);
        false
    });
    assert!(matches!(hang.await, Fault::TimedOut));
    let drip = fault_of(short.clone(), |_, stream| {
        raw(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        for _ in 0..900 {
            raw(stream, "x");
            std::thread::sleep(Duration::from_millis(30));
        }
        false
    });
    assert!(matches!(drip.await, Fault::TimedOut));
    let head = fault_of(short, |_, stream| {
        raw(stream, "HTTP/1.1 200 OK");
        for _ in 0..500 {
            raw(stream, " and so on");
            std::thread::sleep(Duration::from_millis(60));
        }
        false
    });
    assert!(matches!(head.await, Fault::TimedOut));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let long = Request { time: Some(Duration::from_secs(60)), ..of("hello") };
    let said = fault_of(long.clone(), |_, stream| {
        raw(stream, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_BODY + 1));
        true
    });
    assert!(matches!(said.await, Fault::TooLong));
    let chunks = fault_of(long, |_, stream| {
        raw(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = [b"100000\r\n".to_vec(), vec![0; 1 << 20], b"\r\n".to_vec()].concat();
        (0..27).all(|_| stream.write_all(&chunk).is_ok())
    });
    assert!(matches!(chunks.await, Fault::TooLong));
}

#[tokio::test]
async fn what_a_container_says_of_its_failure_is_kept_in_part() {
    let long = fault(|_, stream| say(stream, 500, "", &vec![b'x'; 1 << 20]));
    let Fault::Answered { status: 500, message } = long.await else { panic!() };
    assert_eq!(message.len(), 16 << 10);
    let short = fault(|_, stream| say(stream, 415, "", b"what is this?"));
    let Fault::Answered { status: 415, message } = short.await else { panic!() };
    assert_eq!(message, "what is this?");
    let moved = fault(|_, stream| say(stream, 302, "location: /x\r\n", b""));
    assert!(matches!(moved.await, Fault::Answered { status: 302, .. }));
}

#[tokio::test]
async fn every_way_to_frame_an_answer_is_read() {
    let fake = Fake::new(|got, stream| match &*got.body {
        b"chunked" => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            raw(stream, format!("{head}3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"));
            true
        }
        b"old" => {
            raw(stream, "HTTP/1.0 200 OK\r\n\r\nabcdef");
            false
        }
        b"none" => {
            raw(stream, "HTTP/1.1 204 No Content\r\n\r\n");
            true
        }
        b"early" => {
            raw(stream, "HTTP/1.1 100 Continue\r\n\r\n");
            say(stream, 200, "", b"abcdef")
        }
        _ => {
            say(stream, 201, "connection: close\r\n", b"abcdef");
            false
        }
    });
    let table = one(&fake);
    for (how, wanted) in [
        ("chunked", "abcdef"),
        ("old", "abcdef"),
        ("none", ""),
        ("early", "abcdef"),
        ("", "abcdef"),
    ] {
        let answer = forward(&table, "e", &of(how)).await.unwrap();
        assert_eq!(answer.body, wanted, "{how}");
    }
}

/// A server that answers before it has read a request keeps its connection for itself.
#[tokio::test]
async fn a_connection_that_is_not_free_is_not_waited_for() {
    use std::io::Read;
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 100]).unwrap();
            say(&mut stream, 200, "", b"early");
            open.push(stream);
        }
    });
    let fake = Fake::at(address);
    let table = one(&fake);
    let time = Some(Duration::from_secs(60));
    let large = Request { body: vec![0; 20 << 20].into(), time, ..Request::default() };
    forward(&table, "e", &large).await.unwrap();
    let begun = Instant::now();
    forward(&table, "e", &of("a")).await.unwrap();
    assert!(begun.elapsed() < LIMITS.answer / 2);
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_refused() {
    let fake = Fake::new(echo);
    let table = one(&fake);
    let refused = async |request: Request| match forward(&table, "e", &request).await {
        Err(Failure::Refused(text)) => text,
        other => panic!("{other:?}"),
    };
    let text = refused(Request { variant: Some("w".into()), ..of("a") }).await;
    assert_eq!(text, "Endpoint e has no variant w.");
    let text = refused(Request { model: Some("m".into()), ..of("a") }).await;
    assert!(text.starts_with("TargetModel is for"), "{text}");
    let text = refused(Request { container: Some("c".into()), ..of("a") }).await;
    assert!(text.starts_with("TargetContainerHostname is for"), "{text}");
    assert!(matches!(forward(&table, "f", &of("a")).await, Err(Failure::NoEndpoint)));
    table.set("e", Some(Routes { in_service: false, ..routes(Vec::new()) }));
    assert!(matches!(forward(&table, "e", &of("a")).await, Err(Failure::NotInService)));
    assert!(fake.got().is_empty());
}

#[tokio::test]
async fn containers_invoked_directly_are_named() {
    let (a, b) = (Fake::new(echo), Fake::new(echo));
    let here = instance("i-1", vec![a.container("a"), b.container("b")]);
    let table = Table::new(LIMITS);
    let direct = VariantRoutes { direct: true, ..variant("v", 1.0, vec![here]) };
    table.set("e", Some(routes(vec![direct])));
    let to = |name: &str| Request { container: Some(name.into()), ..of("x") };
    forward(&table, "e", &to("b")).await.unwrap();
    assert_eq!((a.got().len(), b.got().len()), (0, 1));
    for request in [of("x"), to("c")] {
        assert!(matches!(forward(&table, "e", &request).await, Err(Failure::Refused(_))));
    }
}

#[tokio::test]
async fn each_container_of_a_pipeline_gets_what_the_one_before_answered() {
    let first = Fake::new(|got, stream| {
        if got.body == b"bad" {
            return say(stream, 400, "", b"no");
        }
        say(stream, 200, "content-type: text/first\r\n", &[&*got.body, b"1"].concat())
    });
    let second = Fake::new(|got, stream| {
        let attributes = "x-amzn-sagemaker-custom-attributes: out\r\n";
        let head = format!("content-type: text/second\r\n{attributes}");
        say(stream, 200, &head, &[&*got.body, b"2"].concat())
    });
    let table = table(vec![instance("i-1", vec![first.container("a"), second.container("b")])]);
    let mut request = of("0");
    request.headers.insert("content-type", "text/zero".parse().unwrap());
    request.headers.insert("accept", "text/last".parse().unwrap());
    request.headers.insert(CUSTOM_ATTRIBUTES, "in".parse().unwrap());
    let answer = forward(&table, "e", &request).await.unwrap();
    assert_eq!(
        (&*answer.body, answer.content_type.unwrap().as_bytes()),
        (&b"012"[..], &b"text/second"[..])
    );
    assert_eq!(answer.custom_attributes.unwrap(), "out");
    let (a, b) = (&first.got()[0], &second.got()[0]);
    assert_eq!(
        (a.header("content-type"), b.header("content-type")),
        (Some("text/zero"), Some("text/first"))
    );
    assert_eq!((a.header("accept"), b.header("accept")), (None, Some("text/last")));
    assert_eq!(b.header("x-amzn-sagemaker-custom-attributes"), Some("in"));
    let named = async |body: &'static str| match forward(&table, "e", &of(body)).await {
        Err(Failure::Container { container, .. }) => container,
        other => panic!("{other:?}"),
    };
    assert_eq!(named("bad").await, "a");
    // The first has seen the request: nobody else may.
    second.closed.store(true, Ordering::SeqCst);
    tokio::time::sleep(LIMITS.idle * 2).await;
    assert_eq!(named("0").await, "b");
    assert_eq!(first.got().len(), 3);
}

#[tokio::test]
async fn requests_are_counted_until_they_are_answered() {
    let left = Arc::new(AtomicBool::new(false));
    let leaves = left.clone();
    let fake = Fake::new(move |got, stream| {
        while !leaves.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        echo(got, stream)
    });
    let here = instance("i-1", vec![fake.container("primary")]);
    let table = table(vec![here.clone()]);
    let request = of("a");
    let three = async {
        tokio::join!(
            forward(&table, "e", &request),
            forward(&table, "e", &request),
            forward(&table, "e", &request)
        )
    };
    let watch = async {
        // It leaves; what it has is answered.
        let has = async {
            while here.outstanding() < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await
            }
        };
        tokio::time::timeout(LIMITS.answer, has).await.unwrap();
        table.set("e", None);
        let counted = here.outstanding();
        left.store(true, Ordering::SeqCst);
        counted
    };
    let (answers, counted) = tokio::join!(three, watch);
    assert_eq!(counted, 3);
    assert!(answers.0.is_ok() && answers.1.is_ok() && answers.2.is_ok());
    assert_eq!(here.outstanding(), 0);
}

/// Instances are replaced again and again under load from several event loops; each is stopped as
/// soon as it is out of the table and has no request.
#[test]
fn no_request_is_lost_to_replacements() {
    let table = Arc::new(table(Vec::new()));
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (table, done) = (table.clone(), done.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let mut count = 0;
                    while !done.load(Ordering::SeqCst) {
                        let answer = forward(&table, "e", &of("hello")).await;
                        assert_eq!(answer.unwrap().body, "hello");
                        count += 1;
                    }
                    count
                })
            })
        })
        .collect();
    for n in 0..30 {
        let fake = Fake::new(|got, stream| {
            std::thread::sleep(Duration::from_millis(1));
            echo(got, stream)
        });
        let here = instance(&n.to_string(), vec![fake.container("primary")]);
        table.set("e", Some(routes(vec![variant("v", 1.0, vec![here.clone()])])));
        std::thread::sleep(Duration::from_millis(20));
        // A busy machine may need longer to have something under way.
        while fake.got().len() < 4 {
            std::thread::yield_now();
        }
        table.set("e", Some(routes(vec![variant("v", 1.0, Vec::new())])));
        while here.outstanding() > 0 {
            std::thread::yield_now();
        }
        let seen = fake.got().len();
        fake.closed.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(fake.got().len(), seen, "what is stopped gets no request");
    }
    let fake = Fake::new(echo);
    let last = instance("last", vec![fake.container("primary")]);
    table.set("e", Some(routes(vec![variant("v", 1.0, vec![last])])));
    done.store(true, Ordering::SeqCst);
    let count: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(count > 100, "{count}");
}

/// Time is up also where the client is the slower one, so that something is ready at every look.
#[tokio::test]
async fn a_stream_without_an_end_has_one() {
    let fake = Fake::new(|_, stream| {
        raw(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
        while std::io::Write::write_all(stream, &chunk).is_ok() {}
        false
    });
    let table = table(vec![instance("a", vec![fake.container("primary")])]);
    let time = Some(Duration::from_millis(300));
    let request = Request { time, ..Request::of("text/x", "x") };
    let mut stream = super::open(&table, "e", &request).await.unwrap();
    let ended = async {
        loop {
            match std::future::poll_fn(|cx| stream.poll_next(cx)).await {
                Some(Ok(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                end => return end,
            }
        }
    };
    let ended = tokio::time::timeout(LIMITS.answer, ended).await;
    assert_eq!(ended, Ok(Some(Err(super::StreamError::TimedOut))));
}
