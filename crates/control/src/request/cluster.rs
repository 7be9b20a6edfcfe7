//! How many instances a job has, in which groups, and what each of them gets.

use super::RequestError;
use super::size::Size;
use crate::machine::Machine;
use belljar_domain::cluster::MAX_INSTANCES;
use belljar_domain::size::human_bytes;
use belljar_domain::{Channel, Cluster, Instance, Resources};

/// Instances of one kind.
pub(super) struct Group {
    /// `InstanceGroupName`.
    pub(super) name: String,
    /// `InstanceCount`.
    pub(super) count: u32,
    /// Of each.
    pub(super) size: Size,
}

/// The instances of a job.
#[derive(Debug)]
pub(super) struct Instances {
    /// The first.
    pub(super) first: Instance,
    /// All, where there are several.
    pub(super) cluster: Option<Cluster>,
    /// What the user should know: a sentence each.
    pub(super) warnings: Vec<String>,
}

/// Numbers them, across the groups in their order. `machine` is where all of them run, if that is
/// one.
pub(super) fn of(
    groups: Vec<Group>,
    encrypted: bool,
    machine: Option<Machine>,
) -> Result<Instances, RequestError> {
    let wanted = groups.iter().fold(0, |sum: u32, g| sum.saturating_add(g.count));
    if groups.iter().any(|g| g.count == 0) || !(1..=u32::from(MAX_INSTANCES)).contains(&wanted) {
        return Err(RequestError::InstanceCount(wanted));
    }
    let (mut instances, mut warnings) = (Vec::new(), Vec::new());
    let mut numbers = 1..=MAX_INSTANCES;
    for (i, group) in groups.iter().enumerate() {
        if groups[..i].iter().any(|g| g.name == group.name) {
            let key = group.name.clone();
            return Err(RequestError::Duplicate { what: "instance group", key });
        }
        let Size { instance_type, resources, warnings: told } = &group.size;
        let own = |number| Instance::new(number, &group.name, instance_type, *resources);
        instances.extend(numbers.by_ref().take(group.count as usize).map(own));
        warnings.extend(told.iter().cloned());
    }
    warnings.dedup();
    let first = instances.first().cloned().ok_or(RequestError::InstanceCount(0))?;
    let cluster = (instances.len() > 1).then_some(Cluster { instances, encrypted });
    warnings.extend(cluster.as_ref().zip(machine).and_then(|(c, m)| too_large(c, m)));
    Ok(Instances { first, cluster, warnings })
}

/// In what all of them together are more than the machine.
fn too_large(cluster: &Cluster, machine: Machine) -> Option<String> {
    let Resources { cpu_millis, memory_bytes, .. } = cluster.total_resources();
    let mut more = Vec::new();
    if let Some(cpus) = cpu_millis.filter(|c| *c > machine.cpu_millis) {
        more.push(format!("{} CPUs for {}", cpus.div_ceil(1000), machine.cpu_millis / 1000));
    }
    if let Some((wanted, has)) = memory_bytes.zip(machine.memory_bytes).filter(|(w, h)| w > h) {
        more.push(format!("{} of memory for {}", human_bytes(wanted), human_bytes(has)));
    }
    let count = cluster.instances.len();
    (!more.is_empty()).then(|| {
        format!("{count} instances share this machine, which is smaller: {}", more.join(", "))
    })
}

/// No channel is for a group that there is not.
pub(super) fn check_groups(
    channels: &[Channel],
    instances: &Instances,
) -> Result<(), RequestError> {
    let one = [&instances.first];
    let all: Vec<&Instance> = match &instances.cluster {
        Some(cluster) => cluster.instances.iter().collect(),
        None => one.to_vec(),
    };
    for channel in channels {
        for group in &channel.groups {
            if !all.iter().any(|i| i.group == *group) {
                let channel = channel.name.to_string();
                return Err(RequestError::NoGroup { channel, group: group.clone() });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { cpu_millis: 4000, memory_bytes: Some(8 << 30) };

    fn group(name: &str, count: u32, cpus: u64) -> Group {
        let resources =
            Resources { cpu_millis: Some(cpus * 1000), memory_bytes: Some(1 << 30), processes: 9 };
        let size = Size { instance_type: format!("ml.{name}"), resources, warnings: vec![] };
        Group { name: name.into(), count, size }
    }

    #[test]
    fn numbers_go_across_groups() {
        let made = of(vec![group("a", 2, 1), group("b", 1, 2)], true, Some(MACHINE)).unwrap();
        let cluster = made.cluster.unwrap();
        let all: Vec<_> =
            cluster.instances.iter().map(|i| (i.host.as_str(), i.group.as_str())).collect();
        assert_eq!(all, [("algo-1", "a"), ("algo-2", "a"), ("algo-3", "b")]);
        assert!(cluster.encrypted && made.warnings.is_empty(), "{:?}", made.warnings);
    }

    #[test]
    fn one_is_no_cluster_and_keeps_its_group() {
        let made = of(vec![group("a", 1, 1)], true, Some(MACHINE)).unwrap();
        assert!(made.cluster.is_none());
        assert_eq!(made.first.group, "a");
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let made = of(vec![group("a", 9, 1)], false, Some(MACHINE)).unwrap();
        let [told] = made.warnings.as_slice() else { panic!("{:?}", made.warnings) };
        assert!(told.contains("9 CPUs for 4") && told.contains("memory"), "{told}");
    }

    #[test]
    fn counts_and_names_have_bounds() {
        let wrong = |groups: Vec<Group>| of(groups, false, Some(MACHINE)).unwrap_err().to_string();
        assert!(wrong(vec![group("a", 0, 1)]).contains("1 to 20"));
        assert!(wrong(vec![group("a", 20, 1), group("b", 1, 1)]).contains("21"));
        assert!(wrong(vec![group("a", u32::MAX, 1), group("b", 1, 1)]).contains("1 to 20"));
        assert!(wrong(vec![group("a", 1, 1), group("a", 1, 1)]).contains("'a' is given twice"));
    }
}
