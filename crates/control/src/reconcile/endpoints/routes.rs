//! The routing table, as records and what is seen say it: who may be given requests.

use super::super::folder;
use super::{Endpoints, answers};
use crate::serving::{Container, Instance, Routes, VariantRoutes};
use belljar_domain::endpoint::{Endpoint, Fleet, Server, Variant};
use belljar_domain::fleet::{Seen, State};
use std::sync::Arc;

impl Endpoints {
    /// Brings the table up to date, for all endpoints but those of which nothing was seen.
    pub(super) fn route<'s>(
        &mut self,
        all: &[Endpoint],
        seen: impl Fn(&Endpoint) -> Option<&'s [Seen]>,
    ) {
        for endpoint in all {
            let Some(seen) = seen(endpoint) else { continue };
            let routes = self.routes(endpoint, seen);
            self.service.endpoints.set(&endpoint.name, Some(routes));
        }
        let there: Vec<String> = all.iter().map(|e| e.name.clone()).collect();
        for name in self.routed.iter().filter(|name| !there.contains(name)) {
            self.service.endpoints.set(name, None);
        }
        self.routed = there;
    }

    pub(super) fn routes(&mut self, endpoint: &Endpoint, seen: &[Seen]) -> Routes {
        let progress = &endpoint.progress;
        let config = &self.service.config;
        let (region, account) = (config.region.clone(), config.account.clone());
        let in_service = answers(progress.status);
        let shown = progress.shown();
        let variants = shown.into_iter().flat_map(|fleet| {
            fleet.deployment.variants.iter().map(move |variant| (fleet, variant))
        });
        let variants = variants.map(|(fleet, variant)| self.variant(fleet, variant, seen));
        let variants = variants.collect();
        Routes {
            name: endpoint.name.clone(),
            arn: endpoint.arn.clone(),
            region,
            account,
            in_service,
            asynchronous: shown.and_then(|f| f.deployment.asynchronous.clone()),
            variants,
        }
    }

    fn variant(&mut self, fleet: &Fleet, variant: &Variant, seen: &[Seen]) -> VariantRoutes {
        let ours = seen.iter().filter(|s| {
            let server = &s.server;
            server.fleet == fleet.number && server.variant == variant.name
        });
        // One that leaves, or is dead, is given nothing more.
        let stays = |s: &&Seen| {
            s.server.stopping.is_none() && !matches!(s.state, State::Dead { .. } | State::NotBegun)
        };
        let instances = ours.filter(stays).map(|s| {
            let instance = self.instance(&s.server, variant);
            instance.set_healthy(s.state == State::Healthy);
            instance
        });
        VariantRoutes {
            name: variant.name.clone(),
            weight: fleet.shares.get(&variant.name).map_or(0.0, |share| share.weight),
            routing: variant.routing,
            direct: variant.direct,
            instances: instances.collect(),
        }
    }

    /// What requests know of an instance: the same for as long as it is there.
    fn instance(&mut self, server: &Server, variant: &Variant) -> Arc<Instance> {
        let state = &self.service.config.state;
        let made = || {
            let containers = variant.containers.iter().zip(1..).map(|(container, number)| {
                let folder = folder::of_container(state, &server.id, number);
                let made = Container::new(container.name.clone(), folder);
                match container.models {
                    Some(_) => made.with_models(container.cached),
                    None => made,
                }
            });
            let (id, zone) = (server.id.clone(), server.zone.clone());
            Arc::new(Instance::new(id, zone, containers.collect()))
        };
        self.instances.entry(server.id.clone()).or_insert_with(made).clone()
    }
}
