//! A VPC's resolver: what `vpc::dns` says of its network as it is.

use super::view::View;
use crate::dns::Answers;
use belljar_vpc::id::VpcId;
use hickory_proto::op::{Message, Query, ResponseCode};
use std::sync::Arc;
use tokio::sync::watch;

/// The names of one VPC.
#[derive(Debug)]
pub(super) struct VpcNames {
    pub(super) vpc: VpcId,
    pub(super) view: watch::Receiver<Arc<View>>,
}

impl Answers for VpcNames {
    async fn look_up(&self, _query: &Query, _answer: &mut Message) -> ResponseCode {
        ResponseCode::NXDomain
    }
}
