//! VPC endpoints, of both kinds.

mod create;
mod edit;
mod list;
mod modify;
mod policy;
mod services;
mod zones;

pub(super) use create::create;
pub(super) use list::{delete, describe};
pub(super) use modify::modify;
pub(super) use services::describe as describe_services;

use crate::network::error::refused;
use crate::service::Service;
use belljar_aws::AwsError;
use belljar_vpc::services::Service as Offered;

/// The service of a name, in this region.
fn offered(service: &Service, name: &str) -> Result<&'static Offered, AwsError> {
    let found = belljar_vpc::services::find(name, &service.config.region);
    found.ok_or_else(|| {
        let shown: String = name.chars().take(128).collect();
        let text = format!("The Vpc Endpoint Service '{shown}' does not exist");
        refused("InvalidServiceName", text)
    })
}

/// `InvalidParameter`, the code that EC2 has for most that is wrong about endpoints.
fn wrong(text: impl Into<String>) -> AwsError {
    refused("InvalidParameter", text)
}
