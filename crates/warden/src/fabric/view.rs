//! What there is at a moment, for those who only look.

use super::far::Space;
use belljar_vpc::Network;
use belljar_vpc::id::InterfaceId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A network that was applied.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Its number; `None` if none was applied.
    pub(super) generation: Option<u64>,
    /// Its region.
    pub(super) region: String,
    /// It.
    pub(super) network: Arc<Network>,
    /// Where each interface's inner end is.
    pub(super) spaces: BTreeMap<InterfaceId, Arc<Space>>,
    /// Those that are in a container.
    pub(super) attached: Vec<InterfaceId>,
    /// Why no VPC has a way to the internet, if so.
    pub(super) lacks: Option<String>,
}
