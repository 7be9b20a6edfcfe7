//! The services, and the pruned model of each.

use crate::error::{AwsError, Fault};
use crate::model::Model;
use std::fmt;
use std::sync::LazyLock;

/// A service whose requests are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// The control plane: `JSON` 1.1.
    SageMaker,
    /// Invocations of endpoints: `REST` with `JSON`. Signed as the control plane is.
    SageMakerRuntime,
    /// `CloudWatch` Logs: `JSON` 1.1.
    Logs,
    /// The security token service: the query protocol.
    Sts,
    /// Identities: the query protocol.
    Iam,
    /// DNS, of which private hosted zones: `REST` with `XML`.
    Route53,
    /// Networks: `EC2`'s own variant of the query protocol.
    Ec2,
    /// Objects: `REST` with `XML`. Its requests are only told apart here, not decoded.
    S3,
}

type Lazy = LazyLock<Model>;

static SAGEMAKER: Lazy = Lazy::new(|| read(include_str!("../models/sagemaker.json")));
static RUNTIME: Lazy = Lazy::new(|| read(include_str!("../models/sagemaker-runtime.json")));
static LOGS: Lazy = Lazy::new(|| read(include_str!("../models/logs.json")));
static STS: Lazy = Lazy::new(|| read(include_str!("../models/sts.json")));
static IAM: Lazy = Lazy::new(|| read(include_str!("../models/iam.json")));
static ROUTE53: Lazy = Lazy::new(|| read(include_str!("../models/route53.json")));
static EC2: Lazy = Lazy::new(|| read(include_str!("../models/ec2.json")));
static S3: Lazy = Lazy::new(|| read(include_str!("../models/s3.json")));

/// A checked-in model. One that could not be read would serve nothing; a test reads all of them.
fn read(json: &str) -> Model {
    Model::read(json).unwrap_or_default()
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 8] = [
        Self::SageMaker,
        Self::SageMakerRuntime,
        Self::Logs,
        Self::Sts,
        Self::Iam,
        Self::Route53,
        Self::Ec2,
        Self::S3,
    ];

    /// The service's pruned model, read when it is first asked for.
    #[must_use]
    pub fn model(self) -> &'static Model {
        match self {
            Self::SageMaker => &SAGEMAKER,
            Self::SageMakerRuntime => &RUNTIME,
            Self::Logs => &LOGS,
            Self::Sts => &STS,
            Self::Iam => &IAM,
            Self::Route53 => &ROUTE53,
            Self::Ec2 => &EC2,
            Self::S3 => &S3,
        }
    }

    /// The name in a signature's scope.
    #[must_use]
    pub const fn signing_name(self) -> &'static str {
        match self {
            Self::SageMaker | Self::SageMakerRuntime => "sagemaker",
            Self::Logs => "logs",
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Route53 => "route53",
            Self::Ec2 => "ec2",
            Self::S3 => "s3",
        }
    }

    /// Whether requests for any region may be signed for `us-east-1`: these services have, or had,
    /// one endpoint for all regions.
    #[must_use]
    pub const fn is_global(self) -> bool {
        matches!(self, Self::Sts | Self::Iam | Self::Route53)
    }

    /// One of the errors that the service's model declares, by the name of its shape or by its
    /// code, with the status and the code of the model. A name that the model lacks becomes an
    /// error of that name with status 400.
    pub fn error(self, name: &'static str, message: impl Into<String>) -> AwsError {
        match self.model().error_shape(name) {
            Some(shape) => {
                let mut error = AwsError::new(shape.status, shape.code.clone(), message);
                error.fault = if shape.sender { Fault::Sender } else { Fault::Receiver };
                error
            }
            None => AwsError::new(400, name, message),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SageMakerRuntime => "sagemaker-runtime",
            other => other.signing_name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_can_be_read() {
        for (service, json) in [
            (Service::SageMaker, include_str!("../models/sagemaker.json")),
            (Service::SageMakerRuntime, include_str!("../models/sagemaker-runtime.json")),
            (Service::Logs, include_str!("../models/logs.json")),
            (Service::Sts, include_str!("../models/sts.json")),
            (Service::Iam, include_str!("../models/iam.json")),
            (Service::Route53, include_str!("../models/route53.json")),
            (Service::Ec2, include_str!("../models/ec2.json")),
            (Service::S3, include_str!("../models/s3.json")),
        ] {
            Model::read(json).unwrap_or_else(|e| panic!("{service}: {e}"));
            assert!(service.model().knows_names(), "{service}");
        }
    }

    #[test]
    fn errors_take_their_status_and_code_from_the_model() {
        let error = Service::Iam.error("NoSuchEntityException", "gone");
        assert_eq!((error.status, error.code.as_ref()), (404, "NoSuchEntity"));
        let error = Service::SageMaker.error("ResourceInUse", "taken");
        assert_eq!((error.status, error.code.as_ref()), (400, "ResourceInUse"));
    }
}
