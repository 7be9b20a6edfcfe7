//! The machines that may join, for `belljar node`: with a running service or without.

use super::{ServiceError, address, certificate_path};
use belljar_domain::node::Ticket;
use belljar_domain::{NodeName, Timestamp};
use belljar_store::State;
use belljar_store::nodes::{self, Node};
use std::net::SocketAddr;
use std::path::Path;

/// Adds a node, and makes what it needs to join the service that is running.
///
/// # Errors
/// [`ServiceError::NotRunning`], [`ServiceError::OwnMachine`] if other machines cannot reach it,
/// [`ServiceError::NodeIsThere`], or if the state fails.
pub async fn add_node(
    state: &Path,
    node: NodeName,
    now: Timestamp,
) -> Result<Ticket, ServiceError> {
    let endpoint = address(state)?.endpoint;
    let service: Option<SocketAddr> = endpoint.strip_prefix("http://").and_then(|a| a.parse().ok());
    let service = service.filter(|a| !a.ip().is_loopback());
    let service = service.ok_or_else(|| ServiceError::OwnMachine(endpoint))?;
    let path = certificate_path(state);
    let certificate =
        std::fs::read_to_string(&path).map_err(|source| ServiceError::Address { path, source })?;
    let db = State::peek(state)?;
    let name = node.clone();
    let token = db.write(move |c| nodes::add(c, &name, now)).await?;
    let token = token.ok_or_else(|| ServiceError::NodeIsThere(node.clone()))?;
    Ok(Ticket { node, service, certificate, token })
}

/// All nodes, by name.
///
/// # Errors
/// If the state fails.
pub fn list_nodes(state: &Path) -> Result<Vec<Node>, ServiceError> {
    Ok(State::peek(state)?.read(nodes::list)?)
}

/// Takes a node's right to join away; what it runs is given up once it is not heard any more.
///
/// # Errors
/// [`ServiceError::NoNode`], or if the state fails.
pub async fn remove_node(state: &Path, node: NodeName) -> Result<(), ServiceError> {
    let (db, name) = (State::peek(state)?, node.clone());
    let removed = db.write(move |c| nodes::remove(c, &name)).await?;
    if removed { Ok(()) } else { Err(ServiceError::NoNode(node)) }
}
