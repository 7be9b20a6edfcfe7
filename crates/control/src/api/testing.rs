//! What the tests of handlers share: a service without a socket, and calls whose inputs and
//! answers are held against the models.

use crate::api::s3;
use crate::local::Warden;
use crate::machine::Machine;
use crate::service::{Caller, Capacity, Config, Service, table};
use belljar_aws::{AwsError, Service as Aws};
use belljar_domain::Timestamp;
use belljar_store::identity::Owner;
use belljar_store::objects::Objects;
use belljar_store::{State, identity};
use serde_json::Value;
use std::sync::Arc;

/// The time in tests.
pub(crate) const NOW: i64 = 1_795_439_700_123;

/// A service in a folder of its own, and who calls it.
pub(crate) struct Tested {
    dir: tempfile::TempDir,
    pub(crate) service: Service,
    pub(crate) caller: Caller,
}

impl Tested {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(dir.path()).unwrap());
        let account = "123456789012";
        let now = Timestamp::from_millis(NOW);
        let made = state.db().write(move |c| identity::ensure_root(c, account, now)).await.unwrap();
        let config = Config {
            require_isolation: false,
            state: dir.path().into(),
            listen: ([127, 0, 0, 1], 0).into(),
            region: "us-east-1".into(),
            account: account.into(),
            zones: vec!["us-east-1a".into()],
            capacity: Capacity::Clamp,
            outside_s3: None,
            mirrors: Vec::new(),
            warden: Warden { program: "/nowhere".into(), environment: Vec::new() },
            machine: Machine::read(),
            check_answers: true,
            now: || Timestamp::from_millis(NOW),
        };
        let caller = Caller {
            account: account.into(),
            region: "us-east-1".into(),
            arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.into(),
            access_key_id: made.key.id,
            owner: Owner::Root,
        };
        let objects = Objects::open(&dir.path().join("objects")).unwrap();
        let settings = s3::Config {
            region: config.region.clone(),
            account: config.account.clone(),
            hosts: Vec::new(),
        };
        let s3 = s3::service(objects.clone(), Arc::new(|_| Ok(None)), settings);
        let tls = crate::service::tls::Tls::open(state.folder()).unwrap();
        let (wanted, nodes) = (tokio::sync::Notify::new(), crate::nodes::Nodes::default());
        let endpoints = crate::serving::Table::default();
        let asked = tokio::sync::Notify::new();
        let network = crate::network::Networks::open(&state, &config).await.unwrap();
        let fabric = crate::fabric::Fabric::default();
        let service = Service {
            config,
            state,
            s3,
            objects,
            wanted,
            asked,
            network,
            fabric,
            flow_logs: Default::default(),
            nodes,
            tls,
            endpoints,
        };
        Self { dir, service, caller }
    }

    /// Calls an operation as dispatch does.
    pub(crate) async fn call(&self, aws: Aws, name: &str, input: Value) -> Result<Value, AwsError> {
        let operation = aws.model().operation(name).unwrap();
        belljar_aws::validate(operation, &input)?;
        let handler = table::find(aws, name).unwrap();
        let output = handler(&self.service, &self.caller, input).await?;
        belljar_aws::check_output(operation, &output).unwrap();
        Ok(output)
    }

    /// The service alone, for those who work in its background; and its folder, to be held.
    pub(crate) fn shared(self) -> (Arc<Service>, tempfile::TempDir) {
        (Arc::new(self.service), self.dir)
    }

    /// The code and message of a call that fails.
    pub(crate) async fn refused(&self, aws: Aws, name: &str, input: Value) -> (String, String) {
        let e = self.call(aws, name, input).await.unwrap_err();
        (e.code.into_owned(), e.message)
    }
}
