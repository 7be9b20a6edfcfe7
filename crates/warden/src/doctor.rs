//! What this machine can do: every fact is found by doing it, in a process of its own.

use crate::failure::chain;
use belljar_linux::cgroup::{self, Controller};
use belljar_linux::idmap;
use belljar_linux::netns::NetNs;
use belljar_linux::nflog::Listener;
use belljar_linux::outlet;
use belljar_linux::privilege::{self, Privilege};
use belljar_linux::router::Uplink;
use belljar_linux::seal_net;
use belljar_linux::seccomp::Filters;
use belljar_linux::tun;
use belljar_vpc::sealed;
use serde::Serialize;
use std::io::Write;

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Limited,
    Missing,
}

#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    state: State,
    finding: String,
    remedy: Option<String>,
}

/// Prints one check a line.
pub(crate) fn main() -> Result<(), String> {
    let mut all = vec![kernel()];
    let privilege = privilege::enter();
    all.push(namespaces(&privilege));
    if let Ok(privilege) = &privilege {
        all.push(user_ids(*privilege));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("start the event loop: {e}"))?;
        all.extend(runtime.block_on(network()));
        all.push(runtime.block_on(vpcs()));
        all.push(encryption());
        all.push(cgroups(*privilege));
    }
    all.push(seccomp());
    let mut out = std::io::stdout().lock();
    for check in all {
        let line = serde_json::to_string(&check).map_err(|e| e.to_string())?;
        writeln!(out, "{line}").map_err(|e| format!("write the findings: {e}"))?;
    }
    Ok(())
}

fn check(check: &'static str, result: Result<String, String>, remedy: &str) -> Check {
    match result {
        Ok(finding) => Check { check, state: State::Ok, finding, remedy: None },
        Err(finding) => {
            Check { check, state: State::Missing, finding, remedy: Some(remedy.to_owned()) }
        }
    }
}

fn kernel() -> Check {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let number = |n: Option<&str>| n.and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    let mut parts = release.split(['.', '-']);
    let version = (number(parts.next()), number(parts.next()));
    let result = if version >= (5, 19) { Ok(release) } else { Err(release) };
    check("kernel", result, "Linux 5.19 or newer is needed (idmapped layers below overlayfs)")
}

fn namespaces(privilege: &belljar_linux::Result<Privilege>) -> Check {
    let finding = match privilege {
        Ok(Privilege::Root) => Ok("root: every container has user ids of its own".to_owned()),
        Ok(Privilege::User { uid }) => {
            Ok(format!("user {uid}: containers run in a user namespace of this user"))
        }
        Err(e) => Err(chain(e)),
    };
    let remedy = "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, \
                  kernel.apparmor_restrict_unprivileged_userns=0), or run as root";
    check("namespaces", finding, remedy)
}

fn user_ids(privilege: Privilege) -> Check {
    let made = idmap::for_container(privilege, 0).map_err(|e| chain(&e));
    let finding = made.map(|_| match privilege {
        Privilege::Root => "65536 ids for each container".to_owned(),
        Privilege::User { .. } => "one id: images must run as root, as SageMaker's do".to_owned(),
    });
    let mut found = check("user ids", finding, "raise the sysctl user.max_user_namespaces");
    if matches!((privilege, found.state), (Privilege::User { .. }, State::Ok)) {
        found.state = State::Limited;
        found.remedy = Some("run as root for images with another USER".to_owned());
    }
    found
}

async fn network() -> Vec<Check> {
    let ns = match NetNs::create() {
        Ok(ns) => ns,
        Err(e) => {
            let remedy = "raise the sysctl user.max_net_namespaces";
            return vec![check("network namespace", Err(chain(&e)), remedy)];
        }
    };
    let mut all = vec![check("network namespace", Ok("can be made".to_owned()), "")];
    let loaded = seal_net::seal(&ns, &sealed::output_rules()).await.map_err(|e| chain(&e));
    let loaded = loaded.map(|_| "rules load in one transaction and list back".to_owned());
    all.push(check(
        "nftables",
        loaded,
        "load the kernel module nf_tables (CONFIG_NF_TABLES, NF_TABLES_INET, NFT_REJECT)",
    ));
    let heard = Listener::bind(&ns, sealed::GROUP, sealed::SNAP_LENGTH).await;
    let heard = heard.map(|_| "attempts can be recorded".to_owned()).map_err(|e| chain(&e));
    all.push(check(
        "nflog",
        heard,
        "load the kernel module nfnetlink_log (CONFIG_NETFILTER_NETLINK_LOG)",
    ));
    all
}

/// A VPC is made of network namespaces, which the checks above have seen made and ruled: only a way
/// out of them needs more of the kernel, and no privilege.
async fn vpcs() -> Check {
    let made = async {
        let world = Uplink::edge()?;
        outlet::listen(world.ns())?;
        outlet::edge(world.ns()).await
    };
    match made.await {
        Ok(()) => {
            let finding = "all of it; NAT and internet gateways lead to the host's network";
            check("VPCs", Ok(finding.to_owned()), "")
        }
        Err(e) => Check {
            check: "VPCs",
            state: State::Limited,
            finding: format!("all but a way to the internet: {}", chain(&e)),
            remedy: Some(
                "load the kernel modules nft_tproxy and nft_fib_inet (CONFIG_NFT_TPROXY, \
                 CONFIG_NFT_FIB_INET)"
                    .to_owned(),
            ),
        },
    }
}

/// Nothing else than encrypted links needs it.
fn encryption() -> Check {
    let finding = tun::check().map_err(|e| chain(&e));
    let finding = finding.map(|()| "traffic between instances can be encrypted".to_owned());
    let remedy = "for EnableInterContainerTrafficEncryption let this user open /dev/net/tun (mode 0666, as udev makes it)";
    let mut found = check("encryption", finding, remedy);
    if matches!(found.state, State::Missing) {
        found.state = State::Limited;
    }
    found
}

fn cgroups(privilege: Privilege) -> Check {
    let available = cgroup::available();
    let names = |wanted: bool| {
        let of = |c: &&Controller| available.contains(c) == wanted;
        let all: Vec<&str> = Controller::ALL.iter().filter(of).map(|c| c.name()).collect();
        all.join(", ")
    };
    if available.len() == Controller::ALL.len() {
        return check("limits", Ok(format!("cgroup controllers {}", names(true))), "");
    }
    let remedy = match privilege {
        Privilege::Root => "mount the cgroup file system with these controllers",
        Privilege::User { .. } => {
            "run as root, or have the controllers delegated (systemd: Delegate=yes); without --cpus, --memory and --instance-type nothing is missing"
        }
    };
    Check {
        check: "limits",
        state: State::Limited,
        finding: format!("no cgroup controllers {} for this user", names(false)),
        remedy: Some(remedy.to_owned()),
    }
}

fn seccomp() -> Check {
    let compiled = Filters::compile().map_err(|e| chain(&e));
    let finding = compiled.and_then(|_| {
        let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
        let actions = actions.map_err(|e| format!("the kernel has no seccomp filters: {e}"))?;
        Ok(format!("filters of this architecture; actions {}", actions.trim()))
    });
    check("seccomp", finding, "use a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64")
}
