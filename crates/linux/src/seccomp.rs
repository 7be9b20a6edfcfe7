//! The system calls of a sealed container: two stacked filters, both default-deny in effect.
//!
//! 1. The *allow list* ([`ALLOWED`]): what is not on it does not exist (`ENOSYS`), so that a C
//!    library falls back to an older call as it would on an older kernel (this is how `clone3`,
//!    whose flags a filter cannot see, becomes `clone`).
//! 2. The *refusals* ([`refusals`]): calls that exist and are forbidden (`EPERM`), and
//!    arguments of allowed calls that are. Where both filters object, the one loaded last gives
//!    the number (seccomp(2)), so the refusals are loaded last.
//!
//! The lists start from what container engines have converged on and are narrower: no `ptrace`,
//! no io_uring, no new user namespaces, no keyring, no `bpf`, no socket family but Unix, IPv4,
//! IPv6 and route netlink (a network namespace does not confine `AF_VSOCK`).

use crate::error::{Error, Result};
use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET,
    CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, ENOSYS, EPERM, NETLINK_ROUTE,
    TIOCLINUX, TIOCSTI,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

#[path = "seccomp_lists.rs"]
mod lists;
pub use lists::{ALLOWED, REFUSED};

/// How many filters [`install`] stacks.
pub const FILTERS: u32 = 2;

/// `CLONE_NEWTIME` (linux/sched.h); the libc crate does not have it everywhere.
const CLONE_NEWTIME: i32 = 0x80;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The compiled filters, in the order in which they are loaded.
#[derive(Debug, Clone)]
pub struct Filters {
    programs: [BpfProgram; 2],
}

impl Filters {
    /// Compiles them for the machine's own architecture; a call of any other kills the process.
    ///
    /// # Errors
    /// If the architecture has no filter.
    pub fn compile() -> Result<Self> {
        let allow: Rules = ALLOWED.iter().map(|n| (*n, Vec::new())).collect();
        Ok(Self {
            programs: [
                compile(allow, SeccompAction::Errno(ENOSYS as u32), SeccompAction::Allow)?,
                compile(refusals()?, SeccompAction::Allow, SeccompAction::Errno(EPERM as u32))?,
            ],
        })
    }

    /// Loads them into the calling thread, for good. Needs `no_new_privs`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn install(&self) -> Result<()> {
        for program in &self.programs {
            seccompiler::apply_filter(program)
                .map_err(|e| Error::other("load the seccomp filter", e.to_string()))?;
        }
        Ok(())
    }
}

/// The filter of a command that is the user's own: it may do what it likes, but for the ways to
/// the network that no network namespace closes. Those are sockets of other families than Unix,
/// IPv4, IPv6 and netlink, and io_uring, which makes sockets without being asked by this filter.
#[derive(Debug, Clone)]
pub struct Confined(BpfProgram);

/// Marks a system call of the x32 ABI (asm/unistd.h), which has numbers of its own.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

impl Confined {
    /// Compiles it; a call of another architecture kills the process.
    ///
    /// # Errors
    /// If the architecture has no filter.
    pub fn compile() -> Result<Self> {
        let families = || {
            let families = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];
            all(families.map(|f| (0, Op::Ne, f as u64))).map(|rule| vec![rule])
        };
        let mut rules = Rules::new();
        rules.insert(libc::SYS_socket, families()?);
        rules.insert(libc::SYS_io_uring_setup, Vec::new());
        #[cfg(target_arch = "x86_64")]
        {
            rules.insert(libc::SYS_socket | X32, families()?);
            rules.insert(libc::SYS_io_uring_setup | X32, Vec::new());
        }
        compile(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM as u32)).map(Self)
    }

    /// Loads it into the calling thread, for good, and forbids new privileges.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn install(&self) -> Result<()> {
        seccompiler::apply_filter(&self.0)
            .map_err(|e| Error::other("load the seccomp filter", e.to_string()))
    }
}

fn compile(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<BpfProgram> {
    let failed = |e: String| Error::other("compile the seccomp filter", e);
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| failed(e.to_string()))?;
    let filter = SeccompFilter::new(rules, otherwise, matched, arch);
    let filter = filter.map_err(|e| failed(e.to_string()))?;
    BpfProgram::try_from(filter).map_err(|e| failed(e.to_string()))
}

/// What is refused with `EPERM`: whole calls, and arguments.
fn refusals() -> Result<Rules> {
    let mut rules: Rules = REFUSED.iter().map(|n| (*n, Vec::new())).collect();
    let new_namespaces = || {
        namespace_flags().map(|bit| all([(0, Op::MaskedEq(bit), bit)])).collect::<Result<Vec<_>>>()
    };
    rules.insert(libc::SYS_clone, new_namespaces()?);
    rules.insert(libc::SYS_unshare, new_namespaces()?);
    let families = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK].map(|f| (0, Op::Ne, f as u64));
    rules.insert(
        libc::SYS_socket,
        vec![
            all(families)?,
            all([(0, Op::Eq, AF_NETLINK as u64), (2, Op::Ne, NETLINK_ROUTE as u64)])?,
        ],
    );
    // Values as container engines admit them: Linux, no address randomisation, "query".
    let personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff].map(|p| (0, Op::Ne, p));
    rules.insert(libc::SYS_personality, vec![all(personalities)?]);
    // Typing into a terminal that is shared with somebody outside.
    let typing = [TIOCSTI, TIOCLINUX].map(|c| all([(1, Op::Eq, c)]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<Vec<_>>>()?);
    Ok(rules)
}

fn namespace_flags() -> impl Iterator<Item = u64> {
    [
        CLONE_NEWUSER,
        CLONE_NEWNET,
        CLONE_NEWNS,
        CLONE_NEWPID,
        CLONE_NEWIPC,
        CLONE_NEWUTS,
        CLONE_NEWCGROUP,
        CLONE_NEWTIME,
    ]
    .into_iter()
    .map(|bit| u64::from(bit.cast_unsigned()))
}

/// A rule that holds when all of `(argument, comparison, value)` do.
fn all<const N: usize>(conditions: [(u8, Op, u64); N]) -> Result<SeccompRule> {
    let failed =
        |e: seccompiler::BackendError| Error::other("compile the seccomp filter", e.to_string());
    let conditions = conditions
        .into_iter()
        .map(|(arg, op, value)| SeccompCondition::new(arg, Len::Dword, op, value))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(failed)?;
    SeccompRule::new(conditions).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiles() {
        let filters = Filters::compile().unwrap();
        assert_eq!(filters.programs.len(), FILTERS as usize);
        assert!(filters.programs.iter().all(|p| !p.is_empty() && p.len() < 4096));
    }

    #[test]
    fn nothing_is_both_allowed_and_refused() {
        let both: Vec<_> = ALLOWED.iter().filter(|n| REFUSED.contains(n)).collect();
        assert!(both.is_empty(), "{both:?}");
    }

    #[test]
    fn clone3_is_neither_so_it_does_not_exist() {
        assert!(!ALLOWED.contains(&libc::SYS_clone3) && !REFUSED.contains(&libc::SYS_clone3));
    }
}
