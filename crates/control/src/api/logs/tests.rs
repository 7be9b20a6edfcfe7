use crate::api::testing::{NOW, Tested};
use belljar_aws::Service as Aws;
use serde_json::{Value, json};

const GROUP: &str = "/aws/sagemaker/TrainingJobs";
const DAY: i64 = 24 * 60 * 60 * 1000;

async fn call(t: &Tested, name: &str, input: Value) -> Value {
    t.call(Aws::Logs, name, input).await.unwrap()
}

async fn refused(t: &Tested, name: &str, input: Value) -> (String, String) {
    t.refused(Aws::Logs, name, input).await
}

async fn new(streams: &[&str]) -> Tested {
    let t = Tested::new().await;
    call(&t, "CreateLogGroup", json!({"logGroupName": GROUP})).await;
    for stream in streams {
        call(&t, "CreateLogStream", stream_input(stream)).await;
    }
    t
}

fn stream_input(stream: &str) -> Value {
    json!({"logGroupName": GROUP, "logStreamName": stream})
}

async fn put(t: &Tested, stream: &str, events: &[(i64, &str)]) -> Value {
    call(t, "PutLogEvents", put_input(stream, events)).await
}

fn put_input(stream: &str, events: &[(i64, &str)]) -> Value {
    let mut input = stream_input(stream);
    input["logEvents"] =
        events.iter().map(|(at, m)| json!({"timestamp": NOW + at, "message": m})).collect();
    input
}

fn messages(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|e| e["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn groups_are_made_described_tagged_and_deleted() {
    let t = new(&["s"]).await;
    let group = json!({"logGroupName": GROUP});
    let (code, message) = refused(&t, "CreateLogGroup", group.clone()).await;
    assert_eq!(code, "ResourceAlreadyExistsException");
    assert_eq!(message, "The specified log group already exists");
    call(&t, "CreateLogGroup", json!({"logGroupName": "b", "tags": {"k": "v"}})).await;
    put(&t, "s", &[(0, "four")]).await;
    let retention = json!({"logGroupName": GROUP, "retentionInDays": 7});
    call(&t, "PutRetentionPolicy", retention).await;
    let page = call(&t, "DescribeLogGroups", json!({"limit": 1})).await;
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/TrainingJobs";
    assert_eq!(
        page["logGroups"],
        json!([{
            "logGroupName": GROUP, "creationTime": NOW, "retentionInDays": 7,
            "metricFilterCount": 0, "arn": format!("{arn}:*"), "logGroupArn": arn,
            "storedBytes": 30, "logGroupClass": "STANDARD",
        }])
    );
    let next = call(&t, "DescribeLogGroups", json!({"nextToken": page["nextToken"]})).await;
    assert_eq!(next["logGroups"][0]["logGroupName"], "b");
    assert!(next.get("nextToken").is_none());
    let none = call(&t, "DescribeLogGroups", json!({"logGroupNamePrefix": "/x"})).await;
    assert_eq!(none, json!({"logGroups": []}));

    let b = "arn:aws:logs:us-east-1:123456789012:log-group:b";
    call(&t, "TagResource", json!({"resourceArn": b, "tags": {"l": "w"}})).await;
    call(&t, "UntagResource", json!({"resourceArn": b, "tagKeys": ["k"]})).await;
    let tags = call(&t, "ListTagsForResource", json!({"resourceArn": b})).await;
    assert_eq!(tags, json!({"tags": {"l": "w"}}));

    call(&t, "DeleteRetentionPolicy", group.clone()).await;
    call(&t, "DeleteLogGroup", group.clone()).await;
    let (code, message) = refused(&t, "DeleteLogGroup", group).await;
    assert_eq!(code, "ResourceNotFoundException");
    assert_eq!(message, "The specified log group does not exist.");
}

#[tokio::test]
async fn what_is_not_served_of_a_group_is_refused_by_name() {
    let t = Tested::new().await;
    for (member, value) in [
        ("kmsKeyId", json!("key")),
        ("logGroupClass", json!("INFREQUENT_ACCESS")),
        ("deletionProtectionEnabled", json!(true)),
    ] {
        let (_, message) =
            refused(&t, "CreateLogGroup", json!({"logGroupName": "g", member: value})).await;
        assert!(message.starts_with("Belljar does not serve"), "{message}");
        assert!(message.contains(member), "{message}");
    }
    let retention = json!({"logGroupName": "g", "retentionInDays": 2});
    let (code, message) = refused(&t, "PutRetentionPolicy", retention).await;
    assert_eq!(code, "InvalidParameterException");
    assert!(message.contains("Member must satisfy enum value set: [1, 3, 5"), "{message}");
}

#[tokio::test]
async fn streams_are_listed_by_name_or_by_their_last_event() {
    let t = new(&["j/algo-2-1", "j/algo-1-1", "k"]).await;
    let (code, message) = refused(&t, "CreateLogStream", stream_input("k")).await;
    assert_eq!(code, "ResourceAlreadyExistsException");
    assert_eq!(message, "The specified log stream already exists");
    put(&t, "k", &[(5, "x")]).await;
    let names = |answer: &Value| -> Vec<String> {
        let streams = answer["logStreams"].as_array().unwrap();
        streams.iter().map(|s| s["logStreamName"].as_str().unwrap().to_owned()).collect()
    };
    let by_name = json!({
        "logGroupName": GROUP, "logStreamNamePrefix": "j/", "orderBy": "LogStreamName", "limit": 1,
    });
    let page = call(&t, "DescribeLogStreams", by_name.clone()).await;
    assert_eq!(names(&page), ["j/algo-1-1"]);
    let mut next = by_name;
    next["nextToken"] = page["nextToken"].clone();
    let page = call(&t, "DescribeLogStreams", next).await;
    assert_eq!(names(&page), ["j/algo-2-1"]);
    assert!(page.get("nextToken").is_none());
    let identifier = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/TrainingJobs";
    let mut latest = json!({
        "logGroupIdentifier": identifier, "orderBy": "LastEventTime", "descending": true,
        "limit": 1,
    });
    let page = call(&t, "DescribeLogStreams", latest.clone()).await;
    let stream = &page["logStreams"][0];
    assert_eq!(stream["logStreamName"], "k");
    assert_eq!(stream["lastEventTimestamp"], NOW + 5);
    assert_eq!(stream["lastIngestionTime"], NOW);
    latest["nextToken"] = page["nextToken"].clone();
    latest["limit"] = 9.into();
    assert_eq!(names(&call(&t, "DescribeLogStreams", latest.clone()).await).len(), 2);
    latest["logStreamNamePrefix"] = "j".into();
    let (code, message) = refused(&t, "DescribeLogStreams", latest).await;
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(message, "Cannot order by LastEventTime with a logStreamNamePrefix.");
    let missing = json!({"logGroupName": "missing", "logStreamNamePrefix": "j/"});
    let (code, _) = refused(&t, "DescribeLogStreams", missing).await;
    assert_eq!(code, "ResourceNotFoundException");
    call(&t, "DeleteLogStream", stream_input("k")).await;
    let (_, message) = refused(&t, "DeleteLogStream", stream_input("k")).await;
    assert_eq!(message, "The specified log stream does not exist.");
}

/// The loop of both SageMaker SDKs: from the head, until the token stays the same.
#[tokio::test]
async fn a_reader_goes_on_until_the_token_stays_the_same() {
    let t = new(&["s"]).await;
    let mut seen = Vec::new();
    let mut input = stream_input("s");
    input["startFromHead"] = true.into();
    input["startTime"] = 0.into();
    input["limit"] = 2.into();
    for round in 0..3 {
        put(&t, "s", &[(round, "a"), (round, "b"), (round, "c")]).await;
        loop {
            let page = call(&t, "GetLogEvents", input.clone()).await;
            seen.extend(messages(&page).into_iter().map(str::to_owned));
            let next = page["nextForwardToken"].clone();
            if input.get("nextToken") == Some(&next) {
                assert!(messages(&page).is_empty());
                break;
            }
            input["nextToken"] = next;
        }
    }
    assert_eq!(seen.concat(), "abcabcabc");
}

#[tokio::test]
async fn without_a_start_the_latest_events_come_first() {
    let t = new(&["s"]).await;
    put(&t, "s", &[(0, "a"), (1, "b"), (2, "c")]).await;
    let mut input = stream_input("s");
    input["limit"] = 2.into();
    let page = call(&t, "GetLogEvents", input.clone()).await;
    assert_eq!(messages(&page), ["b", "c"]);
    assert_eq!(page["events"][0]["timestamp"], NOW + 1);
    assert_eq!(page["events"][0]["ingestionTime"], NOW);
    input["nextToken"] = page["nextBackwardToken"].clone();
    assert_eq!(messages(&call(&t, "GetLogEvents", input.clone()).await), ["a"]);
    for bad in
        ["x", "f/1/s", "f/é/s", "q/00000000000000000000000000000000000000000000000000000000/s"]
    {
        input["nextToken"] = bad.into();
        let (code, message) = refused(&t, "GetLogEvents", input.clone()).await;
        assert_eq!(code, "InvalidParameterException");
        assert_eq!(message, "The specified nextToken is invalid.");
    }
    let (code, _) = refused(&t, "GetLogEvents", json!({"logStreamName": "s"})).await;
    assert_eq!(code, "InvalidParameterException");
    let (_, message) = refused(&t, "GetLogEvents", stream_input("x")).await;
    assert_eq!(message, "The specified log stream does not exist.");
    let far = json!({
        "logGroupName": GROUP, "logStreamName": "s", "startTime": i64::MAX, "startFromHead": true,
    });
    let page = call(&t, "GetLogEvents", far.clone()).await;
    let mut again = far;
    again["nextToken"] = page["nextForwardToken"].clone();
    assert_eq!(call(&t, "GetLogEvents", again).await["nextForwardToken"], page["nextForwardToken"]);
}

#[tokio::test]
async fn what_is_too_old_or_too_new_is_rejected_by_its_place() {
    let t = new(&["s"]).await;
    let hour = DAY / 24;
    assert_eq!(
        put(&t, "s", &[(-14 * DAY - 2, "a"), (-14 * DAY - 1, "b"), (-14 * DAY, "c")]).await["rejectedLogEventsInfo"],
        json!({"tooOldLogEventEndIndex": 2})
    );
    assert_eq!(
        put(&t, "s", &[(0, "d"), (2 * hour, "e"), (2 * hour + 1, "f")]).await["rejectedLogEventsInfo"],
        json!({"tooNewLogEventStartIndex": 2})
    );
    let retention = json!({"logGroupName": GROUP, "retentionInDays": 1});
    call(&t, "PutRetentionPolicy", retention).await;
    let answer = put(&t, "s", &[(-DAY - 1, "g"), (-DAY, "h")]).await;
    assert_eq!(answer["rejectedLogEventsInfo"], json!({"expiredLogEventEndIndex": 1}));
    assert_eq!(answer["nextSequenceToken"].as_str().unwrap().len(), 56);
    let page = call(&t, "GetLogEvents", stream_input("s")).await;
    assert_eq!(messages(&page), ["c", "h", "d", "e"]);
    assert!(put(&t, "s", &[(0, "i")]).await.get("rejectedLogEventsInfo").is_none());
}

#[tokio::test]
async fn a_batch_has_the_services_limits() {
    let t = new(&["s"]).await;
    let long = "x".repeat(1 << 19);
    for (events, words) in [
        (vec![(1, "a"), (0, "b")], "must be in chronological order"),
        (vec![(-DAY - 1, "a"), (0, "b")], "cannot span more than 24"),
        (
            vec![(0, &*long), (0, &*long)],
            "Upload too large: 1048628 bytes exceeds limit of 1048576",
        ),
    ] {
        let (code, message) = refused(&t, "PutLogEvents", put_input("s", &events)).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains(words), "{message}");
    }
    let huge = "x".repeat(1 << 20);
    let (_, message) = refused(&t, "PutLogEvents", put_input("s", &[(0, &huge)])).await;
    assert!(message.starts_with("Log event too large"), "{message}");
    let mut input = put_input("s", &[(0, "x")]);
    input["sequenceToken"] = "anything".into();
    call(&t, "PutLogEvents", input).await;
    let (code, _) = refused(&t, "PutLogEvents", put_input("missing", &[(0, "x")])).await;
    assert_eq!(code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_filter_weaves_streams_and_goes_on_by_its_token() {
    let t = new(&["AllTraffic/1", "AllTraffic/2", "other"]).await;
    put(&t, "AllTraffic/1", &[(0, "GET /ping 200"), (2, "ERROR one")]).await;
    put(&t, "AllTraffic/2", &[(1, "ERROR two"), (3, "{\"level\": \"ERROR\"}")]).await;
    put(&t, "other", &[(1, "ERROR other")]).await;
    let mut input = json!({
        "logGroupName": GROUP, "logStreamNamePrefix": "AllTraffic/", "filterPattern": "ERROR",
        "limit": 2, "interleaved": true,
    });
    let page = call(&t, "FilterLogEvents", input.clone()).await;
    assert_eq!(messages(&page), ["ERROR two", "ERROR one"]);
    assert_eq!(page["events"][0]["logStreamName"], "AllTraffic/2");
    assert_eq!(page["events"][0]["eventId"].as_str().unwrap().len(), 56);
    input["nextToken"] = page["nextToken"].clone();
    let page = call(&t, "FilterLogEvents", input.clone()).await;
    assert_eq!(messages(&page), ["{\"level\": \"ERROR\"}"]);
    assert!(page.get("nextToken").is_none());
    let json_pattern = json!({"logGroupName": GROUP, "filterPattern": "{ $.level = \"ERROR\" }"});
    assert_eq!(messages(&call(&t, "FilterLogEvents", json_pattern).await).len(), 1);
    let named = json!({"logGroupName": GROUP, "logStreamNames": ["other"], "startTime": NOW + 1});
    assert_eq!(messages(&call(&t, "FilterLogEvents", named).await), ["ERROR other"]);
    for (member, value, words) in [
        ("filterPattern", json!("[a, b]"), "Belljar does not serve [space, delimited, fields]"),
        ("filterPattern", json!("a-b"), "Invalid character(s) in term 'a-b'"),
        ("logStreamNames", json!(["other"]), "mutually exclusive"),
        ("startFromHead", json!(false), "Belljar does not serve startFromHead"),
        ("nextToken", json!("%"), "nextToken is invalid"),
    ] {
        let mut input = input.clone();
        input[member] = value;
        let (code, message) = refused(&t, "FilterLogEvents", input).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains(words), "{message}");
    }
    let missing = json!({"logGroupName": GROUP, "logStreamNames": ["missing"]});
    let (_, message) = refused(&t, "FilterLogEvents", missing).await;
    assert_eq!(message, "The specified log stream does not exist.");
}
