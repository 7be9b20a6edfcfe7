//! The service is killed at every step of an endpoint's life, and started again.

use super::hosted::{
    assert_answers, assert_instances, assert_nothing, config, named, servers, until_gone,
    until_in_service, wanted, warden,
};
use super::scene::Service;
use super::{PAUSE, places, scene};
use crate::run::{name, until};
use belljar_testkit::{As, Scene};
use std::collections::BTreeSet;

/// An endpoint on its way through services that are killed.
struct Life<'s> {
    scene: &'s Scene,
    name: String,
    ids: BTreeSet<String>,
}

impl<'s> Life<'s> {
    /// Not created yet.
    fn new(scene: &'s Scene, place: &str) -> Self {
        let name = name(scene, &place.replace(':', "-"));
        Self { scene, name, ids: BTreeSet::new() }
    }

    fn note(&mut self) {
        self.ids.extend(servers(self.scene).into_iter().map(|s| s.id));
    }

    /// In service, of the first turn.
    fn begun(scene: &'s Scene, place: &str, count: u32) -> Self {
        let mut life = Self::new(scene, place);
        let service = Service::start(scene, &[]);
        let config = config(&service, &life.name, 1, count);
        service.client().ask("CreateEndpoint", &wanted(&life.name, &config));
        until_in_service(&service, &life.name);
        life.note();
        service.kill();
        life
    }

    /// A service that is asked for something stops at the place, and is killed.
    fn killed_at(&mut self, place: &str, ask: impl FnOnce(&Service<'_>, &str)) {
        let mut service = Service::start(self.scene, &[(PAUSE, place)]);
        ask(&service, &self.name);
        service.until_stopped(place);
        self.note();
        service.kill();
    }

    /// The next service brings it to where it was to go, deletes it, and nothing is left.
    fn ends(mut self, turn: u32, count: usize) {
        let service = Service::start(self.scene, &[]);
        until_in_service(&service, &self.name);
        assert_answers(&service, &self.name, turn);
        assert_instances(self.scene, count);
        self.note();
        service.delete(&self.name);
        self.is_gone(service);
    }

    fn is_gone(self, service: Service<'_>) {
        until_gone(&service, &self.name);
        assert_nothing(self.scene, &self.ids);
        service.kill();
    }
}

#[test]
fn killed_at_every_step_of_a_creation() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["begin", "folder", "spawn", "commit", "finish"]) {
            let mut life = Life::new(&scene, &format!("new-{place}"));
            let service = Service::start(&scene, &[]);
            let config = config(&service, &life.name, 1, 1);
            service.kill();
            life.killed_at(&place, |service, name| {
                service.send("CreateEndpoint", wanted(name, &config));
            });
            life.ends(1, 1);
        }
    }
}

/// What a container says while it serves is taken in once.
#[test]
fn killed_while_it_takes_in_what_a_container_says() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["segment"]) {
            let mut life = Life::begun(&scene, &place, 1);
            life.killed_at(&place, |service, name| {
                // The service may not live to answer.
                let (client, name) = (service.client().clone(), name.to_owned());
                std::thread::spawn(move || client.invoke(&name, "say 3000 500"));
            });
            let service = Service::start(&scene, &[]);
            let group = format!("/aws/sagemaker/Endpoints/{}", life.name);
            until("all that it said", || {
                let streams = service.client().streams(&group, "v/");
                let lines: Vec<String> =
                    streams.into_iter().flatten().filter(|l| l.starts_with("line ")).collect();
                assert!(lines.len() <= 3000, "{}", lines.len());
                (lines.len() == 3000).then_some(())
            });
            service.kill();
            life.ends(1, 1);
        }
    }
}

/// A whole fleet takes another one's place.
#[test]
fn killed_at_every_step_of_an_update() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["begin", "folder", "spawn", "finish", "tell", "sweep", "tidy"]) {
            let mut life = Life::begun(&scene, &format!("up-{place}"), 2);
            life.killed_at(&place, |service, name| {
                let config = config(service, name, 2, 2);
                service.send("UpdateEndpoint", wanted(name, &config));
            });
            life.ends(2, 2);
        }
    }
}

/// A dead instance's place is taken.
#[test]
fn killed_while_it_replaces_an_instance() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["sweep", "begin", "tidy", "folder", "spawn"]) {
            let mut life = Life::begun(&scene, &format!("dead-{place}"), 1);
            let dead = servers(&scene).remove(0);
            life.killed_at(&place, |_, _| warden(&scene, &dead).kill());
            let service = Service::start(&scene, &[]);
            until("its place is taken", || {
                let all = servers(&scene);
                all.iter().all(|s| s.id != dead.id && s.tries == 1).then_some(())
            });
            until("it answers", || {
                let answer = service.client().invoke(&life.name, "environment").unwrap();
                (answer.status == 200).then_some(())
            });
            service.kill();
            life.ends(1, 1);
        }
    }
}

#[test]
fn killed_at_every_step_of_a_deletion() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["tell", "sweep", "tidy", "finish"]) {
            let mut life = Life::begun(&scene, &format!("gone-{place}"), 2);
            life.killed_at(&place, |service, name| service.send("DeleteEndpoint", named(name)));
            life.is_gone(Service::start(&scene, &[]));
        }
    }
}

/// One that is not in service yet is deleted, by a service that did not begin it.
#[test]
fn deleted_before_it_began() {
    for who in As::all() {
        let scene = scene(who);
        for place in places(&["begin", "folder", "spawn"]) {
            let mut life = Life::new(&scene, &format!("early-{place}"));
            let service = Service::start(&scene, &[]);
            let config = config(&service, &life.name, 1, 2);
            service.kill();
            life.killed_at(&place, |service, name| {
                service.send("CreateEndpoint", wanted(name, &config));
            });
            let service = Service::start(&scene, &[]);
            service.delete(&life.name);
            life.is_gone(service);
        }
    }
}
